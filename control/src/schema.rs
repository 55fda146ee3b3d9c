//! What an event looks like: its name, where it stands in the source, and the types of its fields.
//!
//! An application describes all its events before it emits the first one. The description travels as one block
//! (a sealed memfd next to the ring), and the number of an event in it is the event id in every record header:
//!
//! ```text
//!   encode_schemas: [ number of events | event 0 | event 1 | … ]     record header: [ … | event id | … ]
//!                                        ▲                                               │
//!                                        └───────────────────────────────────────────────┘
//! ```
//!
//! How a value of each type lies in a record is written at [`FieldType`]; every field is byte-aligned, fields are
//! packed, and integers are in the byte order of the machine.
//!
//! Invariant: what [`decode_schemas`] returns is within the limits below, whoever wrote the bytes.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::Error;
use crate::codec;

/// Events of one process. Event ids are 16 bits wide, and `0xffff` marks padding.
pub const MAX_EVENTS: usize = 0xffff;

/// Bytes of one event's encoded description.
pub const MAX_EVENT_BYTES: usize = 64 * 1024;

/// Bytes of all descriptions of a process together.
pub const MAX_SCHEMA_BYTES: usize = 64 * 1024 * 1024;

/// Fields (nested ones included) of all events of a process together.
pub const MAX_FIELDS: usize = 1 << 20;

/// How deep types may be nested: `Optional(Sequence(Unsigned))` is 3 deep.
pub const MAX_DEPTH: usize = 16;

/// One event: all that is known about it before it is hit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EventSchema {
    /// The part of the name before the colon: who emits it, such as `shop`.
    pub provider: String,
    /// The part of the name behind the colon, such as `order`.
    pub name: String,
    /// How important it is.
    pub level: Level,
    /// The source file, as the compiler names it.
    pub file: String,
    /// The line in that file, from 1.
    pub line: u32,
    /// The module, such as `shop::checkout`.
    pub module: String,
    /// The fields in the order in which they lie in a record.
    pub fields: Vec<Field>,
}

impl EventSchema {
    /// The name as users write it: `provider:name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}:{}", self.provider, self.name)
    }
}

/// One named value of an event, or of a structure in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Field {
    /// The name, unique among its neighbours.
    pub name: String,
    /// The type of the value.
    pub ty: FieldType,
}

impl Field {
    /// A field of this name and type.
    #[must_use]
    pub fn new(name: impl Into<String>, ty: FieldType) -> Self {
        Field {
            name: name.into(),
            ty,
        }
    }
}

