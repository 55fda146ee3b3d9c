//! JSON field classes into the model.
//!
//! Reference: CTF2-SPEC-2.0, section 5.3 (field classes).

use std::collections::HashMap;

use serde_json::Value;

use super::json::{Object, Wrong, any_integer, array, each, maybe, need, object, text, unsigned};
use crate::model::MAX_BITS;
use crate::model::{
    Array, Attributes, Base, BitArray, Blob, Boolean, ByteOrder, Encoding, Field, FieldClass,
    FieldLocation, Float, Integer, Length, Mapping, Optional, Range, Role, Roles, Scope, Selector,
    StringClass, Structure, Text, VarInteger, Variant, VariantOption,
};

/// How many field classes the metadata may come to when aliases are replaced.
const MAX_CLASSES: usize = 1 << 20;

/// How deep field classes may be nested: an alias adds to what JSON allows.
const MAX_DEPTH: usize = 100;

/// The most elements or bytes of a static length.
const MAX_LENGTH: u64 = 1 << 40;

/// Reads field classes.
#[derive(Default)]
pub(super) struct ClassReader {
    /// What aliases stand for, how many classes that is and how deep.
    aliases: HashMap<String, (FieldClass, usize)>,
    classes: usize,
    depth: usize,
}

impl ClassReader {
    /// Gives a class a name.
    pub(super) fn define(&mut self, name: String, value: &Value) -> Result<(), Wrong> {
        let before = self.classes;
        let class = self.class(value)?;
        if self.aliases.contains_key(&name) {
            return Err(Wrong::new(format!("there is another alias named `{name}`")));
        }
        self.aliases.insert(name, (class, self.classes - before));
        Ok(())
    }

    /// A class that has to be a structure.
    pub(super) fn structure(&mut self, value: &Value) -> Result<Structure, Wrong> {
        match self.class(value)? {
            FieldClass::Structure(structure) => Ok(structure),
            _ => Err(Wrong::new("expected a structure")),
        }
    }

