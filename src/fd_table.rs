//! A table of file descriptors for the agent thread alone.
//!
//! ```text
//!   application's threads    0 1 2 3 …            theirs, and nobody else's
//!   agent thread             0 1 2 → /dev/null    3 … ours
//! ```
//! Threads share a table unless one leaves it (unshare(2), `CLONE_FILES`). With a table
//! of its own, the agent opens and closes without the application seeing a number it did
//! not expect, survives `closefrom`, works when the application's table is full, and keeps
//! nothing of the application's open; and a child of a fork inherits none of ours.
//!
//! Invariant: after `make_private`, every descriptor the agent opens is in its own table,
//! or, on a kernel that allows neither way, close-on-exec.

use std::fs::OpenOptions;
use std::mem;

/// Descriptors that are closed one by one where the kernel has no `close_range`.
const MOST: i32 = 65_536;

/// Gives the calling thread a table of its own, empty but for the standard streams, which
/// lead to `/dev/null`: a message that a library writes there must not end up elsewhere.
pub(crate) fn make_private() {
    if !(close_range_unshare() || unshare_and_close()) {
        return;
    }
    for _ in 0..3 {
        if let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") {
            // It stays open as long as the thread's table.
            mem::forget(null);
        }
    }
}

/// close_range(2), since Linux 5.9: leaves the shared table without even copying it.
fn close_range_unshare() -> bool {
    // SAFETY: the descriptors that it closes are those of a table that only this thread
    // has, in which it has opened nothing yet.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            0,
            u32::MAX,
            libc::CLOSE_RANGE_UNSHARE,
        ) == 0
    }
}

fn unshare_and_close() -> bool {
    // SAFETY: as above: first the table becomes this thread's own.
    unsafe {
        if libc::unshare(libc::CLONE_FILES) != 0 {
            return false;
        }
        for fd in 0..MOST {
            libc::close(fd);
        }
    }
    true
}
