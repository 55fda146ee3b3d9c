//! Copies packets and events into other packets of the same classes, bit by bit.
//!
//! ```text
//!  source   ▕ header ctx  e0 e1 e2 e3 ▏          e1 and e3 were chosen: their fields are laid out anew, as alignment
//!  copy     ▕ header ctx' e1 e3 ▏                depends on where they land; sizes, times and counters are put right
//! ```
//! Fields keep their class, so what was read is what is written, in either metadata format. A header that holds only
//! the low bits of the clock is kept right by beginning another packet where the clock would have wrapped unseen.
//!
//! Invariant: a packet that was written reads back as the events that were put into it.

use std::cell::Cell;
use std::io::{self, Write};

use super::bits::{Cursor, Read, sign_extend};
use super::node::Node;
use super::packet::Packet;
use super::program::{Stop, align_of, unit};
use super::reader::{Event, Stream};
use super::stream::StreamReader;
use crate::merge::Prologue;
use crate::model::{ByteOrder, FieldClass, Role, Roles, Structure};

/// Writes one stream of events that come from streams of one class.
pub struct StreamCopy<W> {
    out: W,
    bits: BitWriter,
    /// Where in the packet the fields are that are put right when it is whole.
    places: Vec<(Roles, u64, Read)>,
    /// How many packets of the source had begun when this one did.
    source: Option<u64>,
    /// The source's packet.
    packet: Packet,
    begin: Option<u64>,
    last: u64,
    sequence: u64,
    discarded: Option<u64>,
    /// Whether to number packets anew: some of the source's are left out.
    renumber: bool,
    /// How packets begin if not as in the source.
    prologue: Option<Prologue>,
}

impl<W: Write> StreamCopy<W> {
    /// A copy that has nothing yet. With `renumber`, packets are numbered from 0 and not as in the source.
    pub fn new(out: W, renumber: bool) -> Self {
        StreamCopy {
            out,
            bits: BitWriter::default(),
            places: Vec::new(),
            source: None,
            packet: Packet::default(),
            begin: None,
            last: 0,
            sequence: 0,
            discarded: None,
            renumber,
            prologue: None,
        }
    }

    /// The same into a stream of a merged trace.
    pub fn into_merged(out: W, renumber: bool, prologue: Prologue) -> Self {
        StreamCopy {
            prologue: Some(prologue),
            ..StreamCopy::new(out, renumber)
        }
    }

    /// Adds an event.
    ///
    /// # Errors
    /// What writing says.
    pub fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        let stream = event.reader();
        let clock = stream.clock;
        let unseen = |bits: u32| bits < 64 && clock.wrapping_sub(self.last) >> bits != 0;
        let wraps = self.begin.is_some() && stamp_bits(stream).is_some_and(unseen);
        if self.source != Some(stream.packets) || wraps {
            self.end_packet()?;
            self.begin_packet(stream, Some(clock))?;
        }
        let at = self.bits.at;
        if let Err(stop) = stream.copy_event(&mut self.bits) {
            self.bits.truncate(at);
            return Err(io::Error::other(format!(
                "an event cannot be copied: {stop:?}"
            )));
        }
        self.last = clock;
        Ok(())
    }

    /// Writes what is left, and what the stream lost behind its last event.
    ///
    /// # Errors
    /// What writing says.
    pub fn finish(mut self, stream: Stream<'_>) -> io::Result<W> {
        self.end_packet()?;
        let reader = stream.reader();
        if reader.packets > 0 && reader.packet.discarded != self.discarded {
            self.begin_packet(reader, None)?;
            self.end_packet()?;
        }
        self.out.flush()?;
        Ok(self.out)
    }

    fn begin_packet(&mut self, stream: &StreamReader, clock: Option<u64>) -> io::Result<()> {
        self.bits.truncate(0);
        self.places.clear();
        let own = self.prologue.as_ref();
        let header = stream.copy_prologue(&mut self.bits, &mut self.places, own);
        header.map_err(|stop| {
            io::Error::other(format!("a packet header cannot be copied: {stop:?}"))
        })?;
        self.source = Some(stream.packets);
        self.packet = stream.packet;
        // Where the clock was when the packet began, unless events that followed were left out.
        let first = match self.renumber {
            true => clock,
            false => stream.packet.begin,
        };
        self.begin = first.or(stream.packet.begin).or(clock);
        self.last = self.begin.unwrap_or(0);
        Ok(())
    }

    fn end_packet(&mut self) -> io::Result<()> {
        if self.source.take().is_none() {
            return Ok(());
        }
        let content = self.bits.at;
        let size = content.next_multiple_of(64);
        let end = match self.renumber {
            true => self.last,
            false => self.packet.end.unwrap_or(self.last),
        };
        let sequence = match self.renumber {
            true => self.sequence,
            false => self.packet.sequence.unwrap_or(self.sequence),
        };
        for (roles, at, read) in &self.places {
            let value = match () {
                () if roles.has(Role::ContentSize) => content,
                () if roles.has(Role::PacketSize) => size,
                () if roles.has(Role::Timestamp) => self.begin.unwrap_or(0),
                () if roles.has(Role::PacketEnd) => end.max(self.last),
                () if roles.has(Role::SequenceNumber) => sequence,
                () => continue,
            };
            self.bits.patch(*at, *read, value);
        }
        self.discarded = self.packet.discarded;
        self.sequence = sequence.wrapping_add(1);
        self.begin = None;
        let mut bytes = std::mem::take(&mut self.bits.bytes);
        // Without a size in its context, a packet ends where its content does.
        let sized = self
            .places
            .iter()
            .any(|(roles, ..)| roles.has(Role::PacketSize));
        bytes.resize(
            if sized { size / 8 } else { content.div_ceil(8) } as usize,
            0,
        );
        self.out.write_all(&bytes)?;
        self.bits.bytes = bytes;
        self.bits.truncate(0);
        Ok(())
    }
}

