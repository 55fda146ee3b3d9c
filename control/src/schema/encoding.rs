//! Descriptions as bytes, and back without trust.
//!
//! The block travels in a sealed memfd next to the ring:
//!
//! ```text
//!   [ number of events | event 0 | event 1 | … ]     record header: [ … | event id | … ]
//!                          ▲                                               │
//!                          └───────────────────────────────────────────────┘
//! ```
//!
//! Invariant: what [`decode_schemas`] returns is within the limits below, whoever wrote the bytes.

use std::cell::Cell;
use std::collections::BTreeSet;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{EventSchema, Field, FieldType};
use crate::Error;
use crate::codec;

/// Events of one process, and of one shared buffer. Event ids are 16 bits wide; `0xffff` marks padding and `0xfffe` what
/// a dead process did not finish.
pub const MAX_EVENTS: usize = 0xfffe;

/// Bytes of one event's encoded description.
pub const MAX_EVENT_BYTES: usize = 64 * 1024;

/// Bytes of all descriptions of a process together.
pub const MAX_SCHEMA_BYTES: usize = 64 * 1024 * 1024;

/// Fields (nested ones included) of all events of a process together.
pub const MAX_FIELDS: usize = 1 << 20;

/// How deep types may be nested: `Optional(Sequence(Unsigned))` is 3 deep.
pub const MAX_DEPTH: usize = 16;

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
pub(super) fn nested<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Level;

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
}
