//! Threads that are stopped in the middle of an event, for as long as they like.

mod common;

use common::{Checker, attach, both_kinds_of_lanes, cpus, emit, lost, pin, settings};
use laneway_ringbuf::{BufferReader, Channel, Geometry, WhenFull};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

/// Emitter of the event that takes so long.
const SLOW: u32 = 77;

/// An event that is reserved, and published when it may be.
struct Slow {
    stage: AtomicU32,
}

impl Slow {
    const RESERVED: u32 = 1;
    const MAY_GO_ON: u32 = 2;

    fn new() -> Self {
        Slow {
            stage: AtomicU32::new(0),
        }
    }

    fn emit(&self, channel: &Channel, number: u64) -> bool {
        pin(0, 0); // it and the others in one lane
        channel.record(9, 12, |at| {
            self.stage.store(Slow::RESERVED, Ordering::Release);
            self.wait_for(Slow::MAY_GO_ON);
            // SAFETY: twelve bytes are there.
            unsafe {
                at.cast::<u32>().write_unaligned(SLOW);
                at.add(4).cast::<u64>().write_unaligned(number);
            }
        })
    }

    fn wait_for(&self, stage: u32) {
        let began = Instant::now();
        while self.stage.load(Ordering::Acquire) < stage {
            assert!(began.elapsed() < LONG, "the other side is stuck");
            std::thread::yield_now();
        }
    }

    fn go_on(&self) {
        self.stage.store(Slow::MAY_GO_ON, Ordering::Release);
    }
}

/// Emits `events` while reading: in a lane of few small sub-buffers, so it goes round often.
fn emit_and_read(
    channel: &Channel,
    reader: &mut BufferReader,
    checker: &mut Checker,
    mut events: Range<u64>,
) {
    std::thread::scope(|scope| {
        let emitter = scope.spawn(move || {
            pin(0, 0);
            events.all(|number| emit(channel, 1, number, 40))
        });
        while !emitter.is_finished() {
            checker.drain(reader, true);
            reader.wait(Duration::from_millis(1));
        }
        assert!(emitter.join().unwrap(), "an event found no room");
    });
    checker.drain(reader, true);
}

#[test]
fn a_stopped_thread_holds_its_sub_buffer_and_nothing_else() {
    both_kinds_of_lanes(|rseq| {
        let channel = Channel::new();
        let geometry = Geometry::new(cpus(), 4096, 4).unwrap();
        let mut reader = attach(&channel, geometry, settings(WhenFull::Block(LONG), rseq));
        let (mut checker, slow) = (Checker::default(), Slow::new());
        std::thread::scope(|scope| {
            let stopped = scope.spawn(|| slow.emit(&channel, 5));
            slow.wait_for(Slow::RESERVED);
            emit_and_read(&channel, &mut reader, &mut checker, 0..20_000);
            // All others, but for those behind it in its sub-buffer.
            let delivered = checker.seen[&1].events;
            assert!(delivered >= 20_000 - 4096 / 64, "{delivered}");
            assert!(!checker.seen.contains_key(&SLOW), "it is not published");
            slow.go_on();
            assert!(stopped.join().unwrap());
        });
        emit_and_read(&channel, &mut reader, &mut checker, 20_000..40_000);
        assert_eq!(checker.seen[&SLOW].events, 1);
        assert_eq!(checker.seen[&1].events, 40_000);
        assert!(checker.late > 0, "the stopped one's sub-buffer came later");
        assert_eq!(lost(&mut reader).total(), 0);
        assert!(channel.detach(LONG));
    });
}

