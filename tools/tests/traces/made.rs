//! Traces of one lane, made here byte by byte.
//!
//! ```text
//!  Made { pid, packets, … }.write(DIR)   ─▶   DIR/metadata  DIR/lane_3
//! ```

use std::fs;
use std::path::Path;

use laneway_ctf::lane::{self, PacketHeader};
use laneway_ctf::model::{
    ClockClass, EventClass, Float, Integer, Shape, StringClass, Structure, TraceClass, Uuid,
};
use laneway_ctf::tsdl;
use tempfile::TempDir;

/// 2026-11-20 08:40:00 UTC.
const BEGIN_NS: i128 = 1_795_164_000_000_000_000;

pub(crate) const PACKETS: u64 = 4;
pub(crate) const PER_PACKET: u64 = 25;
pub(crate) const EVENTS: u64 = PACKETS * PER_PACKET;

/// A trace to make: event `n` is at `n` milliseconds.
pub(crate) struct Made {
    pub(crate) pid: i64,
    pub(crate) packets: u64,
    /// How much later than others it began.
    pub(crate) later_ns: i128,
    /// Whether events say which thread they are of.
    pub(crate) thread_ids: bool,
    /// How many threads take turns, from 100 on.
    pub(crate) threads: u64,
    pub(crate) classes: Vec<EventClass>,
    /// The class of event `n`, and the bytes of its fields.
    pub(crate) event: fn(u64) -> (u64, Vec<u8>),
}

impl Default for Made {
    /// Orders, and every fifth event a tick.
    fn default() -> Self {
        let order = Structure::of_shapes([
            ("id".to_owned(), Shape::from(Integer::unsigned(64))),
            ("total".to_owned(), Float::new(64).into()),
            ("who".to_owned(), StringClass::default().into()),
            (
                "items".to_owned(),
                Shape::Sequence(Box::new(Integer::unsigned(16).into())),
            ),
            (
                "note".to_owned(),
                Shape::Optional(Box::new(StringClass::default().into())),
            ),
        ]);
        let tick = Structure::new().with("id", Integer::unsigned(64));
        Made {
            pid: 4711,
            packets: PACKETS,
            later_ns: 0,
            thread_ids: true,
            threads: 2,
            classes: vec![
                EventClass::new(0, "shop:order", order).with_log_level(6),
                EventClass::new(1, "shop:tick", tick).with_log_level(13),
            ],
            event,
        }
    }
}

impl Made {
    /// What its metadata says.
    pub(crate) fn class(&self) -> TraceClass {
        let mut clock = ClockClass::new("mono", 1_000_000_000);
        clock.set_offset_ns(BEGIN_NS + self.later_ns);
        let mut trace = lane::trace_class(self.uuid(), clock);
        trace.set_env("hostname", "vm");
        trace.set_env("vpid", self.pid);
        trace.set_env("procname", "shop");
        trace
            .streams
            .push(lane::stream_class(0, "mono", self.thread_ids));
        trace.streams[0].events = self.classes.clone();
        trace
    }

    fn uuid(&self) -> Uuid {
        let mut uuid = [self.pid as u8; 16];
        uuid[..8].copy_from_slice(&(self.later_ns as u64).to_le_bytes());
        Uuid(uuid)
    }

    /// One packet after the other.
    pub(crate) fn packet(&self, sequence: u64) -> Vec<u8> {
        let first = sequence * PER_PACKET;
        let records: Vec<u8> = (first..first + PER_PACKET)
            .flat_map(|n| self.record(n))
            .collect();
        let header = PacketHeader {
            uuid: self.uuid(),
            stream_class: 0,
            stream: 3,
            position: 0,
            begin: first * 1_000_000,
            end: (first + PER_PACKET - 1) * 1_000_000,
            sequence,
            discarded: sequence / 2 * 5,
            cpu: 3,
            events: PER_PACKET as u32,
            records: records.len() as u64,
            padding: records[records.len() - 1],
        };
        let mut packet = header.encode().to_vec();
        packet.extend(records);
        packet
    }

    fn record(&self, n: u64) -> Vec<u8> {
        let (id, fields) = (self.event)(n);
        let mut bytes = vec![0; 8];
        if self.thread_ids {
            bytes.extend((100 + (n % self.threads) as i32).to_le_bytes());
        }
        bytes.extend(fields);
        let padding = 8 - bytes.len() % 8;
        bytes.extend(std::iter::repeat_n(0, padding - 1));
        bytes.push(padding as u8);
        let clock = n * 1_000_000;
        let header = clock & 0xffff_ffff | (bytes.len() as u64 / 8) << 32 | id << 48;
        bytes[..8].copy_from_slice(&header.to_le_bytes());
        bytes
    }

    /// Writes it into a new directory.
    pub(crate) fn write(&self, dir: &Path) {
        fs::create_dir_all(dir).unwrap();
        fs::write(dir.join("metadata"), tsdl::write(&self.class())).unwrap();
        let packets: Vec<u8> = (0..self.packets).flat_map(|n| self.packet(n)).collect();
        fs::write(dir.join("lane_3"), packets).unwrap();
    }
}

fn event(n: u64) -> (u64, Vec<u8>) {
    let mut bytes = n.to_le_bytes().to_vec();
    if n % 5 == 4 {
        return (1, bytes);
    }
    bytes.extend((n as f64 / 2.0).to_le_bytes());
    bytes.extend(match n % 2 {
        0 => b"alice\0".as_slice(),
        _ => b"bob, \"b\"\0",
    });
    bytes.extend(2u32.to_le_bytes());
    bytes.extend([1, 0, n as u8, 0]);
    bytes.extend(match n % 3 {
        0 => b"\x01hey\0".as_slice(),
        _ => b"\0",
    });
    (0, bytes)
}

/// A directory with a trace `t`.
pub(crate) fn trace() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    Made::default().write(&dir.path().join("t"));
    dir
}
