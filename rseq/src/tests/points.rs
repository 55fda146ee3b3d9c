//! Every sequence, taken apart: each check refuses, each commit commits, and an interruption at any
//! point in between aborts, with the committed word as it was.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::*;
use crate::ops::{NotDone, Store};

/// Words for a sequence to work on: the committed one is word 0.
type Words = [AtomicU64; 8];

/// A sequence, and what it should do.
struct Case {
    name: &'static str,
    /// What the words are before.
    before: [u64; 8],
    /// What they are after a commit.
    after: [u64; 8],
    /// The words that are compared: any of them changed means a mismatch.
    compared: &'static [usize],
    /// The point after the commit: those from 2 to it, itself not included, are inside the section.
    last_point: usize,
    run: fn(Rseq, CpuId, &Words) -> Result<(), NotDone>,
}

const LEN: usize = 27;
static SOURCE: [u8; LEN] = *b"three words and three bytes";

const CASES: &[Case] = &[
    Case {
        name: "compare_and_store",
        before: [5, 0, 0, 0, 0, 0, 0, 0],
        after: [6, 0, 0, 0, 0, 0, 0, 0],
        compared: &[0],
        last_point: 5,
        run: |rseq, cpu, w| rseq.compare_and_store(cpu, &w[0], 5, 6),
    },
    Case {
        name: "compare_both_and_store",
        before: [5, 7, 0, 0, 0, 0, 0, 0],
        after: [6, 7, 0, 0, 0, 0, 0, 0],
        compared: &[0, 1],
        last_point: 6,
        run: |rseq, cpu, w| rseq.compare_both_and_store(cpu, (&w[1], 7), (&w[0], 5), 6),
    },
    Case {
        name: "compare_store_store",
        before: [5, 0, 0, 0, 0, 0, 0, 0],
        after: [6, 9, 0, 0, 0, 0, 0, 0],
        compared: &[0],
        last_point: 6,
        run: |rseq, cpu, w| {
            rseq.compare_store_store(
                cpu,
                &w[0],
                5,
                Store {
                    word: &w[1],
                    value: 9,
                },
                6,
            )
        },
    },
    Case {
        name: "compare_store_many",
        before: [0, 5, 0, 0, 0, 0, 0, 0],
        after: [6, 7, 8, 9, 0, 0, 0, 0],
        compared: &[1],
        last_point: 7,
        run: |rseq, cpu, w| {
            let store = |i: usize, value| Store { word: &w[i], value };
            let stores = [store(1, 7), store(2, 8), store(3, 9)];
            rseq.compare_store_many(cpu, &w[1], 5, &stores, store(0, 6))
        },
    },
    Case {
        name: "add",
        before: [5, 0, 0, 0, 0, 0, 0, 0],
        after: [8, 0, 0, 0, 0, 0, 0, 0],
        compared: &[],
        last_point: 4,
        run: |rseq, cpu, w| rseq.add(cpu, &w[0], 3).map_err(|_| NotDone::Aborted),
    },
    Case {
        // Word 0 holds the address of word 2, whose link, word 3, holds 77.
        name: "compare_not_load_store",
        before: [0, 0, 0, 77, 0, 0, 0, 0],
        after: [77, 0, 0, 77, 0, 0, 0, 0],
        compared: &[],
        last_point: 6,
        run: |rseq, cpu, w| {
            let node = w[2].as_ptr() as u64;
            let unset = w[0].compare_exchange(0, node, SeqCst, SeqCst);
            let done = if w[0].load(SeqCst) == 99 {
                Err(NotDone::Mismatch) // a competitor's value
            } else {
                // SAFETY: word 0 holds the address of word 2, or 99, which is not followed.
                unsafe { rseq.compare_not_load_store(cpu, &w[0], 99, 8) }
            };
            if done.is_err() && unset.is_ok() {
                let _ = w[0].compare_exchange(node, 0, SeqCst, SeqCst);
            }
            done.map(|popped| assert_eq!(popped, node))
        },
    },
    Case {
        // The list is element 1, then element 0.
        name: "pop_index",
        before: [2, 0, 0, 1, 0, 0, 0, 0],
        after: [1, 0, 0, 1, 0, 0, 0, 0],
        compared: &[0, 1],
        last_point: 7,
        run: |rseq, cpu, w| {
            rseq.pop_index(cpu, &w[1], &w[0], &w[2..4])
                .map(|popped| assert_eq!(popped, 1))
        },
    },
    Case {
        name: "compare_copy_store",
        before: [5, 0, 0, 0, 0, 0, 0, 0],
        after: {
            const fn word(at: usize) -> u64 {
                let mut bytes = [0; 8];
                let mut i = 0;
                while i < 8 && at + i < LEN {
                    bytes[i] = b"three words and three bytes"[at + i];
                    i += 1;
                }
                u64::from_ne_bytes(bytes)
            }
            [6, word(0), word(8), word(16), word(24), 0, 0, 0]
        },
        compared: &[0],
        last_point: 7,
        run: |rseq, cpu, w| {
            let to = w[1].as_ptr().cast();
            // SAFETY: 27 bytes lie behind both, and this thread alone writes them.
            unsafe { rseq.compare_copy_store(cpu, &w[0], 5, SOURCE.as_ptr(), to, LEN, 6) }
        },
    },
];

