//! Every value of every type comes out of babeltrace2 as it went into `trace!`.
//!
//! The values are in `src/bin/every_type.rs`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use laneway_tests::{Event, Record};

/// What one run of the program came to.
struct Outcome {
    events: BTreeMap<String, Vec<Event>>,
    pid: u32,
    texts_cut: u64,
}

static OUTCOME: LazyLock<Outcome> = LazyLock::new(|| {
    let recorded = Record::program("every_type").run();
    let mut events = BTreeMap::<_, Vec<_>>::new();
    for event in recorded.events() {
        events.entry(event.name.clone()).or_default().push(event);
    }
    Outcome {
        events,
        pid: recorded.process().pid,
        texts_cut: recorded.output.number("texts_cut"),
    }
});

/// The text of the only event `types:<name>`.
#[track_caller]
fn fields(name: &str) -> &'static str {
    let events = OUTCOME.events.get(&format!("types:{name}"));
    match events.map(Vec::as_slice) {
        Some([event]) => &event.fields,
        other => panic!("not one types:{name}: {other:?}"),
    }
}

#[track_caller]
fn assert_all(expected: &[(&str, &str)]) {
    for (name, expected) in expected {
        assert_eq!(fields(name), *expected, "types:{name}");
    }
}

#[test]
fn integers_keep_their_width_and_their_sign() {
    assert_all(&[
        ("nothing", ""),
        (
            "unsigned",
            "a = 255, b = 65535, c = 4294967295, d = 18446744073709551615, e = 18446744073709551615",
        ),
        ("unsigned_min", "a = 0, b = 0, c = 0, d = 0"),
        (
            "signed",
            "a = -128, b = -32768, c = -2147483648, d = -9223372036854775808, e = -9223372036854775808",
        ),
        (
            "signed_max",
            "a = 127, b = 32767, c = 2147483647, d = 9223372036854775807, e = -1",
        ),
    ]);
}

#[test]
fn integers_of_128_bits_are_two_halves() {
    assert_eq!(
        fields("wide"),
        "a = { low = 0xFFFFFFFFFFFFFFFF, high = 0xFFFFFFFFFFFFFFFF }, b = { low = 0x0, high = 0x1 }, \
         c = { low = 0x0, high = 0x8000000000000000 }, d = { low = 0xFFFFFFFFFFFFFFFF, high = 0xFFFFFFFFFFFFFFFF }"
    );
}

#[test]
fn floats_keep_infinities_and_the_smallest_numbers() {
    assert_all(&[
        ("float", "a = 1.5, b = -0.1, c = inf, d = -inf, e = nan"),
        (
            "float_edges",
            "a = 3.40282e+38, b = 1.17549e-38, c = 1.79769e+308, d = 4.94066e-324, e = -0",
        ),
    ]);
}

#[test]
fn booleans_and_characters_are_shown_by_name() {
    assert_all(&[
        (
            "bool",
            r#"a = ( "true" : container = 1 ), b = ( "false" : container = 0 )"#,
        ),
        (
            "char",
            "a = \"x\", b = \"🦀\", c = \"␀\", d = \"\\\"\", e = \"\u{10ffff}\"",
        ),
    ]);
}

#[test]
fn durations_are_nanoseconds_and_pointers_hexadecimal() {
    assert_all(&[
        ("duration", "a = 3000000, b = 0, c = 18446744073709551615"),
        (
            "pointer",
            r#"address = 0xDEADBEEF, slice = 0x10, a = 0xDEADBEEF, _b_tag = ( "some" : container = 1 ), b = { 0xDEADBEEF }, c = 0x0, d = 0xFFFFFFFFFFFFFFFF"#,
        ),
    ]);
}

#[test]
fn text_is_whole_whatever_it_contains() {
    assert_all(&[
        (
            "text",
            r#"a = "plain", string = "owned", boxed = "boxed", cow = "cow", shared = "shared", empty = """#,
        ),
        (
            "text_unusual",
            r#"a = "quote \" backslash \\ tab \t newline \n", b = "grüße 🦀", c = "a␀b", d = "{ x = 1 }, [ ]""#,
        ),
    ]);
}

