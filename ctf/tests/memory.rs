//! Reading takes as much memory as there are streams, however long they are.
//!
//! The test program runs itself for each measurement: the peak of a process cannot be taken back.

mod common;

use std::io;
use std::process::Command;
use std::sync::Arc;

use common::{UUID, packet, record};
use laneway_ctf::lane::{self, PacketHeader};
use laneway_ctf::model::{ClockClass, EventClass, Integer, StringClass, Structure, TraceClass};
use laneway_ctf::read::{Item, Reader, Source};
use laneway_ctf::text::{Babeltrace, BabeltraceOptions};

const STREAMS: u16 = 1000;
const EVENTS: u64 = 400;
const PACKETS: &str = "LANEWAY_CTF_PACKETS";

/// The same packet again and again.
struct Again {
    packet: Arc<[u8]>,
    times: u64,
}

impl Source for Again {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let size = <[u8]>::len(&self.packet) as u64;
        let end = (size * self.times).min(offset + buffer.len() as u64);
        let mut done = 0;
        while offset + (done as u64) < end {
            let from = ((offset + done as u64) % size) as usize;
            let left = (end - offset) as usize - done;
            let count = left.min(<[u8]>::len(&self.packet) - from);
            buffer[done..done + count].copy_from_slice(&self.packet[from..from + count]);
            done += count;
        }
        Ok(done)
    }

    fn len(&mut self) -> io::Result<u64> {
        Ok(<[u8]>::len(&self.packet) as u64 * self.times)
    }
}

fn trace() -> TraceClass {
    let mut trace = lane::trace_class(UUID, ClockClass::new("tsc", 2_100_000_000));
    trace.streams.push(lane::stream_class(0, "tsc", true));
    let fields = Structure::new()
        .with("n", Integer::unsigned(64))
        .with("name", StringClass::default());
    let class = EventClass::new(0, "t:named", fields);
    trace.streams[0].events.push(class);
    trace
}

fn one_packet(stream: u16) -> Arc<[u8]> {
    let begin = 1_000_000 + u64::from(stream);
    let records: Vec<_> = (0..EVENTS)
        .map(|i| {
            let payload = [&i.to_le_bytes(), b"a name\0".as_slice()].concat();
            record(begin + i * 1000, false, 0, Some(7), &payload)
        })
        .collect();
    let header = PacketHeader {
        uuid: UUID,
        stream_class: 0,
        stream,
        position: 0,
        begin,
        end: begin + EVENTS * 1000,
        sequence: 0,
        discarded: 0,
        events: 0,
        cpu: 0,
        records: 0,
        padding: 0,
    };
    packet(header, &records).into()
}

/// Merges the streams and prints every event; the most memory that took, in KiB.
fn read_and_print(packets: u64) -> u64 {
    let sources = (0..STREAMS)
        .map(|stream| {
            let again = Again {
                packet: one_packet(stream),
                times: packets,
            };
            let source = Box::new(again) as Box<dyn Source>;
            (format!("lane_{stream}").into(), source)
        })
        .collect();
    let mut reader = Reader::of_sources(trace(), sources).unwrap();
    let mut printer = Babeltrace::new(BabeltraceOptions::default());
    let (mut out, mut events) = (Vec::new(), 0);
    while let Some(item) = reader.next_item() {
        if let Item::Event(event) = item {
            out.clear();
            printer.event(&mut out, &event);
            events += 1;
        }
    }
    assert_eq!(events, u64::from(STREAMS) * EVENTS * packets);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|text| text.split_whitespace().next());
    peak.unwrap().parse().unwrap()
}

/// Runs this test program once more, for this many packets in each stream.
fn peak_of(packets: u64) -> u64 {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_peak_of_one_run", "--ignored", "--nocapture"])
        .env(PACKETS, packets.to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let peak = text.split("peak: ").nth(1);
    let peak = peak.and_then(|text| text.split_whitespace().next());
    peak.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
}

#[test]
#[ignore = "what the other test runs"]
fn the_peak_of_one_run() {
    let packets = std::env::var(PACKETS).unwrap_or_default();
    println!("peak: {}", read_and_print(packets.parse().unwrap_or(1)));
}

#[test]
fn a_thousand_merged_streams_take_no_more_memory_when_they_are_four_times_as_long() {
    // 64 KiB at hand of each stream, and 64 events ahead: less than 100 KiB.
    let (short, long) = (peak_of(4), peak_of(16));
    assert!(short < 160 << 10, "{short} KiB");
    assert!(long < short + (4 << 10), "{short} KiB, then {long} KiB");
}
