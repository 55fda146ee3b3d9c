//! Threads that emit numbered events, and write down in an account what they have finished.
//!
//! Usage: `accountable ACCOUNT THREADS EVENTS`; 0 events are all there is time for, until the program is killed.

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
    let [file, threads, events] = &arguments[..] else {
        panic!("usage: accountable ACCOUNT THREADS EVENTS");
    };
    let account = Account::open(file);
    let threads: usize = threads.parse().expect("a number");
    let events = match events.parse().expect("a number") {
        0 => u64::MAX,
        events => events,
    };
    let threads: Vec<_> = (0..threads)
        .map(|thread| {
            let line = account.line(thread);
            line.belongs_to(std::process::id());
            thread::spawn(move || (0..events).for_each(|n| line.emit(n)))
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
}
