//! Random schemas with random values: written, read back, and compared with what went in and with babeltrace2; then
//! with bytes changed at random, which must never end in a panic.

mod common;

use std::sync::Arc;

use common::{UUID, babeltrace2, packet, record};
use laneway_ctf::lane::{self, PacketHeader};
use laneway_ctf::model::{
    ClockClass, EventClass, Float, Integer, Scope, Shape, StringClass, Structure, TraceClass,
};
use laneway_ctf::read::{Item, Notice, Reader, Source, Value};
use laneway_ctf::text::{Babeltrace, BabeltraceOptions};
use laneway_ctf::{ctf2, metadata, tsdl};

/// SplitMix64: the same numbers every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

fn shape(random: &mut Random, depth: u32) -> Shape {
    let kinds = if depth == 0 { 8 } else { 13 };
    let inner = |random: &mut Random| Box::new(shape(random, depth.saturating_sub(1)));
    match random.below(kinds) {
        0 => Integer::unsigned(8 << random.below(4)).into(),
        1 => Integer::signed(8 << random.below(4)).into(),
        2 => Integer::unsigned(64).hex().into(),
        3 => Float::new(64).into(),
        4 => Shape::Bool,
        5 => Shape::Unsigned128,
        6 | 7 => StringClass::default().into(),
        8 => Shape::Bytes,
        9 => Shape::Sequence(inner(random)),
        10 => Shape::Array(random.below(4), inner(random)),
        11 => Shape::Optional(inner(random)),
        _ => {
            let fields = (0..=random.below(3)).map(|i| (format!("m{i}"), *inner(random)));
            Shape::Structure(fields.collect())
        }
    }
}

/// Appends a random value of a shape, and says what it should read as.
fn value(random: &mut Random, shape: &Shape, out: &mut Vec<u8>) -> Value {
    use laneway_ctf::model::FieldClass;
    match shape {
        Shape::Class(FieldClass::Integer(class)) => {
            // Extremes are likelier than chance would have them.
            let bits = match random.below(4) {
                0 => 0,
                1 => u64::MAX,
                2 => 1 << (class.bits - 1),
                _ => random.next(),
            };
            out.extend(&bits.to_le_bytes()[..class.bits as usize / 8]);
            let shift = 64 - class.bits;
            match class.signed {
                true => Value::Signed((bits << shift) as i64 >> shift, None),
                false => Value::Unsigned(bits << shift >> shift, None),
            }
        }
        Shape::Class(FieldClass::Float(_)) => {
            let float = f64::from_bits(random.next());
            let float = if float.is_nan() { 0.25 } else { float };
            out.extend(float.to_le_bytes());
            Value::Float(float)
        }
        Shape::Class(_) => {
            // Not empty: babeltrace 2.0.4 shows an empty string as the text of an event before.
            let text: Vec<u8> = (0..=random.below(9))
                .map(|_| b'!' + random.below(90) as u8)
                .collect();
            out.extend(&text);
            out.push(0);
            Value::Text(text)
        }
        Shape::Bool => {
            let yes = random.below(2);
            out.push(yes as u8);
            Value::Boolean(yes == 1)
        }
        Shape::Unsigned128 | Shape::Signed128 => {
            let (low, high) = (random.next(), random.next());
            out.extend(low.to_le_bytes());
            out.extend(high.to_le_bytes());
            let half = |value| Value::Unsigned(value, None);
            Value::Structure(vec![("low".into(), half(low)), ("high".into(), half(high))])
        }
        Shape::Bytes => {
            let bytes: Vec<u8> = (0..random.below(5)).map(|_| random.next() as u8).collect();
            out.extend((bytes.len() as u32).to_le_bytes());
            out.extend(&bytes);
            Value::Array(
                bytes
                    .into_iter()
                    .map(|byte| Value::Unsigned(byte.into(), None))
                    .collect(),
            )
        }
        Shape::Sequence(element) => {
            let count = random.below(4);
            out.extend((count as u32).to_le_bytes());
            Value::Array((0..count).map(|_| lone(random, element, out)).collect())
        }
        Shape::Array(count, element) => {
            Value::Array((0..*count).map(|_| lone(random, element, out)).collect())
        }
        Shape::Optional(inner) => {
            let there = random.below(2);
            out.push(there as u8);
            match there {
                0 => Value::Nothing,
                _ => lone(random, inner, out),
            }
        }
        Shape::Structure(fields) => {
            let members = fields
                .iter()
                .map(|(name, shape)| (name.as_str().into(), value(random, shape, out)));
            Value::Structure(members.collect())
        }
    }
}

