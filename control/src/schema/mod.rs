//! What an event looks like: its name, where it stands in the source, and the types of its fields.
//!
//! An application describes all its events before it emits the first one. The number of an event in that list is the
//! event id in every record header. How a value of each type lies in a record is written at [`FieldType`]; every field
//! is byte-aligned, fields are packed, and integers are in the byte order of the machine.

mod encoding;

use std::fmt;

use serde::{Deserialize, Serialize};

use encoding::nested;

pub use encoding::{
    MAX_DEPTH, MAX_EVENT_BYTES, MAX_EVENTS, MAX_FIELDS, MAX_SCHEMA_BYTES, decode_schemas,
    encode_schemas,
};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_read_as_rust_writes_them() {
        let optional = FieldType::Optional(Box::new(FieldType::Str));
        assert_eq!(optional.to_string(), "Option<str>");
        let array = FieldType::Array {
            len: 3,
            element: Box::new(FieldType::Signed { bits: 16 }),
        };
        let paths = FieldType::Sequence {
            element: Box::new(array),
        };
        let structure = FieldType::Struct(vec![
            Field::new("x", FieldType::F64),
            Field::new("paths", paths),
        ]);
        assert_eq!(structure.to_string(), "{ x: f64, paths: [[i16; 3]] }");
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
