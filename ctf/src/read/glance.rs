//! The common form of an event header, read at a glance.
//!
//! ```text
//!  event header: u8 · align 64 · u32 timestamp · u16 words { plain: 0..0x3fff, extended } · [u64 timestamp, u16] · u16 id
//!     ─▶  skip 8, align 64; if bits 32..48 are at most 0x3fff: timestamp = bits 0..32, id = bits 48..64, end = 64
//! ```
//! Most headers have a form that nearly all events take: LTTng's *compact*, Laneway's *plain*. In that form every field
//! has a fixed place, so three loads and a comparison do what the steps of a [`Program`](super::program::Program) do
//! one by one. Events of another form go the long way.
//!
//! Invariant: a glance, where it succeeds, finds what the program would, and leaves no slot unset that others need.

use super::bits::{Cursor, Read};
use super::choice::ChoiceOption;
use super::node::{Node, OptionNode, Slot};
use super::span::Span;
use crate::model::{ByteOrder, Role};

/// Where the fields of a header's common form are.
#[derive(Debug, Default)]
pub(crate) struct Glance {
    /// Bits before the alignment.
    lead: u64,
    /// What the rest is aligned to, in bits.
    align: u32,
    /// Bits of the rest.
    bits: u64,
    timestamp: Option<Place>,
    id: Option<Place>,
    /// The selectors, and what they have to be for this form.
    selectors: Vec<(Place, u64, u64)>,
    /// The same, if all of it is in the first eight bytes.
    word: Option<Word>,
}

/// A header whose fields are all cut out of one word. A field that there is not has no bits.
#[derive(Clone, Copy, Debug)]
struct Word {
    selector: Cut,
    low: u64,
    more: u64,
    timestamp: Cut,
    timestamp_bits: u32,
    id: Cut,
}

/// Bits of a word.
#[derive(Clone, Copy, Debug, Default)]
struct Cut {
    shift: u32,
    mask: u64,
}

impl Cut {
    #[inline(always)]
    fn of(self, word: u64) -> u64 {
        word >> self.shift & self.mask
    }
}

/// A field: eight bytes that hold it, and how to cut it out of them.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// How many bytes behind the alignment they begin.
    byte: usize,
    /// How far to shift left and then right. Of big-endian fields, the bytes are swapped before.
    left: u32,
    right: u32,
    big: bool,
    bits: u32,
}

impl Place {
    /// The field of this many bits, `at` bits behind the alignment.
    fn new(at: u64, read: Read) -> Option<Self> {
        let bits = read.bits() as u32;
        let big = read.natural_order()? == ByteOrder::Big;
        // The first eight bytes are loaded anyway.
        let byte = match at + u64::from(bits) {
            ..=64 if !big => 0,
            _ => at / 8,
        };
        let within = (at - byte * 8) as u32;
        if within + bits > 64 {
            return None;
        }
        Some(Place {
            byte: byte as usize,
            left: if big { within } else { 64 - bits - within },
            right: 64 - bits,
            big,
            bits,
        })
    }

    /// The same as bits of the first eight bytes, if it is there.
    fn in_first(self) -> Option<Cut> {
        let cut = Cut {
            shift: self.right - self.left,
            mask: u64::MAX >> self.right,
        };
        (self.byte == 0 && !self.big).then_some(cut)
    }

    /// The field, out of the first eight bytes or others.
    #[inline(always)]
    fn cut(&self, first: u64, bytes: &[u8]) -> Option<u64> {
        let word = match self.byte {
            0 if !self.big => first,
            byte => {
                let word = u64::from_le_bytes(*bytes.get(byte..)?.first_chunk()?);
                if self.big { word.swap_bytes() } else { word }
            }
        };
        Some((word << self.left) >> self.right)
    }
}

/// What a glance finds.
#[derive(Clone, Copy)]
pub(crate) struct Glanced {
    /// The low bits of the clock and how many they are; 0 if there are none.
    pub(crate) timestamp: u64,
    pub(crate) timestamp_bits: u32,
    pub(crate) id: u64,
}

/// What is found on the way through the header's nodes.
struct Finder {
    glance: Glance,
    /// Whether an id was left behind.
    lost_id: bool,
    /// Where the fields are that have a slot.
    slots: Vec<(Slot, Place)>,
}

impl Glance {
    /// The glance at a header, if it has a common form and no other scope depends on it. `used` are the slots that
    /// other scopes use.
    pub(crate) fn new(header: &Node, used: &[Slot]) -> Option<Self> {
        let mut finder = Finder {
            glance: Glance::default(),
            lost_id: false,
            slots: Vec::new(),
        };
        finder.glance.align = 1;
        finder.node(header)?;
        let clear = finder.slots.iter().all(|(slot, _)| !used.contains(slot));
        let found = finder.glance.id.is_some() || !finder.lost_id;
        // Places are bytes, so the header has to begin with one.
        let clear = clear && finder.glance.align >= 8;
        let mut glance = finder.glance;
        glance.word = glance.as_word();
        (clear && found).then_some(glance)
    }

