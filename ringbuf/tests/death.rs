//! Processes that end in the middle of anything, and memory that lies.

mod common;

use common::{
    Checker, Random, attach, cpus, emit, settings, shared_words, stress_factor, wait_for,
};
use laneway_ringbuf::{BufferReader, Channel, Geometry, Reading, SharedMemory, WhenFull};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Reads everything a dead process left.
fn drain_dead(reader: &mut BufferReader, checker: &mut Checker) -> u64 {
    let mut unfinished = 0;
    for lane in reader.lanes() {
        while let Some(packet) = lane.final_packet() {
            checker.check(&packet);
            packet.release();
        }
        assert_eq!(lane.damaged_bytes(), 0);
        unfinished += lane.lost().unfinished;
    }
    unfinished
}

#[test]
fn what_was_emitted_before_a_kill_is_all_there() {
    for round in 0..30 * stress_factor() {
        let rseq = round % 3 != 0;
        let channel: &'static Channel = Box::leak(Box::default());
        let geometry = Geometry::new(cpus(), 4096, 512).unwrap();
        let (fd, memory) = SharedMemory::create(geometry).unwrap();
        let counts = shared_words();
        // SAFETY: the child only traces and is killed; it takes no lock of its parent.
        let child = unsafe { libc::fork() };
        if child == 0 {
            channel
                .attach(
                    memory,
                    settings(WhenFull::Block(Duration::from_secs(60)), rseq),
                )
                .unwrap();
            for who in 0..3 {
                std::thread::spawn(move || {
                    for number in 0.. {
                        emit(channel, who, number, (number % 200) as usize);
                        counts[who as usize].store(number + 1, Ordering::Relaxed);
                    }
                });
            }
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        drop(memory);
        let mut reader = BufferReader::map(&fd).unwrap();
        let mut checker = Checker::default();
        let mut random = Random(round + 1);
        let patience = std::time::Instant::now() + Duration::from_micros(500 + random.below(3000));
        while std::time::Instant::now() < patience {
            checker.drain(&mut reader, round % 2 == 0);
        }
        wait_for(child, Some(libc::SIGKILL));
        let unfinished = drain_dead(&mut reader, &mut checker);
        assert!(
            unfinished <= 3,
            "{unfinished} unfinished records of three threads"
        );
        for who in 0..3 {
            let emitted = counts[who as usize].load(Ordering::Relaxed);
            let seen = checker.seen.get(&who).map_or(0, |seen| seen.events);
            // The count is stored behind the event, so one more may be there.
            assert!(
                seen == emitted || seen == emitted + 1,
                "thread {who}: {seen} of {emitted}"
            );
        }
    }
}

#[test]
fn a_child_of_a_fork_cannot_write_into_its_parents_ring() {
    let channel: &'static Channel = Box::leak(Box::default());
    let geometry = Geometry::new(cpus(), 4096, 8).unwrap();
    let mut reader = attach(channel, geometry, settings(WhenFull::Discard, true));
    assert!(emit(channel, 1, 1, 0));
    // SAFETY: the child emits, and exits without running anything of its parent's.
    let child = unsafe { libc::fork() };
    if child == 0 {
        channel.forget_in_child();
        let kept = emit(channel, 1, 2, 0);
        // SAFETY: ends the process.
        unsafe { libc::_exit(kept.into()) };
    }
    let mut status = 0;
    // SAFETY: our child.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(status, 0, "the child's event found no memory");
    assert!(emit(channel, 1, 3, 0));
    let mut checker = Checker::default();
    checker.drain(&mut reader, true);
    assert_eq!(checker.events, 2);
}

/// Overwrites random words of a buffer with random values.
fn spoil(file: &std::fs::File, bytes: u64, random: &mut Random) {
    for _ in 0..random.below(40) {
        // Half of the damage goes to the control blocks, which are small.
        let near = if random.below(2) == 0 {
            12 << 10
        } else {
            bytes
        };
        let at = random.below(near.min(bytes) - 8) / 8 * 8;
        let at = if at < 64 { 64 } else { at };
        let value = match random.below(4) {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << random.below(64),
            _ => random.next(),
        };
        file.write_all_at(&value.to_le_bytes(), at).unwrap();
    }
}

#[test]
fn a_reader_survives_any_bytes_in_the_ring_and_never_works_without_end() {
    let mut random = Random(11);
    let mut out = Vec::new();
    for round in 0..300 * stress_factor() {
        let channel = Channel::new();
        let geometry = Geometry::new(2, 4096, 4).unwrap();
        let (fd, memory) = SharedMemory::create(geometry).unwrap();
        let file = std::fs::File::from(OwnedFd::try_clone(&fd).unwrap());
        channel
            .attach(memory, settings(WhenFull::Discard, round % 2 == 0))
            .unwrap();
        let mut reader = BufferReader::map(&fd).unwrap();
        for number in 0..200 {
            emit(&channel, 1, number, random.below(100) as usize);
            if random.below(20) == 0 {
                spoil(&file, geometry.buffer_bytes(), &mut random);
                for lane in reader.lanes() {
                    out.clear();
                    let mut packets = 0;
                    while let Some(packet) = lane.next_packet() {
                        packet.copy_to(&mut out);
                        packet.release();
                        packets += 1;
                    }
                    if let Some(packet) = lane.partial_packet() {
                        packet.copy_to(&mut out);
                        packet.release();
                    }
                    assert!(packets <= 4, "more packets than sub-buffers");
                }
            }
        }
        reader.wait(Duration::from_millis(1));
        // Those who come later, or look at it in another way.
        reader.bury(1);
        let mut successor = BufferReader::map(&fd).unwrap();
        for lane in successor.lanes() {
            lane.skip(random.next(), random.next(), random.next());
            let packets = (0..8).take_while(|_| lane.next_packet().is_some()).count();
            assert!(packets <= 8);
        }
        let memory = SharedMemory::open(&fd).unwrap();
        let mut recorder = BufferReader::of(memory, Reading::Snapshots);
        for copy in recorder.snapshot() {
            let copied: usize = copy.packets.iter().map(|p| p.bytes.len()).sum();
            assert!(copied as u64 <= geometry.lane_bytes());
        }
        recorder.bury(2);
        recorder.wait(Duration::from_micros(1));
        for lane in reader.lanes() {
            let mut packets = 0;
            while let Some(packet) = lane.final_packet() {
                packet.release();
                packets += 1;
                assert!(packets <= 4 * 4096 / 16, "more packets than records fit");
            }
        }
    }
}
