//! The structures, used by 200 threads that are delayed, yielded, put to sleep, signalled and moved
//! about.
//!
//! ```text
//!   200 workers ── sequences with delays at every point, yields and sleeps between them
//!   1 tormentor ── picks a worker: a signal, or another CPU
//! ```
//!
//! What must hold whatever happens: nothing is lost and nothing is there twice.

use std::sync::Barrier;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use super::*;
use crate::{Backing, Counter, CpuBuffer, CpuLock, FreeList, Taken};

const THREADS: usize = 200;

/// Set in the processes that a test starts to run these tests once more.
const NESTED: &str = "LANEWAY_RSEQ_NESTED";

/// How many turns of each thread, for so many in an ordinary run.
fn scaled(turns: usize) -> usize {
    let factor = std::env::var("LANEWAY_RSEQ_STRESS")
        .ok()
        .and_then(|n| n.parse().ok());
    let share = if std::env::var_os(NESTED).is_some() {
        4
    } else {
        1
    };
    (turns * factor.unwrap_or(1)).div_ceil(share)
}

/// What happens to the workers of a run.
#[derive(Clone, Copy, Debug)]
struct Torment {
    /// Cycles at every point of every 16th operation.
    delay: u32,
    yields: bool,
    sleeps: bool,
    signals: bool,
    moves: bool,
}

const CALM: Torment = Torment {
    delay: 0,
    yields: false,
    sleeps: false,
    signals: false,
    moves: false,
};

const TORMENTS: &[Torment] = &[
    CALM,
    Torment {
        delay: 20_000,
        ..CALM
    },
    Torment {
        delay: 2_000,
        yields: true,
        ..CALM
    },
    Torment {
        delay: 2_000,
        sleeps: true,
        ..CALM
    },
    Torment {
        delay: 20_000,
        signals: true,
        ..CALM
    },
    Torment {
        delay: 20_000,
        moves: true,
        ..CALM
    },
    Torment {
        delay: 5_000,
        yields: true,
        sleeps: true,
        signals: true,
        moves: true,
    },
];

/// Runs `work(thread, turn)` in many threads, `turns` times each, under each torment in turn.
fn torment(turns: usize, work: impl Fn(usize, usize) + Sync) {
    install_handlers();
    // One at a time: the tests of this file would starve each other.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for &what in TORMENTS {
        run(what, scaled(turns), &work);
    }
}

fn run(what: Torment, turns: usize, work: &(impl Fn(usize, usize) + Sync)) {
    let ids: Vec<AtomicI32> = (0..THREADS).map(|_| AtomicI32::new(0)).collect();
    let over = AtomicBool::new(false);
    let (started, finished) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    std::thread::scope(|s| {
        let tormentor = s.spawn(|| {
            started.wait();
            let (cpus, mut dice) = (allowed(), 12345);
            while !over.load(SeqCst) {
                let victim = ids[roll(&mut dice) % THREADS].load(SeqCst);
                if what.signals {
                    // SAFETY: a thread of ours: it waits at the barrier before it ends.
                    unsafe {
                        libc::syscall(libc::SYS_tgkill, libc::getpid(), victim, libc::SIGUSR1)
                    };
                }
                if what.moves {
                    pin(victim, cpus[roll(&mut dice) % cpus.len()]);
                }
                std::thread::sleep(Duration::from_micros(20));
            }
            finished.wait();
        });
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (ids, started, finished) = (&ids, &started, &finished);
                s.spawn(move || {
                    ids[thread].store(thread_id(), SeqCst);
                    started.wait();
                    for turn in 0..turns {
                        let delay = if (turn + thread) % 16 == 0 {
                            what.delay
                        } else {
                            0
                        };
                        for point in 1..=7 {
                            inject_at(point, Inject::Delay(delay));
                        }
                        work(thread, turn);
                        if what.yields && turn % 4 == 0 {
                            std::thread::yield_now();
                        }
                        if what.sleeps && turn % 32 == 0 {
                            std::thread::sleep(Duration::from_micros(50));
                        }
                    }
                    for point in 1..=7 {
                        inject_at(point, Inject::Nothing);
                    }
                    ENDED.fetch_add(1, SeqCst);
                    finished.wait();
                })
            })
            .collect();
        // The tormentor stops when the work is done, before any worker's id can be somebody else's.
        let before = ENDED.load(SeqCst) / THREADS as u64 * THREADS as u64;
        while ENDED.load(SeqCst) < before + THREADS as u64
            && !workers.iter().any(|worker| worker.is_finished())
        {
            std::thread::sleep(Duration::from_micros(200));
        }
        over.store(true, SeqCst);
        workers
            .into_iter()
            .for_each(|worker| worker.join().unwrap());
        tormentor.join().unwrap();
    });
}

