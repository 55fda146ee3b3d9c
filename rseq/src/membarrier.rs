//! membarrier(2) for restartable sequences: make sure that no sequence under way still acts on what
//! it read.
//!
//! ```text
//!   this thread                      a thread on CPU 3
//!   ───────────                      ─────────────────
//!   close the gate (store)           2: cmp cpu; cmp gate, open ✓
//!   membarrier ───── interrupts ───▶    aborted, or had committed already
//!   the data of CPU 3 is ours        2: cmp gate, open ✗ → slow path
//! ```
//!
//! When the call returns, every sequence that a thread of *this process* had under way (on the
//! given CPU, or on any) when it was made has either committed or will abort, and those that start
//! later see all that the caller stored before. It also is a full memory barrier between the caller
//! and those threads. It says nothing about threads of other processes that share the memory.
//!
//! Source: membarrier(2); `MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ` since Linux 5.10.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::slot::CpuId;

const CMD_QUERY: libc::c_int = 0;
const CMD_PRIVATE_EXPEDITED_RSEQ: libc::c_int = 1 << 7;
const CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ: libc::c_int = 1 << 8;
const CMD_FLAG_CPU: libc::c_uint = 1;

/// The kernel has no such barrier, or refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoBarrier {
    /// As membarrier(2) returned it; `ENOSYS` also where the command is not among those it knows.
    pub errno: i32,
}

impl fmt::Display for NoBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "membarrier for rseq is not to be had (errno {}); Linux 5.10 or newer has it",
            self.errno
        )
    }
}

impl core::error::Error for NoBarrier {}

/// Proof that the process is registered for the barrier, and the barrier itself.
#[derive(Clone, Copy, Debug)]
pub struct Barrier(());

impl Barrier {
    /// Registers the process, once; a child of fork(2) inherits it.
    ///
    /// # Errors
    /// The kernel does not know the command, or a filter forbids it.
    pub fn register() -> Result<Self, NoBarrier> {
        static REGISTERED: AtomicBool = AtomicBool::new(false);
        if REGISTERED.load(Relaxed) {
            return Ok(Self(()));
        }
        if membarrier(CMD_QUERY, 0, 0)? & CMD_PRIVATE_EXPEDITED_RSEQ == 0 {
            return Err(NoBarrier {
                errno: libc::ENOSYS,
            });
        }
        membarrier(CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0)?;
        REGISTERED.store(true, Relaxed);
        Ok(Self(()))
    }

    /// Ends every sequence under way in this process, on whatever CPU.
    ///
    /// # Errors
    /// Only if a filter was put up since the registration.
    pub fn restart_all(self) -> Result<(), NoBarrier> {
        membarrier(CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0).map(drop)
    }

    /// Ends every sequence that a thread of this process has under way on `cpu`; an offline CPU has
    /// none.
    ///
    /// # Errors
    /// Only if a filter was put up since the registration.
    pub fn restart_on(self, cpu: CpuId) -> Result<(), NoBarrier> {
        let cpu = cpu.0 as libc::c_int;
        membarrier(CMD_PRIVATE_EXPEDITED_RSEQ, CMD_FLAG_CPU, cpu).map(drop)
    }
}

fn membarrier(
    command: libc::c_int,
    flags: libc::c_uint,
    cpu: libc::c_int,
) -> Result<libc::c_int, NoBarrier> {
    if cfg!(any(miri, loom)) {
        return Err(NoBarrier {
            errno: libc::ENOSYS,
        });
    }
    // SAFETY: three integers, no memory.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, command, flags, cpu) };
    if result >= 0 {
        return Ok(result as libc::c_int);
    }
    // SAFETY: a pointer to this thread's errno.
    let errno = unsafe { *libc::__errno_location() };
    Err(NoBarrier { errno })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_barrier_can_be_registered_again_and_again_and_runs_on_all_cpus_and_on_one() {
        let Ok(barrier) = Barrier::register() else {
            return; // an old kernel: nothing to test
        };
        Barrier::register().expect("a second registration is as good as the first");
        barrier.restart_all().unwrap();
        barrier.restart_on(CpuId(0)).unwrap();
    }
}
