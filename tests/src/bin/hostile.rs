//! Traces, and writes random bytes over the memory that it shares with its consumer, for some seconds.
//!
//! Usage: `hostile SECONDS SEED everything|control`
//!
//! ```text
//!   /proc/self/maps ─▶ rw-s … /memfd:laneway    header │ control │ sub-buffers …
//!                                                  ▲       ▲          ▲
//!   two threads trace as fast as they can          └───────┴──────────┴── a third one writes what comes to its mind
//! ```

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use laneway::trace;

/// Where the memory is, and its length in words.
#[derive(Clone, Copy)]
struct Memory {
    address: usize,
    words: usize,
}

fn main() {
    // SAFETY: it has no preconditions; whatever comes of it, it ends.
    unsafe { libc::alarm(100) };
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [seconds, seed, what] = &arguments[..] else {
        panic!("usage: hostile SECONDS SEED everything|control");
    };
    let seconds: f64 = seconds.parse().expect("a number");
    let mut random: u64 = seed.parse().expect("a number");
    let memory = shared_memory();
    println!("memory={}", memory.len());
    for thread in 0..2_u64 {
        thread::spawn(move || {
            for n in 0.. {
                trace!(
                    "hostile:event",
                    thread,
                    n,
                    text = "as if nothing were wrong"
                );
            }
        });
    }
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let began = Instant::now();
    let mut written = 0_u64;
    while began.elapsed().as_secs_f64() < seconds {
        let memory = memory[next() as usize % memory.len()];
        // Most of what matters is in little of it.
        let near = match what.as_str() {
            "control" => memory.words.min(1 << 10),
            _ if next() % 2 == 0 => memory.words.min(1 << 10),
            _ => memory.words,
        };
        for _ in 0..next() % 64 {
            let word = next() as usize % near;
            let value = match next() % 6 {
                0 => 0,
                1 => u64::MAX,
                2 => 1 << (next() % 64),
                3 => next() % 4096,
                4 => memory.word(next() as usize % near).load(Ordering::Relaxed),
                _ => next(),
            };
            memory.word(word).store(value, Ordering::Relaxed);
            written += 1;
        }
        if next() % 8 == 0 {
            thread::sleep(Duration::from_micros(next() % 500));
        }
    }
    println!("written={written}");
    // Its threads may be anywhere, and for ever: it does not wait for them.
    // SAFETY: it has no preconditions.
    unsafe { libc::_exit(0) };
}

/// All memory of this process that a consumer reads.
fn shared_memory() -> Vec<Memory> {
    let maps = fs::read_to_string("/proc/self/maps").expect("it is there");
    let shared = maps
        .lines()
        .filter(|line| line.contains("rw-s") && line.contains("/memfd:laneway"));
    shared
        .map(|line| {
            let range = line.split(' ').next().expect("a range");
            let (begin, end) = range.split_once('-').expect("a range");
            let number = |text| usize::from_str_radix(text, 16).expect("an address");
            Memory {
                address: number(begin),
                words: (number(end) - number(begin)) / 8,
            }
        })
        .collect()
}

impl Memory {
    fn word(self, index: usize) -> &'static AtomicU64 {
        assert!(index < self.words);
        let address = std::ptr::with_exposed_provenance::<AtomicU64>(self.address + 8 * index);
        // SAFETY: an aligned word of a mapping that stays as long as this process is attached, and any bytes are a valid
        // atomic. What it does to the ring is the point.
        unsafe { &*address }
    }
}
