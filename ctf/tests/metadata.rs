//! Metadata of every kind, small and made here: read, written, read again.

use laneway_ctf::model::{FieldClass, Role, TraceClass};
use laneway_ctf::{ctf2, metadata, tsdl};

/// Most of what TSDL can say.
const TSDL: &str = r#"/* CTF 1.8 */
typealias integer { size = 8; align = 8; signed = false; } := uint8_t;
typealias integer { size = 32; align = 8; signed = true; } := int;
typealias integer { size = 64; align = 8; } := unsigned long long;
typealias integer { size = 27; align = 1; map = clock.fine.value; } := clock_27_t;
typealias floating_point { exp_dig = 8; mant_dig = 24; align = 32; byte_order = be; } := float;
typedef uint8_t byte_t, mac_t[6];
struct point { int _x; int _y; } align(16);
enum colour : uint8_t { RED, GREEN, "dark blue" = 10 ... 12, PINK, RED = 40 };
variant shape { struct point RED; string GREEN; };

trace {
    major = 1; minor = 8;
    byte_order = le;
    uuid = "d10a4427-bd4f-480e-8c38-8c7a8f4a223a";
    packet.header := struct {
        integer { size = 32; base = hex; align = 8; } magic;
        integer { size = 8; base = x; } uuid[16];
        uint8_t stream_id;
    };
};
env { domain = "ust"; big = -9223372036854775807; text = "a" "b\x41\"\n"; };
clock {
    name = fine; freq = 96000000; offset_s = -5; offset = 12; precision = 3; absolute = TRUE;
    description = "a clock"; uuid = "f3d0799a-dd49-487c-bf90-dcc005067406";
};
// An event may stand before its stream.
event {
    name = "all"; id = 2; stream_id = 7; loglevel = 13; model.emf.uri = "http://example.com/a";
    context := struct { int _only; };
    fields := struct {
        typealias integer { size = 5; align = 1; base = 2; } := five_t;
        five_t _five;
        const unsigned long long int_like_name;
        mac_t _mac[2];
        enum colour _colour;
        variant shape <_colour> _shape;
        struct { byte_t _len; struct point _points[_len]; } _nested;
        string { encoding = ASCII; } _ascii;
        integer { size = 8; align = 8; encoding = UTF8; } _text[_nested._len];
        uint8_t _absolute[stream.event.context._n];
        float _f;
        enum { A, B = 5, C } _ints;
        int _bits:3, _more:29;
    };
};
stream {
    id = 7;
    packet.context := struct { unsigned long long timestamp_begin; uint8_t packet_size; uint8_t cpu_id; };
    event.header := struct {
        enum : integer { size = 5; align = 1; } { compact = 0 ... 30, extended = 31 } id;
        variant <id> { struct { clock_27_t timestamp; } compact; struct { int x; integer { size = 32; } id; } extended; } v;
    } align(8);
    event.context := struct { uint8_t _n; };
};
callsite { name = "all"; func = "main"; file = "x.c"; line = 7; };
"#;

fn read(text: &str) -> TraceClass {
    tsdl::read(text).unwrap_or_else(|e| panic!("{e}"))
}

fn error(text: &str) -> String {
    tsdl::read(text).unwrap_err().to_string()
}

/// `TSDL` with one thing changed.
fn changed(from: &str, to: &str) -> String {
    assert!(TSDL.contains(from), "{from}");
    TSDL.replacen(from, to, 1)
}

#[test]
fn tsdl_means_what_it_says() {
    let trace = read(TSDL);
    let stream = trace.stream(7).unwrap();
    assert_eq!(stream.clock.as_deref(), Some("fine"));
    let event = &stream.events[0];
    assert_eq!((event.id, event.log_level), (2, Some(13)));
    let payload = event.payload.as_ref().unwrap();
    let names: Vec<_> = payload
        .fields
        .iter()
        .map(|field| field.name.as_str())
        .collect();
    let want = [
        "five",
        "int_like_name",
        "mac",
        "colour",
        "shape",
        "nested",
        "ascii",
        "text",
        "absolute",
        "f",
        "ints",
        "bits",
        "more",
    ];
    assert_eq!(names, want);
    let Some(FieldClass::Integer(colour)) = payload.get("colour") else {
        panic!("an enumeration is an integer");
    };
    let labels: Vec<_> = colour
        .mappings
        .iter()
        .flatten()
        .map(|m| (m.label.as_str(), m.ranges.len()))
        .collect();
    assert_eq!(
        labels,
        [("RED", 2), ("GREEN", 1), ("dark blue", 1), ("PINK", 1)]
    );
    let Some(FieldClass::Variant(shape)) = payload.get("shape") else {
        panic!("a variant is a variant");
    };
    assert_eq!(
        shape.options[0].ranges.len(),
        2,
        "both values of RED choose it"
    );
    let Some(FieldClass::Integer(begin)) = stream
        .packet_context
        .as_ref()
        .unwrap()
        .get("timestamp_begin")
    else {
        panic!("a timestamp is an integer");
    };
    assert!(
        begin.roles.has(Role::Timestamp),
        "mapped to the only clock by its name"
    );
}

