//! Several processes in one buffer, any of which may be killed at any moment.

mod common;

use common::{Checker, Random, cpus, settings, shared_words, stress_factor, wait_for};
use laneway_ringbuf::{
    BufferReader, Channel, ChannelSettings, Geometry, Reading, SharedMemory, WhenFull,
};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);
const PROCESSES: u16 = 3;
const THREADS: u16 = 2;

/// The event's id in the buffer, and in the process, which numbers its events in its own way.
const ID: u16 = 9;
const OWN: u16 = 2;

/// A process that emits from its threads until it is killed or `stop` is set.
fn emitting_process(
    fd: &OwnedFd,
    settings: ChannelSettings,
    done: &'static [AtomicU64; 64],
    stop: &'static AtomicU64,
) -> i32 {
    // SAFETY: the child only traces, and ends without running anything of its parent's.
    let child = unsafe { libc::fork() };
    if child != 0 {
        return child;
    }
    // SAFETY: an integer argument; a test that fails leaves nobody behind.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let channel: &'static Channel = Box::leak(Box::default());
    let memory = SharedMemory::open(fd).unwrap();
    let ids = Box::new([1, 1, ID]);
    channel.attach_shared(memory, ids, settings).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let who = (settings.slot - 1) * THREADS + thread;
            scope.spawn(move || {
                for number in 0.. {
                    let filler = (number % 60) as usize;
                    channel.record_by_table(OWN, 12 + filler, |at| {
                        // SAFETY: that many bytes are there.
                        unsafe {
                            at.cast::<u32>().write_unaligned(who.into());
                            at.add(4).cast::<u64>().write_unaligned(number);
                            at.add(12).write_bytes(number as u8, filler);
                        }
                    });
                    done[usize::from(who)].store(number + 1, Ordering::Relaxed);
                    if stop.load(Ordering::Relaxed) != 0 {
                        return;
                    }
                }
            });
        }
    });
    // SAFETY: ends the process.
    unsafe { libc::_exit(0) };
}

/// What must be there of each thread: all events whose emission returned, and at most one more.
fn check_all(checker: &Checker, done: &[AtomicU64; 64], lost: u64) {
    assert_eq!(lost, 0, "nothing is lost in block mode");
    for who in 0..u32::from(PROCESSES * THREADS) {
        let returned = done[who as usize].load(Ordering::Relaxed);
        let seen = checker.seen.get(&who).map_or(0, |seen| seen.events);
        assert!(
            seen == returned || seen == returned + 1,
            "thread {who}: {seen} of {returned}"
        );
    }
}

#[test]
fn a_process_that_is_killed_takes_nothing_from_the_others() {
    let mut slowest = Duration::ZERO;
    for round in 0..12 * stress_factor() {
        let rseq = round % 3 != 0;
        let geometry = Geometry::new(cpus(), 4096, 4).unwrap();
        let (fd, memory) = SharedMemory::create(geometry).unwrap();
        let mut reader = BufferReader::of(memory, Reading::InOrder);
        let done = shared_words();
        let stop = &done[63];
        let children: Vec<i32> = (1..=PROCESSES)
            .map(|slot| {
                let settings = ChannelSettings {
                    slot,
                    ..settings(WhenFull::Block(LONG), rseq)
                };
                emitting_process(&fd, settings, done, stop)
            })
            .collect();
        let (mut checker, mut random) = (Checker::default(), Random(round + 1));
        let read_for = |reader: &mut BufferReader, checker: &mut Checker, time: Duration| {
            let began = Instant::now();
            while began.elapsed() < time {
                checker.drain(reader, true);
                reader.wait(Duration::from_millis(1));
            }
        };
        let mut unfinished = 0;
        for (slot, &child) in (1..PROCESSES).zip(&children) {
            let time = Duration::from_micros(2000 + random.below(4000));
            read_for(&mut reader, &mut checker, time);
            wait_for(child, Some(libc::SIGKILL));
            let began = Instant::now();
            unfinished += reader.bury(slot);
            slowest = slowest.max(began.elapsed());
        }
        assert!(unfinished <= u64::from(THREADS * (PROCESSES - 1)));
        // The last one goes on in every lane that the dead have written to.
        let who = usize::from((PROCESSES - 1) * THREADS);
        let before = done[who].load(Ordering::Relaxed);
        let began = Instant::now();
        while done[who].load(Ordering::Relaxed) < before + 1000 {
            assert!(began.elapsed() < LONG, "it is stuck");
            read_for(&mut reader, &mut checker, Duration::from_millis(5));
        }
        stop.store(1, Ordering::Relaxed);
        std::thread::scope(|scope| {
            let last = scope.spawn(|| wait_for(children[2], None));
            while !last.is_finished() {
                checker.drain(&mut reader, true);
                reader.wait(Duration::from_millis(1));
            }
        });
        for _ in 0..3 {
            checker.drain(&mut reader, true);
            std::thread::sleep(Duration::from_millis(2));
        }
        let lost = reader.lanes().iter().map(|lane| lane.lost());
        let lost = lost.map(|lost| lost.total() - lost.unfinished).sum();
        check_all(&checker, done, lost);
        assert!(reader.lanes().iter().all(|lane| lane.damaged_bytes() == 0));
    }
    println!("the slowest burial took {slowest:?}");
}

#[test]
fn what_the_dead_left_can_be_overwritten_and_does_not_stop_the_living() {
    for round in 0..6 * stress_factor() {
        let rseq = round % 3 != 0;
        let geometry = Geometry::new(cpus(), 4096, 16).unwrap();
        let (fd, memory) = SharedMemory::create(geometry).unwrap();
        let mut reader = BufferReader::of(memory, Reading::Snapshots);
        let done = shared_words();
        let stop = &done[63];
        let start = |slot: u16| {
            let settings = ChannelSettings {
                slot,
                ..settings(WhenFull::Overwrite, rseq)
            };
            emitting_process(&fd, settings, done, stop)
        };
        let survivor = start(1);
        let mut random = Random(round + 1);
        for slot in 2..20 {
            let child = start(slot);
            std::thread::sleep(Duration::from_micros(500 + random.below(3000)));
            wait_for(child, Some(libc::SIGKILL));
            assert!(reader.bury(slot) <= THREADS.into());
            reader.wait(Duration::from_micros(100));
        }
        let before = done[0].load(Ordering::Relaxed);
        let began = Instant::now();
        while done[0].load(Ordering::Relaxed) == before {
            assert!(began.elapsed() < LONG, "the survivor is stuck");
            reader.wait(Duration::from_millis(1));
        }
        stop.store(1, Ordering::Relaxed);
        wait_for(survivor, None);
        let mut checker = Checker::default();
        let copies = reader.snapshot();
        for (lane, snapshot) in reader.lanes().iter().zip(copies) {
            let index = lane.index();
            assert_eq!(snapshot.unfinished, 0, "the dead are buried");
            for packet in &snapshot.packets {
                checker.check_copy(index, false, packet);
            }
            assert_eq!(lane.lost().full, 0, "what the dead left is free");
        }
        let newest = checker.seen[&0].last.values().max().copied();
        let emitted = done[0].load(Ordering::Relaxed);
        assert_eq!(newest, Some(emitted - 1), "the survivor's newest is there");
    }
}
