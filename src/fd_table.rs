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
use std::os::fd::AsRawFd;

/// Descriptors that are closed one by one where the kernel has no `close_range`.
const MOST: i32 = 65_536;

/// Gives the calling thread a table of its own, empty but for the standard streams, which
/// lead to `/dev/null`: a message that a library writes there must not end up elsewhere.
/// Standard error can be kept.
pub(crate) fn make_private(keep_stderr: bool) {
    let first = if keep_stderr {
        libc::STDERR_FILENO + 1
    } else {
        0
    };
    if !(close_range_unshare(first) || unshare_and_close(first)) {
        return;
    }
    let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") else {
        return;
    };
    // SAFETY: the table is this thread's own, which has nothing but `null` open.
    unsafe {
        for stream in 0..=libc::STDERR_FILENO {
            let kept = stream == libc::STDERR_FILENO && first > stream;
            if null.as_raw_fd() != stream && !(kept && libc::fcntl(stream, libc::F_GETFD) >= 0) {
                libc::dup2(null.as_raw_fd(), stream);
            }
        }
    }
    if null.as_raw_fd() <= libc::STDERR_FILENO {
        // It is one of the streams, and stays open as long as the thread's table.
        mem::forget(null);
    }
}

/// close_range(2), since Linux 5.9: leaves the shared table without even copying it.
fn close_range_unshare(first: i32) -> bool {
    // SAFETY: the descriptors that it closes are those of a table that only this thread
    // has, in which it has opened nothing yet.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            u32::MAX,
            libc::CLOSE_RANGE_UNSHARE,
        ) == 0
    }
}

fn unshare_and_close(first: i32) -> bool {
    // SAFETY: as above: first the table becomes this thread's own.
    unsafe {
        if libc::unshare(libc::CLONE_FILES) != 0 {
            return false;
        }
        for fd in first..MOST {
            libc::close(fd);
        }
    }
    true
}
