//! Threads that emit numbered events, and write down in an account what they have finished.
//!
//! Usage: `accountable ACCOUNT THREADS EVENTS [FIRST [SPINS [SLEEP]]]`; 0 events are all there is time for, until the program is
//! killed. The threads use the lines of the account from the first one on, and spin so often between two events. When all
//! of them are through, the program sleeps for so many seconds.

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
    let [file, threads, events, more @ ..] = &arguments[..] else {
        panic!("usage: accountable ACCOUNT THREADS EVENTS [FIRST [SPINS [SLEEP]]]");
    };
    let number = |at: usize| {
        more.get(at)
            .map_or(0_u64, |n: &String| n.parse().expect("a number"))
    };
    let (first, spins) = (number(0) as usize, number(1));
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
            thread::spawn(move || {
                for n in 0..events {
                    line.emit(n);
                    (0..spins).for_each(|_| std::hint::spin_loop());
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    thread::sleep(Duration::from_secs(number(2)));
}
