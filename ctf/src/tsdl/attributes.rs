//! The values of attributes: `size = 32;`, `align = 8;`, `encoding = UTF8;`.
//!
//! Reference: CTF 1.8.3, chapter 4.

use super::ast::{Attribute, Value};
use super::{Error, Position};
use crate::model::{Base, ByteOrder, Encoding, FieldClass, StringClass};

pub(super) fn string(attributes: &[Attribute]) -> Result<FieldClass, Error> {
    let mut class = StringClass::default();
    for (path, value, at) in attributes {
        if path.join(".") == "encoding" {
            class.encoding = encoding(value, *at)?.unwrap_or_default();
        }
    }
    Ok(class.into())
}

pub(super) fn unsigned(value: &Value, position: Position) -> Result<u64, Error> {
    match value {
        Value::Integer(value) => u64::try_from(*value).ok(),
        _ => None,
    }
    .ok_or_else(|| Error::new(position, "expected a number, zero or more"))
}

pub(super) fn bits(value: &Value, most: u64, what: &str, position: Position) -> Result<u32, Error> {
    match unsigned(value, position)? {
        bits if (1..=most).contains(&bits) => Ok(bits as u32),
        bits => {
            let message = format!("an {what} of {bits} bits is not supported: 1 to {most}");
            Err(Error::new(position, message))
        }
    }
}

pub(super) fn alignment(align: u64, position: Position) -> Result<u32, Error> {
    match u32::try_from(align) {
        Ok(align) if align.is_power_of_two() && align <= 1 << 24 => Ok(align),
        _ => Err(Error::new(
            position,
            format!("an alignment of {align} bits is no power of two up to 2^24"),
        )),
    }
}

fn one_word(value: &Value) -> Option<&str> {
    match value {
        Value::Words(words) => match words.as_slice() {
            [word] => Some(word),
            _ => None,
        },
        Value::Text(text) => Some(text),
        Value::Integer(_) => None,
    }
}

pub(super) fn boolean(value: &Value, position: Position) -> Result<bool, Error> {
    match (value, one_word(value)) {
        (Value::Integer(value), _) => Ok(*value != 0),
        (_, Some("true" | "TRUE")) => Ok(true),
        (_, Some("false" | "FALSE")) => Ok(false),
        _ => Err(Error::new(position, "expected `true` or `false`")),
    }
}

pub(super) fn base(value: &Value, position: Position) -> Result<Base, Error> {
    match (value, one_word(value)) {
        (Value::Integer(2), _) | (_, Some("binary" | "b")) => Ok(Base::Binary),
        (Value::Integer(8), _) | (_, Some("octal" | "oct" | "o")) => Ok(Base::Octal),
        (Value::Integer(10), _) | (_, Some("decimal" | "dec" | "d" | "i" | "u")) => {
            Ok(Base::Decimal)
        }
        (Value::Integer(16), _) | (_, Some("hexadecimal" | "hex" | "x" | "X" | "p")) => {
            Ok(Base::Hexadecimal)
        }
        _ => Err(Error::new(position, "a base is 2, 8, 10 or 16")),
    }
}

/// A byte order; `native` is that of the trace.
pub(super) fn byte_order(
    value: &Value,
    native: ByteOrder,
    position: Position,
) -> Result<ByteOrder, Error> {
    match one_word(value) {
        Some("le") => Ok(ByteOrder::Little),
        Some("be" | "network") => Ok(ByteOrder::Big),
        Some("native") => Ok(native),
        _ => Err(Error::new(
            position,
            "a byte order is `le`, `be`, `network` or `native`",
        )),
    }
}

pub(super) fn encoding(value: &Value, position: Position) -> Result<Option<Encoding>, Error> {
    match one_word(value) {
        Some("none") => Ok(None),
        Some("UTF8" | "utf8" | "UTF-8" | "utf-8") => Ok(Some(Encoding::Utf8)),
        Some("ASCII" | "ascii") => Ok(Some(Encoding::Ascii)),
        _ => Err(Error::new(
            position,
            "an encoding is `none`, `UTF8` or `ASCII`",
        )),
    }
}
