//! Field classes made ready to be read: lengths and selectors are slots, names are at hand.
//!
//! ```text
//!  payload: u32 _len, u16 items[_len]   ─▶   Integer { slot: 3 }, Array { length: Slot(3), … }
//! ```
//! Every field that another one depends on has a *slot*, a place where its value is put when it is read and looked up
//! when it is needed. Slots are numbered for all scopes of a stream class together: a payload may depend on the header.
//!
//! Invariant: a slot is filled before it is used; see [`compile`](super::compile).

use std::cell::Cell;

use super::bits::{Read, sign_extend};
use super::choice::{Choice, Maybe};
use super::wide::WideNode;
use crate::model::{BitArray, Encoding, Integer};

/// The values that lengths and selectors are taken from.
pub(crate) type Slots = Box<[Cell<u64>]>;

/// The number of a slot.
pub(crate) type Slot = u32;

/// A field class made ready.
#[derive(Debug)]
pub(crate) enum Node {
    Integer(Box<IntegerNode>),
    VarInteger {
        class: Box<Integer>,
        slot: Option<Slot>,
    },
    BitArray {
        class: BitArray,
        read: Read,
    },
    Boolean {
        align: u32,
        read: Read,
        slot: Option<Slot>,
    },
    Float {
        align: u32,
        read: Read,
    },
    /// A number of more than 64 bits.
    Wide(Box<WideNode>),
    String {
        encoding: Encoding,
    },
    Text {
        length: Count,
        encoding: Encoding,
    },
    Blob {
        length: Count,
    },
    Array(Box<ArrayNode>),
    Structure(StructureNode),
    Variant(Choice<OptionNode>),
    Optional(Box<Maybe<Node>>),
}

#[derive(Debug)]
pub(crate) struct IntegerNode {
    pub(crate) class: Integer,
    pub(crate) read: Read,
    pub(crate) slot: Option<Slot>,
}

#[derive(Debug)]
pub(crate) struct ArrayNode {
    pub(crate) align: u32,
    pub(crate) length: Count,
    pub(crate) element: Node,
}

#[derive(Debug)]
pub(crate) struct StructureNode {
    pub(crate) align: u32,
    pub(crate) fields: Box<[(Box<str>, Node)]>,
}

#[derive(Debug)]
pub(crate) struct OptionNode {
    pub(crate) name: Option<Box<str>>,
    pub(crate) node: Node,
}

/// How many elements or bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    Fixed(u64),
    Slot(Slot),
}

impl Count {
    #[inline(always)]
    pub(crate) fn get(self, slots: &[Cell<u64>]) -> u64 {
        match self {
            Count::Fixed(count) => count,
            Count::Slot(slot) => slots[slot as usize].get(),
        }
    }
}

/// The value of a selector for comparing it with ranges.
#[inline(always)]
pub(crate) fn selected(slots: &[Cell<u64>], slot: Slot, signed: bool) -> i128 {
    let value = slots[slot as usize].get();
    match signed {
        true => i128::from(value as i64),
        false => i128::from(value),
    }
}

impl Node {
    /// Adds the slots that its lengths and selectors are in.
    pub(crate) fn used_slots(&self, used: &mut Vec<Slot>) {
        let mut count = |count: &Count| {
            if let Count::Slot(slot) = count {
                used.push(*slot);
            }
        };
        match self {
            Node::Text { length, .. } | Node::Blob { length } => count(length),
            Node::Array(node) => {
                count(&node.length);
                node.element.used_slots(used);
            }
            Node::Structure(node) => {
                for (_, field) in &node.fields {
                    field.used_slots(used);
                }
            }
            Node::Variant(choice) => {
                used.extend(choice.selector.map(|selector| selector.slot));
                for option in &choice.options {
                    option.then.node.used_slots(used);
                }
            }
            Node::Optional(maybe) => {
                used.push(maybe.selector);
                maybe.then.used_slots(used);
            }
            _ => {}
        }
    }
}

impl Node {
    /// Adds the slots that it fills.
    pub(crate) fn filled_slots(&self, filled: &mut Vec<Slot>) {
        match self {
            Node::Integer(node) => filled.extend(node.slot),
            Node::VarInteger { slot, .. } | Node::Boolean { slot, .. } => filled.extend(slot),
            Node::Array(node) => node.element.filled_slots(filled),
            Node::Structure(node) => {
                for (_, field) in &node.fields {
                    field.filled_slots(filled);
                }
            }
            Node::Variant(choice) => {
                for option in &choice.options {
                    option.then.node.filled_slots(filled);
                }
            }
            Node::Optional(maybe) => maybe.then.filled_slots(filled),
            _ => {}
        }
    }
}

/// `value` as the integer class shows it: two's complement if it is signed.
#[inline(always)]
pub(crate) fn signed_value(value: u64, class: &Integer) -> i64 {
    sign_extend(value, class.bits)
}
