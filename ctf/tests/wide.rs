//! Numbers that no register holds: declared in either format, read, shown and copied.

mod common;

use std::sync::Arc;

use common::{UUID, packet, record};
use laneway_ctf::lane::{self, PacketHeader};
use laneway_ctf::model::{
    BitArray, ByteOrder, ClockClass, EventClass, Float, Integer, Length, Scope, Structure, Text,
    TraceClass,
};
use laneway_ctf::model::{Encoding, FieldLocation};
use laneway_ctf::read::{Item, Reader, Source, StreamCopy, Value};
use laneway_ctf::text::{Babeltrace, BabeltraceOptions};
use laneway_ctf::{ctf2, metadata, tsdl};

fn trace(fields: Structure) -> TraceClass {
    let mut trace = lane::trace_class(UUID, ClockClass::new("tsc", 1_000_000_000));
    trace.streams.push(lane::stream_class(0, "tsc", false));
    let class = EventClass::new(0, "t:wide", fields);
    trace.streams[0].events.push(class);
    trace
}

fn reader(trace: &TraceClass, stream: &[u8]) -> Result<Reader, laneway_ctf::Error> {
    let source: Arc<[u8]> = stream.into();
    let source = Box::new(source) as Box<dyn Source>;
    Reader::of_sources(trace.clone(), vec![("wide".into(), source)])
}

fn stream(payload: &[u8]) -> Vec<u8> {
    let header = PacketHeader {
        uuid: UUID,
        stream_class: 0,
        stream: 0,
        position: 0,
        begin: 5,
        end: 7,
        sequence: 0,
        discarded: 0,
        events: 0,
        cpu: 0,
        records: 0,
        padding: 0,
    };
    packet(header, &[record(6, false, 0, None, payload)])
}

/// The payload as text, and as values; what a copy of the stream reads as has to be the same.
fn shown(trace: &TraceClass, stream: &[u8]) -> (String, Value) {
    let mut reader = reader(trace, stream).unwrap();
    let mut copy = StreamCopy::new(Vec::new(), false);
    let Some(Item::Event(event)) = reader.next_item() else {
        panic!("no event");
    };
    copy.event(&event).unwrap();
    let value = event.value(Scope::Payload);
    let mut out = Vec::new();
    Babeltrace::new(BabeltraceOptions::default()).event(&mut out, &event);
    assert!(reader.next_item().is_none());
    let copied = copy.finish(reader.stream(0)).unwrap();
    let mut copied = self::reader(trace, &copied).unwrap();
    let Some(Item::Event(event)) = copied.next_item() else {
        panic!("no event in the copy");
    };
    assert_eq!(event.value(Scope::Payload), value);
    let text = String::from_utf8(out).unwrap();
    let payload = text.rsplit(" }, ").next().unwrap().trim_end().to_owned();
    (payload, value)
}

#[test]
fn wide_numbers_are_exact_in_both_formats() {
    let big = Integer {
        order: ByteOrder::Big,
        ..Integer::signed(96)
    };
    let fields = Structure::new()
        .with("u", Integer::unsigned(128))
        .with("x", Integer::unsigned(72).hex())
        .with("s", big)
        .with("h", Float::new(16))
        .with("q", Float::new(128));
    let mut payload = u128::MAX.to_le_bytes().to_vec();
    payload.extend([1, 0, 0, 0, 0, 0, 0, 0, 0xab]);
    payload.extend(&(-12_345_678_901_234_567_890_123i128).to_be_bytes()[4..]);
    payload.extend(0x3555u16.to_le_bytes());
    payload.extend((0x4000_921f_b544_42d1_8469_898c_c517_01b8u128).to_le_bytes());
    let trace = trace(fields);
    let formats = [tsdl::write(&trace).into_bytes(), ctf2::write(&trace)];
    for text in formats {
        let class = metadata::read(&text).unwrap();
        let (text, value) = shown(&class, &stream(&payload));
        assert_eq!(
            text,
            "{ u = 340282366920938463463374607431768211455, x = 0xAB0000000000000001, \
             s = -12345678901234567890123, h = 0.333252, q = 3.14159 }"
        );
        let Some(Value::Text(digits)) = value.get("u") else {
            panic!("{value:?}");
        };
        assert_eq!(*digits, u128::MAX.to_string().into_bytes());
    }
}

#[test]
fn wide_bit_arrays_are_read_and_survive_their_format() {
    let bits = BitArray {
        bits: 80,
        align: 8,
        order: ByteOrder::Little,
        reversed: false,
        flags: None,
    };
    let trace = trace(Structure::new().with("bits", bits));
    let class = metadata::read(&ctf2::write(&trace)).unwrap();
    let payload = [0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x12];
    let (text, _) = shown(&class, &stream(&payload));
    assert_eq!(text, "{ bits = 0x120000000000000000FF }");
}

#[test]
fn what_a_wide_number_cannot_be_is_refused_with_the_reason() {
    let length = Length::Field(FieldLocation::sibling("n"));
    let text = Text {
        length,
        encoding: Encoding::Utf8,
    };
    let cases = [
        (
            Structure::new()
                .with("n", Integer::unsigned(96))
                .with("text", text),
            "`n`, which it depends on, has more than 64 bits",
        ),
        (
            Structure::new().with("e", Integer::unsigned(96).label("A", 0, 1)),
            "an enumeration or a number that the format uses cannot have 96 bits",
        ),
        (
            Structure::new().with("n", Integer::unsigned(5000)),
            "a number of 5000 bits is not supported: 1 to 4096",
        ),
        (
            Structure::new().with("f", Float::new(80)),
            "a floating point number of 80 bits is not supported: 16, 32, 64 or 128",
        ),
    ];
    for (fields, want) in cases {
        let Err(error) = reader(&trace(fields), &[]) else {
            panic!("{want}");
        };
        let mut text = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            text += &source.to_string();
        }
        assert!(text.contains(want), "{text}");
    }
}