/// The type of a value, and how its bytes lie in a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FieldType {
    /// An unsigned integer of 8, 16, 32, 64 or 128 bits; of 128 bits the low `u64` comes first.
    Unsigned {
        /// Its width.
        bits: u8,
    },
    /// A signed integer of 8, 16, 32, 64 or 128 bits; of 128 bits the low half comes first, as a `u64`, then the high half, an `i64`.
    Signed {
        /// Its width.
        bits: u8,
    },
    /// An IEEE 754 single, 4 bytes.
    F32,
    /// An IEEE 754 double, 8 bytes.
    F64,
    /// One byte, 0 or 1.
    Bool,
    /// One Unicode scalar value as UTF-8, NUL-terminated.
    Char,
    /// Text, NUL-terminated. Bytes that are not UTF-8 (in paths) stay as they are; a NUL in the text is written as `␀` (U+2400).
    Str,
    /// Bytes without a meaning, shown in hexadecimal: a `u32` length, then the bytes.
    Bytes,
    /// A fixed number of elements, one behind the other.
    Array {
        /// How many.
        len: u32,
        /// The type of each.
        #[serde(deserialize_with = "nested")]
        element: Box<FieldType>,
    },
    /// A `u32` number of elements, then the elements.
    Sequence {
        /// The type of each.
        #[serde(deserialize_with = "nested")]
        element: Box<FieldType>,
    },
    /// One byte, 0 for none and 1 for some, and then, if there is one, the value.
    Optional(#[serde(deserialize_with = "nested")] Box<FieldType>),
    /// A span of time in nanoseconds, a `u64`.
    Duration,
    /// An address, a `u64` shown in hexadecimal.
    Pointer,
    /// Its fields, one behind the other.
    Struct(#[serde(deserialize_with = "nested")] Vec<Field>),
}

impl FieldType {
    /// How many fields and nested types this type is made of, itself included.
    fn weight(&self) -> usize {
        match self {
            FieldType::Array { element, .. }
            | FieldType::Sequence { element }
            | FieldType::Optional(element) => 1 + element.weight(),
            FieldType::Struct(fields) => 1 + fields.iter().map(|f| f.ty.weight()).sum::<usize>(),
            _ => 1,
        }
    }

    /// Says what is wrong with this type, if anything.
    fn flaw(&self, depth: usize) -> Option<String> {
        if depth > MAX_DEPTH {
            return Some(format!("types are nested more than {MAX_DEPTH} deep"));
        }
        match self {
            FieldType::Unsigned { bits } | FieldType::Signed { bits } => {
                (!matches!(bits, 8 | 16 | 32 | 64 | 128))
                    .then(|| format!("an integer has {bits} bits, not 8, 16, 32, 64 or 128"))
            }
            FieldType::Array { element, .. }
            | FieldType::Sequence { element }
            | FieldType::Optional(element) => element.flaw(depth + 1),
            FieldType::Struct(fields) => fields_flaw(fields, depth + 1),
            _ => None,
        }
    }
}

/// As a Rust programmer would write it: `u32`, `Option<str>`, `[f64; 3]`.
impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldType::Unsigned { bits } => write!(f, "u{bits}"),
            FieldType::Signed { bits } => write!(f, "i{bits}"),
            FieldType::F32 => f.write_str("f32"),
            FieldType::F64 => f.write_str("f64"),
            FieldType::Bool => f.write_str("bool"),
            FieldType::Char => f.write_str("char"),
            FieldType::Str => f.write_str("str"),
            FieldType::Bytes => f.write_str("bytes"),
            FieldType::Array { len, element } => write!(f, "[{element}; {len}]"),
            FieldType::Sequence { element } => write!(f, "[{element}]"),
            FieldType::Optional(inner) => write!(f, "Option<{inner}>"),
            FieldType::Duration => f.write_str("Duration"),
            FieldType::Pointer => f.write_str("pointer"),
            FieldType::Struct(fields) => {
                f.write_str("{")?;
                for (i, field) in fields.iter().enumerate() {
                    let separator = if i == 0 { " " } else { ", " };
                    write!(f, "{separator}{}: {}", field.name, field.ty)?;
                }
                f.write_str(" }")
            }
        }
    }
}

/// How important an event is, from the most to the least, as the `tracing` crate has it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something is suspicious.
    Warn,
    /// Worth knowing: the default.
    #[default]
    Info,
    /// For whoever is looking for a fault.
    Debug,
    /// Every step.
    Trace,
}

impl Level {
    /// The log level of a CTF trace, on LTTng's scale of 0 (emergency) to 14 (debug), where more important is lower:
    /// 3 `ERR`, 4 `WARNING`, 6 `INFO`, 13 `DEBUG_LINE`, 14 `DEBUG`.
    ///
    /// LTTng's `DEBUG` is its least important level, so it stands for `Trace`; the order of levels is kept, and a
    /// filter such as "at most 13" means the same for Laneway's traces as for LTTng's.
    #[must_use]
    pub fn loglevel(self) -> i64 {
        match self {
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 6,
            Level::Debug => 13,
            Level::Trace => 14,
        }
    }