impl Case {
    fn words(&self) -> Words {
        self.before.map(AtomicU64::new)
    }

    fn here(&self, rseq: Rseq, words: &Words) -> Result<(), NotDone> {
        (self.run)(rseq, rseq.cpu().unwrap(), words)
    }

    /// Runs until nothing of the outside world interrupts.
    fn settle(&self, rseq: Rseq, words: &Words) -> Result<(), NotDone> {
        let results = (0..1000).map(|_| self.here(rseq, words));
        results
            .into_iter()
            .find(|r| *r != Err(NotDone::Aborted))
            .unwrap_or(Err(NotDone::Aborted))
    }
}

fn read(words: &Words) -> [u64; 8] {
    std::array::from_fn(|i| words[i].load(SeqCst))
}

#[test]
fn a_commit_stores_what_it_should_and_nothing_else() {
    let Some(rseq) = rseq() else { return };
    for case in CASES {
        let words = case.words();
        assert_eq!(case.settle(rseq, &words), Ok(()), "{}", case.name);
        assert_eq!(read(&words), case.after, "{}", case.name);
    }
}

#[test]
fn on_another_cpu_nothing_is_stored() {
    let Some(rseq) = rseq() else { return };
    for case in CASES {
        let words = case.words();
        // Were the CPU not compared, one of these would commit.
        for _ in 0..100 {
            let elsewhere = CpuId(rseq.cpu().unwrap().0 + 1000);
            assert_eq!(
                (case.run)(rseq, elsewhere, &words),
                Err(NotDone::Aborted),
                "{}",
                case.name
            );
        }
        assert_eq!(read(&words), case.before, "{}", case.name);
    }
}

#[test]
fn each_compared_word_refuses_when_it_holds_something_else() {
    let Some(rseq) = rseq() else { return };
    for case in CASES {
        for &compared in case.compared {
            let words = case.words();
            words[compared].store(99, SeqCst);
            let before = read(&words);
            assert_eq!(
                case.settle(rseq, &words),
                Err(NotDone::Mismatch),
                "{}",
                case.name
            );
            assert_eq!(read(&words), before, "{}: word {compared}", case.name);
        }
    }
}

#[test]
fn an_empty_list_is_not_popped() {
    let Some(rseq) = rseq() else { return };
    let case = CASES.iter().find(|case| case.name == "pop_index").unwrap();
    let words = case.words();
    words[0].store(0, SeqCst);
    assert_eq!(case.settle(rseq, &words), Err(NotDone::Mismatch));
    let word = AtomicU64::new(1234);
    // SAFETY: the word holds the value that is not followed.
    let pop = || unsafe { rseq.compare_not_load_store(rseq.cpu().unwrap(), &word, 1234, 0) };
    // Were it followed, this would fault.
    let popped = (0..1000)
        .map(|_| pop())
        .find(|r| *r != Err(NotDone::Aborted));
    assert_eq!(popped, Some(Err(NotDone::Mismatch)));
}