#[test]
fn what_was_read_is_written_and_read_as_the_same() {
    let trace = read(TSDL);
    assert_eq!(read(&tsdl::write(&trace)), trace, "{}", tsdl::write(&trace));
}

#[test]
fn ctf_1_8_to_ctf_2_and_back_loses_nothing() {
    let trace = read(TSDL);
    let json = ctf2::write(&trace);
    let back =
        ctf2::read(&json).unwrap_or_else(|e| panic!("{e}\n{}", String::from_utf8_lossy(&json)));
    // Text says ASCII, JSON can only say UTF-8, which holds it.
    let utf8 = tsdl::write(&trace).replace(" { encoding = ASCII; }", "");
    assert_eq!(tsdl::write(&back), utf8);
    assert_eq!(ctf2::write(&back), json);
}

#[test]
fn errors_in_tsdl_say_where_and_what() {
    for (text, want) in [
        (
            changed("major = 1;", "major = 2;"),
            "line 13, column 5: only CTF 1.8 is TSDL",
        ),
        (
            changed("byte_order = le;", ""),
            "the trace block needs a `byte_order`, `le` or `be`",
        ),
        (
            changed("size = 5; align = 1; base = 2;", "align = 1;"),
            "an integer needs a `size` in bits",
        ),
        (
            changed("size = 5; align = 1; base = 2;", "size = 4097;"),
            "an integer of 4097 bits is not supported: 1 to 4096",
        ),
        (
            changed("align(16)", "align(3)"),
            "an alignment of 3 bits is no power of two up to 2^24",
        ),
        (
            changed("five_t _five", "six_t _five"),
            "no type is named `six_t` here",
        ),
        (
            changed("<_colour>", "<_color>"),
            "there is no field `_color` before it",
        ),
        (
            changed("<_colour>", "<_ascii>"),
            "there is no field `_ascii` before it",
        ),
        (
            changed("<_colour>", "<_five>"),
            "the tag of the variant is no enumeration",
        ),
        (
            changed("string GREEN;", "string BLUE;"),
            "the tag of the variant has no label `BLUE`",
        ),
        (
            changed("RED = 40", "RED = 9 ... 8"),
            "label \"RED\" stands for 9 ... 8, which its integer cannot hold",
        ),
        (
            changed("_text[_nested._len]", "_text[_ascii]"),
            "`_ascii` is no integer",
        ),
        (
            changed("stream_id = 7", "stream_id = 8"),
            "there is no stream with id 8",
        ),
        (
            changed("clock.fine.value", "clock.coarse.value"),
            "fields of one stream are mapped to two clocks, `fine` and `coarse`",
        ),
        (
            changed("int _bits:3", "string *_bits"),
            "a pointer has no layout: use an integer",
        ),
        (
            changed("int _bits:3", "int _bits:33"),
            "a bit field of 33 bits does not fit its type",
        ),
        (
            changed("exp_dig = 8", "exp_dig = 15"),
            "is none of binary16 (5, 11), binary32 (8, 24), binary64 (11, 53)",
        ),
        (
            changed("int _only;", "int _only"),
            "expected `;`, found `}`",
        ),
        (
            changed("callsite {", "callsite {{"),
            "expected a name, found `{`",
        ),
        ("stream { id = 0; };".to_owned(), "there is no trace block"),
        (
            "x".to_owned(),
            "expected a block such as `trace { … };`, or a declaration, found `x`",
        ),
    ] {
        let error = error(&text);
        assert!(error.contains(want), "{error}\nwanted {want}");
    }
}

#[test]
fn types_cannot_be_nested_or_multiplied_without_end() {
    let deep = format!(
        "trace {{ byte_order = le; }}; typealias {} := x;",
        "struct { ".repeat(100_000)
    );
    assert!(error(&deep).contains("nested more than 100 deep"));
    let mut bomb =
        String::from("trace { byte_order = le; };\nstruct s0 { integer { size = 8; } a; };\n");
    for i in 0..100 {
        bomb.push_str(&format!(
            "struct s{} {{ struct s{i} a; struct s{i} b; }};\n",
            i + 1
        ));
    }
    assert!(error(&bomb).contains("the types come to more than"));
}

#[test]
fn tsdl_may_come_in_packets() {
    for big in [false, true] {
        let word = |word: u32| {
            if big {
                word.to_be_bytes()
            } else {
                word.to_le_bytes()
            }
        };
        let mut bytes = Vec::new();
        for piece in TSDL.as_bytes().chunks(500) {
            bytes.extend(word(0x75d1_1d57));
            bytes.extend([7; 16]);
            bytes.extend(word(0));
            bytes.extend(word((37 + piece.len() as u32) * 8));
            bytes.extend(word(1024 * 8));
            bytes.extend([0, 0, 0, 1, 8]);
            bytes.extend(piece);
            bytes.resize(bytes.len().next_multiple_of(1024), 0);
        }
        assert_eq!(metadata::read(&bytes).unwrap(), read(TSDL));
        bytes[24] ^= 0xff;
        bytes[27] ^= 0xff;
        let error = metadata::read(&bytes).unwrap_err().to_string();
        assert!(
            error.contains("metadata packet at byte 0: its sizes cannot be"),
            "{error}"
        );
    }
}

