//! The fields of a scope, one after the other, to whoever wants them.
//!
//! ```text
//!  { u8 id; u16 _n; string who[_n] }   ─▶   structure(2)
//!                                             member("id")  unsigned(7)
//!                                             member("_n")  unsigned(2)
//!                                             member("who") array(2) element(0) text("a") element(1) text("b") end
//!                                           end
//! ```
//! Text and blobs are slices of the packet: nothing is copied on the way.

use std::borrow::Cow;
use std::cell::Cell;

use super::bits::{Cursor, Read};
use super::node::{Node, signed_value};
use super::program::{Stop, align_of, unit};
use super::wide::{Wide, half};
use crate::model::{BitArray, Encoding, Integer};

/// Takes the fields of a scope.
///
/// Every method has a default that ignores its field, so that a visitor need only know what it looks for.
#[allow(unused_variables)]
pub trait Visitor {
    /// A structure of this many members begins; [`end`](Self::end) ends it.
    fn structure(&mut self, members: usize) {}
    /// The next value is that of the structure's member of this name.
    fn member(&mut self, index: usize, name: &str) {}
    /// An array of this many elements begins; [`end`](Self::end) ends it.
    fn array(&mut self, elements: u64) {}
    /// The next value is this element of the array.
    fn element(&mut self, index: u64) {}
    /// A variant begins, whose selected option has this name, or an optional field that is there and has none; one
    /// value and [`end`](Self::end) follow.
    fn option(&mut self, name: Option<&str>) {}
    /// The structure, array or option ends.
    fn end(&mut self) {}
    /// An optional field that is not there.
    fn nothing(&mut self) {}
    /// An unsigned integer; an enumeration, if its class has mappings.
    fn unsigned(&mut self, value: u64, class: &Integer) {}
    /// A signed integer; an enumeration, if its class has mappings.
    fn signed(&mut self, value: i64, class: &Integer) {}
    /// An integer of more than 64 bits. Whoever does not know such numbers gets it as text, in the base of its class.
    fn wide(&mut self, number: &Wide, class: &Integer) {
        self.text(number.to_string().as_bytes());
    }
    /// A floating point number, of 32 bits in the trace if `single`.
    fn float(&mut self, value: f64, single: bool) {}
    /// A truth value.
    fn boolean(&mut self, value: bool) {}
    /// Bits that are not a number.
    fn bits(&mut self, value: u64, class: &BitArray) {}
    /// Text without its NUL: UTF-8 if the producer kept his word.
    fn text(&mut self, text: &[u8]) {}
    /// Bytes.
    fn blob(&mut self, bytes: &[u8]) {}
}

/// Visits the fields of `node`.
pub(crate) fn visit(
    node: &Node,
    cursor: &mut Cursor<'_>,
    slots: &[Cell<u64>],
    visitor: &mut (impl Visitor + ?Sized),
) -> Result<(), Stop> {
    cursor.align(align_of(node));
    match node {
        Node::Integer(node) => {
            let value = cursor.number(node.read)?;
            let class = &node.class;
            if class.signed {
                let value = signed_value(value, class);
                if let Some(slot) = node.slot {
                    slots[slot as usize].set(value as u64);
                }
                visitor.signed(value, class);
            } else {
                if let Some(slot) = node.slot {
                    slots[slot as usize].set(value);
                }
                visitor.unsigned(value, class);
            }
        }
        Node::VarInteger { class, slot } => {
            let value = cursor.leb128(class.signed)?;
            if let Some(slot) = slot {
                slots[*slot as usize].set(value);
            }
            match class.signed {
                true => visitor.signed(value as i64, class),
                false => visitor.unsigned(value, class),
            }
        }
        Node::BitArray { class, read } => visitor.bits(cursor.number(*read)?, class),
        Node::Boolean { read, slot, .. } => {
            let value = cursor.number(*read)?;
            if let Some(slot) = slot {
                slots[*slot as usize].set(value);
            }
            visitor.boolean(value != 0);
        }
        Node::Float { read, .. } => {
            let bits = cursor.number(*read)?;
            visitor.float(float_of(bits, *read), read.bits() == 32);
        }
        Node::Wide(node) => {
            let wide = node.read(cursor)?;
            match node.float {
                true => visitor.float(wide.quad(), false),
                false => visitor.wide(&wide, &node.class),
            }
        }
        Node::String { encoding } => {
            let text = cursor.string(unit(*encoding))?;
            visitor.text(&as_utf8(text, *encoding));
        }
        Node::Text { length, encoding } => {
            let text = cursor.bytes(length.get(slots))?;
            visitor.text(&as_utf8(until_nul(text, unit(*encoding)), *encoding));
        }
        Node::Blob { length } => visitor.blob(cursor.bytes(length.get(slots))?),
        Node::Array(node) => {
            let length = node.length.get(slots);
            visitor.array(length);
            for i in 0..length {
                visitor.element(i);
                let before = cursor.at;
                visit(&node.element, cursor, slots, visitor)?;
                if cursor.at == before && !cursor.may_idle() {
                    break;
                }
            }
            visitor.end();
        }
        Node::Structure(node) => {
            visitor.structure(node.fields.len());
            for (i, (name, field)) in node.fields.iter().enumerate() {
                visitor.member(i, name);
                visit(field, cursor, slots, visitor)?;
            }
            visitor.end();
        }
        Node::Variant(choice) => {
            let option = choice.chosen(slots)?;
            visitor.option(option.name.as_deref());
            visit(&option.node, cursor, slots, visitor)?;
            visitor.end();
        }
        Node::Optional(maybe) => match maybe.there(slots) {
            Some(node) => {
                visitor.option(None);
                visit(node, cursor, slots, visitor)?;
                visitor.end();
            }
            None => visitor.nothing(),
        },
    }
    Ok(())
}

