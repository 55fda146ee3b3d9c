//! How the two sides wait for each other: futexes in the shared header.
//!
//! ```text
//!  producer closes a sub-buffer          consumer finds nothing to do
//!    count, full fence                     consumer_sleeps = 1, full fence
//!    consumer_sleeps? ── wake ──────▶      look again; still nothing: wait(rings)
//!
//!  consumer releases a sub-buffer        producer finds the lane full
//!    place free, full fence               waiting += 1, full fence
//!    waiting? ────────── wake ──────▶      look again; still full: wait(room)
//! ```
//! Each side announces itself before it looks once more, and the other side looks
//! for the announcement after it has acted, so no wake-up is missed. No descriptor
//! is involved: the application has none of ours among its own.
//!
//! What the other side writes here is never trusted: at worst a hostile process
//! wakes us for nothing or lets us sleep until our own time limit.

use crate::layout::Doorbell;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::Duration;

impl Doorbell {
    /// Tells a sleeping consumer that a sub-buffer was closed.
    pub(crate) fn ring(&self) {
        // SYNC(sleep): orders our counting before the look at the flag; pairs with
        // the fence in `sleep`.
        fence(Ordering::SeqCst);
        if self.consumer_sleeps.load(Ordering::Relaxed) != 0 {
            self.wake_consumer();
        }
    }

    /// Wakes the consumer, or makes its next sleep end at once.
    pub(crate) fn wake_consumer(&self) {
        self.rings.fetch_add(1, Ordering::Relaxed);
        futex_wake(&self.rings);
    }

    /// Sleeps until a producer rings or `limit` has passed, unless `busy` says that
    /// there is something to do already.
    pub(crate) fn sleep(&self, limit: Duration, busy: impl FnOnce() -> bool) {
        let rings = self.rings.load(Ordering::Relaxed);
        self.consumer_sleeps.store(1, Ordering::Relaxed);
        // SYNC(sleep): orders the flag before the look that `busy` takes.
        fence(Ordering::SeqCst);
        if !busy() {
            futex_wait(&self.rings, rings, limit);
        }
        self.consumer_sleeps.store(0, Ordering::Relaxed);
    }

    /// Sleeps until somebody wakes the consumer or `limit` has passed; producers do not ring.
    pub(crate) fn nap(&self, limit: Duration) {
        let rings = self.rings.load(Ordering::Relaxed);
        futex_wait(&self.rings, rings, limit);
    }

    /// Tells waiting producers that a sub-buffer was released.
    pub(crate) fn announce_room(&self) {
        // SYNC(room): orders the release before the look at the waiters; pairs with
        // the fence in `wait_for_room`.
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) != 0 {
            self.room.fetch_add(1, Ordering::Relaxed);
            futex_wake(&self.room);
        }
    }

    /// Waits until room was announced or `limit` has passed, unless `room` says that
    /// there is some already.
    pub(crate) fn wait_for_room(&self, limit: Duration, room: impl FnOnce() -> bool) {
        let seen = self.room.load(Ordering::Relaxed);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // SYNC(room): orders our announcement before the look that `room` takes.
        fence(Ordering::SeqCst);
        if !room() {
            futex_wait(&self.room, seen, limit);
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Lets every waiting producer look again.
    pub(crate) fn wake_producers(&self) {
        self.room.fetch_add(1, Ordering::Relaxed);
        futex_wake(&self.room);
    }
}

/// futex(2), FUTEX_WAIT, shared between processes. Returns early for any reason.
fn futex_wait(word: &AtomicU32, seen: u32, limit: Duration) {
    let limit = libc::timespec {
        tv_sec: limit.as_secs().min(i32::MAX as u64) as libc::time_t,
        tv_nsec: limit.subsec_nanos() as _,
    };
    // SAFETY: the word and the time limit outlive the call; the kernel reads both.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            seen,
            &limit,
        )
    };
}

/// futex(2), FUTEX_WAKE of everybody.
fn futex_wake(word: &AtomicU32) {
    // SAFETY: FUTEX_WAKE only uses the address.
    let woken =
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
    debug_assert!(woken >= 0, "futex wake: {}", io::Error::last_os_error());
}