/// How many bits of the clock event headers hold at least; `None` if they hold none.
fn stamp_bits(stream: &StreamReader) -> Option<u32> {
    fn least(structure: &Structure) -> Option<u32> {
        structure
            .fields
            .iter()
            .filter_map(|field| least_of(&field.class))
            .min()
    }
    fn least_of(class: &FieldClass) -> Option<u32> {
        match class {
            FieldClass::Integer(class) => class.roles.has(Role::Timestamp).then_some(class.bits),
            FieldClass::Structure(class) => least(class),
            FieldClass::Variant(class) => class
                .options
                .iter()
                .filter_map(|option| least_of(&option.class))
                .min(),
            _ => None,
        }
    }
    least(stream.stream_class().event_header.as_ref()?)
}

/// Bits on their way into a packet.
#[derive(Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    /// The next bit.
    at: u64,
}

impl BitWriter {
    fn truncate(&mut self, at: u64) {
        self.at = at;
        self.bytes.truncate(at.div_ceil(8) as usize);
    }

    fn align(&mut self, align: u32) {
        self.at = self.at.next_multiple_of(u64::from(align));
        self.reserve(0);
    }

    fn reserve(&mut self, bits: u64) {
        let bytes = (self.at + bits).div_ceil(8) as usize;
        if self.bytes.len() < bytes {
            self.bytes.resize(bytes, 0);
        }
    }

    fn number(&mut self, read: Read, value: u64) {
        self.reserve(read.bits());
        self.patch(self.at, read, value);
        self.at += read.bits();
    }

    fn copy(&mut self, bytes: &[u8]) {
        self.bytes.truncate((self.at / 8) as usize);
        self.bytes.extend_from_slice(bytes);
        self.at += bytes.len() as u64 * 8;
    }

    /// Puts a number at bit `at`, where there is room for it. One bit after the other: packets are written rarely.
    fn patch(&mut self, at: u64, read: Read, value: u64) {
        let (bits, order) = (read.bits(), read.order());
        let value = if read.is_reversed() {
            value.reverse_bits() >> (64 - bits)
        } else {
            value
        };
        if at.is_multiple_of(8) && bits.is_multiple_of(8) {
            let (from, count) = ((at / 8) as usize, (bits / 8) as usize);
            let place = &mut self.bytes[from..from + count];
            match order {
                ByteOrder::Little => place.copy_from_slice(&value.to_le_bytes()[..count]),
                ByteOrder::Big => place.copy_from_slice(&value.to_be_bytes()[8 - count..]),
            }
            return;
        }
        for i in 0..bits {
            let (byte, within) = (((at + i) / 8) as usize, (at + i) % 8);
            let (mask, bit) = match order {
                ByteOrder::Little => (1u8 << within, value >> i & 1),
                ByteOrder::Big => (0x80u8 >> within, value >> (bits - 1 - i) & 1),
            };
            match bit {
                0 => self.bytes[byte] &= !mask,
                _ => self.bytes[byte] |= mask,
            }
        }
    }
}

