//! Many threads, few CPUs, migrations and signals all the time: nothing lost, nothing
//! doubled, nothing torn, time never backwards.
//!
//! `LANEWAY_STRESS=100` makes every test run a hundred times as long.

mod common;

use common::{Checker, Random, attach, cpus, emit, gettid, lost, pin, settings, stress_factor};
use laneway_ringbuf::{BufferReader, Channel, Geometry, WhenFull};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const THREADS: u32 = 8;
const LONG: Duration = Duration::from_secs(60);

/// One run: what each thread emits, and how.
struct Run {
    channel: &'static Channel,
    geometry: Geometry,
    when_full: WhenFull,
    rseq: bool,
    events: u64,
    migrate: bool,
}

struct Outcome {
    checker: Checker,
    accepted: u64,
    lost: u64,
}

impl Run {
    fn new(rseq: bool, when_full: WhenFull) -> Self {
        Run {
            channel: Box::leak(Box::default()),
            geometry: Geometry::new(cpus(), 4096, 4).unwrap(),
            when_full,
            rseq,
            events: 50_000 * stress_factor(),
            migrate: true,
        }
    }

    /// Emits from all threads while another one moves them between CPUs and a third one
    /// reads.
    fn go(&self) -> Outcome {
        let mut reader = attach(
            self.channel,
            self.geometry,
            settings(self.when_full, self.rseq),
        );
        let (running, accepted) = (AtomicU64::new(u64::from(THREADS)), AtomicU64::new(0));
        let tids = Mutex::new(Vec::new());
        let checker = std::thread::scope(|scope| {
            for who in 0..THREADS {
                let (running, accepted, tids) = (&running, &accepted, &tids);
                scope.spawn(move || {
                    tids.lock().unwrap().push(gettid());
                    let mut random = Random(0x9e37_79b9 + u64::from(who));
                    let kept = (0..self.events)
                        .filter(|&number| {
                            emit(self.channel, who, number, random.below(60) as usize)
                        })
                        .count();
                    accepted.fetch_add(kept as u64, Ordering::Relaxed);
                    running.fetch_sub(1, Ordering::Release);
                });
            }
            if self.migrate {
                scope.spawn(|| move_threads(&tids, &running));
            }
            read_until_done(&mut reader, &running)
        });
        assert!(self.channel.detach(LONG), "a thread is still in the ring");
        Outcome {
            checker,
            accepted: accepted.into_inner(),
            lost: lost(&mut reader).total(),
        }
    }
}

fn move_threads(tids: &Mutex<Vec<i32>>, running: &AtomicU64) {
    let mut random = Random(7);
    while running.load(Ordering::Acquire) > 0 {
        for &tid in &*tids.lock().unwrap() {
            pin(tid, random.below(cpus().into()) as usize);
        }
        std::thread::sleep(Duration::from_micros(50));
    }
}

fn read_until_done(reader: &mut BufferReader, running: &AtomicU64) -> Checker {
    let mut checker = Checker::default();
    while running.load(Ordering::Acquire) > 0 {
        let flush = checker.packets % 5 == 0;
        checker.drain(reader, flush);
        reader.wait(Duration::from_millis(10));
    }
    checker.drain(reader, true);
    checker.drain(reader, true);
    checker
}

#[test]
fn every_event_of_migrating_threads_is_delivered_once() {
    for rseq in [true, false] {
        let run = Run::new(rseq, WhenFull::Block(LONG));
        let outcome = run.go();
        let expected = run.events * u64::from(THREADS);
        assert_eq!(outcome.accepted, expected);
        assert_eq!(outcome.checker.events, expected);
        assert_eq!(outcome.lost, 0);
        let sum = u128::from(run.events) * u128::from(run.events - 1) / 2;
        for (who, seen) in &outcome.checker.seen {
            assert_eq!((seen.events, seen.sum), (run.events, sum), "emitter {who}");
        }
    }
}

#[test]
fn emitted_is_recorded_plus_lost_when_the_reader_cannot_keep_up() {
    for rseq in [true, false] {
        let run = Run::new(rseq, WhenFull::Discard);
        let outcome = run.go();
        assert_eq!(outcome.checker.events, outcome.accepted);
        assert_eq!(
            outcome.accepted + outcome.lost,
            run.events * u64::from(THREADS)
        );
        assert!(outcome.lost > 0, "the lanes are small enough to overflow");
    }
}