/// Most of what CTF 2 can say and TSDL cannot.
const JSON: &str = r#"
{"type": "preamble", "version": 2}
{"type": "field-class-alias", "name": "u8", "field-class":
  {"type": "fixed-length-unsigned-integer", "length": 8, "byte-order": "big-endian", "alignment": 8}}
{"type": "trace-class", "namespace": "a", "name": "b", "uid": "c", "attributes": {"x": {"y": [1, 2]}}}
{"type": "clock-class", "id": "k", "frequency": 1000, "origin": {"name": "boot", "uid": "1"}, "accuracy": 4}
{"type": "data-stream-class", "default-clock-class-id": "k", "event-record-header-field-class":
  {"type": "structure", "member-classes": [{"name": "t", "field-class":
    {"type": "variable-length-unsigned-integer", "roles": ["default-clock-timestamp"]}}]}}
{"type": "event-record-class", "name": "e", "payload-field-class": {"type": "structure", "minimum-alignment": 16,
  "member-classes": [
    {"name": "flag", "field-class": {"type": "fixed-length-boolean", "length": 3, "byte-order": "big-endian"}},
    {"name": "maybe", "attributes": {"q": {}}, "field-class": {"type": "optional",
      "selector-field-location": {"path": ["flag"]}, "field-class": "u8"}},
    {"name": "map", "field-class": {"type": "fixed-length-bit-map", "length": 8, "byte-order": "little-endian",
      "bit-order": "last-to-first", "flags": {"low": [[0, 0]], "high": [[4, 7]]}}},
    {"name": "n", "field-class": {"type": "variable-length-signed-integer", "mappings": {"few": [[-5, 5]]}}},
    {"name": "blob", "field-class": {"type": "static-length-blob", "length": 3, "media-type": "image/png"}},
    {"name": "wide", "field-class": {"type": "null-terminated-string", "encoding": "utf-16be"}},
    {"name": "in", "field-class": {"type": "structure", "member-classes": [
      {"name": "text", "field-class": {"type": "dynamic-length-string",
        "length-field-location": {"path": [null, "maybe"]}}}]}},
    {"name": "v", "field-class": {"type": "variant", "selector-field-location":
      {"origin": "event-record-payload", "path": ["n"]}, "options": [
        {"field-class": "u8", "selector-field-ranges": [[-3, 3], [18446744073709551615, 18446744073709551615]]}]}}
  ]}}
"#;

#[test]
fn ctf_2_is_written_and_read_as_the_same() {
    let trace = ctf2::read(JSON.as_bytes()).unwrap();
    assert_eq!(ctf2::read(&ctf2::write(&trace)).unwrap(), trace);
}

#[test]
fn errors_in_ctf_2_say_where_and_what() {
    for (from, to, want) in [
        (
            "\"version\": 2",
            "\"version\": 3",
            "fragment 1, version: version 3 is not supported",
        ),
        (
            "\"version\": 2",
            "\"version\": 2, \"extensions\": {\"z\": 1}",
            "fragment 1, extensions: the extension `z` is not supported",
        ),
        (
            "\"length\": 3, \"byte",
            "\"length\": 65, \"byte",
            "member-classes[0].field-class.length: 65 bits are not",
        ),
        (
            "\"field-class\": \"u8\"}},",
            "\"field-class\": \"u9\"}},",
            "member-classes[1].field-class.field-class: there is no alias named `u9`",
        ),
        (
            "[[-3, 3]",
            "[[3, -3]",
            "options[0].selector-field-ranges[0]: 3 is more than -3",
        ),
        (
            "\"id\": \"k\"",
            "\"id\": \"j\"",
            "fragment 5, default-clock-class-id: there is no clock class `k` before it",
        ),
        (
            "\"static-length-blob\"",
            "\"blob\"",
            "field-class.type: there is no field class type `blob`",
        ),
        (
            "{\"type\": \"preamble\", \"version\": 2}",
            "{}",
            "fragment 1: there is no `type`",
        ),
        (
            "\"frequency\": 1000",
            "\"frequency\": 0",
            "fragment 4, frequency: a clock of frequency 0 tells no time",
        ),
        (
            "[null, \"maybe\"]",
            "[]",
            "length-field-location.path: the path is empty",
        ),
    ] {
        assert!(JSON.contains(from), "{from}");
        let error = ctf2::read(JSON.replacen(from, to, 1).as_bytes())
            .unwrap_err()
            .to_string();
        assert!(error.contains(want), "{error}\nwanted {want}");
    }
}
