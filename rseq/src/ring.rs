//! The two sequences of a ring buffer that are too hot to be made of general ones.
//!
//! ```text
//!  Window (one per process)         lane of CPU n
//!  ┌───────────────────┐            ┌──────────────────────────┐ HEAD_BYTES below
//!  │ lanes             │            │ reserved │ begin │ …     │
//!  │ first_lane ───────┼─▶ lane 0   ├──────────────────────────┤ ◀ lane pointer
//!  │ stride            │            │ bytes, a power of two    │
//!  │ sub_buffer, mask  │            └──────────────────────────┘
//!  └───────────────────┘
//! ```
//! *Reserve* claims bytes in the lane of the current CPU, reads the time stamp counter
//! and writes a record header; its commit is the store of the lane's position.
//! *Count* adds to a counter of a lane if the thread still runs on the lane's CPU and
//! the counter is still on the expected lap.
//!
//! The clock is read inside the sequence: an abort throws the reading away together
//! with the reservation, so that time never runs backwards in a lane. Everything about
//! the lanes is read inside it, too: whoever closes the window and then ends all
//! sequences ([`Barrier::restart_all`](crate::Barrier::restart_all)) knows that nobody
//! reserves any more.
//!
//! Invariant: only sequences on the lane's CPU write `reserved`, `epoch` and the
//! counters, so plain loads and stores are enough.