#[test]
fn a_copy_of_any_length_is_whole_and_exact() {
    let Some(rseq) = rseq() else { return };
    for length in 0..=LEN {
        let word = AtomicU64::new(0);
        let mut to = [0xee; LEN + 1];
        let done = (0..1000).any(|_| {
            let cpu = rseq.cpu().unwrap();
            let (from, to) = (SOURCE.as_ptr(), to.as_mut_ptr());
            // SAFETY: both have at least `length` bytes.
            unsafe { rseq.compare_copy_store(cpu, &word, 0, from, to, length, 1) }.is_ok()
        });
        assert!(done);
        assert_eq!(to[..length], SOURCE[..length]);
        assert!(
            to[length..].iter().all(|&byte| byte == 0xee),
            "length {length}"
        );
    }
}

#[test]
fn a_signal_at_any_point_inside_aborts_and_the_handler_runs_its_own_sequences() {
    let Some(rseq) = rseq() else { return };
    install_handlers();
    for case in CASES {
        for point in 1..=case.last_point {
            let words = case.words();
            let (traps, handled) = (TRAPS.load(SeqCst), handler_counter().sum());
            let result = attempt_with(point, Inject::Trap, || case.here(rseq, &words));
            let at = format!("{} at point {point}", case.name);
            assert!(TRAPS.load(SeqCst) > traps, "{at} was not reached");
            assert!(handler_counter().sum() > handled, "{at}");
            if point == 1 || point == case.last_point {
                // Before the section, or after its commit: nothing to abort, unless by chance.
                assert!(result == Ok(()) || result == Err(NotDone::Aborted), "{at}");
            } else {
                assert_eq!(result, Err(NotDone::Aborted), "{at}");
                assert_eq!(words[0].load(SeqCst), case.before[0], "{at}");
            }
        }
    }
}

#[test]
fn a_section_that_is_always_interrupted_gives_up_and_the_structures_go_on() {
    let Some(_) = rseq() else { return };
    install_handlers();
    let counter = crate::Counter::new(crate::Backing::Private).unwrap();
    let list = crate::FreeList::new(10, crate::Backing::Private).unwrap();
    let lock = crate::CpuLock::new(1, crate::Backing::Private).unwrap();
    let buffer = crate::CpuBuffer::<1>::new(10, crate::Backing::Private).unwrap();
    let wide = crate::CpuBuffer::<3>::new(10, crate::Backing::Private).unwrap();
    // Point 3 is in every section, behind the compare of the CPU.
    attempt_with(3, Inject::Trap, || {
        for round in 1..=10 {
            counter.add(1);
            assert_eq!(counter.sum(), round);
            list.push(3);
            assert_eq!(list.pop(), Some(3));
            let guard = lock.lock();
            guard[0].fetch_add(1, Relaxed);
            drop(guard);
            buffer.push([round]).unwrap();
            assert_eq!(buffer.pop(), Some([round]));
            wide.push([round; 3]).unwrap();
            assert_eq!(wide.pop(), Some([round; 3]));
        }
    });
    assert_eq!(
        lock.all().map(|words| words[0].load(Relaxed)).sum::<u64>(),
        10
    );
}

#[test]
fn a_thread_preempted_at_any_point_inside_aborts_and_the_other_ones_store_stays() {
    let Some(rseq) = rseq() else { return };
    let cpu = allowed()[0];
    for case in CASES {
        for point in 2..case.last_point {
            preempted_at(rseq, case, point, cpu);
        }
    }
}