#[test]
fn paths_that_are_not_utf8_keep_their_bytes() {
    assert_eq!(
        fields("path"),
        r#"a = "/etc/motd", b = "/tmp/\xff\xfe", c = "/tmp/\xff\xfe", d = "/tmp/\xff\xfe", e = "c \xf0", f = "owned", g = """#
    );
}

#[test]
fn bytes_are_hexadecimal() {
    assert_eq!(
        fields("bytes"),
        "_a_length = 3, a = [ [0] = 0x0, [1] = 0x1, [2] = 0xFF ], _b_length = 2, b = [ [0] = 0x61, [1] = 0x62 ], \
         _c_length = 2, c = [ [0] = 0x0, [1] = 0xFF ], _d_length = 0, d = [ ], _e_length = 0, e = [ ]"
    );
}

#[test]
fn arrays_and_sequences_keep_their_elements_also_when_empty() {
    assert_all(&[
        (
            "array",
            "a = [ [0] = 1, [1] = 2 ], b = [ [0] = -9223372036854775808 ], \
             c = [ [0] = 0.5, [1] = 0.5, [2] = 0.5 ], d = [ ]",
        ),
        (
            "sequence",
            r#"_a_length = 2, a = [ [0] = -1, [1] = 1 ], _b_length = 1, b = [ [0] = 0.25 ], _c_length = 0, c = [ ], _d_length = 2, d = [ [0] = ( "true" : container = 1 ), [1] = ( "false" : container = 0 ) ]"#,
        ),
        (
            "strings",
            r#"a = [ [0] = "x", [1] = "", [2] = "y z" ], _b_length = 2, b = [ [0] = "Ada", [1] = "" ], _c_length = 0, c = [ ]"#,
        ),
    ]);
}

#[test]
fn arrays_nest() {
    assert_eq!(
        fields("nested"),
        concat!(
            "a = [ [0] = [ [0] = 1, [1] = 2 ], [1] = [ [0] = 3, [1] = 4 ] ], ",
            r#"_b_length = 3, b = [ [0] = { _values_length = 1, values = [ [0] = "x" ] }, "#,
            "[1] = { _values_length = 0, values = [ ] }, ",
            r#"[2] = { _values_length = 2, values = [ [0] = "y", [1] = "z" ] } ], "#,
            "c = [ [0] = { _values_length = 2, values = [ [0] = 0x1, [1] = 0x2 ] }, ",
            "[1] = { _values_length = 2, values = [ [0] = 0x3, [1] = 0xFF ] } ], ",
            "_d_length = 1, d = [ [0] = [ [0] = { low = 0xFFFFFFFFFFFFFFFF, high = 0xFFFFFFFFFFFFFFFF } ] ]",
        )
    );
}

const SOME: &str = r#"( "some" : container = 1 )"#;
const NONE: &str = r#"( "none" : container = 0 )"#;

#[test]
fn options_hold_a_value_or_nothing() {
    assert_eq!(
        fields("option"),
        format!(
            "_a_tag = {SOME}, a = {{ 7 }}, _b_tag = {NONE}, b = {{ {{ }} }}, _c_tag = {SOME}, c = {{ \"text\" }}, \
             _d_tag = {NONE}, d = {{ {{ }} }}, \
             _e_tag = {SOME}, e = {{ {{ _values_length = 2, values = [ [0] = 1, [1] = -1 ] }} }}, \
             _f_tag = {SOME}, f = {{ 1 }}"
        )
    );
}

#[test]
fn options_nest() {
    assert_eq!(
        fields("option_nested"),
        format!(
            "_a_tag = {SOME}, a = {{ {{ _value_tag = {SOME}, value = {{ 1 }} }} }}, \
             _b_tag = {SOME}, b = {{ {{ _value_tag = {NONE}, value = {{ {{ }} }} }} }}, \
             _c_tag = {NONE}, c = {{ {{ }} }}, \
             d = [ [0] = {{ _value_tag = {SOME}, value = {{ \"y\" }} }}, \
             [1] = {{ _value_tag = {NONE}, value = {{ {{ }} }} }} ], \
             _e_tag = {SOME}, e = {{ {{ low = 0xFFFFFFFFFFFFFFFF, high = 0xFFFFFFFFFFFFFFFF }} }}"
        )
    );
}

