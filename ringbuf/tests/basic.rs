//! One thread, one reader: what goes in comes out.

mod common;

use common::{Checker, attach, both_kinds_of_lanes, emit, lost, settings};
use laneway_ringbuf::clock::{self, ClockKind};
use laneway_ringbuf::{Channel, Geometry, MAX_RECORD_BYTES, WhenFull};
use std::sync::Mutex;
use std::time::{Duration, Instant};

fn geometry(sub_buffer_bytes: u64, sub_buffers: u64) -> Geometry {
    // More lanes than any test machine has CPUs.
    Geometry::new(256, sub_buffer_bytes, sub_buffers).unwrap()
}

/// The first words behind the thread pointer, which belong to the C library.
fn thread_control_block() -> [u64; 8] {
    let mut words = [0; 8];
    #[cfg(target_arch = "x86_64")]
    for (word, offset) in words.iter_mut().zip((0_u64..).step_by(8)) {
        // SAFETY: reads a word of this thread's control block.
        unsafe { std::arch::asm!("mov {}, fs:[{}]", out(reg) *word, in(reg) offset) };
    }
    words
}

#[test]
fn events_of_every_size_come_out_as_they_went_in() {
    both_kinds_of_lanes(|rseq| {
        let channel = Channel::new();
        let mut reader = attach(
            &channel,
            geometry(4096, 8),
            settings(WhenFull::Discard, rseq),
        );
        let mut checker = Checker::default();
        for number in 0..10_000 {
            assert!(emit(&channel, 1, number, (number % 900) as usize));
            checker.drain(&mut reader, number % 7 == 0);
        }
        checker.drain(&mut reader, true);
        assert_eq!(checker.events, 10_000);
        assert_eq!(lost(&mut reader).total(), 0);
        assert!(channel.detach(Duration::from_secs(1)));
    });
}

#[test]
fn the_clock_can_be_one_that_no_sequence_reads() {
    both_kinds_of_lanes(|rseq| {
        let channel = Channel::new();
        let mut settings = settings(WhenFull::Discard, rseq);
        settings.clock = ClockKind::Monotonic;
        let mut reader = attach(&channel, geometry(4096, 8), settings);
        let mut checker = Checker::default();
        let before = thread_control_block();
        for number in 0..10_000 {
            assert!(emit(&channel, 1, number, (number % 90) as usize));
            checker.drain(&mut reader, number % 7 == 0);
        }
        assert_eq!(
            thread_control_block(),
            before,
            "an area that nobody knows was armed"
        );
        checker.drain(&mut reader, true);
        assert_eq!(checker.events, 10_000);
        assert!(channel.detach(Duration::from_secs(1)));
    });
}

#[test]
fn records_that_fill_sub_buffers_to_the_last_byte_are_all_delivered() {
    both_kinds_of_lanes(|rseq| {
        let channel = Channel::new();
        let mut reader = attach(
            &channel,
            geometry(4096, 4),
            settings(WhenFull::Discard, rseq),
        );
        let mut checker = Checker::default();
        // 12 + 3 bytes of content and a header: 24, and one byte of padding: 24 bytes
        // would not divide 4096; 32 do.
        for number in 0..4096 / 32 * 3 {
            assert!(emit(&channel, 1, number, 11));
        }
        checker.drain(&mut reader, false);
        let whole = checker.events;
        checker.drain(&mut reader, true);
        assert_eq!(checker.events, 4096 / 32 * 3);
        assert!(
            whole >= 4096 / 32,
            "the counters alone delivered {whole} events"
        );
    });
}

#[test]
fn a_full_lane_loses_the_newest_events_and_counts_each_of_them() {
    both_kinds_of_lanes(|rseq| {
        let channel = Channel::new();
        let mut reader = attach(
            &channel,
            geometry(4096, 2),
            settings(WhenFull::Discard, rseq),
        );
        let emitted = 100_000;
        let kept = (0..emitted)
            .filter(|&number| emit(&channel, 1, number, 20))
            .count() as u64;
        assert!(kept < emitted);
        let mut checker = Checker::default();
        checker.drain(&mut reader, true);
        assert_eq!(checker.events, kept);
        assert_eq!(lost(&mut reader).full, emitted - kept);
        assert!(emit(&channel, 1, emitted, 20), "there is room again");
    });
}

#[test]
fn an_event_larger_than_a_sub_buffer_is_lost_as_too_large_and_harms_nothing() {
    both_kinds_of_lanes(|rseq| {
        let channel = Channel::new();
        let mut reader = attach(
            &channel,
            geometry(4096, 2),
            settings(WhenFull::Discard, rseq),
        );
        assert!(emit(&channel, 1, 1, 0));
        assert!(!emit(&channel, 1, 2, 4096));
        assert!(!emit(&channel, 1, 3, MAX_RECORD_BYTES));
        assert!(!emit(&channel, 1, 4, 1 << 20));
        assert!(emit(&channel, 1, 5, 0));
        let mut checker = Checker::default();
        checker.drain(&mut reader, true);
        assert_eq!(checker.events, 2);
        assert_eq!(lost(&mut reader).too_large, 3);
    });
}

#[test]
fn a_record_of_the_largest_size_fits() {
    both_kinds_of_lanes(|rseq| {
        let channel = Channel::new();
        let mut reader = attach(
            &channel,
            geometry(1 << 18, 2),
            settings(WhenFull::Discard, rseq),
        );
        // Header, emitter and number, one byte of padding at least; and room for an
        // extension.
        let filler = MAX_RECORD_BYTES - 8 - 12 - 1 - 10 - 7;
        assert!(emit(&channel, 1, 1, filler));
        let mut checker = Checker::default();
        checker.drain(&mut reader, true);
        assert_eq!(checker.events, 1);
    });
}

