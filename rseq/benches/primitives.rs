//! What each primitive costs, against what one would write without it.
//!
//! ```text
//!   rseq       the primitive, on the words of the current CPU
//!   atomics    locked instructions on the same words, where one compare-and-swap can do it
//!   CPU lock   a spin lock per CPU, taken by compare-and-swap, around plain loads and stores
//!   one lock   one std Mutex for all
//! ```
//!
//! All find their CPU in the same way, by one load. 1 to 8 threads on whatever CPUs there are. The
//! table at the end has the best of many short samples, in nanoseconds per operation of all threads
//! together for rseq, and the others as multiples of it.
//!
//! `cargo bench -p laneway-rseq`

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode};
use laneway_rseq::{CpuId, Interrupted, Rseq, Store, possible_cpus};

const THREADS: [usize; 4] = [1, 2, 4, 8];
const WAYS: [&str; 4] = ["rseq", "atomics", "CPU lock", "one lock"];
const COPY: usize = 64;
const LINKS: usize = 16;

/// The words of one CPU, in cache lines of their own.
#[repr(align(128))]
struct Line([AtomicU64; 32]);

/// The words: 0 a lock, 1 a count or head, 2 a guard, from 8 on data.
const LOCK: usize = 0;
const HEAD: usize = 1;
const GUARD: usize = 2;
const DATA: usize = 8;

struct State {
    rseq: Rseq,
    lines: Vec<Line>,
    global: Mutex<[u64; 32]>,
    /// What could not be done in a sequence; next to nothing.
    elsewhere: AtomicU64,
    source: [u8; COPY],
}

impl State {
    fn new() -> Self {
        let line = |_| {
            let words: [AtomicU64; 32] = std::array::from_fn(|_| AtomicU64::new(0));
            // A list of all elements: 15, 14 … 0. With one, a preempted thread would leave the
            // others none.
            words[HEAD].store(LINKS as u64, Relaxed);
            (0..LINKS).for_each(|i| words[DATA + i].store(i as u64, Relaxed));
            Line(words)
        };
        Self {
            rseq: Rseq::get(),
            lines: (0..possible_cpus()).map(line).collect(),
            global: Mutex::new(std::array::from_fn(|i| if i == HEAD { 1 } else { 0 })),
            elsewhere: AtomicU64::new(0),
            source: [7; COPY],
        }
    }

    #[inline(always)]
    fn local(&self, body: impl FnMut(CpuId) -> Result<(), Interrupted>) {
        if self.rseq.try_local(self.lines.len() as u32, body).is_none() {
            self.elsewhere.fetch_add(1, Relaxed);
        }
    }

    #[inline(always)]
    fn words(&self, cpu: CpuId) -> &[AtomicU64; 32] {
        &self.lines[cpu.index()].0
    }

    /// The current CPU's words for those that use no sequence.
    #[inline(always)]
    fn here(&self) -> &[AtomicU64; 32] {
        let cpu = self.rseq.cpu_raw() as usize;
        &self.lines[if cpu < self.lines.len() { cpu } else { 0 }].0
    }

    #[inline(always)]
    fn cpu_locked(&self, body: impl FnOnce(&[AtomicU64; 32])) {
        let words = self.here();
        let mut tries = 0u32;
        while words[LOCK]
            .compare_exchange(0, 1, Acquire, Relaxed)
            .is_err()
        {
            tries += 1;
            if tries.is_multiple_of(64) {
                std::thread::yield_now();
            }
            std::hint::spin_loop();
        }
        body(words);
        words[LOCK].store(0, Release);
    }

    #[inline(always)]
    fn one_locked(&self, body: impl FnOnce(&mut [u64; 32])) {
        body(&mut self.global.lock().unwrap());
    }
}

/// A primitive and its rivals; `None` where one compare-and-swap cannot do it.
struct Row {
    name: &'static str,
    ways: [Option<Turns>; 4],
}

/// So many turns of an operation.
type Turns = fn(&State, u64);

