//! The fast path: reserve, write, publish, count.
//!
//! ```text
//!  Window::reserve   one restartable sequence, the clock read inside
//!       │ refused: sub-buffer boundary, no rseq, aborted, clock too far ──▶ switch.rs
//!       ▼
//!  write             plain stores by the caller
//!       ▼
//!  publish           upper half of the header, release: the record is complete
//!       ▼
//!  Window::count     one restartable sequence on the lane's CPU
//!       │ migrated, aborted ──▶ count_remote, atomic
//! ```
//! Invariant: between its reserve and its count a record's bytes belong to the thread
//! that reserved it, and keep the memory mapped; after the count it touches nothing more.

use crate::channel::Channel;
use crate::counter::{self, Lap};
use crate::header::{self, EXTENSION_BYTES, HEADER_BYTES, MAX_RECORD_BYTES};
use crate::lane;
use crate::layout::{LaneControl, SubBuffer};
use laneway_rseq::ring::{self, Reserved};
use laneway_rseq::{CpuId, MmCid};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

/// Whose sequences may count in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// Those on this CPU.
    Cpu(CpuId),
    /// Those of this concurrency id.
    Cid(MmCid),
    /// Nobody's: the lane is an atomic one, so every count is remote.
    Nobody,
}

impl Home {
    /// The lane's number, where it has an owner.
    pub(crate) fn number(self) -> u32 {
        match self {
            Home::Cpu(cpu) => cpu.0,
            Home::Cid(cid) => cid.0,
            Home::Nobody => u32::MAX,
        }
    }
}

/// A reserved record: who wrote its header, and nobody else, may write to it until it
/// is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) place: Reserved,
    pub(crate) home: Home,
    pub(crate) bytes: usize,
    pub(crate) extended: bool,
}

impl Channel {
    /// Records one event: `write` gets the `content` bytes behind the record's header,
    /// to fill all of them.
    ///
    /// Says whether it was recorded. If not, there is no memory, or it was lost and
    /// counted as such.
    #[inline(always)]
    pub fn record(&self, event: u16, content: usize, write: impl Fn(NonNull<u8>) + Copy) -> bool {
        self.record_as(event, content, write, |_, event| event)
    }

    /// The same, where `event` is an index into the ids that came with the memory
    /// ([`Channel::attach_shared`]).
    #[inline(always)]
    pub fn record_by_table(
        &self,
        event: u16,
        content: usize,
        write: impl Fn(NonNull<u8>) + Copy,
    ) -> bool {
        self.record_as(event, content, write, |channel, event| {
            // SAFETY: `record_as` asks between the reserve and the count.
            unsafe { channel.event_id(event) }
        })
    }

    #[inline(always)]
    fn record_as(
        &self,
        event: u16,
        content: usize,
        write: impl Fn(NonNull<u8>) + Copy,
        id: impl Fn(&Self, u16) -> u16,
    ) -> bool {
        let bytes = header::record_bytes(content);
        let place = match bytes <= MAX_RECORD_BYTES {
            true => self
                .window
                .reserve(bytes as u64, self.busy_header(bytes, false).upper()),
            false => None,
        };
        let Some(place) = place else {
            // A copy, so that what the fast path writes need not live in memory.
            let copy = write;
            return self.record_slow(event, content, &copy);
        };
        let record = Record {
            place,
            home: Home::Cpu(CpuId(place.slot)),
            bytes,
            extended: false,
        };
        // SAFETY: the sequence gave us the record; until it is counted, the ids are those of
        // the memory it lies in.
        unsafe {
            write(record.content());
            record.publish(id(self, event), content);
            self.count(&place, bytes);
        }
        true
    }

    #[cold]
    #[inline(never)]
    fn record_slow(&self, event: u16, content: usize, write: &dyn Fn(NonNull<u8>)) -> bool {
        let record = self.reserve_by_cid(content);
        let Some(record) = record.or_else(|| self.reserve_slow(content)) else {
            return false;
        };
        // SAFETY: a sequence or the slow path gave us the record; until it is counted, the ids
        // are those of the memory it lies in.
        unsafe {
            write(record.content());
            record.publish(self.event_id(event), content);
            self.count_slow(&record.place, record.home, record.bytes, 1);
        }
        true
    }

    /// The fast path of concurrency ids: `None` at once where lanes belong to CPUs.
    fn reserve_by_cid(&self, content: usize) -> Option<Record> {
        let bytes = header::record_bytes(content);
        if bytes > MAX_RECORD_BYTES {
            return None;
        }
        let header = self.busy_header(bytes, false).upper();
        let place = self.window.reserve_by_cid(bytes as u64, header)?;
        Some(Record {
            place,
            home: Home::Cid(MmCid(place.slot)),
            bytes,
            extended: false,
        })
    }