#[test]
fn wrappers_appear_as_what_is_in_them_and_structures_by_their_fields() {
    assert_eq!(
        fields("wrapper"),
        r#"a = 255, b = -1, c = 1, d = "rc", e = 7, atomic = 5, flag = ( "true" : container = 1 ), small = -5, g = -40"#
    );
    assert_eq!(
        fields("structure"),
        format!(
            "one = {{ from = {{ x = -2147483648, label = \"a\" }}, _to_tag = {SOME}, \
             to = {{ {{ x = 1, label = \"b c\" }} }} }}, \
             two = {{ from = {{ x = 0, label = \"\" }}, _to_tag = {NONE}, to = {{ {{ }} }} }}"
        )
    );
}

#[test]
fn formatted_text_is_whole_up_to_its_limit_and_marked_and_counted_beyond() {
    assert_eq!(
        fields("formatted"),
        r#"error = "No such file or directory (os error 2)", name = "\"Ada\"", a = "    7|0xff", b = "Some(\"x\")", c = "", d = "nul␀""#
    );
    let digits = "0123456789".repeat(51);
    let cut = format!("{}{}", &digits[..509], '…');
    assert_eq!(
        fields("cut"),
        format!("fits = \"{digits}\", cut = \"{cut}\"")
    );
    assert_eq!(OUTCOME.texts_cut, 1);
}

#[test]
fn values_of_64_kib_are_whole() {
    let long = "abcdefgh".repeat(8 << 10);
    assert_eq!(fields("long_text"), format!("long = \"{long}\""));
    let list = |texts: Vec<String>| texts.join(", ");
    let bytes = list(
        (0..65_536)
            .map(|i| format!("[{i}] = 0x{:X}", i % 256))
            .collect(),
    );
    assert_eq!(
        fields("long_bytes"),
        format!("_bytes_length = 65536, bytes = [ {bytes} ]")
    );
    let numbers = list((0..8192).map(|i| format!("[{i}] = {i}")).collect());
    assert_eq!(
        fields("long_numbers"),
        format!("_numbers_length = 8192, numbers = [ {numbers} ]")
    );
}

#[test]
fn records_of_every_length_follow_each_other() {
    let found: Vec<_> = OUTCOME.events["types:length"]
        .iter()
        .map(|e| &e.fields)
        .collect();
    let expected: Vec<_> = (0..32)
        .map(|length| format!("length = {length}, text = \"{}\"", "-".repeat(length)))
        .collect();
    assert_eq!(found, expected.iter().collect::<Vec<_>>());
}

#[test]
fn names_that_mean_something_to_the_format_are_names_all_the_same() {
    assert_eq!(
        fields("names"),
        r#"http_status = 200, type = "raw", event = 1, stream = 2, struct = 3, integer = 4, _x = 5"#
    );
    let levels: Vec<_> = OUTCOME.events["types:level"]
        .iter()
        .map(|e| &e.fields)
        .collect();
    assert_eq!(levels, ["e = 1", "t = 1"], "two places may share a name");
}

#[test]
fn every_event_names_its_process_and_its_thread() {
    for event in OUTCOME.events.values().flatten() {
        assert_eq!(event.process, "every_type");
        assert_eq!(event.pid, OUTCOME.pid);
        assert_eq!(event.thread, Some(OUTCOME.pid), "the main thread");
    }
}

#[test]
fn the_thread_can_be_left_out_and_everything_else_is_the_same() {
    let recorded = Record::program("every_type")
        .options(["--no-thread-id"])
        .run();
    let events = recorded.events();
    assert_eq!(
        events.len(),
        OUTCOME.events.values().map(Vec::len).sum::<usize>()
    );
    for event in events {
        assert_eq!(event.thread, None);
        let with = OUTCOME.events[&event.name].iter().map(|e| &e.fields);
        assert!(
            with.into_iter().any(|fields| *fields == event.fields),
            "{event:?}"
        );
    }
}
