//! Emits some events and then one between two breakpoints, for `stepper`.
//!
//! Usage: `stepped_event ACCOUNT BEFORE OTHERS`: how many events come before that one, and how many threads emit on the
//! same CPU while it happens. SIGUSR1 has an event of its own.
//!
//! ```text
//!   line 0    the first thread: BEFORE events ┊ one more ┊
//!   line 1    the handler of SIGUSR1
//!   line 2…   the other threads, from when the test says so until the first one has gone on, and a while longer
//! ```
//! They must not run while the first one is in a sequence that is hidden from the kernel: nothing would abort it.

#[path = "../programs/account.rs"]
mod account;

use std::arch::asm;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use account::{Account, Line};

/// The line of the handler.
static HANDLER: OnceLock<Line> = OnceLock::new();

/// The first thread has its event behind it.
static DONE: AtomicBool = AtomicBool::new(false);

/// What each other thread emits after that.
const AFTER: u64 = 1000;

fn main() {
    laneway::allow_blocking(Duration::from_secs(60));
    // SAFETY: it has no preconditions; should nobody end this program.
    unsafe { libc::alarm(600) };
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [file, before, others] = &arguments[..] else {
        panic!("usage: stepped_event ACCOUNT BEFORE OTHERS");
    };
    let (before, others): (u64, usize) = (
        before.parse().expect("a number"),
        others.parse().expect("a number"),
    );
    stay_on_one_cpu();
    let account = Account::open(file);
    handle_signals(account.line(1));
    let line = account.line(0);
    (0..before).for_each(|n| line.emit(n));
    let others: Vec<_> = (0..others)
        .map(|other| {
            let line = account.line(2 + other);
            thread::spawn(move || {
                account.await_go();
                emit_until_done(line);
            })
        })
        .collect();
    // SAFETY: a breakpoint, at which somebody waits who lets the program go on.
    unsafe { asm!("int3") };
    line.emit(before);
    // SAFETY: as above.
    unsafe { asm!("int3") };
    DONE.store(true, Ordering::Relaxed);
    for other in others {
        other.join().expect("no panic");
    }
}

/// Not so fast that nobody could keep up: how the lane gets on is what matters here.
fn emit_until_done(line: Line) {
    let mut n = 0;
    while !DONE.load(Ordering::Relaxed) {
        line.emit(n);
        n += 1;
        thread::sleep(Duration::from_micros(50));
    }
    (n..n + AFTER).for_each(|n| line.emit(n));
}

fn stay_on_one_cpu() {
    // SAFETY: both sets are valid when zeroed and live through the calls; threads inherit the affinity.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of_val(&set), &mut set);
        let last = (0..libc::CPU_SETSIZE as usize).rev();
        let last = last.into_iter().find(|&cpu| libc::CPU_ISSET(cpu, &set));
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(last.expect("one CPU at least"), &mut one);
        libc::sched_setaffinity(0, size_of_val(&one), &one);
    }
}

fn handle_signals(line: Line) {
    extern "C" fn handler(_signal: libc::c_int) {
        if let Some(line) = HANDLER.get() {
            line.emit(line.events());
        }
    }
    let _ = HANDLER.set(line);
    // SAFETY: the handler does what claims to be safe in one: that is what is tested.
    unsafe { libc::signal(libc::SIGUSR1, handler as *const () as libc::sighandler_t) };
}