    /// Counts a record of `bytes` bytes at `place`, in the lane of a CPU.
    ///
    /// # Safety
    /// The bytes were reserved in this channel's memory by this thread, are published, and
    /// not counted yet: that is what keeps the memory mapped, up to this call's end.
    #[inline(always)]
    unsafe fn count(&self, place: &Reserved, bytes: usize) {
        let delta = counter::delta(bytes, 1);
        // SAFETY: uncounted bytes keep the lane mapped; who comes from a sequence has an area.
        unsafe {
            let (sub_buffer, lap) = self.counters(place.lane, place.position);
            let cpu = CpuId(place.slot);
            if !self.window.count(cpu, &sub_buffer.local, lap.bits(), delta) {
                self.count_remote(place.lane, place.position, true, delta);
            }
        }
    }

    /// Counts `bytes` of `records` records at `place`, in the lane of `home`.
    ///
    /// # Safety
    /// As for `count`.
    pub(crate) unsafe fn count_slow(
        &self,
        place: &Reserved,
        home: Home,
        bytes: usize,
        records: u64,
    ) {
        let delta = counter::delta(bytes, records);
        // SAFETY: uncounted bytes keep the lane mapped; who has a home comes from a sequence.
        unsafe {
            let (sub_buffer, lap) = self.counters(place.lane, place.position);
            let (local, lap) = (&sub_buffer.local, lap.bits());
            let counted = match home {
                Home::Cpu(cpu) => self.window.count(cpu, local, lap, delta),
                Home::Cid(cid) => self.window.count_by_cid(cid, local, lap, delta),
                Home::Nobody => false,
            };
            if !counted {
                let migrated = home != Home::Nobody;
                self.count_remote(place.lane, place.position, migrated, delta);
            }
        }
    }

    /// # Safety
    /// As for `count`.
    #[cold]
    #[inline(never)]
    unsafe fn count_remote(&self, lane: *mut u8, position: u64, migrated: bool, delta: u64) {
        // SAFETY: uncounted bytes keep the lane and its control block mapped.
        let (sub_buffer, lap, control) = unsafe {
            let (sub_buffer, lap) = self.counters(lane, position);
            (
                sub_buffer,
                lap,
                &*lane.sub(ring::HEAD_BYTES).cast::<LaneControl>(),
            )
        };
        if migrated {
            control.lost.remote_commits.fetch_add(1, Ordering::Relaxed);
        }
        counter::add_remote(&sub_buffer.remote, lap, delta);
    }

    /// The sub-buffer description and lap that belong to `position` in `lane`.
    ///
    /// # Safety
    /// `lane` is the data of a mapped lane of this channel.
    #[inline(always)]
    unsafe fn counters(&self, lane: *mut u8, position: u64) -> (&SubBuffer, Lap) {
        let number = position >> (self.sub_buffer_shift.load(Ordering::Relaxed) & 63);
        let index = number & self.sub_buffer_mask.load(Ordering::Relaxed);
        // SAFETY: the lane is mapped by the caller's word, the index masked.
        let sub_buffer = unsafe { lane::sub_buffer(lane, index) };
        (sub_buffer, Lap::of(number))
    }
}

impl Record {
    /// First byte behind the header.
    #[inline(always)]
    pub(crate) fn content(&self) -> NonNull<u8> {
        // SAFETY: the record is longer than its header, and not at address 0.
        unsafe { NonNull::new_unchecked(self.place.record.add(self.header_bytes())) }
    }

    #[inline(always)]
    fn header_bytes(&self) -> usize {
        HEADER_BYTES + if self.extended { EXTENSION_BYTES } else { 0 }
    }

    /// Makes the record, of which `content` bytes were written, the reader's.
    ///
    /// # Safety
    /// The record is this thread's, and not published.
    #[inline(always)]
    pub(crate) unsafe fn publish(&self, event: u16, content: usize) {
        let padding = self.bytes - self.header_bytes() - content;
        debug_assert!((1..=8).contains(&padding), "{padding} bytes of padding");
        // SAFETY: the last byte, the second id, and the upper half of the header, of our
        // record.
        unsafe {
            if self.extended {
                let again = self.place.record.add(HEADER_BYTES + 8).cast::<u16>();
                again.write_unaligned(event);
            }
            *self.place.record.add(self.bytes - 1) = padding as u8;
            let [_, upper] = header::halves(self.place.record);
            header::publish(upper, self.bytes, event, self.extended);
        }
    }
}
