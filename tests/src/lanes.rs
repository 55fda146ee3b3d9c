//! The streams of a trace, read by their bytes: what babeltrace2 would put in order, if it were not.
//!
//! ```text
//!   lane_0   ├ header ┤ record record … ├ header ┤ record …
//!             begin ≤   t  ≤  t  ≤  …  ≤ end ≤ begin ≤ …
//! ```

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use laneway_ctf::lane::{PACKET_HEADER_BYTES, PacketHeader};

/// What is in one stream.
#[derive(Debug)]
pub struct Stream {
    /// The name of its file.
    pub name: String,
    /// All records in it.
    pub records: u64,
    /// All packets in it.
    pub packets: u64,
    /// As the last packet has it.
    pub discarded: u64,
}

/// Reads every stream of the traces in `session`, and checks that in each of them time does not fall, packets are
/// numbered without a gap, positions rise and losses do not fall.
///
/// # Panics
/// One of them does not hold.
#[track_caller]
#[must_use]
pub fn check(session: &Path) -> Vec<Stream> {
    let mut streams = Vec::new();
    for trace in fs::read_dir(session).expect("a session") {
        for file in fs::read_dir(trace.unwrap().path()).expect("a trace") {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with("lane_") {
                streams.push(check_stream(name, &fs::read(path).unwrap()));
            }
        }
    }
    streams
}

/// The times at which nothing is missing in any lane of the traces in `session`, as far as positions say: of each lane, those
/// of its sub-buffers that follow each other.
///
/// A lane that had nothing to tell for a while looks as if something were missing.
///
/// # Panics
/// A file cannot be read.
#[track_caller]
#[must_use]
pub fn complete_times(session: &Path, sub_buffer: u64) -> Vec<RangeInclusive<u64>> {
    let traces = fs::read_dir(session).expect("a session").flatten();
    let files = traces.flat_map(|trace| fs::read_dir(trace.path()).expect("a trace").flatten());
    let streams = files.filter(|file| file.file_name().to_string_lossy().starts_with("lane_"));
    streams.fold(vec![0..=u64::MAX], |of_all, file| {
        let of_one = complete_in(&fs::read(file.path()).expect("a stream"), sub_buffer);
        let pairs = of_all
            .iter()
            .flat_map(|a| of_one.iter().map(move |b| (a, b)));
        pairs
            .map(|(a, b)| *a.start().max(b.start())..=*a.end().min(b.end()))
            .filter(|both| !both.is_empty())
            .collect()
    })
}

fn complete_in(mut bytes: &[u8], sub_buffer: u64) -> Vec<RangeInclusive<u64>> {
    let (mut runs, mut next) = (Vec::new(), 0);
    while let Some((header, rest)) = bytes.split_first_chunk::<PACKET_HEADER_BYTES>() {
        let header = PacketHeader::decode(header).expect("a packet begins here");
        bytes = &rest[header.records as usize..];
        let begin = match runs.pop_if(|_| header.position / sub_buffer <= next) {
            Some(run) => *RangeInclusive::start(&run),
            None => header.begin,
        };
        runs.push(begin..=header.end);
        next = (header.position + header.records).div_ceil(sub_buffer);
    }
    runs
}

#[track_caller]
fn check_stream(name: String, mut bytes: &[u8]) -> Stream {
    let mut stream = Stream {
        name,
        records: 0,
        packets: 0,
        discarded: 0,
    };
    let (mut end, mut position) = (0, 0);
    while let Some((header, rest)) = bytes.split_first_chunk::<PACKET_HEADER_BYTES>() {
        let header = PacketHeader::decode(header).expect("a packet begins here");
        let (records, rest) = rest.split_at(header.records as usize);
        bytes = rest;
        assert_eq!(header.sequence, stream.packets, "{}", stream.name);
        assert!(header.begin >= end, "{header:?} begins before {end}");
        assert!(header.position >= position, "{header:?} of {}", stream.name);
        assert!(header.discarded >= stream.discarded, "{header:?}");
        (end, position) = (header.end, header.position + header.records);
        stream.packets += 1;
        stream.discarded = header.discarded;
        stream.records += check_records(&header, records);
    }
    assert!(bytes.is_empty(), "half a packet at the end");
    stream
}

/// Walks over the records of a packet; says how many there are.
#[track_caller]
fn check_records(packet: &PacketHeader, mut bytes: &[u8]) -> u64 {
    const EXTENDED: u64 = 1 << 46;
    const BUSY: u64 = 1 << 47;
    let (mut count, mut time) = (0, packet.begin);
    while let Some(word) = bytes.first_chunk() {
        let header = u64::from_ne_bytes(*word);
        assert_eq!(header & BUSY, 0, "a record that is not complete");
        let low = header & 0xffff_ffff;
        let now = if header & EXTENDED != 0 {
            let whole = bytes[8..].first_chunk().expect("the whole clock");
            let whole = u64::from_ne_bytes(*whole);
            assert_eq!(whole & 0xffff_ffff, low);
            whole
        } else {
            time & !0xffff_ffff | low
        };
        assert!(now >= time, "time falls from {time} to {now} in {packet:?}");
        time = now;
        count += 1;
        let words = (header >> 32 & 0x3fff) as usize;
        assert!(words > 0, "a record of no length");
        bytes = &bytes[words * 8..];
    }
    assert!(time <= packet.end, "{packet:?} ends before {time}");
    count
}