    fn as_word(&self) -> Option<Word> {
        let cut = |place: &Option<Place>| match place {
            Some(place) => place.in_first(),
            None => Some(Cut::default()),
        };
        let (selector, low, more) = match self.selectors.as_slice() {
            [] => (Cut::default(), 0, 0),
            [(place, low, more)] => (place.in_first()?, *low, *more),
            _ => return None,
        };
        Some(Word {
            selector,
            low,
            more,
            timestamp: cut(&self.timestamp)?,
            timestamp_bits: self.timestamp.map_or(0, |place| place.bits),
            id: cut(&self.id)?,
        })
    }

    /// Reads the header at the cursor and goes past it, if it has the common form.
    #[inline(always)]
    pub(crate) fn read(&self, cursor: &mut Cursor<'_>) -> Option<Glanced> {
        let mask = u64::from(self.align) - 1;
        let begin = (cursor.at + self.lead + mask) & !mask;
        let bytes = cursor.rest_from(begin)?;
        let first = u64::from_le_bytes(*bytes.first_chunk()?);
        if let Some(word) = &self.word {
            if word.selector.of(first).wrapping_sub(word.low) > word.more {
                return None;
            }
            cursor.go_to(begin + self.bits)?;
            return Some(Glanced {
                timestamp: word.timestamp.of(first),
                timestamp_bits: word.timestamp_bits,
                id: word.id.of(first),
            });
        }
        for (place, low, more) in &self.selectors {
            if place.cut(first, bytes)?.wrapping_sub(*low) > *more {
                return None;
            }
        }
        let mut glanced = Glanced {
            timestamp: 0,
            timestamp_bits: 0,
            id: 0,
        };
        if let Some(place) = &self.timestamp {
            glanced.timestamp = place.cut(first, bytes)?;
            glanced.timestamp_bits = place.bits;
        }
        if let Some(place) = &self.id {
            glanced.id = place.cut(first, bytes)?;
        }
        cursor.go_to(begin + self.bits)?;
        Some(glanced)
    }
}

impl Finder {
    /// Places a node; `None` if it has no fixed place.
    fn node(&mut self, node: &Node) -> Option<()> {
        match node {
            Node::Integer(node) => {
                let class = &node.class;
                let place = self.place(class.align, node.read)?;
                if class.signed {
                    // Its slot would have to be sign-extended; headers have no use for such numbers.
                    return class
                        .roles
                        .is_empty()
                        .then_some(())
                        .filter(|()| node.slot.is_none());
                }
                if class.roles.has(Role::EventClassId) {
                    self.glance.id = Some(place);
                } else if class.roles.has(Role::Timestamp) {
                    if self.glance.timestamp.is_some() {
                        return None;
                    }
                    self.glance.timestamp = Some(place);
                }
                self.slots.extend(node.slot.map(|slot| (slot, place)));
                Some(())
            }
            Node::Structure(node) => {
                self.align(node.align)?;
                node.fields
                    .iter()
                    .try_for_each(|(_, field)| self.node(field))
            }
            Node::Variant(choice) => {
                let Some(selector) = choice.selector else {
                    return self.node(&choice.options.first()?.then.node);
                };
                if selector.signed {
                    return None;
                }
                let known = |(slot, _): &&(Slot, Place)| *slot == selector.slot;
                let (_, place) = *self.slots.iter().find(known)?;
                let (option, span) = common_option(&choice.options)?;
                self.glance.selectors.push((place, span.low, span.more));
                self.node(&option.node)
            }
            _ => None,
        }
    }

    fn align(&mut self, align: u32) -> Option<()> {
        if align <= self.glance.align {
            let mask = u64::from(align) - 1;
            self.glance.bits = (self.glance.bits + mask) & !mask;
            return Some(());
        }
        // A field that is read has its place relative to an alignment that may not change any more.
        if self.glance.timestamp.is_some() || !self.slots.is_empty() || self.glance.lead > 0 {
            return None;
        }
        // An id before the alignment matters only if there is no other: the last one counts.
        self.lost_id |= self.glance.id.take().is_some();
        // What came before is a lead that nobody reads.
        self.glance.lead += self.glance.bits;
        self.glance.bits = 0;
        self.glance.align = align;
        Some(())
    }

    fn place(&mut self, align: u32, read: Read) -> Option<Place> {
        self.align(align)?;
        let place = Place::new(self.glance.bits, read);
        self.glance.bits += read.bits();
        place
    }
}

/// The option that most values of the selector choose, the first of equals, and those values.
fn common_option(options: &[ChoiceOption<OptionNode>]) -> Option<(&OptionNode, Span)> {
    let mut best: Option<(&OptionNode, Span)> = None;
    for option in options {
        for &span in &option.spans {
            if best.is_none_or(|(_, best)| span.more > best.more) {
                best = Some((&option.then, span));
            }
        }
    }
    best
}
