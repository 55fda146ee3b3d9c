//! Ring buffer records as a CTF stream, byte for byte.
//!
//! A lane of a ring buffer is a stream, and its records are copied into packets as they are. What a record looks like:
//!
//! ```text
//!  0        32      46 47 48       64
//!  ├─ clock ─┼ words ┼e┼0┼─── id ───┤ [clock u64, id u16]  context  payload  pad … n
//!  └──────────── 8-aligned ─────────┘  └─ only if e ─┘                     └ 1..=8 ┘
//! ```
//! * `clock`: the low half of the trace clock; an *extended* (`e`) record has the whole clock too, and its id again.
//! * `words`: the length in 8-byte words, header included. Bit 47 is set while a record is being written.
//! * after the payload 1 to 8 bytes of padding lead to the next multiple of 8; the last of them says how many.
//!
//! CTF sees an event as *the first padding byte of the record before, alignment, header, context, payload*: a byte
//! that selects the only option of a variant. A structure would align its first member with the most demanding one,
//! a variant does not, so this swallows 1 to 8 bytes and shows no field. The content of a packet ends with the
//! payload of its last record, so the writer has to know that record's padding, and nothing else.
//!
//! The header fields are named for babeltrace 2.0, which warns of every integer in an event header that is neither a
//! timestamp nor called `id`, takes the last `id` for the event's, and allows one plain name as a variant's tag; and
//! for Trace Compass, which looks for `id` and `timestamp` in the option of a variant `v`.
//!
//! ```text
//!  packet  ├ magic, uuid, stream_id, stream_instance_id ┤ position ├ context … cpu_id ┤ events ├ records …
//!          0                                            24         32                 84       88
//! ```
//! `position` and `events` lie where alignment leaves room: they are for whoever continues a lane, and no fields of
//! the trace.
//!
//! Invariant: packets begin and end on multiples of 8 bytes in their file.

use crate::model::{
    Array, ClockClass, FieldLocation, Integer, Length, Range, Role, StreamClass, Structure,
    TraceClass, Uuid, Variant, VariantOption,
};

/// The magic number that begins every packet.
pub const MAGIC: u32 = 0xc1fc_1fc1;

/// Bytes before the first record of a packet.
pub const PACKET_HEADER_BYTES: usize = 88;

/// Bytes of them that are content even in a packet without records.
const CONTEXT_END: usize = 84;

const POSITION_AT: usize = 24;
const EVENTS_AT: usize = CONTEXT_END;
const CONTEXT_AT: usize = 32;

/// A trace class for lanes: packet header and clock are there, stream classes are added with [`stream_class`],
/// event classes as they become known.
///
/// The metadata is `laneway_ctf::tsdl::write(&trace)`, to be written again whenever something was added.
///
/// ```
/// use laneway_ctf::lane;
/// use laneway_ctf::model::{ClockClass, EventClass, Integer, Structure, StringClass, Uuid};
///
/// let mut trace = lane::trace_class(Uuid::from_random([7; 16]), ClockClass::new("tsc", 2_500_000_000));
/// trace.set_env("hostname", "build-7");
/// trace.streams.push(lane::stream_class(0, "tsc", true));
///
/// let fields = Structure::new()
///     .with("total", Integer::unsigned(64))
///     .with("who", StringClass::default());
/// trace.streams[0].events.push(EventClass::new(0, "shop:order", fields).with_log_level(6));
/// assert!(laneway_ctf::tsdl::write(&trace).contains("name = \"shop:order\";"));
/// ```
#[must_use]
pub fn trace_class(uuid: Uuid, clock: ClockClass) -> TraceClass {
    let mut trace = TraceClass::new(uuid);
    trace.clocks.push(clock);
    let uuid = Array {
        length: Length::Fixed(16),
        element: Box::new(Integer::unsigned(8).hex().role(Role::TraceUuid).into()),
        align: 1,
    };
    trace.packet_header = Some(
        Structure::new()
            .with("magic", Integer::unsigned(32).hex().role(Role::PacketMagic))
            .with("uuid", uuid)
            .with("stream_id", Integer::unsigned(16).role(Role::StreamClassId))
            .with(
                "stream_instance_id",
                Integer::unsigned(16).role(Role::StreamId),
            ),
    );
    trace
}

