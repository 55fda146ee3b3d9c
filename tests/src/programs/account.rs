//! How a traced program keeps its accounts: in a page that outlives it, it writes down what it has behind it.
//!
//! ```text
//!   trace!("account:event", thread, n, text)   the n-th event of this line of the account
//!   line.finished(n + 1)                       one store behind it, into a file that is mapped
//! ```
//! A test that reads the file when the process is dead knows what has to be in the trace: `n` events or, if the
//! process died between the two, one more. The reader is `src/account.rs`.
//!
//! Invariant: a line has one writer, which stores only numbers larger than before.

#![allow(dead_code, reason = "every program uses a part of it")]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};

use laneway::trace;

/// Lines of an account: each has a cache line of the page.
pub(crate) const LINES: usize = 64;

/// What the text of an event is a part of; never an empty one, for which babeltrace 2.0 prints that of an earlier event.
pub(crate) const FILLER: &str = "The quick brown fox jumps over the lazy dog, again.";

/// The account in a file.
#[derive(Clone, Copy)]
pub(crate) struct Account(&'static [[AtomicU64; 8]; LINES]);

/// One line of it.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    number: usize,
    cell: &'static [AtomicU64; 8],
}

impl Account {
    /// Maps the file, which is a page long.
    pub(crate) fn open(path: &str) -> Account {
        let file = File::options().read(true).write(true).open(path);
        let file = file.expect("the account is there");
        // SAFETY: a fresh mapping of the page that the file has, never unmapped; any bytes are valid atomics.
        unsafe {
            let page = libc::mmap(
                std::ptr::null_mut(),
                size_of::<[[AtomicU64; 8]; LINES]>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            );
            assert_ne!(page, libc::MAP_FAILED);
            Account(&*page.cast())
        }
    }

    /// Waits until the test says so, in the last line.
    pub(crate) fn await_go(self) {
        while self.line(LINES - 1).events() == 0 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// The line of that number.
    pub(crate) fn line(self, number: usize) -> Line {
        Line {
            number,
            cell: &self.0[number],
        }
    }
}

impl Line {
    /// Emits the event of that number, and writes down that it is finished.
    #[inline(always)]
    pub(crate) fn emit(self, n: u64) {
        let text = &FILLER[..1 + (n * 7 % 50) as usize];
        trace!("account:event", thread = self.number, n, text);
        self.finished(n + 1);
    }

    /// Writes down that so many events are finished.
    #[inline(always)]
    pub(crate) fn finished(self, events: u64) {
        self.cell[0].store(events, Ordering::Relaxed);
    }

    /// How many are.
    pub(crate) fn events(self) -> u64 {
        self.cell[0].load(Ordering::Relaxed)
    }

    /// Writes down whose line this is: a process id.
    pub(crate) fn belongs_to(self, pid: u32) {
        self.cell[1].store(pid.into(), Ordering::Relaxed);
    }
}