#[test]
fn a_blocked_event_waits_for_its_limit_and_is_then_lost_as_timed_out() {
    both_kinds_of_lanes(|rseq| {
        let channel = Channel::new();
        let limit = Duration::from_millis(50);
        let mut reader = attach(
            &channel,
            geometry(4096, 2),
            settings(WhenFull::Block(limit), rseq),
        );
        let start = Instant::now();
        // Two lanes if the thread migrates, so a little more than one lane holds.
        let kept = (0..1000)
            .take_while(|&number| emit(&channel, 1, number, 20))
            .count();
        assert!(start.elapsed() >= limit);
        assert!(kept < 1000);
        assert_eq!(lost(&mut reader).timed_out, 1);
    });
}

#[test]
fn nobody_waits_once_blocking_was_stopped() {
    let channel = Channel::new();
    let mut reader = attach(
        &channel,
        geometry(4096, 2),
        settings(WhenFull::Block(Duration::MAX), true),
    );
    std::thread::scope(|scope| {
        let blocked = scope.spawn(|| {
            (0..1000)
                .take_while(|&number| emit(&channel, 1, number, 20))
                .count()
        });
        while lost(&mut reader).total() == 0 {
            std::thread::sleep(Duration::from_millis(20));
            channel.stop_blocking();
        }
        assert!(blocked.join().unwrap() < 1000);
    });
    assert_eq!(lost(&mut reader).full, 1);
}

#[test]
fn a_detached_channel_loses_nothing_and_records_nothing() {
    let channel = Channel::new();
    assert!(!emit(&channel, 1, 1, 0));
    let mut reader = attach(
        &channel,
        geometry(4096, 2),
        settings(WhenFull::Discard, true),
    );
    assert!(emit(&channel, 1, 2, 0));
    assert!(channel.detach(Duration::from_secs(1)));
    assert!(!emit(&channel, 1, 3, 0));
    let mut checker = Checker::default();
    checker.drain(&mut reader, true);
    assert_eq!(
        checker.events, 1,
        "what was recorded outlives the producer's mapping"
    );
    assert_eq!(lost(&mut reader).total(), 0);
}

#[test]
fn a_record_is_not_read_before_it_is_published_on_any_lap() {
    both_kinds_of_lanes(|rseq| {
        let channel = Channel::new();
        let mut reader = attach(
            &channel,
            geometry(4096, 2),
            settings(WhenFull::Discard, rseq),
        );
        let checker = Mutex::new((Checker::default(), &mut reader));
        for number in 0..2000 {
            let recorded = channel.record(9, 12, |at| {
                // Reserved, and neither written nor published: the reader passes by.
                let (checker, reader) = &mut *checker.lock().unwrap();
                checker.drain(reader, true);
                assert_eq!(checker.events, number);
                // SAFETY: twelve bytes are there.
                unsafe {
                    at.cast::<u32>().write_unaligned(1);
                    at.add(4).cast::<u64>().write_unaligned(number);
                }
            });
            assert!(recorded);
        }
    });
}

#[test]
fn an_event_after_a_long_silence_tells_the_whole_clock() {
    both_kinds_of_lanes(|rseq| {
        let channel = Channel::new();
        let settings = settings(WhenFull::Discard, rseq);
        let mut reader = attach(&channel, geometry(1 << 16, 2), settings);
        let mut checker = Checker::default();
        // Twice 2^32 ticks are 2.2 s at 4 GHz and 8.6 s of nanoseconds.
        let silence = match settings.clock {
            ClockKind::Tsc => Duration::from_millis(2300),
            ClockKind::Monotonic => Duration::from_secs(5),
        };
        for number in 0..3 {
            emit(&channel, 1, 10 * number, 0);
            emit(&channel, 1, 10 * number + 1, 0);
            let before = clock::now(settings.clock);
            checker.drain(&mut reader, true);
            let last = reader
                .lanes()
                .iter()
                .map(|lane| lane.last_end())
                .max()
                .unwrap();
            assert!(
                before.abs_diff(last) < 1 << 31,
                "the event is {last}, the clock {before}"
            );
            if number < 2 {
                std::thread::sleep(silence);
            }
        }
        assert_eq!(checker.events, 6);
        assert!(checker.extended > 0, "no record told the whole clock");
    });
}

#[test]
fn a_cpu_beyond_the_lanes_writes_to_an_atomic_lane() {
    if common::cpus() < 2 {
        return; // every CPU has a lane
    }
    let channel = Channel::new();
    let geometry = Geometry::new(1, 4096, 8).unwrap();
    let mut reader = attach(&channel, geometry, settings(WhenFull::Discard, true));
    common::pin(0, 0);
    assert!(emit(&channel, 1, 1, 0));
    common::pin(0, 1);
    for number in 2..200 {
        assert!(emit(&channel, 1, number, 0));
    }
    let lanes: Vec<_> = reader.lanes().iter().map(|lane| lane.is_atomic()).collect();
    let rseq = laneway_rseq::Rseq::get().process().is_ok();
    assert_eq!(lanes, if rseq { vec![false, true] } else { vec![true] });
    let mut checker = Checker::default();
    checker.drain(&mut reader, true);
    assert_eq!(checker.events, 199);
}

#[test]
fn lanes_that_nobody_wrote_to_take_no_memory() {
    let channel = Channel::new();
    let mut reader = attach(
        &channel,
        geometry(1 << 20, 8),
        settings(WhenFull::Discard, true),
    );
    assert!(emit(&channel, 1, 1, 0));
    assert!(
        reader.lanes().len() <= 2,
        "only lanes that were used are looked at"
    );
}
