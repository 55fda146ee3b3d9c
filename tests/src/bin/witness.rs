//! Says how the world looks to it, while it emits events: with a consumer and without, it must say the same.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::{env, thread};

use laneway::trace;

fn main() {
    let first = File::open("/dev/null").expect("it is there");
    println!("first descriptor: {}", first.as_raw_fd());
    trace!("witness:event", n = 0);
    drop(first);
    match env::args().nth(1).as_deref() {
        None => {
            report("at the start");
            errno();
            thread::spawn(|| {
                trace!("witness:event", n = 1);
                report("in a thread");
            })
            .join()
            .expect("no panic");
            report("at the end");
            println!("arguments: {:?}", env::args().skip(1).collect::<Vec<_>>());
            std::process::exit(7);
        }
        Some("errno") => errno(),
        Some("close") => close_everything(),
        Some("give-up-root") => give_up_root(),
        Some("blocked-signal") => blocked_signal(),
        Some(other) => panic!("unknown: {other}"),
    }
}

/// What the kernel knows of this thread, but for its numbers and times.
fn report(place: &str) {
    println!("-- {place}");
    let status = fs::read_to_string("/proc/thread-self/status").expect("it is there");
    for line in status.lines() {
        let name = line.split(':').next().unwrap_or_default();
        if name.starts_with("Sig") && name != "SigQ"
            || name.starts_with("Shd")
            || name.starts_with("Cpus_allowed")
            || name == "Seccomp"
        {
            println!("{line}");
        }
    }
    let mut descriptors: Vec<_> = fs::read_dir("/proc/self/fd")
        .expect("it is there")
        .map(|entry| entry.expect("a descriptor").file_name())
        .collect();
    descriptors.sort();
    println!("descriptors: {descriptors:?}");
    println!("directory: {:?}", env::current_dir());
    // SAFETY: they have no preconditions; the mask is read by setting it again.
    unsafe {
        let mask = libc::umask(0o22);
        libc::umask(mask);
        println!(
            "umask: {mask:o}, priority: {}",
            libc::getpriority(libc::PRIO_PROCESS, 0)
        );
        println!("timer slack: {}", libc::prctl(libc::PR_GET_TIMERSLACK));
        println!(
            "no new privileges: {}",
            libc::prctl(libc::PR_GET_NO_NEW_PRIVS)
        );
        println!("dumpable: {}", libc::prctl(libc::PR_GET_DUMPABLE));
    }
}

/// `errno` is as before after events of every kind: first, plain, one that fills a sub-buffer, lost, too large.
fn errno() {
    let large = "x".repeat(200_000);
    let mut changed = 0;
    for n in 0..200_000 {
        // SAFETY: it is this thread's own.
        unsafe { *libc::__errno_location() = 1234 };
        match n % 50_000 {
            0 => trace!("witness:large", large),
            _ => trace!("witness:event", n, text = %n),
        }
        // SAFETY: as above.
        changed += u32::from(unsafe { *libc::__errno_location() } != 1234);
    }
    println!("errno changed: {changed}");
}

/// Closes all descriptors above the standard streams, as a daemon or a shell does, and goes on.
fn close_everything() {
    const AFTER: u64 = 100_000;
    // SAFETY: nobody here uses the descriptors that it closes.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
    println!("closed: {closed}");
    let first = File::open("/dev/null").expect("it is there");
    println!("first descriptor after it: {}", first.as_raw_fd());
    laneway::allow_blocking(std::time::Duration::from_secs(60));
    for n in 0..AFTER {
        trace!("witness:after", n);
    }
    println!("after={AFTER}");
}

/// Becomes somebody else: the C library has every thread of the process do so, the agent's as well.
fn give_up_root() {
    const NOBODY: u32 = 65534;
    // SAFETY: they have no preconditions.
    let given_up = unsafe { libc::setgid(NOBODY) | libc::setuid(NOBODY) };
    println!("given up: {given_up}");
    trace!("witness:event", n = 1);
    for entry in fs::read_dir("/proc/self/task").expect("it is there") {
        let path = entry.expect("a thread").path().join("status");
        let status = fs::read_to_string(path).expect("it is there");
        let user = status.lines().find(|line| line.starts_with("Uid:"));
        assert_eq!(user, Some("Uid:\t65534\t65534\t65534\t65534"));
    }
}

/// A signal that every thread of the program blocks waits to be asked for, as signalfd(2) and sigwait(3) need it.
fn blocked_signal() {
    // SAFETY: the set is initialised before it is used; the signal goes to this process.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGUSR1);
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        libc::kill(libc::getpid(), libc::SIGUSR1);
        // Whoever does not block it has had the time to be hit.
        thread::sleep(std::time::Duration::from_millis(50));
        let mut signal = 0;
        libc::sigwait(&set, &mut signal);
        println!("waited for: {signal}");
    }
    trace!("witness:event", n = 1);
}
