//! Records of every form and type in packets of every form, read by babeltrace2.

mod common;

use common::{UUID, babeltrace2, packet, record};
use laneway_ctf::lane::{self, PacketHeader};
use laneway_ctf::model::{
    ClockClass, EventClass, Float, Integer, Shape, StringClass, Structure, TraceClass,
};
use laneway_ctf::tsdl;

/// Cycles per second: not a billion, so that the conversion shows.
const FREQUENCY: u64 = 2_000_000_000;

fn empty_trace(thread_ids: bool) -> TraceClass {
    let mut clock = ClockClass::new("tsc", FREQUENCY);
    clock.offset_seconds = 1000;
    clock.description = Some("TSC, invariant".into());
    let mut trace = lane::trace_class(UUID, clock);
    trace.set_env("domain", "ust");
    trace.set_env("hostname", "host \"7\"");
    trace.set_env("vpid", 4711);
    trace.streams.push(lane::stream_class(0, "tsc", thread_ids));
    trace
}

fn header() -> PacketHeader {
    PacketHeader {
        uuid: UUID,
        stream_class: 0,
        stream: 2,
        position: u64::MAX / 3,
        begin: 0,
        end: 0,
        sequence: 0,
        discarded: 0,
        cpu: 5,
        events: 0,
        records: 0,
        padding: 0,
    }
}

/// Writes the trace, lets babeltrace2 read it, and returns its lines and its complaints.
fn read_back(trace: &TraceClass, stream: &[u8]) -> (Vec<String>, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("metadata"), tsdl::write(trace)).unwrap();
    std::fs::write(dir.path().join("lane_2"), stream).unwrap();
    let (out, err) = babeltrace2(&["--clock-gmt", "--clock-seconds"], dir.path());
    (out.lines().map(str::to_owned).collect(), err)
}

fn u64_event() -> EventClass {
    EventClass::new(0, "t:n", Structure::new().with("n", Integer::unsigned(64)))
}

#[test]
fn every_padding_from_one_to_eight_bytes_is_skipped() {
    let mut trace = empty_trace(false);
    let fields = Structure::new().with("text", StringClass::default());
    trace.streams[0]
        .events
        .push(EventClass::new(0, "t:text", fields));
    let records: Vec<_> = (0..24u64)
        .map(|i| {
            let text = format!("{}\0", "x".repeat(i as usize));
            record(100 + i * 2, false, 0, None, text.as_bytes())
        })
        .collect();
    let begin = PacketHeader {
        begin: 100,
        end: 150,
        ..header()
    };
    let (lines, err) = read_back(&trace, &packet(begin, &records));
    assert_eq!(err, "");
    for (i, line) in lines.iter().enumerate() {
        let delta = if i == 0 { "?.?????????" } else { "0.000000001" };
        let text = "x".repeat(i);
        let want = format!(
            "[1000.{:09}] (+{delta}) host \"7\":(4711) t:text: {{ cpu_id = 5 }}, {{ text = \"{text}\" }}",
            50 + i
        );
        assert_eq!(*line, want);
    }
    assert_eq!(lines.len(), 24);
}

#[test]
fn the_low_half_of_the_clock_wraps_and_extended_records_carry_the_whole() {
    let mut trace = empty_trace(true);
    trace.streams[0].events.push(u64_event());
    let begin = (7 << 32) + 0xffff_fff0u64;
    let clocks = [
        begin + 2,
        begin + 20,          // the low half has wrapped
        begin + 0xffff_fff0, // and nearly once more
        begin + (5 << 32),   // extended from here on
        begin + (5 << 32),
        begin + (5 << 32) + 0xffff_ff00,
        begin + (900 << 32),
    ];
    let records: Vec<_> = clocks
        .iter()
        .enumerate()
        .map(|(i, &clock)| {
            let payload = (i as u64).to_le_bytes();
            record(clock, clock - begin >= 1 << 32, 0, Some(-3), &payload)
        })
        .collect();
    let end = clocks[clocks.len() - 1];
    let (lines, err) = read_back(
        &trace,
        &packet(
            PacketHeader {
                begin,
                end,
                ..header()
            },
            &records,
        ),
    );
    assert_eq!(err, "");
    assert_eq!(lines.len(), clocks.len());
    for (i, (line, clock)) in lines.iter().zip(clocks).enumerate() {
        let ns = clock / 2;
        let time = format!("[{}.{:09}]", 1000 + ns / 1_000_000_000, ns % 1_000_000_000);
        assert!(line.starts_with(&time), "{line} does not begin with {time}");
        assert!(
            line.ends_with(&format!("{{ vtid = -3 }}, {{ n = {i} }}")),
            "{line}"
        );
    }
}

