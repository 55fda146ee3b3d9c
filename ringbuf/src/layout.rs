//! Where everything lies in the memory both sides map.
//!
//! ```text
//! 0        ┌────────────────────────────┐
//!          │ BufferHeader: geometry,    │  one page
//!          │ doorbell, active lanes     │
//! 4096     ├────────────────────────────┤ ◀─┐
//!          │ unused │ SubBuffer n−1 … 0 │   │ control, whole pages
//!          │        │ LaneControl       │   │
//!          ├────────────────────────────┤ ◀ lane pointer
//!          │ sub-buffer 0               │   │ stride
//!          │ …                          │   │
//!          │ sub-buffer n−1             │   │
//!          ├────────────────────────────┤ ◀─┘
//!          │ next lane: control, data   │
//! ```
//! Lanes `0..n` are the rseq lanes of CPUs `0..n`; lanes `n..2n` the atomic ones.
//! Control lies below the lane pointer at fixed offsets, so that one pointer and
//! constants reach all of it. Pages that no CPU writes are never allocated.
//!
//! Invariant: all types here are made of atomics, valid for any bytes at all.

use crate::Error;
use crate::counter::MAX_SUB_BUFFER_BYTES;
use std::mem::size_of;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"laneway2");
pub(crate) const PAGE: u64 = 4096;

/// The most lanes of each kind a buffer can have.
pub const MAX_LANES: u32 = 2048;

/// The smallest sub-buffer: a page.
pub const MIN_SUB_BUFFER_BYTES: u64 = PAGE;

/// The largest number of sub-buffers in a lane.
pub const MAX_SUB_BUFFERS: u64 = 4096;

/// How a buffer is cut into lanes and sub-buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    pub(crate) lanes: u32,
    pub(crate) sub_buffer_bytes: u64,
    pub(crate) sub_buffers: u64,
}

impl Geometry {
    /// `lanes` rseq lanes (one per possible CPU, and as many atomic ones), each of
    /// `sub_buffers` sub-buffers of `sub_buffer_bytes`; both are powers of two.
    ///
    /// # Errors
    /// [`Error::SubBufferBytes`], [`Error::SubBuffers`] or [`Error::Lanes`] names
    /// the value out of range.
    pub fn new(lanes: u32, sub_buffer_bytes: u64, sub_buffers: u64) -> Result<Self, Error> {
        if !sub_buffer_bytes.is_power_of_two()
            || !(MIN_SUB_BUFFER_BYTES..=MAX_SUB_BUFFER_BYTES).contains(&sub_buffer_bytes)
        {
            return Err(Error::SubBufferBytes(sub_buffer_bytes));
        }
        if !sub_buffers.is_power_of_two() || !(2..=MAX_SUB_BUFFERS).contains(&sub_buffers) {
            return Err(Error::SubBuffers(sub_buffers));
        }
        if !(1..=MAX_LANES).contains(&lanes) {
            return Err(Error::Lanes(lanes));
        }
        Ok(Geometry {
            lanes,
            sub_buffer_bytes,
            sub_buffers,
        })
    }

    /// Lanes of each kind.
    pub fn lanes(&self) -> u32 {
        self.lanes
    }

    /// Bytes of one sub-buffer.
    pub fn sub_buffer_bytes(&self) -> u64 {
        self.sub_buffer_bytes
    }

    /// Sub-buffers in each lane.
    pub fn sub_buffers(&self) -> u64 {
        self.sub_buffers
    }

    /// Bytes of data in one lane.
    pub fn lane_bytes(&self) -> u64 {
        self.sub_buffer_bytes * self.sub_buffers
    }

    /// Bytes of the whole buffer; only what is written is ever allocated.
    pub fn buffer_bytes(&self) -> u64 {
        PAGE + self.stride() * u64::from(self.lanes) * 2
    }

    pub(crate) fn sub_buffer_shift(&self) -> u32 {
        self.sub_buffer_bytes.trailing_zeros()
    }

    pub(crate) fn control_bytes(&self) -> u64 {
        let bytes =
            size_of::<LaneControl>() as u64 + self.sub_buffers * size_of::<SubBuffer>() as u64;
        bytes.next_multiple_of(PAGE)
    }

    pub(crate) fn stride(&self) -> u64 {
        self.control_bytes() + self.lane_bytes()
    }

    /// Offset of lane `index`'s data in the buffer.
    pub(crate) fn lane_offset(&self, index: u32) -> u64 {
        PAGE + self.control_bytes() + self.stride() * u64::from(index)
    }
}

/// The first page of a buffer.
#[repr(C)]
pub(crate) struct BufferHeader {
    pub(crate) magic: AtomicU64,
    pub(crate) lanes: AtomicU32,
    pub(crate) sub_buffers: AtomicU32,
    pub(crate) sub_buffer_bytes: AtomicU64,
    /// Who this buffer is, all over the world.
    pub(crate) id: [AtomicU64; 2],
    /// What the free words of its atomic lanes are made of (`atomic_lane.rs`).
    pub(crate) key: AtomicU64,
    /// Processes whose records the consumer has buried.
    pub(crate) burials: AtomicU64,
    /// Events of processes that waited for the buffer, hit before they had it.
    pub(crate) waited: AtomicU64,
    pub(crate) doorbell: Doorbell,
    pub(crate) active: [AtomicU64; ACTIVE_WORDS],
}

