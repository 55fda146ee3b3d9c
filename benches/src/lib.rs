//! What the benchmarks share.
//!
//! ```text
//!   bench ──▶ itself again, as the traced application (LANEWAY_SOCKET)
//!     │          └── ring ──┐
//!     └ consumer ◀──────────┘   a real one that writes to disk, or one that throws away
//! ```
//! A benchmark has to be a process that is traced by another one, as everybody's is; so
//! each of them starts itself a second time.

#![forbid(unsafe_code)]

mod drain;
mod rounds;

pub use drain::drain_to_nowhere;
pub use rounds::{Row, compare, print_table};

use std::env;
use std::path::Path;
use std::process::Command;

/// Set for the second process of a benchmark, to what it shall do.
const ROLE: &str = "LANEWAY_BENCH_ROLE";

/// What this process shall do, if it is the second one.
pub fn role() -> Option<String> {
    env::var(ROLE).ok()
}

/// This program again, in `role`, traced through `socket`.
///
/// # Panics
/// The program does not know its own path.
pub fn again(role: &str, socket: &Path) -> Command {
    let mut command = Command::new(env::current_exe().expect("the path of this program"));
    command
        .args(env::args_os().skip(1))
        .env(ROLE, role)
        .env("LANEWAY_SOCKET", socket)
        .env("LANEWAY_ALLOW_BLOCK", "1");
    command
}
