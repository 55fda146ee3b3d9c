//! What a reader takes out of a lane: whole records, copied as they are.
//!
//! Invariant: a packet's bytes are published records and nothing else. They stay
//! where they are until the packet is released; a packet dropped without that is
//! found again by the next look at its lane.

use crate::lane::Lost;
use crate::lane_reader::LaneReader;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A run of published records, still in the lane.
#[derive(Debug)]
pub struct Packet<'l> {
    pub(crate) lane: &'l mut LaneReader,
    pub(crate) parts: Parts,
}

/// What is known about a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    pub(crate) position: u64,
    pub(crate) bytes: u64,
    pub(crate) padding: u8,
    pub(crate) records: u64,
    pub(crate) begin: u64,
    pub(crate) end: u64,
    pub(crate) lost: Lost,
    /// Where the reader goes on, once the packet is released.
    pub(crate) next: u64,
    /// Which of the sub-buffers that were left behind it comes from, if it does.
    pub(crate) parked: Option<usize>,
}

impl Packet<'_> {
    /// Index of the lane the packet comes from.
    pub fn lane(&self) -> u32 {
        self.lane.index()
    }

    /// CPU of that lane.
    pub fn cpu(&self) -> u32 {
        self.lane.cpu()
    }

    /// Position of the packet's first byte in its lane.
    pub fn position(&self) -> u64 {
        self.parts.position
    }

    /// Bytes of the records, a multiple of 8; the last [`Packet::padding`] of them
    /// are no content.
    pub fn record_bytes(&self) -> u64 {
        self.parts.bytes
    }

    /// Bytes of padding behind the last record's content: 1 to 8.
    pub fn padding(&self) -> u8 {
        self.parts.padding
    }

    /// Number of records.
    pub fn records(&self) -> u64 {
        self.parts.records
    }

    /// Whether it comes from a sub-buffer that was left behind: its times may lie before those of
    /// packets that were delivered already.
    pub fn is_late(&self) -> bool {
        self.parts.parked.is_some()
    }

    /// Trace clock, not later than the first record.
    pub fn begin(&self) -> u64 {
        self.parts.begin
    }

    /// Trace clock, not earlier than the last record.
    pub fn end(&self) -> u64 {
        self.parts.end
    }

    /// Events the lane has lost so far.
    pub fn lost(&self) -> Lost {
        self.parts.lost
    }

    /// Writes `header` and then the records to `fd`, where the file stands.
    ///
    /// # Errors
    /// What writev(2) said, with the number of bytes written before; interrupted and
    /// short writes are continued.
    pub fn write_to(&self, fd: BorrowedFd<'_>, header: &[u8]) -> Result<usize, WriteError> {
        let records = self.lane.memory_at(self.parts.position);
        let total = header.len() + self.parts.bytes as usize;
        let mut written = 0;
        while written < total {
            let in_header = written.min(header.len());
            let in_records = written - in_header;
            // SAFETY: both offsets are at most the lengths of what they index; the
            // records lie in the mapping, which `self.lane` keeps. The kernel only
            // reads, and copes with bytes that change meanwhile.
            let done = unsafe {
                let parts = [
                    part(header.as_ptr().add(in_header), header.len() - in_header),
                    part(
                        records.add(in_records),
                        self.parts.bytes as usize - in_records,
                    ),
                ];
                libc::writev(fd.as_raw_fd(), parts.as_ptr(), 2)
            };
            match done {
                0 => {
                    return Err(WriteError {
                        written,
                        source: io::ErrorKind::WriteZero.into(),
                    });
                }
                done if done > 0 => written += done as usize,
                _ => {
                    let source = io::Error::last_os_error();
                    if source.kind() != io::ErrorKind::Interrupted {
                        return Err(WriteError { written, source });
                    }
                }
            }
        }
        Ok(total)
    }

    /// Appends the records to `out`.
    pub fn copy_to(&self, out: &mut Vec<u8>) {
        let bytes = self.parts.bytes as usize;
        out.reserve(bytes);
        let records = self.lane.memory_at(self.parts.position);
        // SAFETY: `bytes` bytes lie there in the mapping, and as many were reserved in
        // `out`; published records do not change before they are released.
        unsafe {
            records.copy_to_nonoverlapping(out.as_mut_ptr().add(out.len()), bytes);
            out.set_len(out.len() + bytes);
        }
    }

    /// Gives the bytes back: the lane goes on behind them.
    pub fn release(self) {
        self.lane.advance(&self.parts);
    }
}

fn part(base: *const u8, len: usize) -> libc::iovec {
    libc::iovec {
        iov_base: base.cast_mut().cast(),
        iov_len: len,
    }
}

/// A packet that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write a packet, {written} bytes of it are written: {source}")]
pub struct WriteError {
    /// Bytes of the header and the records that are in the file.
    pub written: usize,
    /// The system's answer.
    pub source: io::Error,
}
