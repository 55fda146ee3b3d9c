//! The fast path: reserve, hand out the bytes, publish, count.
//!
//! ```text
//!  ring::reserve   one restartable sequence, the clock read inside
//!       │ refused: sub-buffer boundary, no rseq, aborted, clock too far ──▶ switch.rs
//!       ▼
//!  payload()       plain stores by the caller
//!       ▼
//!  publish         upper half of the header, release: the record is complete
//!       ▼
//!  ring::count     one restartable sequence on the lane's CPU
//!       │ migrated, aborted ──▶ add_remote, atomic
//! ```
//! Invariant: a `Reservation` owns `bytes` bytes at `position`, which begin with a
//! busy header, until `commit` has counted them; then it touches nothing more.

use crate::channel::Channel;
use crate::counter::{self, Lap};
use crate::header::{self, HEADER_BYTES, Header, MAX_RECORD_BYTES};
use crate::lane;
use crate::layout::{LaneControl, SubBuffer};
use laneway_rseq::ring::{self, Reserved};
use laneway_rseq::{CpuId, Rseq};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of the clock that follows an extended header.
pub(crate) const CLOCK_BYTES: usize = 8;

/// In `Reserved::cpu`: the lane has no CPU of its own, so every count is remote.
pub(crate) const NO_CPU: CpuId = CpuId(u32::MAX);

/// A record that was reserved and waits for its payload.
#[derive(Debug)]
#[must_use = "a reserved record holds its sub-buffer until it is committed"]
pub struct Reservation<'c> {
    channel: &'c Channel,
    place: Reserved,
    bytes: usize,
    extended: bool,
}

impl Channel {
    /// Reserves a record with `content` bytes behind its header in the lane of the
    /// current CPU.
    ///
    /// `None`: there is no memory, or the event was lost and counted as such.
    #[inline(always)]
    pub fn reserve(&self, content: usize) -> Option<Reservation<'_>> {
        let bytes = header::record_bytes(content);
        if bytes <= MAX_RECORD_BYTES {
            let busy = Header::busy(bytes, self.slot.load(Ordering::Relaxed), false).bits();
            if let Some(place) = Rseq::get().reserve(&self.window, bytes as u64, busy) {
                // SAFETY: the sequence gave us these bytes.
                return Some(unsafe { Reservation::new(self, place, bytes, false) });
            }
        }
        self.reserve_slow(content)
    }

    /// The sub-buffer description and lap that belong to `position` in `lane`.
    ///
    /// # Safety
    /// `lane` is the data of a mapped lane of this channel.
    #[inline(always)]
    unsafe fn counters(&self, lane: *mut u8, position: u64) -> (&SubBuffer, Lap) {
        let lane_shift = self.lane_shift.load(Ordering::Relaxed);
        let sub_buffer_shift = self.sub_buffer_shift.load(Ordering::Relaxed);
        let index = position >> sub_buffer_shift & !(u64::MAX << (lane_shift - sub_buffer_shift));
        // SAFETY: the lane is mapped by the caller's word, the index masked.
        let sub_buffer = unsafe { lane::sub_buffer(lane, index) };
        (sub_buffer, Lap::of(position, lane_shift))
    }

    /// Counts `bytes` of `records` records at `place`.
    ///
    /// # Safety
    /// The bytes were reserved in this channel's memory, are published, and not
    /// counted yet: that is what keeps the memory mapped, up to this call's end.
    #[inline(always)]
    pub(crate) unsafe fn count(&self, place: &Reserved, bytes: usize, records: u64) {
        // SAFETY: uncounted bytes keep the lane mapped.
        let (sub_buffer, lap) = unsafe { self.counters(place.lane, place.position) };
        let delta = counter::delta(bytes, records);
        let local = &raw const sub_buffer.local;
        // SAFETY: as above, for the counter.
        if unsafe { !Rseq::get().count(place.cpu, local, lap.bits(), delta) } {
            // SAFETY: still uncounted.
            unsafe { self.count_remote(place, delta) };
        }
    }

    /// # Safety
    /// As for `count`.
    #[cold]
    #[inline(never)]
    unsafe fn count_remote(&self, place: &Reserved, delta: u64) {
        // SAFETY: uncounted bytes keep the lane mapped.
        let (sub_buffer, lap) = unsafe { self.counters(place.lane, place.position) };
        if place.cpu != NO_CPU {
            // SAFETY: as above; the control block belongs to the lane.
            let control = unsafe { &*place.lane.sub(ring::HEAD_BYTES).cast::<LaneControl>() };
            control.lost.remote_commits.fetch_add(1, Ordering::Relaxed);
        }
        counter::add_remote(&sub_buffer.remote, lap, delta);
    }
}

impl<'c> Reservation<'c> {
    /// # Safety
    /// `bytes` bytes at `place` were reserved in `channel` for the caller alone, and
    /// begin with a busy header of that length and form.
    #[inline(always)]
    pub(crate) unsafe fn new(
        channel: &'c Channel,
        place: Reserved,
        bytes: usize,
        extended: bool,
    ) -> Self {
        Reservation {
            channel,
            place,
            bytes,
            extended,
        }
    }

    /// First byte behind the header; the `content` bytes that were asked for, and the
    /// padding behind them, are the caller's to write.
    #[inline(always)]
    pub fn content(&mut self) -> NonNull<u8> {
        let clock = if self.extended { CLOCK_BYTES } else { 0 };
        // SAFETY: the record is longer than its header, and not at address 0.
        unsafe { NonNull::new_unchecked(self.place.record.add(HEADER_BYTES + clock)) }
    }

    /// Publishes the record as event `event`, of which `content` bytes were written,
    /// and counts it.
    #[inline(always)]
    pub fn commit(mut self, event: u16, content: usize) {
        let used = self.content().as_ptr() as usize - self.place.record as usize + content;
        let padding = self.bytes - used;
        debug_assert!((1..=8).contains(&padding), "{padding} bytes of padding");
        // SAFETY: the last byte, and the upper half of the header, of a record that
        // is ours until it is counted.
        unsafe {
            *self.place.record.add(self.bytes - 1) = padding as u8;
            let upper = if cfg!(target_endian = "little") { 4 } else { 0 };
            let half = &*self.place.record.add(upper).cast::<AtomicU32>();
            header::publish(half, self.bytes, event, self.extended);
        }
        // SAFETY: reserved by us, just published, not counted.
        unsafe { self.channel.count(&self.place, self.bytes, 1) };
    }
}
