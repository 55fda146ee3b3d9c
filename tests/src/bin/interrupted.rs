//! Threads that emit, and are interrupted by timers whose handlers emit, and are interrupted by other timers.
//!
//! Usage: `interrupted ACCOUNT THREADS SIGNALS`: every thread goes on until each of its timers has fired so often.
//!
//! ```text
//!   line 4t      thread t                               emits
//!   line 4t+1    │ timer 1, every 47 µs                 interrupts it
//!   line 4t+2    │ │ timer 2, every 71 µs               interrupts both
//!   line 4t+3    │ │ │ timer 3, every 113 µs, all of it on a stack of its own
//! ```
//! A handler's own signal is blocked while it runs, the others are not, so they nest in every order.

#[path = "../programs/account.rs"]
mod account;

use std::cell::Cell;
use std::mem::{self, MaybeUninit};
use std::ptr;
use std::thread;
use std::time::Duration;

use account::{Account, Line};

/// Timers of each thread, and their periods, which have no common factor.
const TIMERS: usize = 3;
const PERIODS_NS: [i64; TIMERS] = [47_000, 71_000, 113_000];

/// Room for a frame of each handler, with all registers that a CPU may have.
const STACK_BYTES: usize = 256 << 10;

// How deep handlers are in each other, and how deep they were.
thread_local! {
    static LINES: Cell<Option<[Line; TIMERS]>> = const { Cell::new(None) };
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static DEEPEST: Cell<u32> = const { Cell::new(0) };
}

fn main() {
    // SAFETY: it has no preconditions; should a deadlock be found here, it ends.
    unsafe { libc::alarm(120) };
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [file, threads, signals] = &arguments[..] else {
        panic!("usage: interrupted ACCOUNT THREADS SIGNALS");
    };
    let account = Account::open(file);
    let threads: usize = threads.parse().expect("a number");
    let signals: u64 = signals.parse().expect("a number");
    for timer in 0..TIMERS {
        handle(signal(timer));
    }
    let threads: Vec<_> = (0..threads)
        .map(|thread| thread::spawn(move || be_interrupted(account, thread, signals)))
        .collect();
    let deepest = threads.into_iter().map(|t| t.join().expect("no panic"));
    println!("deepest={}", deepest.max().unwrap_or_default());
}

/// Emits until all timers have fired often enough; says how deep handlers were in each other.
fn be_interrupted(account: Account, thread: usize, signals: u64) -> u32 {
    let line = account.line(4 * thread);
    let lines = [1, 2, 3].map(|timer| account.line(4 * thread + timer));
    LINES.set(Some(lines));
    use_another_stack();
    let timers: [Timer; TIMERS] = std::array::from_fn(Timer::start);
    let mut n = 0;
    while lines.iter().any(|line| line.events() < signals) {
        line.emit(n);
        n += 1;
        // Slow enough for the consumer to keep up, whatever else the machine does.
        for _ in 0..200 {
            std::hint::spin_loop();
        }
    }
    drop(timers);
    // What has fired already arrives before this returns.
    thread::sleep(Duration::from_millis(1));
    DEEPEST.get()
}

extern "C" fn handler(signal: libc::c_int) {
    let depth = DEPTH.get() + 1;
    DEPTH.set(depth);
    DEEPEST.set(DEEPEST.get().max(depth));
    let timer = (signal - libc::SIGRTMIN()) as usize;
    if let Some(lines) = LINES.get() {
        lines[timer].emit(lines[timer].events());
    }
    DEPTH.set(depth - 1);
}

fn signal(timer: usize) -> libc::c_int {
    libc::SIGRTMIN() + timer as libc::c_int
}

fn handle(signal: libc::c_int) {
    // SAFETY: the handler does what claims to be safe in one, which is what is tested; valid when zeroed.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
        assert_eq!(libc::sigaction(signal, &action, ptr::null_mut()), 0);
    }
}

/// For as long as this thread lives, its handlers run elsewhere.
fn use_another_stack() {
    let stack = Box::leak(Box::new([MaybeUninit::<u8>::uninit(); STACK_BYTES]));
    let stack = libc::stack_t {
        ss_sp: stack.as_mut_ptr().cast(),
        ss_flags: 0,
        ss_size: STACK_BYTES,
    };
    // SAFETY: memory that stays, and that nobody else uses.
    assert_eq!(unsafe { libc::sigaltstack(&stack, ptr::null_mut()) }, 0);
}

/// A timer that interrupts the thread that has started it.
struct Timer(libc::timer_t);

impl Timer {
    fn start(number: usize) -> Timer {
        let period = libc::timespec {
            tv_sec: 0,
            tv_nsec: PERIODS_NS[number],
        };
        let periods = libc::itimerspec {
            it_interval: period,
            it_value: period,
        };
        // SAFETY: all of it is valid when zeroed, and lives through the calls.
        unsafe {
            let mut event: libc::sigevent = mem::zeroed();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = signal(number);
            event.sigev_notify_thread_id = libc::gettid();
            let mut timer = MaybeUninit::uninit();
            let made = libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, timer.as_mut_ptr());
            assert_eq!(made, 0, "a timer can be made");
            let timer = timer.assume_init();
            assert_eq!(libc::timer_settime(timer, 0, &periods, ptr::null_mut()), 0);
            Timer(timer)
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: it is ours, and deleted once.
        unsafe { libc::timer_delete(self.0) };
    }
}
