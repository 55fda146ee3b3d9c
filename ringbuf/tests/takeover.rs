//! Readers that die at any moment, and those that go on where they stopped.

mod common;

use common::{Checker, Random, attach, cpus, emit, lost, settings, stress_factor};
use laneway_ringbuf::{BufferReader, Channel, Geometry, SharedMemory, WhenFull};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

/// A packet on disk: lane, position, bytes, end.
type OnDisk = (u32, u64, u64, u64);

/// Reads for a while and stops anywhere, also between writing a packet and giving it back.
fn read_and_die(
    mut reader: BufferReader,
    disk: &mut Vec<OnDisk>,
    checker: &mut Checker,
    random: &mut Random,
) {
    for &(index, position, bytes, end) in disk.iter() {
        let lanes = reader.lanes().iter_mut();
        for lane in lanes.filter(|lane| lane.index() == index) {
            lane.skip(position, bytes, end);
        }
    }
    for _ in 0..random.below(6) {
        for lane in reader.lanes() {
            let packet = match random.below(3) {
                0 => lane.partial_packet(),
                _ => lane.next_packet(),
            };
            let Some(packet) = packet else { continue };
            let on_disk = (
                packet.lane(),
                packet.position(),
                packet.record_bytes(),
                packet.end(),
            );
            if random.below(8) == 0 {
                return; // before it was written
            }
            checker.check(&packet);
            disk.push(on_disk);
            if random.below(8) == 0 {
                return; // before it was given back
            }
            packet.release();
        }
        reader.wait(Duration::from_micros(random.below(2000)));
    }
}

#[test]
fn a_new_reader_goes_on_where_the_last_one_died() {
    for round in 0..10 * stress_factor() {
        let rseq = round % 3 != 0;
        let channel: &'static Channel = Box::leak(Box::default());
        let geometry = Geometry::new(cpus(), 4096, 4).unwrap();
        let (fd, memory) = SharedMemory::create(geometry).unwrap();
        channel
            .attach(memory, settings(WhenFull::Block(LONG), rseq))
            .unwrap();
        let (mut checker, mut random) = (Checker::default(), Random(round + 1));
        let (mut disk, mut readers) = (Vec::new(), 0);
        let events = 4000;
        std::thread::scope(|scope| {
            let emitters: Vec<_> = (0..3)
                .map(|who| {
                    scope.spawn(move || {
                        (0..events).all(|number| emit(channel, who, number, (number % 90) as usize))
                    })
                })
                .collect();
            while !emitters.iter().all(|emitter| emitter.is_finished()) {
                let reader = BufferReader::map(&fd).unwrap();
                read_and_die(reader, &mut disk, &mut checker, &mut random);
                readers += 1;
            }
        });
        let mut last = BufferReader::map(&fd).unwrap();
        for lane in last.lanes() {
            for &(index, position, bytes, end) in &disk {
                if index == lane.index() {
                    lane.skip(position, bytes, end);
                }
            }
        }
        checker.drain(&mut last, true);
        checker.drain(&mut last, true);
        assert_eq!(checker.events, 3 * events, "after {readers} readers");
        let sum = u128::from(events) * u128::from(events - 1) / 2;
        assert!(checker.seen.values().all(|seen| seen.sum == sum));
        assert_eq!(lost(&mut last).total(), 0);
        assert!(readers > 10, "{readers} readers are no test");
        assert!(channel.detach(LONG));
    }
}

#[test]
fn a_new_reader_of_snapshots_ends_what_the_last_one_held() {
    let channel = Channel::new();
    let geometry = Geometry::new(cpus(), 4096, 4).unwrap();
    let mut first = attach(&channel, geometry, settings(WhenFull::Overwrite, true));
    assert!((0..10_000).all(|number| emit(&channel, 1, number, 0)));
    let events: u64 = first
        .snapshot()
        .into_iter()
        .flat_map(|copy| copy.packets)
        .map(|packet| packet.records)
        .sum();
    assert!(events > 0);
    assert!((0..10_000).all(|number| emit(&channel, 1, number, 0)));
}
