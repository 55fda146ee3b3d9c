//! Nodes as a list of steps that goes past fields as fast as they can be gone past.
//!
//! ```text
//!  { u32 a; u64 b; u32 _n; u16 items[_n]; string s; u8 c[6] }
//!     ─▶  align 8 · skip 96 · number → slot 0 · repeat slot 0 × 16 bits · string · skip 48
//! ```
//! What nobody needs is merged into skips. What somebody needs is read: lengths and selectors go to slots, and fields
//! with a role go to a [`Sink`]. Going past an event this way finds its end; its fields are decoded only when somebody
//! asks for them.
//!
//! Invariant: a program ends at the very bit where visiting the same node would.

use std::cell::Cell;

use super::bits::{Cursor, Leb128, Read, Short, sign_extend};
use super::choice::{Choice, Maybe};
use super::node::{ArrayNode, Count, Node, OptionNode, Slot};
use crate::model::{Encoding, Integer, Role, Roles};

/// A step.
#[derive(Debug)]
enum Op {
    Align(u32),
    Skip(u64),
    /// A number for a slot.
    Save {
        read: Read,
        slot: Slot,
        sign: Option<u32>,
    },
    /// A number with a role.
    Role {
        read: Read,
        bits: u32,
        roles: Roles,
        slot: Option<Slot>,
    },
    Leb128 {
        signed: bool,
        roles: Roles,
        slot: Option<Slot>,
    },
    String(usize),
    /// This many times these bits.
    Bits {
        count: Count,
        each: u64,
    },
    Repeat {
        count: Count,
        body: Box<[Op]>,
    },
    Switch(Choice<Box<[Op]>>),
    If(Box<Maybe<Box<[Op]>>>),
}

/// The steps past a scope.
#[derive(Debug, Default)]
pub(crate) struct Program {
    ops: Box<[Op]>,
    known: u32,
}

/// Why a program stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The bytes at hand end before the fields do.
    Short,
    /// No option of a variant is for the value of its selector, which is in this slot. (The value itself is not here:
    /// it would make every result too large for a register.)
    NoOption { selector: Slot, signed: bool },
    /// A variable-length integer is longer than 64 bits.
    TooLarge,
}

impl From<Short> for Stop {
    #[inline(always)]
    fn from(_: Short) -> Self {
        Stop::Short
    }
}

impl From<Leb128> for Stop {
    fn from(error: Leb128) -> Self {
        match error {
            Leb128::Short => Stop::Short,
            Leb128::TooLarge => Stop::TooLarge,
        }
    }
}

/// Takes the fields that have a role.
pub(crate) trait Sink {
    /// A number of `bits` bits.
    fn number(&mut self, value: u64, bits: u32, roles: Roles);
}

/// Takes nothing.
pub(crate) struct Nothing;

impl Sink for Nothing {
    #[inline(always)]
    fn number(&mut self, _: u64, _: u32, _: Roles) {}
}

impl Program {
    /// The steps past these nodes, one behind the other. `aligned` is what the position before them is known to be a
    /// multiple of, in bits; with `roles`, fields that have one are read.
    pub(crate) fn new<'a>(
        nodes: impl IntoIterator<Item = &'a Node>,
        aligned: u32,
        roles: bool,
    ) -> Self {
        let mut builder = Builder {
            ops: Vec::new(),
            known: aligned,
            roles,
        };
        for node in nodes {
            builder.node(node);
        }
        Program {
            ops: builder.ops.into(),
            known: builder.known,
        }
    }

    /// If it is always the same number of bits from a multiple of some others: that alignment, and that number.
    pub(crate) fn fixed(&self) -> Option<(u32, u64)> {
        match *self.ops.as_ref() {
            [] => Some((1, 0)),
            [Op::Skip(bits)] => Some((1, bits)),
            [Op::Align(align)] => Some((align, 0)),
            [Op::Align(align), Op::Skip(bits)] => Some((align, bits)),
            _ => None,
        }
    }

    /// What the position behind it is known to be a multiple of, in bits.
    pub(crate) fn known(&self) -> u32 {
        self.known.max(1)
    }

    /// Goes past the fields.
    #[inline]
    pub(crate) fn run(
        &self,
        cursor: &mut Cursor<'_>,
        slots: &[Cell<u64>],
        sink: &mut impl Sink,
    ) -> Result<(), Stop> {
        run(&self.ops, cursor, slots, sink)
    }
}