impl StreamReader {
    fn copy_prologue(
        &self,
        out: &mut BitWriter,
        places: &mut Vec<(Roles, u64, Read)>,
        own: Option<&Prologue>,
    ) -> Result<(), Stop> {
        let plan = &self.shared.plan.streams[self.class];
        let mut cursor = Cursor::new(self.prologue(), 0, 0, u64::MAX);
        if let Some(node) = &plan.packet_header {
            copy(node, &mut cursor, self.slots(), out, places)?;
        }
        if let Some(own) = own {
            out.truncate(0);
            places.clear();
            out.copy(&own.header);
        }
        if let Some(node) = &plan.packet_context {
            copy(node, &mut cursor, self.slots(), out, places)?;
        }
        if let Some(own) = own {
            out.align(8);
            out.copy(&own.facts);
        }
        Ok(())
    }

    fn copy_event(&self, out: &mut BitWriter) -> Result<(), Stop> {
        let plan = &self.shared.plan.streams[self.class];
        let event = &plan.events[self.event.class];
        let mut cursor = self.event_cursor();
        let mut places = Vec::new();
        let scopes = [
            &plan.event_header,
            &plan.event_context,
            &event.own_context,
            &event.payload,
        ];
        for node in scopes.into_iter().flatten() {
            copy(node, &mut cursor, self.slots(), out, &mut places)?;
        }
        Ok(())
    }
}

/// Copies a field; notes the places of numbers with a role.
fn copy(
    node: &Node,
    cursor: &mut Cursor<'_>,
    slots: &[Cell<u64>],
    out: &mut BitWriter,
    places: &mut Vec<(Roles, u64, Read)>,
) -> Result<(), Stop> {
    cursor.align(align_of(node));
    out.align(align_of(node));
    match node {
        Node::Integer(node) => {
            let value = cursor.number(node.read)?;
            if !node.class.roles.is_empty() {
                places.push((node.class.roles, out.at, node.read));
            }
            out.number(node.read, value);
            if let Some(slot) = node.slot {
                let signed = node.class.signed;
                let kept = if signed {
                    sign_extend(value, node.class.bits) as u64
                } else {
                    value
                };
                slots[slot as usize].set(kept);
            }
        }
        Node::VarInteger { class, slot } => {
            let before = cursor.at;
            let value = cursor.leb128(class.signed)?;
            let length = (cursor.at - before) / 8;
            cursor.at = before;
            out.copy(cursor.bytes(length)?);
            if let Some(slot) = slot {
                slots[*slot as usize].set(value);
            }
        }
        Node::BitArray { read, .. } | Node::Float { read, .. } => {
            let value = cursor.number(*read)?;
            out.number(*read, value);
        }
        Node::Wide(node) => {
            for piece in node.pieces() {
                out.number(piece, cursor.number(piece)?);
            }
        }
        Node::Boolean { read, slot, .. } => {
            let value = cursor.number(*read)?;
            out.number(*read, value);
            if let Some(slot) = slot {
                slots[*slot as usize].set(value);
            }
        }
        Node::String { encoding } => {
            let width = unit(*encoding);
            out.copy(cursor.string(width)?);
            out.copy(&[0; 4][..width]);
        }
        Node::Text { length, .. } | Node::Blob { length } => {
            out.copy(cursor.bytes(length.get(slots))?)
        }
        Node::Array(node) => {
            for _ in 0..node.length.get(slots) {
                let before = cursor.at;
                copy(&node.element, cursor, slots, out, places)?;
                if cursor.at == before {
                    break;
                }
            }
        }
        Node::Structure(node) => {
            for (_, field) in &node.fields {
                copy(field, cursor, slots, out, places)?;
            }
        }
        Node::Variant(choice) => {
            let option = choice.chosen(slots)?;
            copy(&option.node, cursor, slots, out, places)?;
        }
        Node::Optional(maybe) => {
            if let Some(node) = maybe.there(slots) {
                copy(node, cursor, slots, out, places)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_as_they_were_written_at_every_bit() {
        for order in [ByteOrder::Little, ByteOrder::Big] {
            for at in 0..16 {
                for bits in 1..=64u32 {
                    let read = Read::of(bits, order, false);
                    let value = 0xdead_beef_1234_5678_u64 >> (64 - bits);
                    let mut out = BitWriter {
                        bytes: vec![0xff; 2],
                        at,
                    };
                    out.number(read, value);
                    let mut cursor = Cursor::new(&out.bytes, 0, at, u64::MAX);
                    assert_eq!(cursor.number(read), Ok(value), "{bits} bits at {at}");
                }
            }
        }
    }
}
