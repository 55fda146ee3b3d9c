//! Events that are hit while this process waits to be let into a shared ring.
//!
//! ```text
//!   hello ──▶ begin … callsites enabled, no memory: each event is counted … ring ──▶ end, and the count goes into the ring
//! ```
//! Somebody wants them, so that they are not recorded is a loss as any other.
//!
//! Invariant: an event is recorded in the ring or counted here, but for those that hit the moment between.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static WAITS: AtomicBool = AtomicBool::new(false);
static EVENTS: AtomicU64 = AtomicU64::new(0);

/// The wait begins.
pub(crate) fn begin() {
    EVENTS.store(0, Ordering::Relaxed);
    WAITS.store(true, Ordering::Relaxed);
}

/// It is over: how many events there were.
pub(crate) fn end() -> u64 {
    match WAITS.swap(false, Ordering::Relaxed) {
        true => EVENTS.swap(0, Ordering::Relaxed),
        false => 0,
    }
}

/// An event was not recorded; says whether that is because this process waits.
pub(crate) fn count() -> bool {
    let waits = WAITS.load(Ordering::Relaxed);
    if waits {
        EVENTS.fetch_add(1, Ordering::Relaxed);
    }
    waits
}
