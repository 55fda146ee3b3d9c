//! One lane as both sides see it: control block, sub-buffers, data.
//!
//! ```text
//!                            reserved ▼
//!   ┌──────────┬──────────┬──────────────┬──────────┐
//!   │ readable │ readable │ being filled │   free   │
//!   └──────────┴──────────┴──────────────┴──────────┘
//! ```
//! A sub-buffer has a *number*, position / size, and lies in the *place* number mod places.
//! Its descriptor speaks of one lap of the place at a time.
//!
//! Invariant: a place is on the lap of a number only if that number was opened, or is about
//! to be by whoever stands on its boundary.

use crate::counter::{self, Committed, Lap};
use crate::header::{self, Header};
use crate::layout::{Geometry, LaneControl, LostCells, SubBuffer};
use crate::room;
use std::marker::PhantomData;
use std::mem::size_of;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// More than any lane has ever reserved: a position above was not written by a producer of ours.
pub(crate) const MOST_RESERVED: u64 = 1 << 60;

/// Whether a lane can stand at `position`, as far as that alone can tell.
pub(crate) fn is_position(position: u64) -> bool {
    position.is_multiple_of(8) && position < MOST_RESERVED
}

/// A lane inside a mapping that lives for `'m`.
#[derive(Clone, Copy)]
pub(crate) struct Lane<'m> {
    data: NonNull<u8>,
    geometry: Geometry,
    mapping: PhantomData<&'m AtomicU64>,
}

// SAFETY: all access is by atomics and raw copies, as for `SharedMemory`.
unsafe impl Send for Lane<'_> {}

impl<'m> Lane<'m> {
    /// # Safety
    /// `data` points to the data of a lane of `geometry`, its control block below
    /// it, in a mapping that lives for `'m`.
    #[inline(always)]
    pub(crate) unsafe fn new(data: NonNull<u8>, geometry: Geometry) -> Self {
        Lane {
            data,
            geometry,
            mapping: PhantomData,
        }
    }

    pub(crate) fn data(self) -> *mut u8 {
        self.data.as_ptr()
    }

    pub(crate) fn geometry(self) -> Geometry {
        self.geometry
    }

    pub(crate) fn control(self) -> &'m LaneControl {
        // SAFETY: by `new`, a control block of atomics ends where the data begins.
        unsafe { self.data.sub(size_of::<LaneControl>()).cast().as_ref() }
    }

    /// Whether the consumer has done with the sub-buffer that begins at `start`.
    pub(crate) fn is_done(self, start: u64) -> bool {
        room::is_done(self.sub_buffer(start), self.lap(start))
    }

    /// The sub-buffer in which `position` lies.
    pub(crate) fn sub_buffer(self, position: u64) -> &'m SubBuffer {
        let index = position >> self.geometry.sub_buffer_shift() & (self.geometry.sub_buffers - 1);
        // SAFETY: the index is below the number of sub-buffers, whose descriptions
        // lie below the control block, the first one nearest.
        unsafe { sub_buffer(self.data.as_ptr(), index) }
    }

    /// The lane's position, as far as it can be true: for those who must not trust who writes it.
    pub(crate) fn reserved(self) -> u64 {
        // SYNC(reserve): pairs with the store that commits a reservation or a close.
        let claim = self.control().reserved.load(Ordering::Acquire);
        claim.min(MOST_RESERVED) & !7
    }

    /// The number of the sub-buffer in which `position` lies.
    pub(crate) fn number(self, position: u64) -> u64 {
        position >> self.geometry.sub_buffer_shift()
    }

    pub(crate) fn lap(self, position: u64) -> Lap {
        Lap::of(self.number(position))
    }

    /// Whether the place of `position` is on the lap of `position`.
    pub(crate) fn is_on_lap(self, position: u64) -> bool {
        self.lap_now(position) == Some(self.lap(position))
    }

    /// The lap that the place of `position` is on, unless it is between two.
    fn lap_now(self, position: u64) -> Option<Lap> {
        let sub_buffer = self.sub_buffer(position);
        // SYNC(open): Acquire, for what belongs to the lap; pairs with the commit of an open.
        let local = Lap::of_word(sub_buffer.local.load(Ordering::Acquire));
        let remote = Lap::of_word(sub_buffer.remote.load(Ordering::Acquire));
        (local == remote).then_some(local)
    }

    /// Where the sub-buffers begin that are in the lane now, up to the position `reserved`: in the
    /// order of their places.
    pub(crate) fn sub_buffers(self, reserved: u64) -> impl Iterator<Item = u64> + use<'m> {
        (0..self.geometry.sub_buffers).filter_map(move |place| self.in_place(place, reserved))
    }

    /// Where the sub-buffer begins that is in place `index` now, if there is one, in a lane
    /// whose position is `reserved`: before that.
    pub(crate) fn in_place(self, index: u64, reserved: u64) -> Option<u64> {
        let newest = self.number(reserved.checked_sub(1)?);
        let shift = self.geometry.sub_buffer_shift();
        let number = self.lap_now(index << shift)?.number(newest)?;
        (number % self.geometry.sub_buffers == index).then_some(number << shift)
    }

    /// Position of the first byte of the sub-buffer in which `position` lies.
    pub(crate) fn sub_buffer_start(self, position: u64) -> u64 {
        position & !(self.geometry.sub_buffer_bytes - 1)
    }

    /// The memory at `position`.
    pub(crate) fn at(self, position: u64) -> *mut u8 {
        let offset = position & (self.geometry.lane_bytes() - 1);
        // SAFETY: masked by the lane's size, which the mapping holds.
        unsafe { self.data.as_ptr().add(offset as usize) }
    }

    /// The header word at `position`, a multiple of 8.
    pub(crate) fn header_word(self, position: u64) -> &'m AtomicU64 {
        debug_assert_eq!(position % 8, 0);
        // SAFETY: eight aligned bytes inside the lane, accessed by atomics only.
        unsafe { &*self.at(position).cast() }
    }

    /// The upper half of the header at `position`, a multiple of 8.
    pub(crate) fn upper_half(self, position: u64) -> &'m AtomicU32 {
        let [_, upper] = self.halves(position);
        upper
    }

    /// The header at `position`, its upper half read first, so that a record seen
    /// published is seen whole.
    pub(crate) fn header(self, position: u64) -> Header {
        let [lower, upper] = self.halves(position);
        // SYNC(publish): pairs with the Release store in `header::publish`.
        let upper = upper.load(Ordering::Acquire);
        let lower = lower.load(Ordering::Relaxed);
        Header::from_bits(u64::from(upper) << 32 | u64::from(lower))
    }

    fn halves(self, position: u64) -> [&'m AtomicU32; 2] {
        debug_assert_eq!(position % 8, 0);
        // SAFETY: as for `header_word`.
        unsafe { header::halves(self.at(position)) }
    }

    /// The byte before `position`: of a published record's end, its padding.
    pub(crate) fn trailer(self, position: u64) -> u8 {
        // SAFETY: one byte inside the lane.
        let byte: &AtomicU8 = unsafe { &*self.at(position - 1).cast() };
        byte.load(Ordering::Relaxed)
    }

    /// Bytes of records in the sub-buffer at `start`, which the lane's position has
    /// left; `None` if it was filled to its end and nobody has closed it yet.
    ///
    /// Meant for a place that is on the lap of `start`. A close that was interrupted leaves a content that speaks of a position where
    /// meanwhile a record stands; only a real close has its padding there.
    pub(crate) fn closed_content(self, start: u64) -> Option<u64> {
        // SYNC(close): pairs with the commit of `Channel::close_full`.
        let content = self.sub_buffer(start).content.load(Ordering::Acquire);
        let size = self.geometry.sub_buffer_bytes();
        let closed = content == size
            || content < size
                && content.is_multiple_of(8)
                && self.header(start + content).record_bytes() == 0;
        closed.then_some(content)
    }

    /// What is committed in the sub-buffer of `position`, if it is on that lap.
    pub(crate) fn committed(self, position: u64) -> Option<Committed> {
        let sub_buffer = self.sub_buffer(position);
        counter::sum(&sub_buffer.local, &sub_buffer.remote, self.lap(position))
    }
}