/// Workers that have done their turns, ever; only one run is under way at a time.
static ENDED: AtomicU64 = AtomicU64::new(0);

/// A linear congruential generator, as in C's rand.
fn roll(dice: &mut u64) -> usize {
    *dice = dice
        .wrapping_mul(6364136223846793005)
        .wrapping_add(1442695040888963407);
    (*dice >> 33) as usize
}

#[test]
fn the_sum_of_a_counter_is_what_all_threads_added() {
    let counter = Counter::new(Backing::Private).unwrap();
    let turns = 150;
    torment(turns, |thread, turn| counter.add((thread + turn) as u64));
    let turns = scaled(turns);
    let once: usize = (0..THREADS)
        .flat_map(|t| (0..turns).map(move |n| t + n))
        .sum();
    assert_eq!(counter.sum(), (once * TORMENTS.len()) as u64);
}

#[test]
fn a_sum_never_misses_an_add_that_had_finished() {
    let counter = Counter::new(Backing::Private).unwrap();
    let finished = AtomicU64::new(0);
    let begun = AtomicU64::new(0);
    torment(60, |thread, _| {
        if thread % 20 == 0 {
            let floor = finished.load(SeqCst);
            let sum = counter.sum();
            let ceiling = begun.load(SeqCst);
            assert!(
                (floor..=ceiling).contains(&sum),
                "{floor} <= {sum} <= {ceiling}"
            );
        } else {
            begun.fetch_add(1, SeqCst);
            counter.add(1);
            finished.fetch_add(1, SeqCst);
        }
    });
}

#[test]
fn words_behind_a_cpu_lock_are_changed_by_one_thread_at_a_time() {
    let lock = CpuLock::new(2, Backing::Private).unwrap();
    let turns = 40;
    torment(turns, |_, turn| {
        let words = lock.lock();
        // Two words that are only equal while nobody is in between.
        let first = words[0].load(Relaxed);
        if turn % 8 == 0 {
            std::thread::yield_now();
        }
        words[0].store(first + 1, Relaxed);
        let second = words[1].load(Relaxed);
        assert_eq!(first, second);
        words[1].store(second + 1, Relaxed);
    });
    let sum: u64 = lock.all().map(|words| words[0].load(Relaxed)).sum();
    assert_eq!(sum, (THREADS * scaled(turns) * TORMENTS.len()) as u64);
}

/// Who holds an element: a second holder at the same time is an error.
struct Held(Vec<AtomicBool>);

impl Held {
    fn new(count: usize) -> Self {
        Self((0..count).map(|_| AtomicBool::new(false)).collect())
    }

    fn take(&self, index: usize) {
        assert!(
            !self.0[index].swap(true, SeqCst),
            "element {index} was popped twice"
        );
    }

    fn give(&self, index: usize) {
        assert!(
            self.0[index].swap(false, SeqCst),
            "element {index} was pushed twice"
        );
    }
}

#[test]
fn every_element_of_a_free_list_is_in_one_place_while_lists_are_taken_away() {
    const ELEMENTS: usize = 500;
    let list = FreeList::new(ELEMENTS, Backing::Private).unwrap();
    let held = Held::new(ELEMENTS);
    (0..ELEMENTS).for_each(|index| list.push(index));
    torment(80, |thread, turn| {
        if thread % 50 == 7 {
            let cpu = CpuId(turn as u32 % crate::possible_cpus());
            let (Taken::Elements(chain) | Taken::Asked(chain)) = list.take_from(cpu);
            for index in chain {
                held.take(index);
                held.give(index);
                list.push(index);
            }
            return;
        }
        if let Some(index) = list.pop() {
            held.take(index);
            if turn % 16 == 0 {
                std::thread::yield_now();
            }
            held.give(index);
            list.push(index);
        }
    });
    let mut all: Vec<usize> = drain(&list);
    all.sort_unstable();
    assert_eq!(all, (0..ELEMENTS).collect::<Vec<_>>());
}

/// Everything that is in any list.
fn drain(list: &FreeList) -> Vec<usize> {
    let mut all = Vec::new();
    for cpu in (0..crate::possible_cpus()).map(CpuId) {
        // Where the barrier is not to be had, the list comes when somebody passes by on that CPU.
        for _ in 0..2 {
            let (Taken::Elements(chain) | Taken::Asked(chain)) = list.take_from(cpu);
            all.extend(chain);
            std::thread::scope(|s| {
                s.spawn(|| {
                    pin(0, cpu);
                    all.extend(std::iter::from_fn(|| list.pop()));
                });
            });
        }
    }
    all
}

