//! Emits events and ends, in many ways. The first argument says how.

use std::env;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::{ExitCode, abort};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use laneway::trace;

/// Events before something happens.
const MANY: u64 = 20_000;

fn main() -> ExitCode {
    laneway::allow_blocking(Duration::from_secs(60));
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["once"] => trace!("ends:once"),
        ["code", code] => {
            trace!("ends:once");
            return ExitCode::from(code.parse::<u8>().expect("a number"));
        }
        ["count", file, how] => count(file, how),
        ["panic"] => {
            trace!("ends:once");
            panic!("as it was told");
        }
        ["until-signal"] => until_signal(),
        ["for-a-while", seconds] => for_a_while(seconds.parse().expect("a number")),
        ["large"] => large(),
        ["sleep"] => {
            trace!("ends:once");
            thread::sleep(Duration::from_secs(1000));
        }
        _ => panic!("unknown end: {arguments:?}"),
    }
    ExitCode::SUCCESS
}

/// Four threads that write down, in memory that outlives the process, how many events each has behind it.
fn count(path: &str, how: &str) {
    const THREADS: usize = 4;
    let file = File::options()
        .read(true)
        .write(true)
        .open(path)
        .expect("it is there");
    file.set_len(4096).expect("a file can grow");
    // SAFETY: a mapping of a page that the file has, never unmapped; atomics may be anywhere in it.
    let counters: &'static [AtomicU64; THREADS] = unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let fd = file.as_raw_fd();
        let page = libc::mmap(
            std::ptr::null_mut(),
            4096,
            protection,
            libc::MAP_SHARED,
            fd,
            0,
        );
        assert_ne!(page, libc::MAP_FAILED);
        &*page.cast()
    };
    for (thread, counter) in counters.iter().enumerate() {
        thread::spawn(move || {
            for n in 0.. {
                trace!("ends:count", thread, n);
                counter.store(n + 1, Ordering::Relaxed);
            }
        });
    }
    let far = || {
        counters
            .iter()
            .all(|counter| counter.load(Ordering::Relaxed) > MANY)
    };
    while !far() {
        thread::sleep(Duration::from_millis(1));
    }
    println!("far=1");
    match how {
        "abort" => abort(),
        // SAFETY: none; that is the point.
        "fault" => unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) },
        "exit" => std::process::exit(3),
        "be-killed" => thread::sleep(Duration::from_secs(1000)),
        _ => panic!("unknown way: {how}"),
    }
}

/// Emits until SIGINT or SIGTERM, and says which.
fn until_signal() {
    static ARRIVED: AtomicU64 = AtomicU64::new(0);
    extern "C" fn handler(signal: libc::c_int) {
        ARRIVED.store(signal as u64, Ordering::Relaxed);
    }
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let handler = handler as *const () as libc::sighandler_t;
        // SAFETY: the handler only stores to an atomic.
        unsafe { libc::signal(signal, handler) };
    }
    println!("ready=1");
    let mut n = 0_u64;
    while ARRIVED.load(Ordering::Relaxed) == 0 {
        trace!("ends:tick", n);
        n += 1;
        thread::sleep(Duration::from_millis(1));
    }
    println!("signal={}", ARRIVED.load(Ordering::Relaxed));
    println!("emitted={n}");
}

/// Emits every millisecond for some seconds.
fn for_a_while(seconds: f64) {
    let mut n = 0_u64;
    println!("pid={}", std::process::id());
    let began = std::time::Instant::now();
    while began.elapsed().as_secs_f64() < seconds {
        trace!("ends:tick", n);
        n += 1;
        thread::sleep(Duration::from_millis(1));
    }
    println!("emitted={n}");
}

/// Events that are too large, between some that are not.
fn large() {
    for bytes in [10, 4000, 4096, 100_000, 1 << 20, 20] {
        let text = "x".repeat(bytes);
        trace!("ends:large", bytes, text);
    }
}