/// A stream class for lanes: `clock` is the name of a clock of the trace; with `thread_ids`, every record has the
/// thread's id (`i32`) before its payload.
#[must_use]
pub fn stream_class(id: u64, clock: &str, thread_ids: bool) -> StreamClass {
    let stamp = || Integer::unsigned(64).role(Role::Timestamp);
    let mut context = Structure::new()
        .with("timestamp_begin", stamp())
        .with("timestamp_end", Integer::unsigned(64).role(Role::PacketEnd))
        .with(
            "content_size",
            Integer::unsigned(64).role(Role::ContentSize),
        )
        .with("packet_size", Integer::unsigned(64).role(Role::PacketSize))
        .with(
            "packet_seq_num",
            Integer::unsigned(64).role(Role::SequenceNumber),
        )
        .with(
            "events_discarded",
            Integer::unsigned(64).role(Role::EventsDiscarded),
        )
        .with("cpu_id", Integer::unsigned(32));
    context.align = 128; // skips the position
    StreamClass {
        id,
        clock: Some(clock.to_owned()),
        packet_context: Some(context),
        event_header: Some(event_header()),
        event_context: thread_ids.then(|| Structure::new().with("vtid", Integer::signed(32))),
        ..StreamClass::default()
    }
}

/// See the picture at the top of this file.
fn event_header() -> Structure {
    let id = || Integer::unsigned(16).role(Role::EventClassId);
    let whole = Structure::new()
        .with("id", id())
        .with("timestamp", Integer::unsigned(64).role(Role::Timestamp));
    // The 14-bit length and the two flags above it, of which only `extended` is ever set here.
    let words = Integer::unsigned(16)
        .label("plain", 0, 0x3fff)
        .label("extended", 0x4000, 0x7fff);
    let form = Structure::new().with("id", words).with(
        "v",
        Variant {
            selector: FieldLocation::sibling("id"),
            options: vec![
                option("plain", Structure::new(), 0, 0x3fff),
                option("extended", whole, 0x4000, 0x7fff),
            ],
        },
    );
    let mut record = Structure::new()
        .with("timestamp", Integer::unsigned(32).role(Role::Timestamp))
        .with("words", form)
        .with("id", id());
    record.align = 64;
    Structure::new()
        .with("id", Integer::unsigned(8).label("record", 0, 255))
        .with(
            "v",
            Variant {
                selector: FieldLocation::sibling("id"),
                options: vec![option("record", record, 0, 255)],
            },
        )
}

fn option(name: &str, class: Structure, low: i128, high: i128) -> VariantOption {
    VariantOption {
        name: Some(name.to_owned()),
        class: class.into(),
        ranges: vec![Range::new(low, high)],
        attributes: None,
    }
}

/// What stands before the records of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketHeader {
    /// The trace.
    pub uuid: Uuid,
    /// The stream class.
    pub stream_class: u16,
    /// The stream of that class: the lane. Unique within the trace.
    pub stream: u16,
    /// Bytes ever reserved in that lane before the first record of this packet.
    pub position: u64,
    /// The clock when the packet began: at most that of its first record, at least the end of the packet before.
    pub begin: u64,
    /// The clock when the packet ended: at least that of its last record.
    pub end: u64,
    /// How many packets this stream had before.
    pub sequence: u64,
    /// How many events this stream ever lost.
    pub discarded: u64,
    /// The CPU.
    pub cpu: u32,
    /// How many records follow; 0 where nobody counted them.
    pub events: u32,
    /// Bytes of records that follow, a multiple of 8, the padding of the last one included.
    pub records: u64,
    /// The last byte of the records (1 to 8): with how many bytes of padding they end; 0 if there are none.
    pub padding: u8,
}

