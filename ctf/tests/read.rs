//! Traces read back: what was written, and what babeltrace2 makes of the same bytes.

mod common;

use common::{UUID, babeltrace2, packet, record};
use laneway_ctf::lane::{self, PacketHeader};
use laneway_ctf::model::{
    ClockClass, EventClass, Float, Integer, Shape, StringClass, Structure, TraceClass,
};
use laneway_ctf::read::{Item, Notice, Reader};
use laneway_ctf::text::{Babeltrace, BabeltraceOptions};
use laneway_ctf::tsdl;

fn trace() -> TraceClass {
    let mut clock = ClockClass::new("tsc", 2_100_000_000);
    clock.set_offset_ns(1_795_160_882_543_279_234);
    let mut trace = lane::trace_class(UUID, clock);
    trace.set_env("hostname", "vm");
    trace.streams.push(lane::stream_class(0, "tsc", true));
    let boxed = Box::new;
    let fields = Structure::of_shapes([
        ("n".to_owned(), Shape::from(Integer::unsigned(64))),
        ("x".to_owned(), Float::new(64).into()),
        ("name".to_owned(), StringClass::default().into()),
        (
            "maybe".to_owned(),
            Shape::Optional(boxed(Integer::signed(16).into())),
        ),
        (
            "list".to_owned(),
            Shape::Sequence(boxed(Shape::Optional(boxed(Shape::Bytes)))),
        ),
        ("yes".to_owned(), Shape::Bool),
    ]);
    trace.streams[0]
        .events
        .push(EventClass::new(0, "t:all", fields).with_log_level(6));
    let fields = Structure::new().with("n", Integer::unsigned(64));
    trace.streams[0]
        .events
        .push(EventClass::new(1, "t:n", fields));
    trace
}

/// A stream of `packets` packets of `events` events each, which begin `start` ticks after 0 and are `step` ticks apart.
fn stream(lane: u16, packets: u64, events: u64, start: u64, step: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut clock = start;
    for sequence in 0..packets {
        let begin = clock;
        let records: Vec<_> = (0..events)
            .map(|i| {
                clock += step;
                let extended = clock - begin >= 1 << 32;
                if i % 3 == 0 {
                    return record(clock, extended, 1, Some(i as i32), &i.to_le_bytes());
                }
                let mut payload = i.to_le_bytes().to_vec();
                payload.extend((i as f64 / 7.0).to_le_bytes());
                payload.extend(format!("event {i}\0").as_bytes());
                payload.push((i % 2) as u8);
                if i % 2 == 1 {
                    payload.extend((-(i as i16)).to_le_bytes());
                }
                payload.extend(2u32.to_le_bytes());
                payload.extend(b"\x00\x01\x03\0\0\0abc");
                payload.push((i % 5 == 0) as u8);
                record(clock, extended, 0, Some(i as i32), &payload)
            })
            .collect();
        let header = PacketHeader {
            uuid: UUID,
            stream_class: 0,
            stream: lane,
            position: 0,
            begin,
            end: clock,
            sequence,
            discarded: sequence / 2 * 3,
            cpu: u32::from(lane),
            events: 0,
            records: 0,
            padding: 0,
        };
        bytes.extend(packet(header, &records));
    }
    bytes
}

/// What our formatter and babeltrace2 print for a trace, each with what goes to standard error.
fn both(dir: &std::path::Path) -> [(String, String); 2] {
    let mut reader = Reader::open(dir).unwrap();
    let mut printer = Babeltrace::new(BabeltraceOptions::default());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some(item) = reader.next_item() {
        match item {
            Item::Event(event) => printer.event(&mut out, &event),
            Item::Notice(Notice::Lost(loss)) => printer.loss(&mut err, &reader, &loss),
            Item::Notice(Notice::Damage(damage)) => panic!("{damage}"),
        }
    }
    let text = |bytes| String::from_utf8(bytes).unwrap();
    [(text(out), text(err)), babeltrace2(&["--clock-gmt"], dir)]
}

#[test]
fn text_is_that_of_babeltrace2_over_packets_wraps_and_streams() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("metadata"), tsdl::write(&trace())).unwrap();
    std::fs::write(dir.path().join("lane_0"), stream(0, 3, 50, 5, 1_000_003)).unwrap();
    std::fs::write(
        dir.path().join("lane_1"),
        stream(1, 4, 40, 1 << 33, 900_000_001),
    )
    .unwrap();
    let [(out, err), (want, want_err)] = both(dir.path());
    assert_eq!(out.lines().count(), 3 * 50 + 4 * 40);
    for (line, want) in out.lines().zip(want.lines()) {
        assert_eq!(line, want);
    }
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&err), sorted(&want_err));
    assert_eq!(err.lines().count(), 2);
}

#[test]
fn events_of_many_streams_come_in_the_order_of_time_and_all_of_them() {
    let sources = (0..300u16)
        .map(|i| {
            let bytes = stream(i, 2, 20, 1000 + u64::from(i) * 7, 311 + u64::from(i));
            let source: std::sync::Arc<[u8]> = bytes.into();
            (
                format!("lane_{i}").into(),
                Box::new(source) as Box<dyn laneway_ctf::read::Source>,
            )
        })
        .collect();
    let mut reader = Reader::of_sources(trace(), sources).unwrap();
    let (mut events, mut last) = (0, i64::MIN);
    while let Some(item) = reader.next_item() {
        if let Item::Event(event) = item {
            let ns = event.ns().unwrap();
            assert!(ns >= last, "event {events} at {ns} follows one at {last}");
            last = ns;
            events += 1;
        }
    }
    assert_eq!(events, 300 * 40);
}