#[test]
fn when_stopped_threads_hold_every_sub_buffer_events_are_lost_and_counted() {
    both_kinds_of_lanes(|rseq| {
        let channel = Channel::new();
        let geometry = Geometry::new(1, 4096, 2).unwrap();
        let mut settings = settings(WhenFull::Discard, rseq);
        // On one lane, whatever CPU: beyond CPU 0, and without rseq, that of the atomic kind.
        settings.rseq = false;
        let mut reader = attach(&channel, geometry, settings);
        let (mut checker, slow) = (Checker::default(), [Slow::new(), Slow::new()]);
        let mut recorded = 0;
        std::thread::scope(|scope| {
            for (number, one) in slow.iter().enumerate() {
                scope.spawn(|| one.emit(&channel, 5));
                one.wait_for(Slow::RESERVED);
                // Until the lane has left its sub-buffer.
                recorded += (0..200)
                    .filter(|&n| emit(&channel, number as u32, n, 0))
                    .count();
                std::thread::sleep(Duration::from_millis(30));
                checker.drain(&mut reader, true);
                checker.drain(&mut reader, true);
            }
            let more = (0..1000).filter(|&n| emit(&channel, 9, n, 0)).count();
            assert_eq!(more, 0, "both are held");
            slow.iter().for_each(Slow::go_on);
        });
        checker.drain(&mut reader, true);
        assert_eq!(checker.events, recorded as u64 + 2);
        assert_eq!(lost(&mut reader).full, 1400 - recorded as u64);
        assert!(emit(&channel, 10, 0, 0), "there is room again");
        assert!(channel.detach(LONG));
    });
}

#[test]
fn a_stopped_thread_keeps_the_memory_until_it_goes_on() {
    both_kinds_of_lanes(|rseq| {
        let channel = Channel::new();
        let geometry = Geometry::new(cpus(), 4096, 4).unwrap();
        let mut reader = attach(&channel, geometry, settings(WhenFull::Block(LONG), rseq));
        let (mut checker, slow) = (Checker::default(), Slow::new());
        std::thread::scope(|scope| {
            scope.spawn(|| slow.emit(&channel, 5));
            slow.wait_for(Slow::RESERVED);
            emit_and_read(&channel, &mut reader, &mut checker, 0..20_000);
            assert!(!channel.detach(Duration::from_millis(20)), "it is in there");
            slow.go_on();
        });
        assert!(channel.detach(LONG));
        checker.drain(&mut reader, true);
        assert_eq!(checker.seen[&SLOW].events, 1);
    });
}

#[test]
fn a_sub_buffer_that_can_still_be_written_to_is_never_overwritten() {
    both_kinds_of_lanes(|rseq| {
        let channel = Channel::new();
        let geometry = Geometry::new(cpus(), 4096, 4).unwrap();
        let mut reader = attach(&channel, geometry, settings(WhenFull::Overwrite, rseq));
        let slow = Slow::new();
        let emitted = 50_000;
        std::thread::scope(|scope| {
            let stopped = scope.spawn(|| slow.emit(&channel, 5));
            slow.wait_for(Slow::RESERVED);
            assert!((0..emitted).all(|number| emit(&channel, 1, number, 40)));
            slow.go_on();
            assert!(stopped.join().unwrap());
        });
        let mut checker = Checker::default();
        let copies = reader.snapshot();
        for (lane, snapshot) in reader.lanes().iter().zip(copies) {
            let index = lane.index();
            assert_eq!(snapshot.unfinished, 0);
            for packet in &snapshot.packets {
                checker.check_copy(index, false, packet);
            }
        }
        assert_eq!(checker.seen[&SLOW].events, 1, "it is there, whole");
        let overwritten = lost(&mut reader).overwritten;
        assert_eq!(checker.events + overwritten, emitted + 1);
        assert!(overwritten > 0);
    });
}

#[test]
fn what_was_behind_a_thread_that_died_in_an_event_is_found_at_the_end() {
    both_kinds_of_lanes(|rseq| {
        let channel: &'static Channel = Box::leak(Box::default());
        let geometry = Geometry::new(cpus(), 4096, 4).unwrap();
        let mut reader = attach(channel, geometry, settings(WhenFull::Block(LONG), rseq));
        let mut checker = Checker::default();
        let slow: &'static Slow = Box::leak(Box::new(Slow::new()));
        // It never goes on: for the reader it is as good as dead.
        std::thread::spawn(|| slow.emit(channel, 5));
        slow.wait_for(Slow::RESERVED);
        emit_and_read(channel, &mut reader, &mut checker, 0..20_000);
        let mut late = 0;
        for lane in reader.lanes() {
            while let Some(packet) = lane.final_packet() {
                late += u64::from(packet.is_late());
                checker.check(&packet);
                packet.release();
            }
            assert_eq!(lane.damaged_bytes(), 0);
        }
        assert!(late > 0, "the sub-buffer was left behind");
        assert_eq!(checker.seen[&1].events, 20_000);
        assert_eq!(lost(&mut reader).total(), 1);
        assert_eq!(lost(&mut reader).unfinished, 1);
        slow.go_on();
    });
}
