//! The producer's side of a buffer: attached to memory, or not.
//!
//! A `Channel` is a static: it is never freed, so a thread may hold a reference to
//! it for any length of time. What comes and goes is the memory behind it:
//!
//! ```text
//!            attach                        detach
//!  detached ────────▶ open ──────────────────────────────────▶ detached
//!                             1 close the window, take the memory away
//!                             2 membarrier: sections that saw the window open end
//!                             3 wait until nobody is on a slow path
//!                             4 wait until every reserved record is counted
//! ```
//! Invariant: a thread touches the memory only (a) inside a restartable sequence
//! that saw the window open, (b) between its reserve and its count, or (c) holding a
//! [`User`]. Steps 2, 3 and 4 wait for each of the three, so that after them nobody
//! does, and the memory can be unmapped. The fast path pays nothing for it: the
//! counters that the consumer needs anyway are what makes (b) visible.

use crate::Error;
use crate::clock::ClockKind;
use crate::lane::Lane;
use crate::layout::LaneControl;
use crate::memory::SharedMemory;
use crossbeam_utils::CachePadded;
use laneway_rseq::ring::{self, Head, Window};
use laneway_rseq::{Barrier, Rseq};
use std::mem::{offset_of, size_of};
use std::ptr;
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering,
};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a producer does when no sub-buffer is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Loses the event, and counts it.
    Discard,
    /// Waits for room, but no longer than this for one event.
    Block(Duration),
}

/// How a channel uses its buffer.
#[derive(Clone, Copy, Debug)]
pub struct ChannelSettings {
    /// What happens when no sub-buffer is free.
    pub when_full: WhenFull,
    /// The trace clock.
    pub clock: ClockKind,
    /// The small number that names this process in busy headers.
    pub slot: u16,
    /// Whether to use restartable sequences where the machine has them.
    pub rseq: bool,
}

/// A producer's end of a buffer; see the module's text.
#[derive(Debug)]
pub struct Channel {
    /// What the reserve sequence reads. Open only while rseq lanes can be used and
    /// the clock can be read inside a sequence.
    pub(crate) window: Window,
    pub(crate) sub_buffer_shift: AtomicU32,
    pub(crate) sub_buffer_mask: AtomicU64,
    pub(crate) slot: AtomicU16,
    pub(crate) rseq: AtomicBool,
    clock: AtomicU8,
    /// Nanoseconds to wait for room; 0 to discard.
    block_ns: AtomicU64,
    /// Threads on a slow path; away from what every fast path reads.
    users: CachePadded<AtomicU64>,
    /// The memory, or null.
    memory: AtomicPtr<SharedMemory>,
    /// The memory after step 1 of a detach that has not come to its end.
    retired: Mutex<Option<Box<SharedMemory>>>,
}

// The offsets that the sequences of laneway-rseq were written for.
const _: () = {
    assert!(ring::HEAD_BYTES == size_of::<LaneControl>());
    assert!(offset_of!(Head, reserved) == offset_of!(LaneControl, reserved));
    assert!(offset_of!(Head, epoch) == offset_of!(LaneControl, epoch));
};

impl Default for Channel {
    fn default() -> Self {
        Self::new()
    }
}

impl Channel {
    /// A channel without memory: nothing is recorded.
    pub const fn new() -> Self {
        Channel {
            window: Window::new(),
            sub_buffer_shift: AtomicU32::new(0),
            sub_buffer_mask: AtomicU64::new(0),
            slot: AtomicU16::new(0),
            rseq: AtomicBool::new(false),
            clock: AtomicU8::new(0),
            block_ns: AtomicU64::new(0),
            users: CachePadded::new(AtomicU64::new(0)),
            memory: AtomicPtr::new(ptr::null_mut()),
            retired: Mutex::new(None),
        }
    }

    /// Begins to use `memory`.
    ///
    /// Restartable sequences are used if the settings want them and the process can
    /// fence them (`membarrier(2)`), which [`Channel::detach`] relies on.
    ///
    /// # Errors
    /// [`Error::Attached`] if there is memory already, or still.
    pub fn attach(&self, memory: SharedMemory, settings: ChannelSettings) -> Result<(), Error> {
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        if retired.is_some() || !self.memory.load(Ordering::Acquire).is_null() {
            return Err(Error::Attached);
        }
        let geometry = memory.geometry();
        let rseq = settings.rseq && Rseq::get().process().is_ok() && Barrier::register().is_ok();
        self.sub_buffer_shift
            .store(geometry.sub_buffer_shift(), Ordering::Relaxed);
        let mask = geometry.sub_buffers() - 1;
        self.sub_buffer_mask.store(mask, Ordering::Relaxed);
        self.slot.store(settings.slot, Ordering::Relaxed);
        self.rseq.store(rseq, Ordering::Relaxed);
        self.clock.store(settings.clock as u8, Ordering::Relaxed);
        self.set_when_full(settings.when_full);
        self.window.prepare(
            Rseq::get(),
            memory.first_lane(),
            geometry.stride(),
            geometry.sub_buffer_bytes(),
            geometry.lane_bytes(),
        );
        // SYNC(attach): pairs with the loads in `enter` and in the reserve sequence.
        self.memory
            .store(Box::into_raw(Box::new(memory)), Ordering::SeqCst);
        if rseq && settings.clock == ClockKind::Tsc {
            // SAFETY: the lanes are mapped until `detach` has closed the window and ended
            // all sequences; nothing but sequences writes their heads.
            unsafe { self.window.open(geometry.lanes()) };
        }
        Ok(())
    }