/// A floating point number of 16, 32 or 64 bits.
#[inline(always)]
pub(crate) fn float_of(bits: u64, read: Read) -> f64 {
    match read.bits() {
        64 => f64::from_bits(bits),
        32 => f64::from(f32::from_bits(bits as u32)),
        _ => half(bits),
    }
}

pub(crate) fn until_nul(text: &[u8], unit: usize) -> &[u8] {
    let end = match unit {
        1 => memchr::memchr(0, text),
        _ => text
            .chunks_exact(unit)
            .position(|unit| unit.iter().all(|&b| b == 0))
            .map(|at| at * unit),
    };
    &text[..end.unwrap_or(text.len())]
}

/// Text in another encoding as UTF-8; what is no text becomes U+FFFD.
pub(crate) fn as_utf8(text: &[u8], encoding: Encoding) -> Cow<'_, [u8]> {
    let utf16 = |unit: fn([u8; 2]) -> u16| {
        let units = text.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units)
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect::<String>()
    };
    let utf32 = |unit: fn([u8; 4]) -> u32| {
        let units = text
            .chunks_exact(4)
            .map(|four| unit([four[0], four[1], four[2], four[3]]));
        units
            .map(|c| char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect::<String>()
    };
    let text = match encoding {
        Encoding::Utf8 | Encoding::Ascii => return Cow::Borrowed(text),
        Encoding::Utf16Be => utf16(u16::from_be_bytes),
        Encoding::Utf16Le => utf16(u16::from_le_bytes),
        Encoding::Utf32Be => utf32(u32::from_be_bytes),
        Encoding::Utf32Le => utf32(u32::from_le_bytes),
    };
    Cow::Owned(text.into_bytes())
}

/// Where a visit was when it stopped, as `a.b[3].c`.
#[derive(Default)]
pub(crate) struct Trail {
    steps: Vec<Step>,
}

enum Step {
    Structure(String),
    Array(u64),
    Option,
}

impl Trail {
    /// The path so far.
    pub(crate) fn path(&self) -> String {
        let mut path = String::new();
        for step in &self.steps {
            match step {
                Step::Structure(name) if path.is_empty() => path.push_str(name),
                Step::Structure(name) if name.is_empty() => {}
                Step::Structure(name) => {
                    path.push('.');
                    path.push_str(name);
                }
                Step::Array(index) => path.push_str(&format!("[{index}]")),
                Step::Option => {}
            }
        }
        path
    }
}

impl Visitor for Trail {
    fn structure(&mut self, _: usize) {
        self.steps.push(Step::Structure(String::new()));
    }

    fn member(&mut self, _: usize, name: &str) {
        if let Some(Step::Structure(last)) = self.steps.last_mut() {
            name.clone_into(last);
        }
    }

    fn array(&mut self, _: u64) {
        self.steps.push(Step::Array(0));
    }

    fn element(&mut self, index: u64) {
        if let Some(Step::Array(last)) = self.steps.last_mut() {
            *last = index;
        }
    }

    fn option(&mut self, _: Option<&str>) {
        self.steps.push(Step::Option);
    }

    fn end(&mut self) {
        self.steps.pop();
    }
}