/// A value that stands alone: what needs a helper field comes in a structure.
fn lone(random: &mut Random, shape: &Shape, out: &mut Vec<u8>) -> Value {
    let value = value(random, shape, out);
    let name = match shape {
        Shape::Sequence(_) | Shape::Bytes => "values",
        Shape::Optional(_) => "value",
        _ => return value,
    };
    Value::Structure(vec![(name.into(), value)])
}

struct Sample {
    trace: TraceClass,
    stream: Vec<u8>,
    payloads: Vec<(u16, Value)>,
}

fn sample(seed: u64) -> Sample {
    let mut random = Random(seed);
    let mut clock = ClockClass::new("tsc", 1_000_000_000);
    clock.set_offset_ns(1_795_160_882_543_279_234);
    let mut trace = lane::trace_class(UUID, clock);
    let thread_ids = random.below(2) == 1;
    trace.streams.push(lane::stream_class(0, "tsc", thread_ids));
    let mut schemas = Vec::new();
    for id in 0..1 + random.below(4) {
        let fields: Vec<_> = (0..random.below(6))
            .map(|i| (format!("f{i}"), shape(&mut random, 3)))
            .collect();
        let payload = Structure::of_shapes(fields.clone());
        trace.streams[0]
            .events
            .push(EventClass::new(id, format!("t:e{id}"), payload));
        schemas.push(Shape::Structure(fields));
    }
    let (mut stream, mut payloads) = (Vec::new(), Vec::new());
    let mut clock = random.next() >> 8;
    for sequence in 0..3 {
        let begin = clock;
        let records: Vec<_> = (0..random.below(20))
            .map(|_| {
                let bits = 1 + random.below(33);
                clock += random.below(1 << bits);
                let id = random.below(schemas.len() as u64) as u16;
                let mut bytes = Vec::new();
                payloads.push((
                    id,
                    value(&mut random, &schemas[usize::from(id)], &mut bytes),
                ));
                let vtid = thread_ids.then_some(random.next() as i32);
                record(clock, clock - begin >= 1 << 32, id, vtid, &bytes)
            })
            .collect();
        let header = PacketHeader {
            uuid: UUID,
            stream_class: 0,
            stream: 0,
            position: random.next(),
            begin,
            end: clock,
            sequence,
            discarded: 0,
            cpu: 0,
            events: 0,
            records: 0,
            padding: 0,
        };
        stream.extend(packet(header, &records));
    }
    Sample {
        trace,
        stream,
        payloads,
    }
}

fn reader(trace: TraceClass, stream: Vec<u8>) -> Reader {
    let source: Arc<[u8]> = stream.into();
    Reader::of_sources(
        trace,
        vec![("random".into(), Box::new(source) as Box<dyn Source>)],
    )
    .unwrap()
}

#[test]
fn values_of_random_schemas_read_back_as_they_were_written_in_both_formats() {
    for seed in 0..300 {
        let sample = sample(seed);
        let formats = [
            tsdl::write(&sample.trace).into_bytes(),
            ctf2::write(&sample.trace),
        ];
        for (format, text) in ["CTF 1.8", "CTF 2"].into_iter().zip(formats) {
            let class =
                metadata::read(&text).unwrap_or_else(|e| panic!("seed {seed}, {format}: {e}"));
            let mut reader = reader(class, sample.stream.clone());
            let mut wanted = sample.payloads.iter();
            while let Some(item) = reader.next_item() {
                let Item::Event(event) = item else {
                    panic!("seed {seed}, {format}: damage or loss");
                };
                let (id, payload) = wanted.next().expect("as many events as were written");
                assert_eq!(event.class().id, u64::from(*id), "seed {seed}, {format}");
                let got = as_arrays(event.value(Scope::Payload));
                let want = as_arrays(payload.clone());
                assert_eq!(
                    format!("{got:?}"),
                    format!("{want:?}"),
                    "seed {seed}, {format}"
                );
            }
            assert_eq!(wanted.next(), None, "seed {seed}, {format}");
        }
    }
}

