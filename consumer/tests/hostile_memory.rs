//! An application that writes anything anywhere into the memory it shares with its consumer.

mod application;

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use application::{Application, babeltrace, channel, hello, record, sealed, tick};
use laneway_consumer::Options;
use laneway_control::{Connection, ToApplication, encode_schemas, wait_readable};
use laneway_ringbuf::{Geometry, SharedMemory};

/// xorshift64*: the same storm on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

#[test]
fn no_bytes_in_shared_memory_hurt_anybody_else() {
    let storms: u64 = 12;
    let options = Options {
        flush_period: Duration::from_millis(5),
        stop_timeout: Duration::from_millis(500),
        ..Options::default()
    };
    let recording = record(options);
    let good = Application::start(&recording.meeting, "good", 0);
    let mut connections = Vec::new();
    let mut expected = 0;
    for seed in 1..=storms {
        let (connection, ring, bytes) = attach(&recording.meeting);
        let mut random = Random(seed);
        let until = Instant::now() + Duration::from_millis(80);
        while Instant::now() < until {
            scribble(&ring, bytes, &mut random);
            good.emit(1);
            expected += 1;
        }
        match seed % 2 {
            0 => drop(connection),
            _ => connections.push((connection, ring)),
        }
    }
    let began = Instant::now();
    drop(good);
    let summary = recording.consumer.finish();
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "the end took {:?}",
        began.elapsed()
    );
    let good = summary.processes.iter().find(|p| p.name == "good").unwrap();
    assert_eq!(good.counts.emitted, expected);
    assert_eq!(summary.refused, []);
    assert_eq!(summary.processes.len() as u64, storms + 1);
    let (lines, complaints) = babeltrace(&good.trace);
    assert_eq!(lines.len() as u64, good.counts.recorded);
    assert!(
        good.counts.lost.total() > 0 || complaints.is_empty(),
        "{complaints}"
    );
}

/// Attaches with a ring of its own, not traced into.
fn attach(meeting: &laneway_control::Rendezvous) -> (Connection, File, u64) {
    let config = channel();
    let geometry = Geometry::new(2, config.sub_buffer_bytes, config.sub_buffers.into()).unwrap();
    let (ring, _memory) = SharedMemory::create(geometry).unwrap();
    let mut connection = Connection::connect(meeting).unwrap();
    let schemas = sealed(&encode_schemas(&[tick()]).unwrap());
    let fds = [ring.as_fd(), schemas.as_fd()];
    connection.send(&hello("evil", config), &fds).unwrap();
    while connection.receive::<ToApplication>().unwrap() != Some(ToApplication::Accepted) {
        wait_readable([connection.as_fd()], None).unwrap();
    }
    (connection, File::from(ring), geometry.buffer_bytes())
}

/// Writes a word that is random, small, large or nearly right to a random place; the first pages, with the geometry
/// and the control blocks, get most of them.
fn scribble(ring: &File, bytes: u64, random: &mut Random) {
    let place = match random.below(4) {
        0 => random.below(bytes / 8),
        1 => random.below(64),
        _ => random.below(3 * 4096 / 8),
    };
    let value = match random.below(6) {
        0 => random.next(),
        1 => random.below(3),
        2 => u64::MAX - random.below(3),
        3 => random.below(4 * 4096) * 8,
        4 => 1 << random.below(64),
        _ => random.below(1 << 20) << 40 | random.below(4096 * 2),
    };
    let n = 1 + random.below(8) as usize;
    ring.write_all_at(&value.to_ne_bytes()[..n], place * 8)
        .unwrap();
}