    /// The name in lower case: `error`, `warn`, `info`, `debug`, `trace`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The descriptions of all events of a process as bytes; the index in the slice is the event id.
///
/// # Errors
/// A description outside the limits of this module.
pub fn encode_schemas(events: &[EventSchema]) -> Result<Vec<u8>, Error> {
    if events.len() > MAX_EVENTS {
        return Err(Error::TooManyEvents {
            events: events.len() as u64,
        });
    }
    let mut bytes = codec::encode(&(events.len() as u64), MAX_EVENT_BYTES)?;
    for (id, event) in events.iter().enumerate() {
        check(id, event)?;
        bytes.extend(codec::encode(event, MAX_EVENT_BYTES)?);
    }
    if bytes.len() > MAX_SCHEMA_BYTES {
        return Err(Error::TooLong {
            bytes: bytes.len() as u64,
            limit: MAX_SCHEMA_BYTES,
        });
    }
    Ok(bytes)
}

/// Reads what [`encode_schemas`] wrote, without trust: memory and depth are bounded whatever the bytes are.
///
/// # Errors
/// Anything that [`encode_schemas`] cannot have written.
pub fn decode_schemas(bytes: &[u8]) -> Result<Vec<EventSchema>, Error> {
    // A list is its length and its elements. Taken one by one, no claimed length decides what is allocated.
    let (count, mut at) = codec::decode_prefix::<u64>(bytes)?;
    if count > MAX_EVENTS as u64 {
        return Err(Error::TooManyEvents { events: count });
    }
    let mut events = Vec::new();
    let mut weight = 0;
    for id in 0..count as usize {
        let rest = &bytes[at..];
        let window = &rest[..rest.len().min(MAX_EVENT_BYTES)];
        let (event, used) =
            codec::decode_prefix::<EventSchema>(window).map_err(|e| Error::BadEvent {
                id,
                reason: e.to_string(),
            })?;
        check(id, &event)?;
        weight += event.fields.iter().map(|f| f.ty.weight()).sum::<usize>();
        if weight > MAX_FIELDS {
            return Err(Error::BadEvent {
                id,
                reason: format!("the process describes more than {MAX_FIELDS} fields"),
            });
        }
        events.push(event);
        at += used;
    }
    if at != bytes.len() {
        return Err(Error::TrailingBytes {
            bytes: bytes.len() - at,
        });
    }
    Ok(events)
}

/// What both ends insist on. Names become identifiers in a trace, so they have to be sensible ones.
fn check(id: usize, event: &EventSchema) -> Result<(), Error> {
    let bad = |reason: String| Err(Error::BadEvent { id, reason });
    for (what, text) in [("provider", &event.provider), ("name", &event.name)] {
        if text.is_empty() || text.len() > 255 || text.chars().any(char::is_control) {
            return bad(format!(
                "its {what} {text:?} is empty, longer than 255 bytes or holds control characters"
            ));
        }
    }
    match fields_flaw(&event.fields, 0) {
        Some(reason) => bad(reason),
        None => Ok(()),
    }
}

fn fields_flaw(fields: &[Field], depth: usize) -> Option<String> {
    let mut names = BTreeSet::new();
    for field in fields {
        let name = &field.name;
        if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
            return Some(format!(
                "the field name {name:?} is empty, longer than 255 bytes or holds control characters"
            ));
        }
        if !names.insert(name.as_str()) {
            return Some(format!("the field name {name:?} occurs twice"));
        }
        if let Some(reason) = field.ty.flaw(depth + 1) {
            return Some(format!("field {name:?}: {reason}"));
        }
    }
    None
}

