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
use crate::header::TOMBSTONE_ID;
use crate::layout::LaneControl;
use crate::memory::SharedMemory;
use crate::quiet;
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
    /// Overwrites the oldest events, and counts them.
    Overwrite,
}

/// To whom the lanes of a channel belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneChoice {
    /// To the CPUs.
    Cpu,
    /// To the concurrency ids of the process (`mm_cid`, Linux 6.3): as many lanes are used as
    /// threads run at once. Where the kernel has none, to nobody: the atomic lanes are used.
    Concurrency,
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
    /// To whom the lanes belong.
    pub lanes: LaneChoice,
}

/// A producer's end of a buffer; see the module's text.
///
/// It fills pages of its own, so that the kernel can be asked to wipe it in children
/// ([`Channel::wipe_on_fork`]); all zeroes are a channel without memory.
#[repr(C)]
#[derive(Debug)]
pub struct Channel {
    /// What the reserve sequence reads. Open only while rseq lanes can be used and
    /// the clock can be read inside a sequence.
    pub(crate) window: Window,
    pub(crate) sub_buffer_shift: AtomicU32,
    pub(crate) sub_buffer_mask: AtomicU64,
    pub(crate) slot: AtomicU16,
    pub(crate) rseq: AtomicBool,
    by_cid: AtomicBool,
    overwrite: AtomicBool,
    /// Whether the memory was found to be not as producers leave it: a thread would look for its
    /// place there in vain.
    pub(crate) tampered: AtomicBool,
    clock: AtomicU8,
    /// Nanoseconds to wait for room; 0 to discard.
    block_ns: AtomicU64,
    /// Threads on a slow path; away from what every fast path reads.
    pub(crate) users: CachePadded<AtomicU64>,
    /// The ids that came with the memory, or null. They stay as long as the memory is mapped.
    ids: AtomicPtr<u16>,
    ids_len: AtomicU32,
    /// The memory, or null.
    pub(crate) attached: AtomicPtr<Attached>,
    /// The memory after step 1 of a detach that has not come to its end.
    pub(crate) retired: Mutex<Option<Box<Attached>>>,
    /// Not wiped in children.
    kept: Kept,
}

/// What a child of a fork needs to get rid of its parent's memory.
#[repr(align(4096))]
#[derive(Debug)]
struct Kept {
    /// The memory, from `attach` until it is unmapped: a copy of the pointer in `attached`
    /// or `retired`.
    mapped: AtomicPtr<Attached>,
}