/// A loop around an operation, so that no call is measured.
macro_rules! each {
    (|$state:ident| $operation:expr) => {
        Some(|$state: &State, turns: u64| {
            for _ in 0..turns {
                let operation = |$state: &State| $operation;
                operation(black_box($state));
            }
        })
    };
}

const ROWS: &[Row] = &[
    Row {
        name: "add",
        ways: [
            each!(|s| s.local(|cpu| s.rseq.add(cpu, &s.words(cpu)[DATA], 1))),
            each!(|s| bump_locked(&s.here()[DATA])),
            each!(|s| s.cpu_locked(|w| bump(&w[DATA]))),
            each!(|s| s.one_locked(|w| w[DATA] += 1)),
        ],
    },
    Row {
        name: "compare, store",
        ways: [
            each!(|s| {
                s.local(|cpu| {
                    let word = &s.words(cpu)[DATA];
                    let old = word.load(Relaxed);
                    Ok(s.rseq.compare_and_store(cpu, word, old, old + 1)?)
                })
            }),
            each!(|s| {
                let word = &s.here()[DATA];
                let mut old = word.load(Relaxed);
                while let Err(now) = word.compare_exchange_weak(old, old + 1, AcqRel, Relaxed) {
                    old = now;
                }
            }),
            each!(|s| s.cpu_locked(|w| bump(&w[DATA]))),
            each!(|s| s.one_locked(|w| w[DATA] += 1)),
        ],
    },
    Row {
        name: "compare two, store",
        ways: [
            each!(|s| {
                s.local(|cpu| {
                    let (word, guard) = (&s.words(cpu)[DATA], &s.words(cpu)[GUARD]);
                    let old = word.load(Relaxed);
                    Ok(s.rseq
                        .compare_both_and_store(cpu, (guard, 0), (word, old), old + 1)?)
                })
            }),
            None,
            each!(|s| {
                s.cpu_locked(|w| {
                    if w[GUARD].load(Relaxed) == 0 {
                        bump(&w[DATA]);
                    }
                })
            }),
            each!(|s| {
                s.one_locked(|w| {
                    if w[GUARD] == 0 {
                        w[DATA] += 1;
                    }
                })
            }),
        ],
    },
    Row {
        name: "compare, store, store",
        ways: [
            each!(|s| {
                s.local(|cpu| {
                    let words = s.words(cpu);
                    let count = words[DATA].load(Relaxed);
                    let word = &words[DATA + 1 + (count % 8) as usize];
                    let first = Store { word, value: count };
                    Ok(s.rseq
                        .compare_store_store(cpu, &words[DATA], count, first, count + 1)?)
                })
            }),
            None,
            each!(|s| {
                s.cpu_locked(|w| {
                    let count = w[DATA].load(Relaxed);
                    w[DATA + 1 + (count % 8) as usize].store(count, Relaxed);
                    w[DATA].store(count + 1, Relaxed);
                })
            }),
            each!(|s| {
                s.one_locked(|w| {
                    w[DATA + 1 + (w[DATA] % 8) as usize] = w[DATA];
                    w[DATA] += 1;
                })
            }),
        ],
    },
    Row {
        name: "compare, 4 stores, store",
        ways: [
            each!(|s| {
                s.local(|cpu| {
                    let words = s.words(cpu);
                    let count = words[DATA].load(Relaxed);
                    let store = |i: usize| Store {
                        word: &words[DATA + i],
                        value: count,
                    };
                    let stores = [store(1), store(2), store(3), store(4)];
                    let commit = Store {
                        word: &words[DATA],
                        value: count + 1,
                    };
                    Ok(s.rseq
                        .compare_store_many(cpu, &words[DATA], count, &stores, commit)?)
                })
            }),
            None,
            each!(|s| {
                s.cpu_locked(|w| {
                    let count = w[DATA].load(Relaxed);
                    (1..5).for_each(|i| w[DATA + i].store(count, Relaxed));
                    w[DATA].store(count + 1, Relaxed);
                })
            }),
            each!(|s| {
                s.one_locked(|w| {
                    (1..5).for_each(|i| w[DATA + i] = w[DATA]);
                    w[DATA] += 1;
                })
            }),
        ],
    },
    Row {
        name: "list: pop and push",
        ways: [
            each!(|s| {
                let mut popped = None;
                s.local(|cpu| {
                    let w = s.words(cpu);
                    popped = s
                        .rseq
                        .pop_index(cpu, &w[GUARD], &w[HEAD], &w[DATA..DATA + LINKS])
                        .ok();
                    if popped.is_some() {
                        Ok(())
                    } else {
                        Err(Interrupted)
                    }
                });
                if let Some(index) = popped {
                    s.local(|cpu| {
                        let w = s.words(cpu);
                        let first = w[HEAD].load(Relaxed);
                        w[DATA + index as usize].store(0, Relaxed);
                        let (guard, head) = ((&w[GUARD], 0), (&w[HEAD], first));
                        Ok(s.rseq.compare_both_and_store(cpu, guard, head, index + 1)?)
                    });
                }
            }),
            each!(|s| {
                // A stack with a tag against ABA in the upper half.
                let w = s.here();
                let mut seen = w[HEAD].load(Acquire);
                let index = loop {
                    let Some(index) = (seen as u32).checked_sub(1) else {
                        return;
                    };
                    let next = w[DATA + index as usize].load(Relaxed);
                    let new = ((seen >> 32) + 1) << 32 | next;
                    match w[HEAD].compare_exchange_weak(seen, new, AcqRel, Acquire) {
                        Ok(_) => break index,
                        Err(now) => seen = now,
                    }
                };
                let mut seen = w[HEAD].load(Relaxed);
                loop {
                    w[DATA + index as usize].store(u64::from(seen as u32), Relaxed);
                    let new = ((seen >> 32) + 1) << 32 | u64::from(index + 1);
                    match w[HEAD].compare_exchange_weak(seen, new, Release, Relaxed) {
                        Ok(_) => break,
                        Err(now) => seen = now,
                    }
                }
            }),
            each!(|s| {
                let mut popped = 0;
                s.cpu_locked(|w| {
                    popped = w[HEAD].load(Relaxed);
                    if let Some(index) = (popped as usize).checked_sub(1) {
                        w[HEAD].store(w[DATA + index].load(Relaxed), Relaxed);
                    }
                });
                s.cpu_locked(|w| {
                    if let Some(index) = (popped as usize).checked_sub(1) {
                        w[DATA + index].store(w[HEAD].load(Relaxed), Relaxed);
                        w[HEAD].store(popped, Relaxed);
                    }
                });
            }),
            each!(|s| {
                let mut popped = 0;
                s.one_locked(|w| {
                    popped = w[HEAD];
                    if let Some(index) = (popped as usize).checked_sub(1) {
                        w[HEAD] = w[DATA + index];
                    }
                });
                s.one_locked(|w| {
                    if let Some(index) = (popped as usize).checked_sub(1) {
                        w[DATA + index] = w[HEAD];
                        w[HEAD] = popped;
                    }
                });
            }),
        ],
    },
    Row {
        name: "compare, copy 64 bytes, store",
        ways: [
            each!(|s| {
                s.local(|cpu| {
                    let words = s.words(cpu);
                    let count = words[DATA].load(Relaxed);
                    let to = words[DATA + 1].as_ptr().cast();
                    let (word, from) = (&words[DATA], s.source.as_ptr());
                    // SAFETY: eight words from DATA + 1 on, and 64 bytes to read.
                    Ok(unsafe {
                        s.rseq
                            .compare_copy_store(cpu, word, count, from, to, COPY, count + 1)
                    }?)
                })
            }),
            None,
            each!(|s| {
                s.cpu_locked(|w| {
                    for (word, bytes) in w[DATA + 1..].iter().zip(s.source.chunks_exact(8)) {
                        word.store(u64::from_ne_bytes(bytes.try_into().unwrap()), Relaxed);
                    }
                    bump(&w[DATA]);
                })
            }),
            each!(|s| {
                s.one_locked(|w| {
                    for (word, bytes) in w[DATA + 1..].iter_mut().zip(s.source.chunks_exact(8)) {
                        *word = u64::from_ne_bytes(bytes.try_into().unwrap());
                    }
                    w[DATA] += 1;
                })
            }),
        ],
    },
];