/// CTF 2 has blobs where CTF 1.8 has arrays.
fn as_arrays(value: Value) -> Value {
    match value {
        Value::Blob(bytes) => Value::Array(
            bytes
                .into_iter()
                .map(|b| Value::Unsigned(b.into(), None))
                .collect(),
        ),
        Value::Array(elements) => Value::Array(elements.into_iter().map(as_arrays).collect()),
        Value::Structure(members) => Value::Structure(
            members
                .into_iter()
                .map(|(name, value)| (name, as_arrays(value)))
                .collect(),
        ),
        other => other,
    }
}

#[test]
fn text_of_random_schemas_is_that_of_babeltrace2() {
    for seed in 1000..1040 {
        let sample = sample(seed);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("metadata"), tsdl::write(&sample.trace)).unwrap();
        std::fs::write(dir.path().join("stream"), &sample.stream).unwrap();
        let (want, err) = babeltrace2(&["--clock-gmt"], dir.path());
        assert_eq!(err, "", "seed {seed}");
        let mut reader = Reader::open(dir.path()).unwrap();
        let mut printer = Babeltrace::new(BabeltraceOptions::default());
        let mut out = Vec::new();
        while let Some(Item::Event(event)) = reader.next_item() {
            printer.event(&mut out, &event);
        }
        assert_eq!(String::from_utf8_lossy(&out), want, "seed {seed}");
    }
}

#[test]
fn changed_bytes_are_damage_and_never_a_panic() {
    let mut random = Random(7);
    let mut damaged = 0;
    for seed in 2000..2150 {
        let sample = sample(seed);
        let mut stream = sample.stream;
        for _ in 0..1 + random.below(6) {
            let at = random.below(stream.len() as u64) as usize;
            stream[at] = random.next() as u8;
        }
        stream.truncate(random.below(stream.len() as u64) as usize + 1);
        let mut reader = reader(sample.trace, stream);
        let mut printer = Babeltrace::new(BabeltraceOptions::default());
        let mut events = 0;
        while let Some(item) = reader.next_item() {
            match item {
                Item::Event(event) => {
                    events += 1;
                    let mut out = Vec::new();
                    printer.event(&mut out, &event);
                    assert!(out.ends_with(b"\n"));
                }
                Item::Notice(Notice::Damage(_)) => damaged += 1,
                Item::Notice(Notice::Lost(_)) => {}
            }
        }
        assert!(events < 1000);
    }
    assert!(damaged > 50, "{damaged}");
}

#[test]
fn changed_metadata_is_an_error_or_another_trace_and_never_a_panic() {
    let mut random = Random(11);
    let (mut refused, mut read) = (0, 0);
    for seed in 3000..3300 {
        let sample = sample(seed);
        let mut text = match seed % 2 {
            0 => tsdl::write(&sample.trace).into_bytes(),
            _ => ctf2::write(&sample.trace),
        };
        for _ in 0..1 + random.below(3) {
            let at = random.below(text.len() as u64) as usize;
            match random.below(3) {
                0 => text[at] = b' ' + random.below(95) as u8,
                1 => drop(text.remove(at)),
                _ => text.insert(at, b"0123456789{}[]<>;=,\""[random.below(20) as usize]),
            }
        }
        match metadata::read(&text) {
            Err(_) => refused += 1,
            Ok(class) => {
                let source: Arc<[u8]> = sample.stream.into();
                let sources = vec![("random".into(), Box::new(source) as Box<dyn Source>)];
                if let Ok(reader) = Reader::of_sources(class, sources) {
                    let _ = reader.count();
                }
                read += 1;
            }
        }
    }
    assert!(refused > 20 && read > 20, "{refused} refused, {read} read");
}

