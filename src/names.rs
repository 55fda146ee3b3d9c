//! Names of events and fields, checked while the program is compiled.
//!
//! ```text
//!   "shop:order"            trace!("shop:order", self.id, http.status = 200, r#type)
//!    ──┬─ ──┬──                                  ─┬─      ─────┬─────        ──┬───
//!   provider name                                "id"    "http.status"       "type"
//! ```
//! A name becomes a class in a trace and an identifier of its metadata language, is typed
//! in globs and shown in columns; so it is short ASCII. A `const fn` that panics makes a
//! name that is not one an error of the compiler, with the text of the panic.
//!
//! Invariant: whatever passes here is a name to [`laneway_control::encode_schemas`].

/// Bytes of a whole event name, or of a field name.
pub(crate) const MAX_BYTES: usize = 255;

/// The provider and the name of `provider:name`.
pub(crate) fn split(event: &'static str) -> (&'static str, &'static str) {
    event.split_once(':').unwrap_or((event, ""))
}

/// The name of a field: its segments without `r#`, and without the `self` they may begin with.
pub(crate) fn field_name(segments: &[&str]) -> String {
    let segments = &segments[first(segments)..];
    let plain: Vec<_> = segments
        .iter()
        .map(|s| s.strip_prefix("r#").unwrap_or(s))
        .collect();
    plain.join(".")
}

/// Fails to compile unless `event` is a `provider:name`.
#[track_caller]
pub const fn check_event_name(event: &str) {
    let bytes = event.as_bytes();
    assert!(
        !bytes.is_empty(),
        "an event needs a name: write \"provider:event\", as in \"shop:order\""
    );
    assert!(
        bytes.len() <= MAX_BYTES,
        "the name of an event has at most 255 bytes"
    );
    let mut colon = bytes.len();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b':' {
            assert!(
                colon == bytes.len(),
                "the name of an event has exactly one colon, between provider and event: \"shop:order\"; inside either use `.`, `_`, `-` or `/`"
            );
            colon = at;
        } else {
            assert!(
                bytes[at].is_ascii_alphanumeric() || matches!(bytes[at], b'_' | b'-' | b'.' | b'/'),
                "the name of an event consists of ASCII letters, digits, `_`, `-`, `.` and `/`, with one colon between provider and event: \"shop:order\""
            );
        }
        at += 1;
    }
    assert!(
        colon < bytes.len(),
        "the name of an event needs a provider in front of a colon: \"shop:order\", not \"order\""
    );
    assert!(
        colon > 0,
        "the provider in front of the colon is missing: \"shop:order\", not \":order\""
    );
    assert!(
        colon + 1 < bytes.len(),
        "the event behind the colon is missing: \"shop:order\", not \"shop:\""
    );
    assert!(
        !bytes[0].is_ascii_digit() && !bytes[colon + 1].is_ascii_digit(),
        "neither provider nor event begins with a digit"
    );
}

/// Fails to compile unless all names of fields are such and different from each other.
#[track_caller]
pub const fn check_field_names(fields: &[&[&str]]) {
    let mut at = 0;
    while at < fields.len() {
        check_field_name(fields[at]);
        let mut earlier = 0;
        while earlier < at {
            assert!(
                !same(fields[earlier], fields[at]),
                "two fields of this event have the same name (`.` counts as `_`): write `other = expr` for one of them"
            );
            earlier += 1;
        }
        at += 1;
    }
}

#[track_caller]
const fn check_field_name(segments: &[&str]) {
    let mut len = 0;
    while let Some(byte) = byte_at(segments, len) {
        assert!(
            byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.',
            "the name of a field consists of ASCII letters, digits and `_`: write `name = expr`"
        );
        len += 1;
    }
    assert!(
        len <= MAX_BYTES,
        "the name of a field has at most 255 bytes"
    );
}

/// Whether both are the same identifier in a trace, where a dot becomes `_`.
const fn same(a: &[&str], b: &[&str]) -> bool {
    let mut at = 0;
    loop {
        match (byte_at(a, at), byte_at(b, at)) {
            (None, None) => return true,
            (Some(a), Some(b)) if a == b || (is_joint(a) && is_joint(b)) => at += 1,
            _ => return false,
        }
    }
}

const fn is_joint(byte: u8) -> bool {
    byte == b'.' || byte == b'_'
}

/// The first segment that counts: `self.id` is called `id`.
const fn first(segments: &[&str]) -> usize {
    let is_self = matches!(segments[0].as_bytes(), b"self");
    if is_self && segments.len() > 1 { 1 } else { 0 }
}

/// Byte `at` of what [`field_name`] makes of `segments`.
const fn byte_at(segments: &[&str], at: usize) -> Option<u8> {
    let mut left = at;
    let mut segment = first(segments);
    while segment < segments.len() {
        let bytes = segments[segment].as_bytes();
        let skip = if bytes.len() > 2 && bytes[0] == b'r' && bytes[1] == b'#' {
            2
        } else {
            0
        };
        let len = bytes.len() - skip;
        if left < len {
            return Some(bytes[skip + left]);
        }
        if left == len && segment + 1 < segments.len() {
            return Some(b'.');
        }
        if left == len {
            return None;
        }
        left -= len + 1;
        segment += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    fn event_error(name: &'static str) -> String {
        let panic = catch_unwind(|| check_event_name(name)).unwrap_err();
        panic.downcast_ref::<&str>().unwrap().to_string()
    }

    #[test]
    fn a_name_has_a_provider_and_an_event() {
        for name in ["shop:order", "a:b", "my-crate/http.v2:request_done", "_:_"] {
            check_event_name(name);
        }
        assert_eq!(split("shop:order"), ("shop", "order"));
    }

    #[test]
    fn a_bad_name_says_what_is_missing() {
        assert!(event_error("").contains("needs a name"));
        assert!(event_error("order").contains("needs a provider"));
        assert!(event_error(":order").contains("provider in front of the colon is missing"));
        assert!(event_error("shop:").contains("event behind the colon is missing"));
        assert!(event_error("shop::order").contains("exactly one colon"));
        assert!(event_error("shop:the order").contains("ASCII letters"));
        assert!(event_error("shop:9").contains("digit"));
        assert!(event_error(concat!("shop:", include_str!("names.rs"))).contains("255"));
    }

    #[test]
    fn a_field_is_called_as_it_is_written_but_for_self_and_raw() {
        for (segments, name) in [
            (&["id"][..], "id"),
            (&["self", "id"], "id"),
            (&["self"], "self"),
            (&["r#type"], "type"),
            (&["http", "r#type", "code"], "http.type.code"),
        ] {
            assert_eq!(field_name(segments), name);
            let bytes: Vec<_> = (0..).map_while(|at| byte_at(segments, at)).collect();
            assert_eq!(bytes, name.as_bytes());
        }
    }

    #[test]
    fn names_that_a_trace_could_not_tell_apart_are_refused() {
        check_field_names(&[&["a"], &["b"], &["a", "b"], &["ab"]]);
        for twice in [
            [&["a"][..], &["a"]],
            [&["a", "b"], &["a_b"]],
            [&["self", "a"], &["a"]],
            [&["r#a"], &["a"]],
        ] {
            assert!(
                catch_unwind(|| check_field_names(&twice)).is_err(),
                "{twice:?}"
            );
        }
        assert!(catch_unwind(|| check_field_names(&[&["größe"]])).is_err());
    }
}