#[test]
fn a_list_whose_cpu_can_only_be_asked_loses_nothing_either() {
    const ELEMENTS: usize = 300;
    let list = FreeList::new(ELEMENTS, Backing::Shared).unwrap();
    let held = Held::new(ELEMENTS);
    (0..ELEMENTS).for_each(|index| list.push(index));
    torment(60, |thread, turn| {
        if thread % 50 == 7 {
            let Taken::Asked(chain) = list.take_from(CpuId(turn as u32 % crate::possible_cpus()))
            else {
                panic!("no barrier reaches the other processes of shared memory");
            };
            chain.for_each(|index| {
                held.take(index);
                held.give(index);
                list.push(index);
            });
        } else if let Some(index) = list.pop() {
            held.take(index);
            held.give(index);
            list.push(index);
        }
    });
    let mut all: Vec<usize> = drain(&list);
    all.sort_unstable();
    assert_eq!(all, (0..ELEMENTS).collect::<Vec<_>>());
}

#[test]
fn every_item_of_a_buffer_is_popped_once() {
    let buffer = CpuBuffer::<1>::new(200, Backing::Private).unwrap();
    let held = Held::new(THREADS * 2);
    let stock = Mutex::new((0..THREADS * 2).collect::<Vec<_>>());
    torment(80, |_, turn| {
        let Some(item) = buffer
            .pop()
            .map(|[item]| item as usize)
            .or_else(|| stock.lock().unwrap().pop())
        else {
            return;
        };
        held.take(item);
        if turn % 16 == 0 {
            std::thread::yield_now();
        }
        held.give(item);
        if let Err([item]) = buffer.push([item as u64]) {
            stock.lock().unwrap().push(item as usize);
        }
    });
    let mut all = stock.into_inner().unwrap();
    on_each_cpu(|| {
        all.extend(std::iter::from_fn(|| {
            buffer.pop().map(|[item]| item as usize)
        }))
    });
    all.sort_unstable();
    assert_eq!(all, (0..THREADS * 2).collect::<Vec<_>>());
}

#[test]
fn items_of_several_words_are_never_torn() {
    let buffer = CpuBuffer::<5>::new(100, Backing::Private).unwrap();
    let balance = AtomicU64::new(0);
    torment(80, |thread, turn| {
        let value = (thread * 1_000_000 + turn) as u64;
        if buffer.push([value; 5]).is_ok() {
            balance.fetch_add(value, SeqCst);
        }
        if let Some(item) = buffer.pop() {
            assert_eq!(item, [item[0]; 5]);
            balance.fetch_sub(item[0], SeqCst);
        }
    });
    on_each_cpu(|| {
        while let Some(item) = buffer.pop() {
            balance.fetch_sub(item[0], SeqCst);
        }
    });
    assert_eq!(balance.load(SeqCst), 0);
}

fn on_each_cpu(mut work: impl FnMut() + Send) {
    for cpu in allowed() {
        std::thread::scope(|s| {
            s.spawn(|| {
                pin(0, cpu);
                work();
            });
        });
    }
}

/// Runs these tests again in a process of its own, started with `name=value`.
fn again_with(name: &str, value: &str) {
    if std::env::var_os(NESTED).is_some() {
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .env(name, value)
        .env(NESTED, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "with {name}={value}: {text}");
    assert!(
        !text.contains(" 0 passed"),
        "with {name}={value} nothing ran: {text}"
    );
}

#[test]
fn everything_holds_with_an_area_of_our_own() {
    again_with("GLIBC_TUNABLES", "glibc.pthread.rseq=0");
}

#[test]
fn everything_holds_with_rseq_switched_off() {
    again_with("LANEWAY_RSEQ", "off");
}

#[test]
fn the_mode_is_the_one_asked_for() {
    use crate::{Owner, Unavailable};
    let tunables = std::env::var("GLIBC_TUNABLES").unwrap_or_default();
    if std::env::var("LANEWAY_RSEQ").as_deref() == Ok("off") {
        assert_eq!(Rseq::get().process(), Err(Unavailable::SwitchedOff));
        assert_eq!(Rseq::get().cpu(), None);
    } else if tunables == "glibc.pthread.rseq=0" {
        assert_eq!(Rseq::get().process(), Ok(Owner::Crate));
    }
}