use core::sync::atomic::{AtomicIsize, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use crate::arch;
use crate::registration::Rseq;
use crate::slot::{CpuId, MmCid, Slot};

/// Bytes of the block below a lane's data that begins with [`Head`].
pub const HEAD_BYTES: usize = 192;

/// The first words of the block [`HEAD_BYTES`] below a lane's data.
#[repr(C)]
#[derive(Debug)]
pub struct Head {
    /// Bytes reserved in the lane since it was made.
    pub reserved: AtomicU64,
    /// Upper half of the time stamp counter of the last record whose whole clock the lane
    /// tells: the first of a sub-buffer, or a later extended one.
    pub epoch: AtomicU64,
}

/// Bits below the lap in a counter that [`Window::count`] adds to.
pub const LAP_SHIFT: u32 = 40;

/// Where a process finds its lanes. All sequences read it anew.
#[repr(C)]
#[derive(Debug)]
pub struct Window {
    /// Lanes that may be used, each by the CPU of its number; 0 while the window is closed.
    lanes: AtomicU32,
    /// The same where a lane belongs to a concurrency id. At most one of the two is not 0.
    cid_lanes: AtomicU32,
    /// Bytes from the thread pointer to the rseq area; meaningful once the window was prepared.
    offset: AtomicIsize,
    first_lane: AtomicPtr<u8>,
    stride: AtomicU64,
    sub_buffer_mask: AtomicU64,
    lane_mask: AtomicU64,
}

/// A place in a lane.
#[derive(Clone, Copy, Debug)]
pub struct Reserved {
    /// The record's header.
    pub record: *mut u8,
    /// The data of its lane.
    pub lane: *mut u8,
    /// Bytes reserved in the lane before it.
    pub position: u64,
    /// The number of its lane: of a CPU, or a concurrency id.
    pub slot: u32,
}

impl Default for Window {
    fn default() -> Self {
        Self::new()
    }
}

impl Window {
    /// A closed window.
    pub const fn new() -> Self {
        Window {
            lanes: AtomicU32::new(0),
            cid_lanes: AtomicU32::new(0),
            offset: AtomicIsize::new(0),
            first_lane: AtomicPtr::new(core::ptr::null_mut()),
            stride: AtomicU64::new(0),
            sub_buffer_mask: AtomicU64::new(0),
            lane_mask: AtomicU64::new(0),
        }
    }

    /// Describes lanes, `stride` bytes apart from `first_lane` on, of `lane_bytes`
    /// each, in sub-buffers of `sub_buffer_bytes`; all but the stride are powers of two.
    /// The window must be closed, and no sequence under way that saw it open.
    pub fn prepare(
        &self,
        rseq: Rseq,
        first_lane: *mut u8,
        stride: u64,
        sub_buffer_bytes: u64,
        lane_bytes: u64,
    ) {
        self.offset.store(rseq.offset(), Ordering::Relaxed);
        self.first_lane.store(first_lane, Ordering::Relaxed);
        self.stride.store(stride, Ordering::Relaxed);
        self.sub_buffer_mask
            .store(sub_buffer_bytes - 1, Ordering::Relaxed);
        // A record is aligned, whatever the lane's head holds.
        self.lane_mask
            .store((lane_bytes - 1) & !7, Ordering::Relaxed);
    }

    /// Lets sequences on CPUs below `lanes` use the lanes described.
    ///
    /// # Safety
    /// Until the window is closed again, and after that all sequences of the process
    /// were ended, `lanes` lanes as described to [`Window::prepare`] are mapped, each
    /// with [`HEAD_BYTES`] that begin with a [`Head`] below it, and nothing but
    /// sequences on the lane's CPU writes to that head.
    pub unsafe fn open(&self, lanes: u32) {
        // SYNC(window): pairs with the look before the reserve sequence: who sees the
        // window open sees where the rseq area is.
        self.lanes.store(lanes, Ordering::Release);
    }

    /// Lets sequences of threads whose concurrency id is below `lanes` use the lanes
    /// described: with [`Window::reserve_by_cid`], not with [`Window::reserve`].
    ///
    /// # Safety
    /// As for [`Window::open`], the lanes being those of concurrency ids, and the
    /// memory that of this process alone.
    pub unsafe fn open_by_cid(&self, lanes: u32) {
        // SYNC(window): as in `open`.
        self.cid_lanes.store(lanes, Ordering::Release);
    }

    /// Lets no further sequence in.
    pub fn close(&self) {
        self.lanes.store(0, Ordering::SeqCst);
        self.cid_lanes.store(0, Ordering::SeqCst);
    }

    /// Reserves `bytes` bytes in the lane of the current CPU, if they lie in the
    /// sub-buffer in which the lane's last bytes lie.
    ///
    /// ```text
    /// cpu = area.cpu_id
    /// if cpu >= window.lanes                          → None   (also: no rseq)
    /// lane = window.first_lane + cpu * window.stride
    /// pos = lane.reserved
    /// if bytes to the next sub-buffer < bytes         → None   (none on a boundary)
    /// now = rdtsc
    /// if upper half of now != lane.epoch              → None
    /// lane[pos & mask] = header, lower half of now
    /// lane.reserved = pos + bytes                            ◀ commit
    /// ```
    ///
    /// `None` also after an abort, which leaves at most a header behind the lane's
    /// position, where it means nothing.
    ///
    /// `bytes` is a positive multiple of 8; `header` is the upper half of the record's
    /// header. Whatever the lane's head holds, nothing is written outside of the lane, and the
    /// record is aligned to 8 bytes.
    #[inline(always)]
    pub fn reserve(&self, bytes: u64, header: u32) -> Option<Reserved> {
        // SYNC(window): a window that was never prepared does not know the area.
        if self.lanes.load(Ordering::Acquire) == 0 {
            return None;
        }
        arch::reserve::<CpuId>(self.offset.load(Ordering::Relaxed), self, bytes, header)
    }

    /// The same in the lane of the current concurrency id.
    ///
    /// Out of line, and with a look whether the thread is registered: its area may say
    /// concurrency id 0 if it is not.
    #[inline(never)]
    pub fn reserve_by_cid(&self, bytes: u64, header: u32) -> Option<Reserved> {
        // SYNC(window): as in `reserve`.
        if self.cid_lanes.load(Ordering::Acquire) == 0 {
            return None;
        }
        let rseq = Rseq::get();
        rseq.mm_cid()?;
        arch::reserve::<MmCid>(rseq.offset(), self, bytes, header)
    }

    /// Adds `delta` to `counter` if this thread runs on `cpu` and the counter's bits
    /// from [`LAP_SHIFT`] up are `lap`; says whether it did.
    ///
    /// ```text
    /// if area.cpu_id != cpu              → false
    /// if *counter >> LAP_SHIFT != lap    → false
    /// *counter += delta                         ◀ commit (release)
    /// ```
    ///
    /// # Safety
    /// The window was prepared, `counter` is valid and aligned, and nothing but
    /// sequences on `cpu` writes it.
    #[inline(always)]
    pub unsafe fn count(
        &self,
        cpu: CpuId,
        counter: *const AtomicU64,
        lap: u64,
        delta: u64,
    ) -> bool {
        // SAFETY: the caller's word is passed on; the area is known since the window was
        // prepared.
        unsafe {
            arch::count(
                self.offset.load(Ordering::Relaxed),
                cpu,
                counter,
                lap,
                delta,
            )
        }
    }

    /// The same while this thread's concurrency id is `cid`.
    ///
    /// # Safety
    /// As for [`Window::count`], the sequences being those of concurrency id `cid`, and
    /// the thread is registered.
    #[inline(never)]
    pub unsafe fn count_by_cid(
        &self,
        cid: MmCid,
        counter: *const AtomicU64,
        lap: u64,
        delta: u64,
    ) -> bool {
        // SAFETY: as in `count`.
        unsafe {
            arch::count(
                self.offset.load(Ordering::Relaxed),
                cid,
                counter,
                lap,
                delta,
            )
        }
    }
}

/// A kind of slot that lanes can belong to: which of the window's fields says how many.
pub(crate) trait RingSlot: Slot {
    /// That field's offset in the window.
    #[cfg_attr(any(not(target_arch = "x86_64"), miri, loom), allow(dead_code))]
    const LANES: usize;
}

impl RingSlot for CpuId {
    const LANES: usize = offsets::LANES;
}

impl RingSlot for MmCid {
    const LANES: usize = offsets::CID_LANES;
}

/// Offsets that the sequences use as immediates.
#[cfg_attr(any(not(target_arch = "x86_64"), miri, loom), allow(dead_code))]
pub(crate) mod offsets {
    use super::{HEAD_BYTES, Head, Window};
    use core::mem::offset_of;

    pub(crate) const LANES: usize = offset_of!(Window, lanes);
    pub(crate) const CID_LANES: usize = offset_of!(Window, cid_lanes);
    pub(crate) const FIRST_LANE: usize = offset_of!(Window, first_lane);
    pub(crate) const STRIDE: usize = offset_of!(Window, stride);
    pub(crate) const SUB_BUFFER_MASK: usize = offset_of!(Window, sub_buffer_mask);
    pub(crate) const LANE_MASK: usize = offset_of!(Window, lane_mask);
    pub(crate) const RESERVED: isize = offset_of!(Head, reserved) as isize - HEAD_BYTES as isize;
    pub(crate) const EPOCH: isize = offset_of!(Head, epoch) as isize - HEAD_BYTES as isize;
}
