//! Whole-system tests: the real `laneway` command, real traced programs, the real babeltrace2.
//!
//! ```text
//!   src/bin/*.rs     traced programs ──▶ laneway record │ daemon ──▶ trace ──▶ babeltrace2 ──▶ Events
//!   plugin/          a traced library                     │ --json               │ the bytes ─▶ lanes
//!   system/*.rs      the tests                            ▼                      ▼
//!                                                      Summary         what must hold of all three
//! ```
//! This is the harness they share. It is not linked with `laneway`, so that a test is never a traced program itself.
//!
//! Invariant: whatever a test starts has a limit of time, and is killed, with all it started, when the test is over.

#![forbid(unsafe_code)]

pub mod account;
pub mod daemon;
pub mod events;
pub mod lanes;
pub mod place;
pub mod privilege;
pub mod process;
pub mod random;
pub mod record;
pub mod rows;
pub mod stepping;
pub mod summary;
pub mod terminal;

pub use daemon::{Daemon, Place};
pub use events::{Event, babeltrace};
pub use place::{laneway, plugin, program, scratch};
pub use process::{Output, Running, run};
pub use record::{Record, Recorded};
pub use summary::Summary;

use std::time::{Duration, Instant};

/// Waits until `condition` holds, looking every few milliseconds; says how long it took.
///
/// # Panics
/// It does not hold within `limit`.
#[track_caller]
pub fn eventually(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    began.elapsed()
}