#[test]
fn counting_comes_to_what_reading_comes_to() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("metadata"), tsdl::write(&trace())).unwrap();
    std::fs::write(dir.path().join("lane_0"), stream(0, 30, 500, 5, 1_000_003)).unwrap();
    let counts = Reader::open(dir.path()).unwrap().count();
    assert_eq!(counts.total(), 15_000);
    assert_eq!(counts.events, [[15_000 - 30 * 167, 30 * 167]]);

    // And from the middle on.
    let mut reader = Reader::open(dir.path()).unwrap();
    for _ in 0..700 {
        while !matches!(reader.next_item(), Some(Item::Event(_))) {}
    }
    assert_eq!(reader.count().total(), 14_300);
}

#[test]
fn a_damaged_packet_costs_its_rest_and_reading_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("metadata"), tsdl::write(&trace())).unwrap();
    let mut bytes = stream(0, 3, 50, 5, 1000);
    let second = bytes.len() / 3;
    // The class id of the sixth record of the second packet.
    let mut at = second + 88;
    for _ in 0..5 {
        let words = u16::from_le_bytes([bytes[at + 4], bytes[at + 5]]);
        at += usize::from(words) * 8;
    }
    bytes[at + 6] = 0x77;
    std::fs::write(dir.path().join("lane_0"), &bytes).unwrap();

    let mut reader = Reader::open(dir.path()).unwrap();
    let (mut events, mut damages) = (0, Vec::new());
    while let Some(item) = reader.next_item() {
        match item {
            Item::Event(_) => events += 1,
            Item::Notice(Notice::Damage(damage)) => damages.push(damage),
            Item::Notice(Notice::Lost(_)) => {}
        }
    }
    assert_eq!(events, 50 + 5 + 50);
    let [damage] = damages.as_slice() else {
        panic!("one damage: {damages:?}");
    };
    assert_eq!(damage.packet, second as u64);
    let text = damage.to_string();
    assert!(
        text.contains("there is no event class 119 in the stream class"),
        "{text}"
    );
    assert!(text.contains("lane_0: packet at byte "), "{text}");
    let rest = second * 2 - at;
    assert!(
        damage.skipped.abs_diff(rest as u64) <= 8,
        "{} of about {rest} bytes",
        damage.skipped
    );
}

#[test]
fn a_packet_header_that_is_no_longer_one_is_skipped_to_the_next_magic_number() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("metadata"), tsdl::write(&trace())).unwrap();
    let mut bytes = stream(0, 3, 50, 5, 1000);
    let second = bytes.len() / 3;
    bytes[second..second + 30].fill(0);
    std::fs::write(dir.path().join("lane_0"), &bytes).unwrap();
    let counts = Reader::open(dir.path()).unwrap().count();
    assert_eq!(counts.total(), 100);
    let damage = counts.notices.iter().find_map(|notice| match notice {
        Notice::Damage(damage) => Some(damage.to_string()),
        Notice::Lost(_) => None,
    });
    let text = damage.unwrap();
    assert!(
        text.contains("the magic number is 0x0, not 0xc1fc1fc1"),
        "{text}"
    );
    assert!(
        text.contains(&format!("; {second} bytes skipped")),
        "{text}"
    );
}

#[test]
fn a_file_cut_anywhere_yields_what_is_whole() {
    let bytes = stream(0, 2, 20, 5, 1000);
    let all = bytes.len();
    let mut most = 0;
    for len in (0..all).step_by(11) {
        let source: std::sync::Arc<[u8]> = bytes[..len].into();
        let sources = vec![(
            "cut".into(),
            Box::new(source) as Box<dyn laneway_ctf::read::Source>,
        )];
        let counts = Reader::of_sources(trace(), sources).unwrap().count();
        assert!(counts.total() >= most, "more bytes, fewer events, at {len}");
        most = counts.total();
        let boundary = len == 0 || len == all / 2;
        assert_eq!(counts.notices.is_empty(), boundary, "cut at {len} of {all}");
    }
    assert!(most >= 38);
}

#[test]
fn a_copy_survives_the_last_sequence_number_there_is() {
    let header = PacketHeader {
        uuid: UUID,
        stream_class: 0,
        stream: 0,
        position: 0,
        begin: 5,
        end: 7,
        sequence: u64::MAX,
        discarded: 0,
        events: 0,
        cpu: 0,
        records: 0,
        padding: 0,
    };
    let bytes = packet(header, &[record(6, false, 1, Some(1), &[0; 8])]);
    let source: std::sync::Arc<[u8]> = bytes.into();
    let source = Box::new(source) as Box<dyn laneway_ctf::read::Source>;
    let mut reader = Reader::of_sources(trace(), vec![("last".into(), source)]).unwrap();
    let mut copy = laneway_ctf::read::StreamCopy::new(Vec::new(), false);
    while let Some(item) = reader.next_item() {
        if let Item::Event(event) = item {
            copy.event(&event).unwrap();
        }
    }
    assert_eq!(reader.stream(0).packet().sequence, Some(u64::MAX));
    copy.finish(reader.stream(0)).unwrap();
}