#[inline]
fn run(
    ops: &[Op],
    cursor: &mut Cursor<'_>,
    slots: &[Cell<u64>],
    sink: &mut impl Sink,
) -> Result<(), Stop> {
    cursor.lend(|cursor| run_lent(ops, cursor, slots, sink))
}

#[inline(always)]
fn run_lent(
    ops: &[Op],
    cursor: &mut Cursor<'_>,
    slots: &[Cell<u64>],
    sink: &mut impl Sink,
) -> Result<(), Stop> {
    for op in ops {
        match op {
            Op::Align(align) => cursor.align(*align),
            Op::Skip(bits) => cursor.skip(*bits)?,
            Op::Save { read, slot, sign } => {
                let value = cursor.number(*read)?;
                let value = match sign {
                    Some(bits) => sign_extend(value, *bits) as u64,
                    None => value,
                };
                slots[*slot as usize].set(value);
            }
            Op::Role {
                read,
                bits,
                roles,
                slot,
            } => {
                let value = cursor.number(*read)?;
                if let Some(slot) = slot {
                    slots[*slot as usize].set(value);
                }
                sink.number(value, *bits, *roles);
            }
            Op::Leb128 {
                signed,
                roles,
                slot,
            } => {
                let value = cursor.lend(|cursor| cursor.leb128(*signed))?;
                if let Some(slot) = slot {
                    slots[*slot as usize].set(value);
                }
                if !roles.is_empty() {
                    sink.number(value, 64, *roles);
                }
            }
            Op::String(width) => {
                cursor.string(*width)?;
            }
            Op::Bits { count, each } => {
                cursor.skip(count.get(slots).saturating_mul(*each))?;
            }
            Op::Repeat { count, body } => {
                let count = count.get(slots);
                cursor.lend(|cursor| repeat(count, body, cursor, slots, sink))?;
            }
            Op::Switch(choice) => {
                let body = choice.chosen(slots)?;
                if !body.is_empty() {
                    cursor.lend(|cursor| run_inner(body, cursor, slots, sink))?;
                }
            }
            Op::If(maybe) => {
                if let Some(body) = maybe.there(slots) {
                    cursor.lend(|cursor| run_inner(body, cursor, slots, sink))?;
                }
            }
        }
    }
    Ok(())
}

#[inline(never)]
fn run_inner(
    ops: &[Op],
    cursor: &mut Cursor<'_>,
    slots: &[Cell<u64>],
    sink: &mut impl Sink,
) -> Result<(), Stop> {
    run(ops, cursor, slots, sink)
}

fn repeat(
    count: u64,
    body: &[Op],
    cursor: &mut Cursor<'_>,
    slots: &[Cell<u64>],
    sink: &mut impl Sink,
) -> Result<(), Stop> {
    for _ in 0..count {
        let before = cursor.at;
        run_inner(body, cursor, slots, sink)?;
        // Elements without a bit: however many a hostile length claims, they end here.
        if cursor.at == before {
            break;
        }
    }
    Ok(())
}

struct Builder {
    ops: Vec<Op>,
    /// The position is a multiple of this many bits.
    known: u32,
    roles: bool,
}

/// The greatest power of two that divides `bits`.
fn power_in(bits: u64) -> u32 {
    match bits {
        0 => 1 << 31,
        bits => 1 << bits.trailing_zeros().min(31),
    }
}

impl Builder {
    fn align(&mut self, align: u32) {
        if align > self.known {
            self.ops.push(Op::Align(align));
            self.known = align;
        }
    }

    fn skip(&mut self, bits: u64) {
        self.known = self.known.min(power_in(bits));
        match self.ops.last_mut() {
            Some(Op::Skip(before)) => *before = before.saturating_add(bits),
            _ if bits == 0 => {}
            _ => self.ops.push(Op::Skip(bits)),
        }
    }

