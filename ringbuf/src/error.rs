//! Everything that can go wrong with a buffer, as sentences.

use crate::counter::MAX_SUB_BUFFER_BYTES;
use crate::layout::{MAX_LANES, MAX_SUB_BUFFERS, MIN_SUB_BUFFER_BYTES};
use std::io;

/// Why a buffer cannot be made, attached or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The sub-buffer size is not a power of two in range.
    #[error(
        "a sub-buffer of {0} bytes is not possible: choose a power of two from {MIN_SUB_BUFFER_BYTES} to {MAX_SUB_BUFFER_BYTES}"
    )]
    SubBufferBytes(u64),
    /// The number of sub-buffers is not a power of two in range.
    #[error("{0} sub-buffers are not possible: choose a power of two from 2 to {MAX_SUB_BUFFERS}")]
    SubBuffers(u64),
    /// The number of lanes is out of range.
    #[error("{0} lanes are not possible: choose 1 to {MAX_LANES}")]
    Lanes(u32),
    /// A system call on the shared memory failed.
    #[error("cannot {what} of {bytes} bytes: {source}")]
    Memory {
        /// What was tried.
        what: &'static str,
        /// Size of the buffer in bytes.
        bytes: u64,
        /// The system's answer.
        source: io::Error,
    },
    /// The file lacks the seals that keep it from shrinking under a reader.
    #[error("the shared memory is not sealed against shrinking and growing (seals {0:#x})")]
    NotSealed(i32),
    /// The header page does not describe a buffer.
    #[error("the shared memory is not a lane buffer: {0}")]
    NotABuffer(&'static str),
    /// The file is smaller than the geometry in its header needs.
    #[error("the shared memory has {actual} bytes where its header needs {needed}")]
    WrongSize {
        /// Bytes the file has.
        actual: u64,
        /// Bytes its geometry needs.
        needed: u64,
    },
    /// The channel has a buffer already.
    #[error("the channel is attached to a buffer already: detach it first")]
    Attached,
}

impl Error {
    /// What a failed system call on a memory file of `bytes` bytes is.
    pub(crate) fn memory(what: &'static str, bytes: u64) -> impl Fn(io::Error) -> Error {
        move |source| Error::Memory {
            what,
            bytes,
            source,
        }
    }
}
