//! Threads that emit numbered events, and write down in an account what they have finished.
//!
//! Usage: `accountable ACCOUNT THREADS EVENTS [FIRST]`; 0 events are all there is time for, until the program is killed. The
//! threads use the lines of the account from the first one on.

#[path = "../programs/account.rs"]
mod account;

use std::thread;
use std::time::Duration;

use account::Account;

fn main() {
    laneway::allow_blocking(Duration::from_secs(60));
    // Should the test die that would have ended it.
    // SAFETY: it has no preconditions.
    unsafe { libc::alarm(600) };
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [file, threads, events, first @ ..] = &arguments[..] else {
        panic!("usage: accountable ACCOUNT THREADS EVENTS [FIRST]");
    };
    let first = first.first().map_or(0, |n| n.parse().expect("a number"));
    let account = Account::open(file);
    let threads: usize = threads.parse().expect("a number");
    let events = match events.parse().expect("a number") {
        0 => u64::MAX,
        events => events,
    };
    let threads: Vec<_> = (0..threads)
        .map(|thread| {
            let line = account.line(first + thread);
            line.belongs_to(std::process::id());
            thread::spawn(move || (0..events).for_each(|n| line.emit(n)))
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
}