    /// An operation that goes past fields of `bits` bits each.
    fn push(&mut self, op: Op, bits: u64) {
        self.ops.push(op);
        self.known = self.known.min(power_in(bits));
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::Integer(node) => {
                let class = &node.class;
                self.align(class.align);
                self.integer(class, node.read, node.slot);
            }
            Node::VarInteger { class, slot } => {
                self.align(8);
                let roles = if self.roles { class.roles } else { Roles::NONE };
                self.push(
                    Op::Leb128 {
                        signed: class.signed,
                        roles,
                        slot: *slot,
                    },
                    8,
                );
            }
            Node::BitArray { class, .. } => {
                self.align(class.align);
                self.skip(u64::from(class.bits));
            }
            Node::Boolean { align, read, slot } => {
                self.align(*align);
                let bits = read.bits();
                match slot {
                    Some(slot) => self.push(
                        Op::Save {
                            read: *read,
                            slot: *slot,
                            sign: None,
                        },
                        bits,
                    ),
                    None => self.skip(bits),
                }
            }
            Node::Float { align, read } => {
                self.align(*align);
                self.skip(read.bits());
            }
            Node::Wide(node) => {
                self.align(node.class.align);
                self.skip(u64::from(node.class.bits));
            }
            Node::String { encoding } => {
                self.align(8);
                self.push(Op::String(unit(*encoding)), 8);
            }
            Node::Text { length, .. } | Node::Blob { length } => {
                self.align(8);
                self.many(*length, 8);
            }
            Node::Array(node) => self.array(node),
            Node::Structure(node) => {
                self.align(node.align);
                for (_, field) in &node.fields {
                    self.node(field);
                }
            }
            Node::Variant(choice) => self.variant(choice),
            Node::Optional(maybe) => {
                let body = maybe.map(|node| {
                    let (body, known) = self.nested(self.known, |inner| inner.node(node));
                    self.known = self.known.min(known);
                    body
                });
                self.ops.push(Op::If(Box::new(body)));
            }
        }
    }

    fn integer(&mut self, class: &Integer, read: Read, slot: Option<Slot>) {
        let bits = u64::from(class.bits);
        let sign = class.signed.then_some(class.bits);
        let role = self.roles && !class.roles.has(Role::TraceUuid);
        if role && !class.roles.is_empty() && !class.signed {
            self.push(
                Op::Role {
                    read,
                    bits: class.bits,
                    roles: class.roles,
                    slot,
                },
                bits,
            );
        } else if let Some(slot) = slot {
            self.push(Op::Save { read, slot, sign }, bits);
        } else {
            self.skip(bits);
        }
    }

    fn many(&mut self, count: Count, each: u64) {
        match count {
            Count::Fixed(count) => self.skip(count.saturating_mul(each)),
            Count::Slot(_) => self.push(Op::Bits { count, each }, each),
        }
    }

    fn array(&mut self, node: &ArrayNode) {
        self.align(node.align);
        // What one element takes, and whether the next one begins where it ends.
        let element_align = align_of(&node.element);
        let (body, _) = self.nested(element_align.max(1), |inner| inner.node(&node.element));
        match body.as_ref() {
            [] => {}
            [Op::Skip(bits)] if bits.is_multiple_of(u64::from(element_align)) => {
                self.many(node.length, *bits)
            }
            _ => {
                // The second element begins anywhere: the body has to align itself.
                let (body, known) = self.nested(1, |inner| inner.node(&node.element));
                self.known = self.known.min(known);
                self.ops.push(Op::Repeat {
                    count: node.length,
                    body,
                });
            }
        }
    }

    fn variant(&mut self, choice: &Choice<OptionNode>) {
        if choice.selector.is_none() {
            let options = choice.options.iter();
            return options.for_each(|only| self.node(&only.then.node));
        }
        let before = self.known;
        let bodies = choice.map(|option| {
            let (body, known) = self.nested(before, |inner| inner.node(&option.node));
            self.known = self.known.min(known);
            body
        });
        self.ops.push(Op::Switch(bodies));
    }

    /// Steps on their own, and what the position behind them is known to be a multiple of.
    fn nested(&self, known: u32, build: impl FnOnce(&mut Builder)) -> (Box<[Op]>, u32) {
        let mut inner = Builder {
            ops: Vec::new(),
            known,
            roles: self.roles,
        };
        build(&mut inner);
        (inner.ops.into(), inner.known)
    }
}

/// The alignment of a node's first bit.
pub(crate) fn align_of(node: &Node) -> u32 {
    match node {
        Node::Integer(node) => node.class.align,
        Node::BitArray { class, .. } => class.align,
        Node::Wide(node) => node.class.align,
        Node::Boolean { align, .. } | Node::Float { align, .. } => *align,
        Node::VarInteger { .. } | Node::String { .. } | Node::Text { .. } | Node::Blob { .. } => 8,
        Node::Array(node) => node.align,
        Node::Structure(node) => node.align,
        Node::Variant(_) | Node::Optional(_) => 1,
    }
}

/// Bytes of a code unit.
pub(crate) fn unit(encoding: Encoding) -> usize {
    match encoding {
        Encoding::Utf8 | Encoding::Ascii => 1,
        Encoding::Utf16Be | Encoding::Utf16Le => 2,
        Encoding::Utf32Be | Encoding::Utf32Le => 4,
    }
}