/// # Safety
/// `data` points to a lane's data and `index` is one of its sub-buffers; the
/// mapping outlives `'m`.
#[inline(always)]
pub(crate) unsafe fn sub_buffer<'m>(data: *mut u8, index: u64) -> &'m SubBuffer {
    let below = size_of::<LaneControl>() + (index as usize + 1) * size_of::<SubBuffer>();
    // SAFETY: by the caller's word the description lies inside the mapping; it is
    // made of atomics.
    unsafe { &*data.sub(below).cast() }
}

/// Why an event was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostCause {
    /// No sub-buffer was free.
    Full,
    /// The record is longer than a sub-buffer, or than [`crate::MAX_RECORD_BYTES`].
    TooLarge,
    /// The channel blocks, and the time limit passed without room.
    TimedOut,
}

/// How many events a lane lost, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// No sub-buffer was free.
    pub full: u64,
    /// Longer than a sub-buffer can hold.
    pub too_large: u64,
    /// Waited for room in vain.
    pub timed_out: u64,
    /// Recorded, and overwritten by newer ones before anybody read them.
    pub overwritten: u64,
    /// Reserved by a writer that died before it published: found by the reader.
    pub unfinished: u64,
}

impl Lost {
    /// Events lost for any cause.
    pub fn total(&self) -> u64 {
        self.full
            .wrapping_add(self.too_large)
            .wrapping_add(self.timed_out)
            .wrapping_add(self.overwritten)
            .wrapping_add(self.unfinished)
    }
}

impl LostCells {
    pub(crate) fn count(&self, cause: LostCause) {
        let cell = match cause {
            LostCause::Full => &self.full,
            LostCause::TooLarge => &self.too_large,
            LostCause::TimedOut => &self.timed_out,
        };
        cell.fetch_add(1, Ordering::Relaxed);
    }

    /// The count of overwritten records that holds.
    pub(crate) fn overwritten(&self) -> &AtomicU64 {
        &self.overwritten[(self.counted.load(Ordering::Acquire) & 1) as usize]
    }

    pub(crate) fn read(&self) -> Lost {
        Lost {
            full: self.full.load(Ordering::Relaxed),
            too_large: self.too_large.load(Ordering::Relaxed),
            timed_out: self.timed_out.load(Ordering::Relaxed),
            overwritten: self.overwritten().load(Ordering::Relaxed),
            unfinished: self.buried.load(Ordering::Relaxed),
        }
    }
}