#[test]
fn packets_without_records_carry_what_was_lost() {
    let mut trace = empty_trace(true);
    trace.streams[0].events.push(u64_event());
    let one = |clock: u64| [record(clock, false, 0, Some(1), &7u64.to_le_bytes())];
    let mut stream = packet(
        PacketHeader {
            begin: 10,
            end: 20,
            ..header()
        },
        &one(12),
    );
    stream.extend(packet(
        PacketHeader {
            begin: 20,
            end: 2000,
            sequence: 1,
            discarded: 41,
            ..header()
        },
        &[],
    ));
    stream.extend(packet(
        PacketHeader {
            begin: 3000,
            end: 4000,
            sequence: 2,
            discarded: 41,
            ..header()
        },
        &one(3002),
    ));
    let (lines, err) = read_back(&trace, &stream);
    assert_eq!(lines.len(), 2);
    assert_eq!(err.lines().count(), 1, "one warning and no other: {err}");
    let want = "WARNING: Tracer discarded 41 events between [1000.000000010] and [1000.000001000]";
    assert!(err.starts_with(want), "{err}");
}

#[test]
fn values_of_every_shape_come_out_as_they_went_in() {
    let mut trace = empty_trace(false);
    let text = || Shape::from(StringClass::default());
    let u16s = || Shape::from(Integer::unsigned(16));
    let boxed = Box::new;
    let shapes = [
        ("event", Shape::from(Integer::unsigned(8))),
        ("größe", Integer::signed(8).into()),
        ("i64", Integer::signed(64).into()),
        ("address", Integer::unsigned(64).hex().into()),
        ("f32", Float::new(32).into()),
        ("f64", Float::new(64).into()),
        ("yes", Shape::Bool),
        ("path", text()),
        ("big", Shape::Unsigned128),
        ("deep", Shape::Signed128),
        ("raw", Shape::Bytes),
        (
            "grid",
            Shape::Array(2, boxed(Shape::Array(3, boxed(u16s())))),
        ),
        ("names", Shape::Sequence(boxed(text()))),
        ("none", Shape::Sequence(boxed(u16s()))),
        (
            "pairs",
            Shape::Sequence(boxed(Shape::Sequence(boxed(u16s())))),
        ),
        ("maybe", Shape::Optional(boxed(u16s()))),
        ("nothing", Shape::Optional(boxed(text()))),
        (
            "maybes",
            Shape::Array(2, boxed(Shape::Optional(boxed(u16s())))),
        ),
        (
            "twice",
            Shape::Optional(boxed(Shape::Optional(boxed(u16s())))),
        ),
        (
            "at",
            Shape::Structure(vec![
                ("x".into(), Shape::Bool),
                (
                    "inner".into(),
                    Shape::Structure(vec![("items".into(), Shape::Sequence(boxed(u16s())))]),
                ),
            ]),
        ),
    ];
    let fields = Structure::of_shapes(shapes.map(|(name, shape)| (name.to_owned(), shape)));
    trace.streams[0]
        .events
        .push(EventClass::new(0, "t:all", fields).with_log_level(6));

    let mut bytes = Vec::new();
    bytes.push(255);
    bytes.extend((-128i8).to_le_bytes());
    bytes.extend(i64::MIN.to_le_bytes());
    bytes.extend(0xdead_beef_u64.to_le_bytes());
    bytes.extend(0.5f32.to_le_bytes());
    bytes.extend((-1e300f64).to_le_bytes());
    bytes.push(1);
    bytes.extend(b"/tmp/\xff\xfe\"\0");
    bytes.extend(u128::MAX.to_le_bytes());
    bytes.extend((-2i128).to_le_bytes());
    bytes.extend([2, 0, 0, 0, 0xca, 0xfe]);
    bytes.extend([1u16, 2, 3, 4, 5, 6].iter().flat_map(|n| n.to_le_bytes()));
    bytes.extend(b"\x03\0\0\0a\0\0bc\0");
    bytes.extend(b"\0\0\0\0");
    bytes.extend(b"\x02\0\0\0\x01\0\0\0\x07\0\0\0\0\0");
    bytes.extend(b"\x01\x2a\0");
    bytes.extend(b"\0");
    bytes.extend(b"\0\x01\x2b\0");
    bytes.extend(b"\x01\x01\x2c\0");
    bytes.extend(b"\0\x02\0\0\0\x01\0\x02\0");

    let lines = [
        record(10, false, 0, None, &bytes),
        record(12, true, 0, None, &bytes),
    ];
    let stream = packet(
        PacketHeader {
            begin: 10,
            end: 14,
            ..header()
        },
        &lines,
    );
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("metadata"), tsdl::write(&trace)).unwrap();
    std::fs::write(dir.path().join("lane_2"), stream).unwrap();
    let output = std::process::Command::new("babeltrace2")
        .arg(dir.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let want: &[&[u8]] = &[
        b"{ event = 255, gr__e = -128, i64 = -9223372036854775808, address = 0xDEADBEEF, f32 = 0.5, f64 = -1e+300, ",
        b"yes = ( \"true\" : container = 1 ), path = \"/tmp/\xff\xfe\\\"\", ",
        b"big = { low = 0xFFFFFFFFFFFFFFFF, high = 0xFFFFFFFFFFFFFFFF }, ",
        b"deep = { low = 0xFFFFFFFFFFFFFFFE, high = 0xFFFFFFFFFFFFFFFF }, ",
        b"_raw_length = 2, raw = [ [0] = 0xCA, [1] = 0xFE ], ",
        b"grid = [ [0] = [ [0] = 1, [1] = 2, [2] = 3 ], [1] = [ [0] = 4, [1] = 5, [2] = 6 ] ], ",
        b"_names_length = 3, names = [ [0] = \"a\", [1] = \"\", [2] = \"bc\" ], ",
        b"_none_length = 0, none = [ ], ",
        b"_pairs_length = 2, pairs = [ [0] = { _values_length = 1, values = [ [0] = 7 ] }, ",
        b"[1] = { _values_length = 0, values = [ ] } ], ",
        b"_maybe_tag = ( \"some\" : container = 1 ), maybe = { 42 }, ",
        b"_nothing_tag = ( \"none\" : container = 0 ), nothing = { { } }, ",
        b"maybes = [ [0] = { _value_tag = ( \"none\" : container = 0 ), value = { { } } }, ",
        b"[1] = { _value_tag = ( \"some\" : container = 1 ), value = { 43 } } ], ",
        b"_twice_tag = ( \"some\" : container = 1 ), ",
        b"twice = { { _value_tag = ( \"some\" : container = 1 ), value = { 44 } } }, ",
        b"at = { x = ( \"false\" : container = 0 ), inner = { _items_length = 2, items = [ [0] = 1, [1] = 2 ] } } }",
    ];
    let want = want.concat();
    let lines: Vec<_> = output
        .stdout
        .trim_ascii_end()
        .split(|&b| b == b'\n')
        .collect();
    assert_eq!(lines.len(), 2);
    for line in lines {
        let at = line
            .windows(9)
            .position(|w| w == b"{ event =")
            .expect("a payload");
        assert_eq!(
            String::from_utf8_lossy(&line[at..]),
            String::from_utf8_lossy(&want)
        );
        assert!(line[at..] == want, "the raw bytes of the path");
    }
}

#[test]
fn event_classes_added_later_leave_the_metadata_before_them_as_it_was() {
    let mut trace = empty_trace(true);
    trace.streams[0].events.push(u64_event());
    let before = tsdl::write(&trace);
    trace.streams[0].events.push(EventClass {
        id: 1,
        ..u64_event()
    });
    let after = tsdl::write(&trace);
    assert!(after.len() > before.len() && after.starts_with(&before));
}