    /// Stops using the memory and unmaps it once no thread can touch it any more,
    /// waiting at most `limit` for that.
    ///
    /// Returns whether it is unmapped. If not (a thread is stopped in the middle of
    /// an event), no further event is recorded, the memory stays, and a later call
    /// goes on waiting.
    pub fn detach(&self, limit: Duration) -> bool {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        self.window.close();
        let memory = self.memory.swap(ptr::null_mut(), Ordering::SeqCst);
        if !memory.is_null() {
            // SAFETY: the pointer came from `Box::into_raw` in `attach`, and the swap
            // took it out for good.
            *retired = Some(unsafe { Box::from_raw(memory) });
        }
        let Some(memory) = retired.as_deref() else {
            return true;
        };
        if self.rseq.load(Ordering::Relaxed) && end_sequences().is_err() {
            return false;
        }
        memory.header().doorbell.wake_producers();
        let deadline = Instant::now() + limit;
        while self.users.load(Ordering::SeqCst) != 0 || !is_quiet(memory) {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        *retired = None;
        true
    }

    /// Changes what happens from now on when no sub-buffer is free.
    pub fn set_when_full(&self, when_full: WhenFull) {
        let block_ns = match when_full {
            WhenFull::Discard => 0,
            WhenFull::Block(limit) => limit.as_nanos().clamp(1, u64::MAX.into()) as u64,
        };
        self.block_ns.store(block_ns, Ordering::Relaxed);
    }

    /// From now on loses events instead of waiting for room, also those that wait now:
    /// the consumer is gone.
    pub fn stop_blocking(&self) {
        self.set_when_full(WhenFull::Discard);
        if let Some(user) = self.enter() {
            user.memory.header().doorbell.wake_producers();
        }
    }

    /// In the child of a fork: leaves the parent's memory alone.
    ///
    /// The mapping is replaced by private memory and never unmapped, because the one
    /// thread that the child has may have been in the middle of an event.
    pub fn forget_in_child(&self) {
        self.window.close();
        let memory = self.memory.swap(ptr::null_mut(), Ordering::SeqCst);
        if !memory.is_null() {
            // SAFETY: the swap made us its owner; it is leaked, not dropped.
            let memory: &'static SharedMemory = unsafe { &*memory };
            memory.forget_in_child();
        }
        if let Ok(mut retired) = self.retired.try_lock()
            && let Some(memory) = retired.take()
        {
            Box::leak(memory).forget_in_child();
        }
        self.users.store(0, Ordering::SeqCst);
    }

    /// Whether there is memory to write to.
    pub fn is_attached(&self) -> bool {
        !self.memory.load(Ordering::Relaxed).is_null()
    }

    pub(crate) fn clock(&self) -> ClockKind {
        ClockKind::from_code(self.clock.load(Ordering::Relaxed))
    }

    pub(crate) fn block_limit(&self) -> Option<Duration> {
        match self.block_ns.load(Ordering::Relaxed) {
            0 => None,
            limit => Some(Duration::from_nanos(limit)),
        }
    }

    /// Enters a slow path, if there is memory.
    pub(crate) fn enter(&self) -> Option<User<'_>> {
        // SYNC(users): SeqCst here and in `detach`: either the add comes first and
        // `detach` waits for us, or its swap does and we see null.
        self.users.fetch_add(1, Ordering::SeqCst);
        let memory = self.memory.load(Ordering::SeqCst);
        if memory.is_null() {
            self.users.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        // SAFETY: `detach` frees the memory only when `users` is 0, and we are one
        // until the `User` is dropped.
        let memory = unsafe { &*memory };
        Some(User {
            channel: self,
            memory,
            errno: errno(),
        })
    }
}

/// A thread on a slow path: keeps the memory mapped, and gives the thread its
/// `errno` back at the end.
pub(crate) struct User<'c> {
    channel: &'c Channel,
    pub(crate) memory: &'c SharedMemory,
    errno: i32,
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        self.channel.users.fetch_sub(1, Ordering::SeqCst);
        // SAFETY: the location is this thread's own.
        unsafe { *libc::__errno_location() = self.errno };
    }
}

/// Waits until no sequence is under way that saw an open window.
fn end_sequences() -> Result<(), laneway_rseq::NoBarrier> {
    Barrier::register()?.restart_all()
}

fn errno() -> i32 {
    // SAFETY: the location is this thread's own.
    unsafe { *libc::__errno_location() }
}

/// Whether every byte reserved in any lane of `memory` is counted.
fn is_quiet(memory: &SharedMemory) -> bool {
    let lanes = memory.geometry().lanes() * 2;
    (0..lanes)
        .filter(|&index| memory.header().is_active(index))
        .all(|index| lane_is_quiet(memory.lane(index)))
}

fn lane_is_quiet(lane: Lane<'_>) -> bool {
    let reserved = lane.control().reserved.load(Ordering::Acquire);
    let sub_buffer_bytes = lane.geometry().sub_buffer_bytes();
    let oldest = reserved.saturating_sub(lane.geometry().lane_bytes());
    let mut start = oldest.next_multiple_of(sub_buffer_bytes);
    while start < reserved {
        let due = sub_buffer_bytes.min(reserved - start);
        if lane
            .committed(start)
            .is_some_and(|committed| committed.bytes < due)
        {
            return false;
        }
        start += sub_buffer_bytes;
    }
    true
}