/// As many rounds as fit into `LANEWAY_FUZZ_SECONDS` (60): metadata, streams and both changed at random, everything read,
/// printed and copied. CI runs it with `cargo test --release -p laneway-ctf --test random -- --ignored`.
#[test]
#[ignore = "takes a minute"]
fn reading_anything_never_panics() {
    let seconds = std::env::var("LANEWAY_FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let budget = std::time::Duration::from_secs(seconds.unwrap_or(60));
    let begin = std::time::Instant::now();
    let mut random = Random(begin.elapsed().as_nanos() as u64 ^ u64::from(std::process::id()));
    let mut rounds = 0u64;
    while begin.elapsed() < budget {
        let seed = random.next();
        let round = std::panic::catch_unwind(|| fuzz(seed));
        assert!(round.is_ok(), "seed {seed}");
        rounds += 1;
    }
    assert!(rounds > 0);
}

fn fuzz(seed: u64) {
    let sample = sample(seed);
    let mut random = Random(!seed);
    let mut text = match seed % 2 {
        0 => tsdl::write(&sample.trace).into_bytes(),
        _ => ctf2::write(&sample.trace),
    };
    let mut stream = sample.stream;
    for _ in 0..random.below(4) {
        let at = random.below(text.len() as u64) as usize;
        match random.below(4) {
            0 => text[at] = b' ' + random.below(95) as u8,
            1 => drop(text.remove(at)),
            2 => text.insert(at, b"0123456789{}[]<>;=,\""[random.below(20) as usize]),
            _ => {
                // A piece of it somewhere else: other nesting, other names.
                let end = (at + random.below(60) as usize).min(text.len());
                let piece = text[at..end].to_vec();
                let to = random.below(text.len() as u64) as usize;
                text.splice(to..to, piece);
            }
        }
    }
    for _ in 0..random.below(6) {
        let at = random.below(stream.len() as u64) as usize;
        stream[at] = match random.below(3) {
            0 => 0xff,
            1 => 0,
            _ => random.next() as u8,
        };
    }
    let Ok(class) = metadata::read(&text) else {
        return;
    };
    if let Ok(lowered) = tsdl::lower(&class) {
        let _ = tsdl::read(&tsdl::write(&lowered));
    }
    let source: Arc<[u8]> = stream.into();
    let sources = vec![("random".into(), Box::new(source) as Box<dyn Source>)];
    let Ok(mut reader) = Reader::of_sources(class, sources) else {
        return;
    };
    let mut printer = Babeltrace::new(BabeltraceOptions::default());
    let mut pretty = laneway_ctf::text::Pretty::new(Default::default());
    let mut copy = laneway_ctf::read::StreamCopy::new(Vec::new(), true);
    let mut out = Vec::new();
    while let Some(item) = reader.next_item() {
        if let Item::Event(event) = item {
            out.clear();
            printer.event(&mut out, &event);
            pretty.event(&mut out, &event);
            let _ = event.value(Scope::Payload);
            let _ = copy.event(&event);
        }
    }
    if reader.streams() > 0 {
        let _ = copy.finish(reader.stream(0));
    }
}

/// Writes small traces for the fuzzer of `ctf/fuzz` to begin with, into `LANEWAY_FUZZ_SEEDS`.
#[test]
#[ignore = "writes files"]
fn seeds_for_the_fuzzer() {
    let dir = std::env::var("LANEWAY_FUZZ_SEEDS").expect("LANEWAY_FUZZ_SEEDS is a directory");
    let dir = std::path::Path::new(&dir);
    let mut written = 0;
    for seed in 0.. {
        let sample = sample(seed);
        // Every other one of either format.
        let text = match written % 2 {
            0 => tsdl::write(&sample.trace).into_bytes(),
            _ => ctf2::write(&sample.trace),
        };
        let length = (text.len() as u16).to_le_bytes();
        let stream = &sample.stream[..sample.stream.len() / 3];
        let packets = [length.as_slice(), &text, stream].concat();
        if packets.len() > 12_000 || sample.payloads.len() < 10 {
            continue;
        }
        for (target, bytes) in [("metadata", &text), ("packets", &packets)] {
            std::fs::create_dir_all(dir.join(target)).unwrap();
            std::fs::write(dir.join(target).join(format!("random-{seed}")), bytes).unwrap();
        }
        written += 1;
        if written == 8 {
            return;
        }
    }
}