thread_local! {
    /// How many types the decoder of this thread is inside of.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Goes one type deeper, but never so deep that hostile bytes could exhaust the stack.
fn nested<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get() - 1);
        }
    }

    DEPTH.set(DEPTH.get() + 1);
    let _leave = Leave;
    if DEPTH.get() > MAX_DEPTH {
        return Err(D::Error::custom(format_args!(
            "types are nested more than {MAX_DEPTH} deep"
        )));
    }
    T::deserialize(deserializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> EventSchema {
        EventSchema {
            provider: "shop".into(),
            name: "order".into(),
            level: Level::Info,
            file: "src/main.rs".into(),
            line: 7,
            module: "shop".into(),
            fields: vec![
                Field::new("id", FieldType::Unsigned { bits: 64 }),
                Field::new("who", FieldType::Optional(Box::new(FieldType::Str))),
                Field::new(
                    "at",
                    FieldType::Struct(vec![
                        Field::new("x", FieldType::F64),
                        Field::new(
                            "path",
                            FieldType::Sequence {
                                element: Box::new(FieldType::Array {
                                    len: 3,
                                    element: Box::new(FieldType::Signed { bits: 16 }),
                                }),
                            },
                        ),
                    ]),
                ),
            ],
        }
    }

    fn in_options(depth: usize) -> FieldType {
        (0..depth).fold(FieldType::Bool, |inner, _| {
            FieldType::Optional(Box::new(inner))
        })
    }

    #[test]
    fn descriptions_survive_the_journey() {
        let events = vec![order(), order()];
        let bytes = encode_schemas(&events).unwrap();
        assert_eq!(decode_schemas(&bytes).unwrap(), events);
    }

    #[test]
    fn a_description_cut_anywhere_is_refused() {
        let bytes = encode_schemas(&[order()]).unwrap();
        for len in 0..bytes.len() {
            assert!(decode_schemas(&bytes[..len]).is_err(), "cut to {len} bytes");
        }
    }

    #[test]
    fn bytes_behind_the_last_event_are_refused() {
        let mut bytes = encode_schemas(&[order()]).unwrap();
        bytes.push(0);
        assert!(matches!(
            decode_schemas(&bytes),
            Err(Error::TrailingBytes { bytes: 1 })
        ));
    }

    #[test]
    fn types_may_be_nested_to_the_limit_and_not_beyond() {
        let mut event = order();
        event.fields = vec![Field::new("x", in_options(MAX_DEPTH - 1))];
        let bytes = encode_schemas(std::slice::from_ref(&event)).unwrap();
        assert_eq!(decode_schemas(&bytes).unwrap(), [event.clone()]);

        event.fields = vec![Field::new("x", in_options(MAX_DEPTH))];
        assert!(matches!(
            encode_schemas(&[event]),
            Err(Error::BadEvent { .. })
        ));
    }

    #[test]
    fn nesting_without_end_is_an_error_and_not_a_stack_overflow() {
        let mut event = order();
        event.fields.clear();
        let mut bytes = encode_schemas(&[event]).unwrap();
        let count = bytes.pop();
        assert_eq!(count, Some(0), "the field count is the last byte");
        bytes.extend([1, 1, b'x']); // one field, its name
        let optional = 10; // FieldType::Optional
        bytes.extend(std::iter::repeat_n(optional, MAX_EVENT_BYTES / 2));
        let error = decode_schemas(&bytes).unwrap_err().to_string();
        assert!(error.contains("nested more than 16 deep"), "{error}");
    }

    #[test]
    fn a_claimed_number_of_events_allocates_nothing() {
        let bytes = [253, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert!(matches!(
            decode_schemas(&bytes),
            Err(Error::TooManyEvents { .. })
        ));
    }

    #[test]
    fn integers_have_a_width_that_exists() {
        let mut event = order();
        event.fields = vec![Field::new("x", FieldType::Unsigned { bits: 24 })];
        let error = encode_schemas(&[event]).unwrap_err().to_string();
        assert!(error.contains("24 bits"), "{error}");
    }

    #[test]
    fn two_fields_of_one_name_are_refused() {
        let mut event = order();
        event.fields.push(Field::new("id", FieldType::Bool));
        let error = encode_schemas(&[event]).unwrap_err().to_string();
        assert!(error.contains("\"id\" occurs twice"), "{error}");
    }

    #[test]
    fn types_read_as_rust_writes_them() {
        let order = order();
        let types: Vec<_> = order.fields.iter().map(|f| f.ty.to_string()).collect();
        assert_eq!(
            types,
            ["u64", "Option<str>", "{ x: f64, path: [[i16; 3]] }"]
        );
    }

    #[test]
    fn more_important_levels_have_lower_numbers() {
        let levels = [
            Level::Error,
            Level::Warn,
            Level::Info,
            Level::Debug,
            Level::Trace,
        ];
        assert!(levels.is_sorted_by_key(|l| l.loglevel()));
        assert!(levels.is_sorted());
    }
}