#[test]
fn threads_that_migrate_in_the_middle_of_an_event_commit_to_the_remote_counter() {
    let channel: &'static Channel = Box::leak(Box::default());
    let geometry = Geometry::new(cpus(), 4096, 4).unwrap();
    let mut reader = attach(channel, geometry, settings(WhenFull::Block(LONG), true));
    if cpus() < 2 || laneway_rseq::Rseq::get().process().is_err() {
        return; // nowhere to migrate to, or no local counter to miss
    }
    let mut random = Random(3);
    let mut checker = Checker::default();
    let events = 2_000;
    for number in 0..events {
        let target = random.below(2) as usize;
        channel.record(9, 12, |at| {
            // The record is reserved: now go elsewhere, every other time.
            pin(0, target);
            // SAFETY: twelve bytes are there.
            unsafe {
                at.cast::<u32>().write_unaligned(1);
                at.add(4).cast::<u64>().write_unaligned(number);
            }
        });
        checker.drain(&mut reader, false);
    }
    checker.drain(&mut reader, true);
    let remote: u64 = reader
        .lanes()
        .iter()
        .map(|lane| lane.remote_commits())
        .sum();
    assert_eq!(checker.events, events);
    // Some went to the remote counters and some did not, in the same sub-buffers, and
    // whole sub-buffers were delivered: the reader needed both halves of the sum.
    assert!(
        remote > events / 10,
        "{remote} of {events} commits were remote"
    );
    assert!(
        remote < events * 9 / 10,
        "{remote} of {events} commits were remote"
    );
}

#[test]
fn signal_handlers_emit_in_the_middle_of_anything() {
    static CHANNEL: Channel = Channel::new();
    static FROM_HANDLER: AtomicU64 = AtomicU64::new(0);
    extern "C" fn handler(_: i32) {
        let number = FROM_HANDLER.fetch_add(1, Ordering::Relaxed);
        assert!(emit(&CHANNEL, 99, number, 5));
    }
    let geometry = Geometry::new(cpus(), 4096, 64).unwrap();
    for rseq in [true, false] {
        FROM_HANDLER.store(0, Ordering::Relaxed);
        let mut reader = attach(&CHANNEL, geometry, settings(WhenFull::Block(LONG), rseq));
        let done = AtomicBool::new(false);
        let signals = 3_000 * stress_factor();
        let (mut checker, events) = std::thread::scope(|scope| {
            let (tid_in, tid_out) = std::sync::mpsc::channel();
            let done = &done;
            let emitter = scope.spawn(move || {
                // SAFETY: the handler only does what the test is about.
                unsafe { libc::signal(libc::SIGUSR1, handler as extern "C" fn(i32) as usize) };
                // SAFETY: no arguments.
                tid_in.send(unsafe { libc::pthread_self() }).unwrap();
                let mut number = 0;
                while FROM_HANDLER.load(Ordering::Relaxed) < signals {
                    assert!(emit(&CHANNEL, 1, number, 5));
                    number += 1;
                }
                done.store(true, Ordering::Release);
                number
            });
            let target = tid_out.recv().unwrap();
            let killer = scope.spawn(move || {
                let mut random = Random(5);
                while !done.load(Ordering::Acquire) {
                    // SAFETY: the thread is joined only after this one.
                    unsafe { libc::pthread_kill(target, libc::SIGUSR1) };
                    for _ in 0..random.below(3000) {
                        std::hint::spin_loop();
                    }
                }
            });
            let mut checker = Checker::default();
            while !emitter.is_finished() {
                checker.drain(&mut reader, false);
                reader.wait(Duration::from_millis(1));
            }
            killer.join().unwrap();
            (checker, emitter.join().unwrap())
        });
        checker.drain(&mut reader, true);
        assert!(CHANNEL.detach(LONG));
        assert_eq!(checker.seen[&1].events, events);
        assert_eq!(
            checker.seen[&99].events,
            FROM_HANDLER.load(Ordering::Relaxed)
        );
    }
}