pub(crate) const ACTIVE_WORDS: usize = (2 * MAX_LANES as usize) / 64;

impl BufferHeader {
    /// 64 bits, one for each lane from `64 * number` on: whether it was ever used. The
    /// consumer does not look at others, so that it allocates nothing by looking.
    pub(crate) fn active_word(&self, number: u32) -> u64 {
        self.active[number as usize].load(Ordering::Acquire)
    }

    pub(crate) fn is_active(&self, index: u32) -> bool {
        self.active_word(index / 64) & 1 << (index % 64) != 0
    }

    pub(crate) fn set_active(&self, index: u32) {
        if !self.is_active(index) {
            self.active[index as usize / 64].fetch_or(1 << (index % 64), Ordering::AcqRel);
        }
    }
}

/// The futexes on which the two sides wait for each other.
#[repr(C, align(64))]
pub(crate) struct Doorbell {
    /// Changes whenever a sub-buffer was closed while the consumer slept.
    pub(crate) rings: AtomicU32,
    /// Not 0 while the consumer sleeps or is about to.
    pub(crate) consumer_sleeps: AtomicU32,
    /// Changes whenever room was made while a producer waited for it.
    pub(crate) room: AtomicU32,
    /// Producers that wait for room.
    pub(crate) waiting: AtomicU32,
}

/// One lane's control block, directly below its data.
#[repr(C, align(64))]
pub(crate) struct LaneControl {
    /// Position behind the last reserved byte.
    pub(crate) reserved: AtomicU64,
    /// Upper half of the clock of the last record that tells it (`switch.rs`).
    pub(crate) epoch: AtomicU64,
    _line: [u64; 6],
    /// Position behind what was delivered in order: written by the consumer, for its successor.
    pub(crate) delivered: AtomicU64,
    _line2: [u64; 7],
    pub(crate) lost: LostCells,
}

/// Events lost in a lane, one counter for each cause.
#[repr(C, align(64))]
pub(crate) struct LostCells {
    pub(crate) full: AtomicU64,
    pub(crate) too_large: AtomicU64,
    pub(crate) timed_out: AtomicU64,
    /// Commits that went to a remote counter; no loss, but of the same kind.
    pub(crate) remote_commits: AtomicU64,
    /// Recorded, and overwritten by newer ones: the one that `counted` chooses.
    pub(crate) overwritten: [AtomicU64; 2],
    /// The number of the last sub-buffer whose opening was counted there, times 2, plus which of
    /// the two holds the count; always 0 in atomic lanes.
    pub(crate) counted: AtomicU64,
    /// Begun by processes that died in the middle, and buried: written by the consumer, for its successor.
    pub(crate) buried: AtomicU64,
}

/// What is known about one sub-buffer on its present lap.
#[repr(C, align(64))]
pub(crate) struct SubBuffer {
    /// Committed on the lane's CPU.
    pub(crate) local: AtomicU64,
    /// Committed from anywhere else.
    pub(crate) remote: AtomicU64,
    /// Clock at opening.
    pub(crate) begin: AtomicU64,
    /// Clock at closing; means nothing before.
    pub(crate) end: AtomicU64,
    /// Bytes of records, without the padding behind them; see `Lane::closed_content`.
    pub(crate) content: AtomicU64,
    /// The lap that the consumer has done with, and how many records it knows of (`room.rs`).
    pub(crate) free: AtomicU64,
    /// Who prepares it for which number, in an atomic lane (`place.rs`).
    pub(crate) state: AtomicU64,
    /// Lap and bytes up to which the consumer has read it; in overwrite mode, not 0 while a reader
    /// copies it.
    pub(crate) taken: AtomicU64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn sizes_out_of_range_are_refused_by_name() {
        assert!(matches!(
            Geometry::new(1, 5000, 4),
            Err(Error::SubBufferBytes(5000))
        ));
        assert!(matches!(
            Geometry::new(1, 2048, 4),
            Err(Error::SubBufferBytes(2048))
        ));
        assert!(matches!(
            Geometry::new(1, 8 << 20, 4),
            Err(Error::SubBufferBytes(_))
        ));
        assert!(matches!(
            Geometry::new(1, 4096, 1),
            Err(Error::SubBuffers(1))
        ));
        assert!(matches!(
            Geometry::new(1, 4096, 3),
            Err(Error::SubBuffers(3))
        ));
        assert!(matches!(Geometry::new(0, 4096, 2), Err(Error::Lanes(0))));
    }

    #[test]
    fn lanes_lie_behind_each_other_and_end_with_the_buffer() {
        let geometry = Geometry::new(3, 8192, 64).unwrap();
        for lane in 1..6 {
            let step = geometry.lane_offset(lane) - geometry.lane_offset(lane - 1);
            assert_eq!(step, geometry.stride());
        }
        let last = geometry.lane_offset(5) + geometry.lane_bytes();
        assert_eq!(last, geometry.buffer_bytes());
        assert_eq!(geometry.lane_offset(0) % PAGE, 0);
    }

    #[test]
    fn what_two_cpus_write_is_never_on_one_cache_line() {
        assert!(size_of::<BufferHeader>() as u64 <= PAGE);
        assert_eq!(offset_of!(LaneControl, delivered) % 64, 0);
        assert_eq!(offset_of!(LaneControl, lost) % 64, 0);
        assert_eq!(size_of::<SubBuffer>(), 64);
    }
}
