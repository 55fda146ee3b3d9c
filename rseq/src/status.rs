//! Whose the rseq area is, or why there is none.
//!
//! ```text
//!   Ok(Owner)          Libc │ Crate
//!   Err(Unavailable)   SwitchedOff │ Architecture │ NoSystemCall │ Taken │ Refused        the process
//!                      NotThisThread │ ThreadExiting                                      a thread
//! ```
//!
//! None of it is an error to the structures of this crate, which fall back; it is for people who
//! wonder why something is slower than it could be.

use core::fmt;

/// Who registered the area in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The C library, for every thread it starts.
    Libc,
    /// This crate, for every thread when it first needs it.
    Crate,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Libc => "registered by the C library",
            Self::Crate => "registered by laneway-rseq",
        })
    }
}

/// Why a process or a thread has no restartable sequences. Everything works without them, only
/// slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unavailable {
    /// `LANEWAY_RSEQ=off` is in the environment.
    SwitchedOff,
    /// This crate has no sequences for the architecture (or runs under Miri or loom).
    Architecture,
    /// The kernel has no rseq(2): older than 4.18, built without it, or a filter says so.
    NoSystemCall,
    /// Another library registered an area of its own for this thread.
    Taken {
        /// `EBUSY` or `EINVAL`.
        errno: i32,
    },
    /// The kernel refuses for another reason, such as a seccomp filter (`EPERM`).
    Refused {
        /// As rseq(2) returned it.
        errno: i32,
    },
    /// The C library registered its threads, but not this one.
    NotThisThread,
    /// The thread is past the point of its exit where it was unregistered.
    ThreadExiting,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SwitchedOff => {
                f.write_str("switched off by LANEWAY_RSEQ=off; unset it to use rseq")
            }
            Self::Architecture => {
                write!(f, "no sequences for {} here", std::env::consts::ARCH)
            }
            Self::NoSystemCall => {
                f.write_str("the kernel has no rseq system call; Linux 4.18 or newer has it")
            }
            Self::Taken { errno } => write!(
                f,
                "another library registered rseq for this thread (errno {errno}); let the C library do it"
            ),
            Self::Refused { errno } => write!(
                f,
                "the kernel refused the registration with errno {errno}; a seccomp filter may forbid rseq"
            ),
            Self::NotThisThread => f.write_str(
                "the C library has no rseq for this thread, which it may not have started",
            ),
            Self::ThreadExiting => f.write_str("the thread is exiting and already unregistered"),
        }
    }
}

impl core::error::Error for Unavailable {}

impl Unavailable {
    /// What rseq(2) means by `errno` when a thread registers.
    pub(crate) fn from_errno(errno: i32) -> Self {
        match errno {
            libc::ENOSYS => Self::NoSystemCall,
            libc::EBUSY | libc::EINVAL => Self::Taken { errno },
            _ => Self::Refused { errno },
        }
    }
}
