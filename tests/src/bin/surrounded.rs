//! Changes the world around itself while it emits, and says what came of it.
//!
//! Usage: `surrounded ACCOUNT WHAT…`
//!
//! ```text
//!   line 0   the first thread: 1000 events before, 1000 after
//!   line 1   another thread, all the time
//! ```

#[path = "../programs/account.rs"]
mod account;

use std::ffi::{CString, c_int};
use std::fs::File;
use std::hint::black_box;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use account::{Account, Line};

/// Events of the first thread, before and after.
const EVENTS: u64 = 1000;

const NOBODY: u32 = 65534;

static OVER: AtomicBool = AtomicBool::new(false);

fn main() {
    laneway::allow_blocking(Duration::from_secs(60));
    // SAFETY: it has no preconditions; should nobody end this program.
    unsafe { libc::alarm(100) };
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let [file, ref what @ ..] = arguments[..] else {
        panic!("usage: surrounded ACCOUNT WHAT…");
    };
    let account = Account::open(file);
    let other = thread::spawn(move || emit_until_over(account.line(1)));
    let line = account.line(0);
    have_a_stack();
    (0..EVENTS).for_each(|n| line.emit(n));
    await_events(account.line(1));
    match *what {
        ["nothing"] => {}
        ["another-user"] => become_nobody(),
        ["another-user", "raw"] => become_nobody_alone(),
        ["chroot", directory] => change_root(directory),
        ["unshare", flags] => unshare(flags.parse().expect("a number")),
        ["close"] => close_everything(),
        ["full-table"] => fill_the_table(),
        ["limit", resource, value] => limit(
            resource.parse().expect("a number"),
            value.parse().expect("a number"),
        ),
        ["end-first-thread"] => end_thread(),
        ["exec", program, ref more @ ..] => execute(program, file, more),
        _ => panic!("unknown: {what:?}"),
    }
    (EVENTS..2 * EVENTS).for_each(|n| line.emit(n));
    await_events(account.line(1));
    OVER.store(true, Ordering::Relaxed);
    other.join().expect("no panic");
    println!("over");
}

fn emit_until_over(line: Line) {
    let mut n = 0;
    while !OVER.load(Ordering::Relaxed) {
        line.emit(n);
        n += 1;
        for _ in 0..50 {
            std::hint::spin_loop();
        }
    }
}

/// Until the other thread has emitted some more.
fn await_events(line: Line) {
    let enough = line.events() + EVENTS;
    while line.events() < enough {
        thread::yield_now();
    }
}

/// Makes the stack as large as it will have to be: afterwards it may not be allowed to grow.
#[inline(never)]
fn have_a_stack() {
    black_box([0_u8; 256 << 10]);
}

/// Says how a system call ended.
fn say(what: &str, result: c_int) {
    match result {
        0 => println!("{what}: done"),
        _ => println!("{what}: {}", std::io::Error::last_os_error()),
    }
}

/// The C library has all threads do so.
fn become_nobody() {
    // SAFETY: they have no preconditions.
    unsafe {
        say("groups", libc::setgroups(0, std::ptr::null()));
        say("group", libc::setresgid(NOBODY, NOBODY, NOBODY));
        say("user", libc::setresuid(NOBODY, NOBODY, NOBODY));
    }
}

/// This thread alone, as a file server does for its clients.
fn become_nobody_alone() {
    // SAFETY: system calls that touch no memory.
    let result = unsafe { libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) };
    say("user", result as c_int);
}

fn change_root(directory: &str) {
    let directory = CString::new(directory).expect("no NUL");
    // SAFETY: terminated texts.
    unsafe {
        say("chroot", libc::chroot(directory.as_ptr()));
        say("chdir", libc::chdir(c"/".as_ptr()));
    }
}

fn unshare(flags: c_int) {
    // SAFETY: what is shared with other threads is files and directories, which nobody uses meanwhile.
    say("unshare", unsafe { libc::unshare(flags) });
}

/// Again and again, as if to make sure.
fn close_everything() {
    for _ in 0..200 {
        // SAFETY: nobody here uses the descriptors that it closes.
        let closed = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
        assert_eq!(closed, 0);
        thread::sleep(Duration::from_micros(200));
    }
    println!("closed");
}

fn fill_the_table() {
    limit(libc::RLIMIT_NOFILE, 50);
    let mut files = Vec::new();
    let why = loop {
        match File::open("/dev/null") {
            Ok(file) => files.push(file),
            Err(e) => break e,
        }
    };
    println!("{} files, then {why}", files.len());
    thread::sleep(Duration::from_millis(50));
    // They stay open for as long as it emits.
    std::mem::forget(files);
}

fn limit(resource: u32, value: u64) {
    let limit = libc::rlimit {
        rlim_cur: value,
        rlim_max: value,
    };
    // SAFETY: the limit lives through the call.
    say("limit", unsafe { libc::setrlimit(resource, &limit) });
    thread::sleep(Duration::from_millis(20));
}

/// Ends the calling thread and nothing else; by the system call, for pthread_exit(3) would unwind `main`.
fn end_thread() {
    // SAFETY: nothing of this thread is needed any more; what it has allocated stays.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
}

/// From a thread that is not the first one, while two others are in the middle of events.
fn execute(program: &str, file: &str, more: &[&str]) {
    let mut command = Command::new(program);
    command.args([file, "2", "500", "2"]).args(more);
    let thread = thread::spawn(move || {
        let error = command.exec();
        panic!("{error}");
    });
    let _ = thread.join();
}