    fn class(&mut self, value: &Value) -> Result<FieldClass, Wrong> {
        if let Some(name) = value.as_str() {
            let (class, weight) = self
                .aliases
                .get(name)
                .ok_or_else(|| Wrong::new(format!("there is no alias named `{name}`")))?;
            self.classes = self.classes.saturating_add(*weight);
            if self.classes > MAX_CLASSES {
                return Err(Wrong::new(format!(
                    "the field classes come to more than {MAX_CLASSES}"
                )));
            }
            return Ok(class.clone());
        }
        self.classes += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Wrong::new(format!(
                "field classes are nested more than {MAX_DEPTH} deep"
            )));
        }
        let class = self.described(object(value)?)?;
        self.depth -= 1;
        Ok(class)
    }

    fn described(&mut self, o: &Object) -> Result<FieldClass, Wrong> {
        let kind = need(o, "type", text)?;
        Ok(match kind.as_str() {
            "fixed-length-bit-array" | "fixed-length-bit-map" => {
                let bits = BitsOf::read(o)?;
                BitArray {
                    bits: bits.bits,
                    align: bits.align,
                    order: bits.order,
                    reversed: bits.reversed,
                    flags: maybe(o, "flags", mappings)?,
                }
                .into()
            }
            "fixed-length-boolean" => {
                let BitsOf {
                    bits,
                    align,
                    order,
                    reversed,
                } = BitsOf::read(o)?;
                if bits > 64 {
                    let message = format!("{bits} bits are not supported: 1 to 64");
                    return Err(Wrong::new(message).under("length"));
                }
                Boolean {
                    bits,
                    align,
                    order,
                    reversed,
                }
                .into()
            }
            "fixed-length-unsigned-integer" | "fixed-length-signed-integer" => {
                let BitsOf {
                    bits,
                    align,
                    order,
                    reversed,
                } = BitsOf::read(o)?;
                let signed = kind == "fixed-length-signed-integer";
                Integer {
                    align,
                    order,
                    reversed,
                    signed,
                    base: base(o)?,
                    mappings: maybe(o, "mappings", mappings)?,
                    roles: roles(o)?,
                    ..Integer::unsigned(bits)
                }
                .into()
            }
            "fixed-length-floating-point-number" => {
                let BitsOf {
                    bits,
                    align,
                    order,
                    reversed,
                } = BitsOf::read(o)?;
                if !matches!(bits, 16 | 32 | 64 | 128) {
                    let message = format!(
                        "a floating point number of {bits} bits is not supported: 16, 32, 64 or 128"
                    );
                    return Err(Wrong::new(message).under("length"));
                }
                Float {
                    bits,
                    align,
                    order,
                    reversed,
                }
                .into()
            }
            "variable-length-unsigned-integer" | "variable-length-signed-integer" => VarInteger {
                signed: kind == "variable-length-signed-integer",
                base: base(o)?,
                mappings: maybe(o, "mappings", mappings)?,
                roles: roles(o)?,
            }
            .into(),
            "null-terminated-string" => StringClass {
                encoding: encoding(o)?,
            }
            .into(),
            "static-length-string" | "dynamic-length-string" => Text {
                length: self.length(o, &kind)?,
                encoding: encoding(o)?,
            }
            .into(),
            "static-length-blob" | "dynamic-length-blob" => Blob {
                length: self.length(o, &kind)?,
                media_type: maybe(o, "media-type", text)?,
                roles: roles(o)?,
            }
            .into(),
            "static-length-array" | "dynamic-length-array" => Array {
                length: self.length(o, &kind)?,
                element: Box::new(need(o, "element-field-class", |v| self.class(v))?),
                align: maybe(o, "minimum-alignment", alignment)?.unwrap_or(1),
            }
            .into(),
            "structure" => Structure {
                fields: maybe(o, "member-classes", |v| self.members(v))?.unwrap_or_default(),
                align: maybe(o, "minimum-alignment", alignment)?.unwrap_or(1),
            }
            .into(),
            "optional" => {
                let location = need(o, "selector-field-location", location)?;
                let selector = match maybe(o, "selector-field-ranges", ranges)? {
                    None => Selector::Boolean(location),
                    Some(ranges) => Selector::Integer(location, ranges),
                };
                let class = Box::new(need(o, "field-class", |v| self.class(v))?);
                Optional { selector, class }.into()
            }
            "variant" => Variant {
                selector: need(o, "selector-field-location", location)?,
                options: need(o, "options", |v| each(v, |v| self.option(v)))?,
            }
            .into(),
            other => {
                let message = format!("there is no field class type `{other}`");
                return Err(Wrong::new(message).under("type"));
            }
        })
    }

    fn members(&mut self, value: &Value) -> Result<Vec<Field>, Wrong> {
        let mut names = std::collections::HashSet::new();
        each(value, |member| {
            let o = object(member)?;
            let name = need(o, "name", text)?;
            if !names.insert(name.clone()) {
                return Err(Wrong::new(format!("another member is named `{name}`")).under("name"));
            }
            Ok(Field {
                class: need(o, "field-class", |v| self.class(v))?,
                attributes: attributes(o)?,
                class_attributes: match o.get("field-class").and_then(Value::as_object) {
                    Some(class) => attributes(class)?,
                    None => None,
                },
                name,
            })
        })
    }

    fn option(&mut self, value: &Value) -> Result<VariantOption, Wrong> {
        let o = object(value)?;
        Ok(VariantOption {
            name: maybe(o, "name", text)?,
            class: need(o, "field-class", |v| self.class(v))?,
            ranges: need(o, "selector-field-ranges", ranges)?,
            attributes: attributes(o)?,
        })
    }

    fn length(&self, o: &Object, kind: &str) -> Result<Length, Wrong> {
        if kind.starts_with("dynamic") {
            return Ok(Length::Field(need(o, "length-field-location", location)?));
        }
        match need(o, "length", unsigned)? {
            length if length <= MAX_LENGTH => Ok(Length::Fixed(length)),
            length => {
                Err(Wrong::new(format!("a length of {length} fits in no packet")).under("length"))
            }
        }
    }
}

/// What all classes of a fixed number of bits have.
struct BitsOf {
    bits: u32,
    align: u32,
    order: ByteOrder,
    reversed: bool,
}

impl BitsOf {
    fn read(o: &Object) -> Result<Self, Wrong> {
        let bits = need(o, "length", |v| match unsigned(v)? {
            bits if (1..=u64::from(MAX_BITS)).contains(&bits) => Ok(bits as u32),
            bits => Err(Wrong::new(format!(
                "{bits} bits are not supported: 1 to {MAX_BITS}"
            ))),
        })?;
        let order = need(o, "byte-order", |v| match v.as_str() {
            Some("little-endian") => Ok(ByteOrder::Little),
            Some("big-endian") => Ok(ByteOrder::Big),
            _ => Err(Wrong::new("expected `little-endian` or `big-endian`")),
        })?;
        let natural = match order {
            ByteOrder::Little => "first-to-last",
            ByteOrder::Big => "last-to-first",
        };
        let reversed = maybe(o, "bit-order", |v| match v.as_str() {
            Some(bit_order @ ("first-to-last" | "last-to-first")) => Ok(bit_order != natural),
            _ => Err(Wrong::new("expected `first-to-last` or `last-to-first`")),
        })?;
        Ok(BitsOf {
            bits,
            align: maybe(o, "alignment", alignment)?.unwrap_or(1),
            order,
            reversed: reversed.unwrap_or(false),
        })
    }
}

