//! Restartable sequences and per-CPU data for Linux.
