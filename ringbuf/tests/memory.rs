//! How much memory a buffer really takes, and where it lies.

mod common;

use common::{Checker, Random, attach, cpus, emit, lost, settings, stress_factor};
use laneway_ringbuf::{
    BufferReader, Channel, Geometry, LaneChoice, Reading, SharedMemory, WhenFull,
};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

fn bytes_allocated(fd: &OwnedFd) -> u64 {
    let file = File::from(fd.try_clone().unwrap());
    file.metadata().unwrap().blocks() * 512
}

#[test]
fn an_idle_process_gives_its_free_sub_buffers_back_and_loses_nothing() {
    for lanes in [LaneChoice::Cpu, LaneChoice::Concurrency] {
        if laneway_rseq::Rseq::get().process().is_err() {
            return; // memory of atomic lanes stays
        }
        let channel = Channel::new();
        let geometry = Geometry::new(cpus(), 64 << 10, 8).unwrap();
        let (fd, memory) = SharedMemory::create(geometry).unwrap();
        let mut settings = settings(WhenFull::Block(LONG), true);
        settings.lanes = lanes;
        channel.attach(memory, settings).unwrap();
        let mut reader = BufferReader::map(&fd).unwrap();
        let mut checker = Checker::default();
        let mut emitted = 0;
        for _ in 0..5 {
            for _ in 0..40_000 {
                assert!(emit(&channel, 1, emitted, 0));
                emitted += 1;
                if emitted % 1000 == 0 {
                    checker.drain(&mut reader, false);
                }
            }
            checker.drain(&mut reader, true);
            let busy = bytes_allocated(&fd);
            assert!(busy > 256 << 10, "{busy} bytes");
            let given_back = channel.give_back_idle(LONG);
            let idle = bytes_allocated(&fd);
            println!("{lanes:?}: {busy} bytes when busy, {idle} when idle");
            assert!(given_back > 0 && idle <= busy - given_back / 2);
            // What remains are the headers and the sub-buffers at hand.
            let most = 4096 * 4 + u64::from(cpus()) * (8192 + 2 * (64 << 10));
            assert!(idle < most, "{idle} bytes, at most {most} expected");
        }
        checker.drain(&mut reader, true);
        assert_eq!(checker.events, emitted);
    }
}

#[test]
fn memory_is_given_back_while_threads_emit() {
    let channel: &'static Channel = Box::leak(Box::default());
    let geometry = Geometry::new(cpus(), 4096, 8).unwrap();
    let mut reader = attach(channel, geometry, settings(WhenFull::Block(LONG), true));
    let events = 50_000 * stress_factor();
    let mut checker = Checker::default();
    std::thread::scope(|scope| {
        let emitters: Vec<_> = (0..3)
            .map(|who| {
                scope.spawn(move || {
                    let mut random = Random(7 + u64::from(who));
                    (0..events).all(|n| emit(channel, who, n, random.below(60) as usize))
                })
            })
            .collect();
        let giver = scope.spawn(move || {
            let mut bytes = 0;
            while !emitters.iter().all(|emitter| emitter.is_finished()) {
                bytes += channel.give_back_idle(Duration::from_millis(1));
            }
            bytes
        });
        while !giver.is_finished() {
            checker.drain(&mut reader, true);
            reader.wait(Duration::from_millis(1));
        }
        println!("{} bytes given back meanwhile", giver.join().unwrap());
    });
    checker.drain(&mut reader, true);
    checker.drain(&mut reader, true);
    assert_eq!(checker.events, 3 * events);
    assert_eq!(lost(&mut reader).total(), 0);
}

#[test]
fn lanes_of_concurrency_ids_are_as_many_as_threads_run_at_once() {
    let rseq = laneway_rseq::Rseq::get();
    if rseq.register_thread().is_err() || rseq.mm_cid().is_none() {
        return; // before Linux 6.3
    }
    let channel: &'static Channel = Box::leak(Box::default());
    let geometry = Geometry::new(cpus(), 4096, 4).unwrap();
    let mut settings = settings(WhenFull::Block(LONG), true);
    settings.lanes = LaneChoice::Concurrency;
    let mut reader = attach(channel, geometry, settings);
    let events = 50_000 * stress_factor();
    let mut checker = Checker::default();
    std::thread::scope(|scope| {
        let emitters: Vec<_> = (0..8)
            .map(|who| {
                scope.spawn(move || {
                    let mut random = Random(7 + u64::from(who));
                    (0..events).all(|n| emit(channel, who, n, random.below(60) as usize))
                })
            })
            .collect();
        while !emitters.iter().all(|emitter| emitter.is_finished()) {
            checker.drain(&mut reader, true);
            reader.wait(Duration::from_millis(1));
        }
    });
    checker.drain(&mut reader, true);
    checker.drain(&mut reader, true);
    assert_eq!(checker.events, 8 * events);
    assert_eq!(lost(&mut reader).total(), 0);
    let fast = reader.lanes().iter().filter(|lane| !lane.is_atomic());
    assert!(fast.clone().count() as u32 <= cpus());
    assert!(fast.map(|lane| lane.recorded()).sum::<u64>() > events);
    assert!(channel.detach(LONG));
}

#[test]
fn populated_memory_is_there_before_the_first_event() {
    let geometry = Geometry::new(2, 4096, 4).unwrap();
    let (fd, memory) = SharedMemory::create(geometry).unwrap();
    assert!(bytes_allocated(&fd) <= 4096);
    memory.populate().unwrap();
    let lanes = 2 * geometry.lane_bytes();
    assert!(bytes_allocated(&fd) >= lanes);
    assert!(
        bytes_allocated(&fd) < 2 * lanes + 4 * 4096,
        "not the atomic lanes"
    );
}

#[test]
fn a_buffer_in_a_file_survives_everybody_who_used_it() {
    let path = std::env::temp_dir().join(format!("laneway-ring-{}", std::process::id()));
    let geometry = Geometry::new(cpus(), 4096, 8).unwrap();
    let id = {
        let channel = Channel::new();
        let (_, memory) = SharedMemory::create_file(&path, geometry).unwrap();
        let id = memory.id();
        assert!(
            SharedMemory::create_file(&path, geometry).is_err(),
            "never two in one file"
        );
        channel
            .attach(memory, settings(WhenFull::Discard, true))
            .unwrap();
        assert!((0..100).all(|number| emit(&channel, 1, number, 0)));
        assert!(channel.detach(LONG));
        id
    };
    let fd = OwnedFd::from(File::options().read(true).write(true).open(&path).unwrap());
    std::fs::remove_file(&path).unwrap();
    assert!(SharedMemory::open(&fd).is_err(), "it is not sealed");
    let memory = SharedMemory::open_unsealed(&fd).unwrap();
    assert_eq!(memory.id(), id);
    let mut reader = BufferReader::of(memory, Reading::InOrder);
    let mut checker = Checker::default();
    for lane in reader.lanes() {
        while let Some(packet) = lane.final_packet() {
            checker.check(&packet);
            packet.release();
        }
    }
    assert_eq!(checker.events, 100);
}
