//! Threads that emit numbered events as fast as they can.
//!
//! Usage: `many_threads THREADS EVENTS`, both numbers; prints its process id first, whether the C library has
//! registered an rseq area, and at the end how many events it has emitted.

use std::thread;
use std::time::Duration;

use laneway::trace;

fn main() {
    let arguments: Vec<u64> = std::env::args()
        .skip(1)
        .map(|a| a.parse().expect("a number"))
        .collect();
    let [threads, events] = arguments[..] else {
        panic!("usage: many_threads THREADS EVENTS");
    };
    laneway::allow_blocking(Duration::from_secs(60));
    // Should the test die that would have ended it.
    // SAFETY: it has no preconditions.
    unsafe { libc::alarm(600) };
    println!("libc_rseq={}", u8::from(libc_has_rseq()));
    println!("pid={}", std::process::id());
    let emitted: u64 = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || tick(thread, events)))
            .collect();
        threads
            .into_iter()
            .map(|t| t.join().expect("no panic"))
            .sum()
    });
    println!("emitted={emitted}");
}

fn tick(thread: u64, events: u64) -> u64 {
    let mut emitted = 0;
    for n in 0..events {
        trace!("stress:tick", thread, n);
        emitted += 1;
    }
    emitted
}

/// Whether the C library uses rseq itself: then it says how large its area is.
fn libc_has_rseq() -> bool {
    // SAFETY: a C string; the variable, where there is one, is an `unsigned int` that does not change after startup.
    unsafe {
        let size = libc::dlsym(libc::RTLD_DEFAULT, c"__rseq_size".as_ptr());
        !size.is_null() && *size.cast::<libc::c_uint>() > 0
    }
}
