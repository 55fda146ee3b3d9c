//! Whether a full lane may make this program wait.
//!
//! A channel in `block` mode asks the program to wait for the consumer instead of losing
//! events. That is for the program to allow: it is the one that stands still.
//!
//! Invariant: without the program's consent, in code or by who starts it, `trace!` never waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest wait in nanoseconds; 0 is none.
static LIMIT_NS: AtomicU64 = AtomicU64::new(0);

/// Lets a `trace!` wait up to `limit` for room in a full lane, if the consumer's channel
/// is in `block` mode too.
///
/// A limit of zero takes it back. Whoever starts the program can allow it as well,
/// without a limit of the program's, by `LANEWAY_ALLOW_BLOCK=1` in its environment.
///
/// ```
/// use std::time::Duration;
///
/// laneway::allow_blocking(Duration::from_millis(100));
/// ```
pub fn allow_blocking(limit: Duration) {
    let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    LIMIT_NS.store(limit, Ordering::Relaxed);
    crate::attach::blocking_changed();
}

/// How long a `trace!` may wait at most; zero if it may not.
#[inline]
pub(crate) fn limit() -> Duration {
    Duration::from_nanos(LIMIT_NS.load(Ordering::Relaxed))
}

/// Takes the consent of whoever started the program.
pub(crate) fn read_environment() {
    if crate::startup::variable("LANEWAY_ALLOW_BLOCK").is_some_and(|v| v == "1") {
        allow_blocking(Duration::MAX);
    }
}