impl PacketHeader {
    /// The bytes to write before the records.
    ///
    /// # Panics
    /// In debug builds, if `records` or `padding` cannot be.
    #[must_use]
    pub fn encode(&self) -> [u8; PACKET_HEADER_BYTES] {
        debug_assert!(self.records.is_multiple_of(8) && self.padding <= 8);
        debug_assert_eq!(self.records == 0, self.padding == 0);
        let size = PACKET_HEADER_BYTES as u64 + self.records;
        let content = match self.records {
            0 => CONTEXT_END as u64,
            _ => size - u64::from(self.padding),
        };
        let mut bytes = [0; PACKET_HEADER_BYTES];
        bytes[0..4].copy_from_slice(&MAGIC.to_ne_bytes());
        bytes[4..20].copy_from_slice(&self.uuid.0);
        bytes[20..22].copy_from_slice(&self.stream_class.to_ne_bytes());
        bytes[22..24].copy_from_slice(&self.stream.to_ne_bytes());
        bytes[POSITION_AT..CONTEXT_AT].copy_from_slice(&self.position.to_ne_bytes());
        let context = [
            self.begin,
            self.end,
            content * 8,
            size * 8,
            self.sequence,
            self.discarded,
        ];
        for (at, value) in bytes[CONTEXT_AT..].chunks_exact_mut(8).zip(context) {
            at.copy_from_slice(&value.to_ne_bytes());
        }
        bytes[CONTEXT_END - 4..CONTEXT_END].copy_from_slice(&self.cpu.to_ne_bytes());
        bytes[EVENTS_AT..].copy_from_slice(&self.events.to_ne_bytes());
        bytes
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` if it did not, or if the sizes in it make no sense.
    #[must_use]
    pub fn decode(bytes: &[u8; PACKET_HEADER_BYTES]) -> Option<Self> {
        let word = |at: usize| u64::from_ne_bytes(array(bytes, at));
        let header_bits = PACKET_HEADER_BYTES as u64 * 8;
        let (content, size) = (word(CONTEXT_AT + 16), word(CONTEXT_AT + 24));
        let records = size.checked_sub(header_bits)? / 8;
        let padding = match records {
            0 => 0,
            _ => u8::try_from(size.checked_sub(content)? / 8).ok()?,
        };
        let header = PacketHeader {
            uuid: Uuid(array(bytes, 4)),
            stream_class: u16::from_ne_bytes(array(bytes, 20)),
            stream: u16::from_ne_bytes(array(bytes, 22)),
            position: word(POSITION_AT),
            begin: word(CONTEXT_AT),
            end: word(CONTEXT_AT + 8),
            sequence: word(CONTEXT_AT + 32),
            discarded: word(CONTEXT_AT + 40),
            cpu: u32::from_ne_bytes(array(bytes, CONTEXT_END - 4)),
            events: u32::from_ne_bytes(array(bytes, EVENTS_AT)),
            records,
            padding,
        };
        let sane = records.is_multiple_of(8)
            && padding <= 8
            && (records == 0) == (padding == 0)
            && u64::from(header.events) <= records / 8;
        (sane && header.encode() == *bytes).then_some(header)
    }
}

fn array<const N: usize>(bytes: &[u8; PACKET_HEADER_BYTES], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> PacketHeader {
        PacketHeader {
            uuid: Uuid::from_random([9; 16]),
            stream_class: 1,
            stream: 3,
            position: 1 << 40,
            begin: 5,
            end: 9,
            sequence: 7,
            discarded: 2,
            cpu: 11,
            events: 3,
            records: 80,
            padding: 8,
        }
    }

    #[test]
    fn a_packet_header_reads_back_as_it_was_written() {
        let empty = PacketHeader {
            events: 0,
            records: 0,
            padding: 0,
            ..header()
        };
        for header in [header(), empty] {
            assert_eq!(PacketHeader::decode(&header.encode()), Some(header));
        }
    }

    #[test]
    fn what_is_no_packet_header_is_not_taken_for_one() {
        let good = header().encode();
        for at in (0..4)
            .chain(CONTEXT_AT + 16..CONTEXT_AT + 32)
            .chain(EVENTS_AT + 1..PACKET_HEADER_BYTES)
        {
            let mut bytes = good;
            bytes[at] ^= 0x81;
            assert_eq!(PacketHeader::decode(&bytes), None, "byte {at} was changed");
        }
    }

    #[test]
    fn content_ends_where_the_last_payload_does() {
        let bytes = header().encode();
        let content = u64::from_ne_bytes(array(&bytes, CONTEXT_AT + 16));
        assert_eq!(content, (88 + 80 - 8) * 8);
    }
}
