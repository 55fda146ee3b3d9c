//! The flight recorder: producers overwrite the oldest, snapshots show the newest.

mod common;

use common::{Checker, Random, attach, cpus, emit, gettid, lost, pin, settings, stress_factor};
use laneway_ringbuf::{BufferReader, Channel, Geometry, WhenFull};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const THREADS: u32 = 4;

/// Takes a snapshot and checks every record in it; says what was seen and how many were
/// reserved and not published.
fn snapshot(reader: &mut BufferReader) -> (Checker, u64) {
    let mut checker = Checker::default();
    let mut unfinished = 0;
    let copies = reader.snapshot();
    for (lane, snapshot) in reader.lanes().iter().zip(copies) {
        let index = lane.index();
        unfinished += snapshot.unfinished;
        for packet in &snapshot.packets {
            checker.check_copy(index, false, packet);
        }
    }
    (checker, unfinished)
}

#[test]
fn the_newest_events_are_kept_and_the_others_counted() {
    for rseq in [true, false] {
        let channel = Channel::new();
        let geometry = Geometry::new(cpus(), 4096, 8).unwrap();
        let mut reader = attach(&channel, geometry, settings(WhenFull::Overwrite, rseq));
        let mut emitted = 0;
        for more in [10, 1000, 100_000_u64] {
            assert!((emitted..emitted + more).all(|number| emit(&channel, 1, number, 0)));
            emitted += more;
            let (checker, unfinished) = snapshot(&mut reader);
            assert_eq!(unfinished, 0);
            let last = checker.seen[&1].last.values().max().copied();
            assert_eq!(last, Some(emitted - 1), "the newest is there");
            assert_eq!(checker.events + lost(&mut reader).overwritten, emitted);
        }
        // All sub-buffers but the one that is being filled are full: 4096 / 24 records each.
        let (checker, _) = snapshot(&mut reader);
        assert!(checker.events >= 7 * (4096 / 24), "{}", checker.events);
        assert!(channel.detach(Duration::from_secs(1)));
    }
}

/// Emits from all threads, moved about all the time, while snapshots are taken.
fn storm(rseq: bool, sub_buffers: u64) {
    let channel: &'static Channel = Box::leak(Box::default());
    let geometry = Geometry::new(cpus(), 4096, sub_buffers).unwrap();
    let mut reader = attach(channel, geometry, settings(WhenFull::Overwrite, rseq));
    let (stop, emitted) = (AtomicBool::new(false), AtomicU64::new(0));
    let tids = Mutex::new(Vec::new());
    let accepted = AtomicU64::new(0);
    let mut snapshots = 0;
    std::thread::scope(|scope| {
        for who in 0..THREADS {
            let (stop, emitted, accepted, tids) = (&stop, &emitted, &accepted, &tids);
            scope.spawn(move || {
                tids.lock().unwrap().push(gettid());
                let mut random = Random(0x9e37_79b9 + u64::from(who));
                let (mut number, mut kept) = (0, 0);
                while !stop.load(Ordering::Relaxed) {
                    kept += u64::from(emit(channel, who, number, random.below(60) as usize));
                    number += 1;
                }
                accepted.fetch_add(kept, Ordering::Relaxed);
                emitted.fetch_add(number, Ordering::Relaxed);
            });
        }
        let mut random = Random(3);
        while snapshots < 300 * stress_factor() {
            let (checker, unfinished) = snapshot(&mut reader);
            assert!(unfinished <= THREADS.into(), "{unfinished} unfinished");
            snapshots += u64::from(checker.events > 0);
            for &tid in &*tids.lock().unwrap() {
                pin(tid, random.below(cpus().into()) as usize);
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let (checker, unfinished) = snapshot(&mut reader);
    let lost = lost(&mut reader);
    assert_eq!(unfinished, 0);
    assert_eq!(checker.events + lost.overwritten, accepted.into_inner());
    let emitted = emitted.into_inner();
    assert_eq!(checker.events + lost.total(), emitted, "{lost:?}");
    assert!(channel.detach(Duration::from_secs(10)));
}

#[test]
fn snapshots_are_whole_and_true_while_all_threads_emit() {
    for sub_buffers in [2, 8] {
        storm(true, sub_buffers);
    }
}

#[test]
fn snapshots_of_lanes_without_sequences_are_no_worse() {
    for sub_buffers in [2, 8] {
        storm(false, sub_buffers);
    }
}