/// What a channel is attached to.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) memory: SharedMemory,
    /// The ids of this process' events in memory that it shares with others; else none.
    _ids: Option<Box<[u16]>>,
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
            by_cid: AtomicBool::new(false),
            overwrite: AtomicBool::new(false),
            tampered: AtomicBool::new(false),
            clock: AtomicU8::new(0),
            block_ns: AtomicU64::new(0),
            users: CachePadded::new(AtomicU64::new(0)),
            ids: AtomicPtr::new(ptr::null_mut()),
            ids_len: AtomicU32::new(0),
            attached: AtomicPtr::new(ptr::null_mut()),
            retired: Mutex::new(None),
            kept: Kept {
                mapped: AtomicPtr::new(ptr::null_mut()),
            },
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
        self.attach_to(memory, None, settings)
    }

    /// Begins to use `memory` that other processes write to as well.
    ///
    /// They agree on the ids of events: `ids` are those of this process' events, which it
    /// numbers for itself ([`Channel::record_by_table`]). An event without an id is recorded
    /// as [`TOMBSTONE_ID`], which readers pass over.
    ///
    /// # Errors
    /// As [`Channel::attach`].
    pub fn attach_shared(
        &self,
        memory: SharedMemory,
        ids: Box<[u16]>,
        settings: ChannelSettings,
    ) -> Result<(), Error> {
        self.attach_to(memory, Some(ids), settings)
    }

    /// Says in the buffer that so many events were lost because this process did not have it yet.
    /// Nothing is said without memory.
    pub fn count_waited(&self, events: u64) {
        if let Some(user) = self.enter() {
            let waited = &user.memory.header().waited;
            waited.fetch_add(events, Ordering::Relaxed);
        }
    }

    fn attach_to(
        &self,
        memory: SharedMemory,
        ids: Option<Box<[u16]>>,
        settings: ChannelSettings,
    ) -> Result<(), Error> {
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        if retired.is_some() || self.is_attached() {
            return Err(Error::Attached);
        }
        let lanes = memory.geometry().lanes();
        let by_cid = settings.lanes == LaneChoice::Concurrency;
        let rseq = settings.rseq && Rseq::get().process().is_ok() && Barrier::register().is_ok();
        self.slot.store(settings.slot, Ordering::Relaxed);
        self.rseq.store(rseq, Ordering::Relaxed);
        self.by_cid.store(by_cid, Ordering::Relaxed);
        self.tampered.store(false, Ordering::Relaxed);
        self.clock.store(settings.clock as u8, Ordering::Relaxed);
        self.set_when_full(settings.when_full);
        self.describe(&memory);
        let first_id = ids
            .as_deref()
            .map_or(ptr::null_mut(), |ids| ids.as_ptr().cast_mut());
        let ids_len = ids.as_deref().map_or(0, <[u16]>::len);
        self.ids_len.store(ids_len as u32, Ordering::Relaxed);
        self.ids.store(first_id, Ordering::Relaxed);
        let attached = Box::into_raw(Box::new(Attached { memory, _ids: ids }));
        self.kept.mapped.store(attached, Ordering::Relaxed);
        // SYNC(attach): pairs with the loads in `enter` and in the reserve sequence.
        self.attached.store(attached, Ordering::SeqCst);
        self.open_window(lanes);
        Ok(())
    }

    /// Says where the lanes of `memory` lie, and opens nothing.
    fn describe(&self, memory: &SharedMemory) {
        let geometry = memory.geometry();
        self.sub_buffer_shift
            .store(geometry.sub_buffer_shift(), Ordering::Relaxed);
        let mask = geometry.sub_buffers() - 1;
        self.sub_buffer_mask.store(mask, Ordering::Relaxed);
        self.window.prepare(
            Rseq::get(),
            memory.first_lane(),
            geometry.stride(),
            geometry.sub_buffer_bytes(),
            geometry.lane_bytes(),
        );
    }

    /// Lets sequences in, where they can be used.
    pub(crate) fn open_window(&self, lanes: u32) {
        if !self.rseq.load(Ordering::Relaxed) || self.clock() != ClockKind::Tsc {
            return;
        }
        // SAFETY: the lanes are mapped until `detach` has closed the window and ended all
        // sequences; nothing but sequences, of one kind, writes their heads. Concurrency ids
        // are chosen only for memory of this process alone.
        unsafe {
            match self.by_cid() {
                true => self.window.open_by_cid(lanes),
                false => self.window.open(lanes),
            }
        }
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
        let attached = self.attached.swap(ptr::null_mut(), Ordering::SeqCst);
        if !attached.is_null() {
            // SAFETY: the pointer came from `Box::into_raw` in `attach_to`, and the swap
            // took it out for good.
            *retired = Some(unsafe { Box::from_raw(attached) });
        }
        let Some(Attached { memory, .. }) = retired.as_deref() else {
            return true;
        };
        if self.rseq.load(Ordering::Relaxed) && end_sequences().is_err() {
            return false;
        }
        memory.header().doorbell.wake_producers();
        let deadline = Instant::now() + limit;
        while self.users.load(Ordering::SeqCst) != 0 || !quiet::is_quiet(memory) {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        self.ids.store(ptr::null_mut(), Ordering::Relaxed);
        self.kept.mapped.store(ptr::null_mut(), Ordering::Relaxed);
        let buried = memory.header().burials.load(Ordering::Relaxed) != 0;
        if let Some(attached) = retired.take()
            && buried
        {
            // What the consumer declared done on behalf of a dead process says nothing about
            // our own threads: one may be about to count. It finds private memory.
            attached.memory.forget();
            Box::leak(attached);
        }
        true
    }

    /// Changes what happens from now on when no sub-buffer is free.
    pub fn set_when_full(&self, when_full: WhenFull) {
        let block_ns = match when_full {
            WhenFull::Discard | WhenFull::Overwrite => 0,
            WhenFull::Block(limit) => limit.as_nanos().clamp(1, u64::MAX.into()) as u64,
        };
        self.block_ns.store(block_ns, Ordering::Relaxed);
        let overwrite = when_full == WhenFull::Overwrite;
        self.overwrite.store(overwrite, Ordering::Relaxed);
    }

    /// From now on loses events instead of waiting for room, also those that wait now:
    /// the consumer is gone.
    pub fn stop_blocking(&self) {
        self.block_ns.store(0, Ordering::Relaxed);
        if let Some(user) = self.enter() {
            user.memory.header().doorbell.wake_producers();
        }
    }

    /// Asks the kernel to wipe this channel in children, so that one that was made behind
    /// everybody's back (a bare clone(2), for which no handler runs) does not write as its
    /// parent: all it finds is a channel without memory. Says whether it will (Linux 4.14).
    ///
    /// The fast path pays nothing: it looks at the window anyway. What is wiped is private,
    /// anonymous memory, as the kernel insists: whole pages of the zeroed data of a binary.
    ///
    /// One hole is left: a signal handler that interrupts an event, has a child in such a way,
    /// *and returns in the child*. There the rest of that event finds the window wiped under it.
    /// (After fork(3), [`Channel::forget_in_child`] has put back what it needs.)
    pub fn wipe_on_fork(&'static self) -> bool {
        let start = ptr::from_ref(self).cast_mut();
        // SAFETY: changes nothing in this process. In a child the pages are zeroes, which are
        // valid for every field, and mean a channel without memory.
        unsafe {
            libc::madvise(
                start.cast(),
                offset_of!(Channel, kept),
                libc::MADV_WIPEONFORK,
            ) == 0
        }
    }

    /// In the child of a fork: leaves the parent's memory alone.
    ///
    /// The mapping is replaced by private memory and never unmapped, because the one
    /// thread that the child has may have been in the middle of an event.
    pub fn forget_in_child(&self) {
        self.window.close();
        self.attached.store(ptr::null_mut(), Ordering::SeqCst);
        if let Ok(mut retired) = self.retired.try_lock() {
            retired.take().map(Box::leak);
        }
        let mapped = self.kept.mapped.swap(ptr::null_mut(), Ordering::SeqCst);
        if !mapped.is_null() {
            // SAFETY: it was mapped when the child was made, nobody else in the child knows
            // it, and it is leaked, not dropped.
            let attached: &'static Attached = unsafe { &*mapped };
            attached.memory.forget();
            // An event that was interrupted goes on, in private memory.
            self.describe(&attached.memory);
        }
        self.users.store(0, Ordering::SeqCst);
    }

    /// Whether there is memory to write to.
    pub fn is_attached(&self) -> bool {
        !self.attached.load(Ordering::Relaxed).is_null()
    }

    pub(crate) fn by_cid(&self) -> bool {
        self.by_cid.load(Ordering::Relaxed)
    }

    pub(crate) fn overwrites(&self) -> bool {
        self.overwrite.load(Ordering::Relaxed)
    }

    /// The id of this process' event number `event`.
    ///
    /// # Safety
    /// The caller has reserved a record and not counted it: until then, what came with the
    /// memory stays.
    #[inline(always)]
    pub(crate) unsafe fn event_id(&self, event: u16) -> u16 {
        let ids = self.ids.load(Ordering::Relaxed);
        if ids.is_null() {
            return event;
        }
        match u32::from(event) < self.ids_len.load(Ordering::Relaxed) {
            // SAFETY: that many ids lie there, as long as the caller's record is not counted.
            true => unsafe { *ids.add(usize::from(event)) },
            false => TOMBSTONE_ID,
        }
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
        let attached = self.attached.load(Ordering::SeqCst);
        if attached.is_null() {
            self.users.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        // SAFETY: `detach` frees it only when `users` is 0, and we are one until the `User` is
        // dropped.
        let Attached { memory, .. } = unsafe { &*attached };
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
pub(crate) fn end_sequences() -> Result<(), laneway_rseq::NoBarrier> {
    Barrier::register()?.restart_all()
}

fn errno() -> i32 {
    // SAFETY: the location is this thread's own.
    unsafe { *libc::__errno_location() }
}
