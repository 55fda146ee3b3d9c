//! What goes on behind the scenes, told to whoever asks: `LANEWAY_DEBUG=1`.
//!
//! ```text
//!   laneway[4711]: this process is not recorded: cannot size a memory file of 4.2 MB: File too large
//! ```
//! A program that cannot be recorded runs on as if nothing had happened. Its consumer says in its summary what was wrong,
//! if it can be told; for all else there are these lines on standard error.
//!
//! Invariant: nobody who does not ask ever reads a word.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Listens to whoever started the program.
pub(crate) fn read_environment() {
    let asked = crate::startup::variable("LANEWAY_DEBUG").is_some_and(|v| v == "1");
    ASKED.store(asked, Ordering::Relaxed);
}

/// Whether anybody wants to know.
pub(crate) fn is_asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// Writes a line to standard error, for those who asked.
pub(crate) fn say(what: impl Display) {
    if !is_asked() {
        return;
    }
    let line = format!("laneway[{}]: {what}\n", std::process::id());
    // Not by `std::io::stderr`: its lock may be held by a thread that a fork left behind.
    // SAFETY: the bytes are there; where they go is for whoever asked to say.
    unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
}