#[inline(always)]
fn bump_locked(word: &AtomicU64) {
    word.fetch_add(1, Release);
}

#[inline(always)]
fn bump(word: &AtomicU64) {
    word.store(word.load(Relaxed) + 1, Relaxed);
}

/// How long `threads` threads need for `iterations` operations in all: from the first one's start
/// to the last one's end.
fn time(state: &State, threads: usize, iterations: u64, turns: Turns) -> Duration {
    let each = iterations.div_ceil(threads as u64);
    let barrier = Barrier::new(threads);
    let work = || {
        let _ = state.rseq.register_thread();
        barrier.wait();
        let start = Instant::now();
        turns(state, each);
        (start, Instant::now())
    };
    let times: Vec<_> = std::thread::scope(|s| {
        let threads: Vec<_> = (0..threads).map(|_| s.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let start = times.iter().map(|(start, _)| *start).min().unwrap();
    let end = times.iter().map(|(_, end)| *end).max().unwrap();
    end - start
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(60))
        .measurement_time(Duration::from_millis(250))
        .configure_from_args();
    for row in ROWS {
        let mut group = criterion.benchmark_group(row.name);
        group.sampling_mode(SamplingMode::Flat);
        for threads in THREADS {
            for (way, turns) in ways(row) {
                let state = State::new();
                group.bench_function(format!("{}/{threads} threads", WAYS[way]), |b| {
                    b.iter_custom(|iterations| time(&state, threads, iterations, turns));
                });
            }
        }
        group.finish();
    }
    criterion.final_summary();
    print_table();
}

/// Those that can do it.
fn ways(row: &Row) -> impl Iterator<Item = (usize, Turns)> {
    let possible = |(way, turns): (usize, &Option<Turns>)| Some((way, (*turns)?));
    row.ways.iter().enumerate().filter_map(possible)
}

/// Best nanoseconds per operation of each way. They take turns, so that whatever else the machine
/// does meets them all.
fn best(row: &Row, threads: usize) -> [Option<f64>; 4] {
    const SAMPLES: usize = 60;
    const ITERATIONS: u64 = 400_000;
    let states: [State; 4] = std::array::from_fn(|_| State::new());
    let mut best = [None; 4];
    for _ in 0..SAMPLES {
        for (way, turns) in ways(row) {
            let took = time(&states[way], threads, ITERATIONS, turns);
            let ns = took.as_nanos() as f64 / ITERATIONS as f64;
            best[way] = Some(best[way].map_or(ns, |known: f64| known.min(ns)));
        }
    }
    best
}

fn print_table() {
    println!("| primitive | threads | rseq, ns | atomics | CPU lock | one lock |");
    println!("|---|--:|--:|--:|--:|--:|");
    for row in ROWS {
        for threads in THREADS {
            let best = best(row, threads);
            let rseq = best[0].unwrap_or(f64::NAN);
            let ratio = |way: usize| match best[way] {
                Some(ns) => format!("{:.1} ×", ns / rseq),
                None => "—".to_string(),
            };
            let name = if threads == 1 { row.name } else { "" };
            let (atomics, cpu, one) = (ratio(1), ratio(2), ratio(3));
            println!("| {name} | {threads} | {rseq:.2} | {atomics} | {cpu} | {one} |");
        }
    }
    let rseq = Rseq::get();
    match rseq.process() {
        Ok(owner) => println!("\n{} CPUs, rseq {owner}", possible_cpus()),
        Err(why) => println!("\nno rseq: {why}; the first column is one atomic for all"),
    }
}