fn alignment(value: &Value) -> Result<u32, Wrong> {
    match unsigned(value)? {
        align if align.is_power_of_two() && align <= 1 << 24 => Ok(align as u32),
        align => Err(Wrong::new(format!(
            "an alignment of {align} bits is no power of two up to 2^24"
        ))),
    }
}

fn base(o: &Object) -> Result<Base, Wrong> {
    let base = maybe(o, "preferred-display-base", |v| match unsigned(v)? {
        2 => Ok(Base::Binary),
        8 => Ok(Base::Octal),
        10 => Ok(Base::Decimal),
        16 => Ok(Base::Hexadecimal),
        other => Err(Wrong::new(format!("a base is 2, 8, 10 or 16, not {other}"))),
    })?;
    Ok(base.unwrap_or_default())
}

fn encoding(o: &Object) -> Result<Encoding, Wrong> {
    let encoding = maybe(o, "encoding", |v| match text(v)?.as_str() {
        "utf-8" => Ok(Encoding::Utf8),
        "utf-16be" => Ok(Encoding::Utf16Be),
        "utf-16le" => Ok(Encoding::Utf16Le),
        "utf-32be" => Ok(Encoding::Utf32Be),
        "utf-32le" => Ok(Encoding::Utf32Le),
        other => Err(Wrong::new(format!("there is no encoding `{other}`"))),
    })?;
    Ok(encoding.unwrap_or_default())
}

fn ranges(value: &Value) -> Result<Vec<Range>, Wrong> {
    each(value, |range| {
        let [low, high] = array(range)?.as_slice() else {
            return Err(Wrong::new(
                "expected two integers, the lowest and the highest",
            ));
        };
        let (low, high) = (any_integer(low)?, any_integer(high)?);
        match low <= high {
            true => Ok(Range::new(low, high)),
            false => Err(Wrong::new(format!("{low} is more than {high}"))),
        }
    })
}

fn mappings(value: &Value) -> Result<Vec<Mapping>, Wrong> {
    let mut out = Vec::new();
    for (label, of) in object(value)? {
        let ranges = ranges(of).map_err(|e| e.under(label))?;
        out.push(Mapping {
            label: label.clone(),
            ranges,
        });
    }
    Ok(out)
}

fn roles(o: &Object) -> Result<Roles, Wrong> {
    let mut roles = Roles::NONE;
    let names = maybe(o, "roles", |v| each(v, text))?.unwrap_or_default();
    for name in names {
        match role_of(&name) {
            Some(role) => roles.insert(role),
            None => return Err(Wrong::new(format!("there is no role `{name}`")).under("roles")),
        }
    }
    Ok(roles)
}

/// The roles and their names.
pub(super) const ROLES: [(Role, &str); 11] = [
    (Role::PacketMagic, "packet-magic-number"),
    (Role::StreamClassId, "data-stream-class-id"),
    (Role::StreamId, "data-stream-id"),
    (Role::TraceUuid, "metadata-stream-uuid"),
    (Role::Timestamp, "default-clock-timestamp"),
    (Role::PacketEnd, "packet-end-default-clock-timestamp"),
    (Role::ContentSize, "packet-content-length"),
    (Role::PacketSize, "packet-total-length"),
    (Role::SequenceNumber, "packet-sequence-number"),
    (
        Role::EventsDiscarded,
        "discarded-event-record-counter-snapshot",
    ),
    (Role::EventClassId, "event-record-class-id"),
];

fn role_of(name: &str) -> Option<Role> {
    ROLES
        .into_iter()
        .find(|(_, n)| *n == name)
        .map(|(role, _)| role)
}

/// The scopes and their names.
pub(super) const ORIGINS: [(Scope, &str); 6] = [
    (Scope::PacketHeader, "packet-header"),
    (Scope::PacketContext, "packet-context"),
    (Scope::EventHeader, "event-record-header"),
    (Scope::EventContext, "event-record-common-context"),
    (Scope::OwnContext, "event-record-specific-context"),
    (Scope::Payload, "event-record-payload"),
];

fn location(value: &Value) -> Result<FieldLocation, Wrong> {
    let o = object(value)?;
    let origin = maybe(o, "origin", |v| {
        let name = text(v)?;
        let found = ORIGINS.into_iter().find(|(_, n)| *n == name);
        found
            .map(|(scope, _)| scope)
            .ok_or_else(|| Wrong::new(format!("there is no origin `{name}`")))
    })?;
    let path = need(o, "path", |v| {
        each(v, |step| match step {
            Value::Null => Ok(None),
            step => text(step).map(Some),
        })
    })?;
    match path.is_empty() {
        true => Err(Wrong::new("the path is empty").under("path")),
        false => Ok(FieldLocation { origin, path }),
    }
}

pub(super) fn attributes(o: &Object) -> Result<Attributes, Wrong> {
    maybe(o, "attributes", |v| Ok(Box::new(object(v)?.clone())))
}
