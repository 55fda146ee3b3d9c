//! Per-CPU ring buffers in shared memory, reserved and committed with restartable sequences.