/// Two threads on one CPU: this one waits at `point` until the other had its turn.
fn preempted_at(rseq: Rseq, case: &Case, point: usize, cpu: CpuId) {
    let words = case.words();
    let (go, stored, over) = (
        AtomicBool::new(false),
        AtomicBool::new(false),
        AtomicBool::new(false),
    );
    std::thread::scope(|s| {
        s.spawn(|| {
            pin(0, cpu);
            while !over.load(SeqCst) {
                if go.load(SeqCst) && !stored.load(SeqCst) {
                    words[0].store(99, SeqCst);
                    stored.store(true, SeqCst);
                }
                std::thread::yield_now();
            }
        });
        s.spawn(|| {
            let _over = Over(&over);
            rseq.register_thread().unwrap();
            pin(0, cpu);
            let deadline = Instant::now() + Duration::from_secs(20);
            // The other one may have no turn in time, or have it already before the section.
            loop {
                assert!(
                    Instant::now() < deadline,
                    "{} at {point}: never preempted",
                    case.name
                );
                for (word, value) in words.iter().zip(case.before) {
                    word.store(value, SeqCst);
                }
                stored.store(false, SeqCst);
                go.store(true, SeqCst);
                let result =
                    attempt_with(point, Inject::Delay(4_000_000), || case.here(rseq, &words));
                let in_time = stored.load(SeqCst);
                go.store(false, SeqCst);
                if !in_time {
                    continue; // committed before the other one's turn
                }
                if result == Err(NotDone::Aborted) {
                    assert_eq!(words[0].load(SeqCst), 99, "{} at point {point}", case.name);
                    break;
                }
                // His turn was outside the section, which proves nothing; with a compare, his value
                // stays even so.
                if !case.compared.is_empty() {
                    assert_eq!(
                        words[0].load(SeqCst),
                        99,
                        "{} at {point}: {result:?}",
                        case.name
                    );
                }
            }
        });
    });
}

#[test]
fn a_thread_moved_to_another_cpu_at_any_point_inside_aborts() {
    let Some(rseq) = rseq() else { return };
    let cpus = allowed();
    if cpus.len() < 2 {
        return;
    }
    for case in CASES {
        for point in 2..case.last_point {
            moved_at(rseq, case, point, &cpus);
        }
    }
}

fn moved_at(rseq: Rseq, case: &Case, point: usize, cpus: &[CpuId]) {
    let words = case.words();
    let (go, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::scope(|s| {
        s.spawn(|| {
            let _over = Over(&over);
            rseq.register_thread().unwrap();
            send.send(thread_id()).unwrap();
            pin(0, cpus[0]);
            let deadline = Instant::now() + Duration::from_secs(20);
            loop {
                assert!(
                    Instant::now() < deadline,
                    "{} at {point}: never moved",
                    case.name
                );
                // An abort may have left stores that come before the commit.
                for (word, value) in words.iter().zip(case.before) {
                    word.store(value, SeqCst);
                }
                let start = rseq.cpu().unwrap();
                go.store(true, SeqCst);
                let result =
                    attempt_with(point, Inject::Delay(2_000_000), || case.here(rseq, &words));
                go.store(false, SeqCst);
                if result == Ok(()) {
                    continue; // the mover came too late, or before
                }
                assert_eq!(result, Err(NotDone::Aborted), "{}", case.name);
                assert_eq!(
                    words[0].load(SeqCst),
                    case.before[0],
                    "{} at {point}",
                    case.name
                );
                if rseq.cpu() != Some(start) {
                    break;
                }
            }
        });
        let victim = receive.recv().unwrap();
        let mut turn = 0;
        while !over.load(SeqCst) {
            if go.load(SeqCst) {
                turn += 1;
                pin(victim, cpus[turn % cpus.len()]);
                std::thread::sleep(Duration::from_micros(300));
            }
            std::thread::yield_now();
        }
    });
}

/// Tells the competitor when this thread is done, even by a panic.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Runs `body` with something at one point.
fn attempt_with<R>(point: usize, what: Inject, body: impl FnOnce() -> R) -> R {
    inject_at(point, what);
    let result = body();
    inject_at(point, Inject::Nothing);
    result
}
