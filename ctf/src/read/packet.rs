//! The begin of a packet: its header and context.
//!
//! ```text
//!  packet header   which trace, stream class and stream   ─┐
//!  packet context  times, sizes, counters                 ─┴▶ Packet
//! ```
//! A packet header is read twice: once for the stream class, which says what the context looks like, and once with
//! the slots of that class.

use std::cell::Cell;
use std::sync::Arc;

use super::bits::Cursor;
use super::node::Slots;
use super::program::{Nothing, Sink, Stop};
use super::source::{Grown, Source, Window};
use super::stream::Shared;
use crate::error::Reason;
use crate::lane::MAGIC;
use crate::model::{Role, Roles};

/// What a packet says about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// Where in its file it begins, in bytes.
    pub offset: u64,
    /// Bits up to the next packet.
    pub size: u64,
    /// Bits up to the end of its last event.
    pub content: u64,
    /// The clock when it began.
    pub begin: Option<u64>,
    /// The clock when it ended.
    pub end: Option<u64>,
    /// How many packets the stream had before.
    pub sequence: Option<u64>,
    /// How many events the stream ever lost.
    pub discarded: Option<u64>,
    /// The id of its stream class.
    pub stream_class: u64,
    /// The id of its stream within the class.
    pub stream: Option<u64>,
}

/// Takes what has a role in a packet header and context.
#[derive(Default)]
pub(super) struct PacketSink {
    pub(super) magic: Option<u64>,
    pub(super) stream_class: u64,
    pub(super) stream: Option<u64>,
    pub(super) begin: Option<u64>,
    pub(super) end: Option<u64>,
    pub(super) content: Option<u64>,
    pub(super) size: Option<u64>,
    pub(super) sequence: Option<u64>,
    pub(super) discarded: Option<u64>,
}

impl Sink for PacketSink {
    fn number(&mut self, value: u64, _: u32, roles: Roles) {
        let takes: [(Role, &mut Option<u64>); 8] = [
            (Role::PacketMagic, &mut self.magic),
            (Role::StreamId, &mut self.stream),
            (Role::Timestamp, &mut self.begin),
            (Role::PacketEnd, &mut self.end),
            (Role::ContentSize, &mut self.content),
            (Role::PacketSize, &mut self.size),
            (Role::SequenceNumber, &mut self.sequence),
            (Role::EventsDiscarded, &mut self.discarded),
        ];
        for (role, slot) in takes {
            if roles.has(role) {
                *slot = Some(value);
            }
        }
        if roles.has(Role::StreamClassId) {
            self.stream_class = value;
        }
    }
}

/// Why a packet cannot be entered.
pub(super) enum PacketStop {
    Fields(Stop),
    Refused(Reason),
}

impl From<Stop> for PacketStop {
    fn from(stop: Stop) -> Self {
        PacketStop::Fields(stop)
    }
}

pub(super) fn packet_header(
    shared: &Shared,
    class: usize,
    slots: &[Cell<u64>],
    cursor: &mut Cursor<'_>,
    sink: &mut PacketSink,
) -> Result<(), PacketStop> {
    let mut probe = *cursor;
    shared.plan.packet_header.run(&mut probe, slots, sink)?;
    check_magic(sink)?;
    let found = match shared.class.streams.len() {
        1 if shared.plan.stream(sink.stream_class).is_none() && sink.stream_class == 0 => Some(0),
        _ => shared.plan.stream(sink.stream_class),
    };
    match found {
        None => {
            return Err(PacketStop::Refused(Reason::StreamClass {
                id: sink.stream_class,
            }));
        }
        Some(found) if found != class => return Err(PacketStop::Refused(Reason::OtherStream)),
        Some(_) => {}
    }
    let plan = &shared.plan.streams[class];
    plan.packet_header_program
        .run(cursor, slots, &mut Nothing)?;
    plan.packet_context_program.run(cursor, slots, sink)?;
    Ok(())
}

fn check_magic(sink: &PacketSink) -> Result<(), PacketStop> {
    if let Some(found) = sink.magic
        && found != u64::from(MAGIC)
    {
        return Err(PacketStop::Refused(Reason::Magic { found }));
    }
    // A UUID that is not the trace's is no error: babeltrace reads such packets, and there are tools that copy streams.
    Ok(())
}

/// The first packet of a file: which stream it belongs to.
pub(crate) fn probe(
    shared: &Arc<Shared>,
    source: &mut dyn Source,
) -> Result<Option<(usize, Packet)>, Reason> {
    let mut window = Window::new(4096);
    loop {
        match window.advance(source, 0) {
            Ok(Grown::Yes) => {}
            _ if window.from(0).is_empty() => return Ok(None),
            _ => return Err(Reason::CutShort { missing: 1 }),
        }
        let mut cursor = Cursor::new(window.from(0), 0, 0, u64::MAX);
        let mut sink = PacketSink::default();
        let slots: Slots = vec![Cell::new(0); shared.plan.header_slots].into();
        let header = shared
            .plan
            .packet_header
            .run(&mut cursor, &slots, &mut sink);
        let result = match header {
            Ok(()) => probe_context(shared, &window, &mut sink),
            Err(stop) => Err(stop.into()),
        };
        match result {
            Ok(class) => {
                let packet = Packet {
                    begin: sink.begin,
                    end: sink.end,
                    sequence: sink.sequence,
                    stream_class: sink.stream_class,
                    stream: sink.stream,
                    ..Packet::default()
                };
                return Ok(Some((class, packet)));
            }
            Err(PacketStop::Fields(Stop::Short)) => {}
            Err(PacketStop::Fields(Stop::NoOption { .. })) => {
                return Err(Reason::NoOption { value: 0 });
            }
            Err(PacketStop::Fields(Stop::TooLarge)) => return Err(Reason::VarInteger),
            Err(PacketStop::Refused(reason)) => return Err(reason),
        }
    }
}

fn probe_context(
    shared: &Shared,
    window: &Window,
    sink: &mut PacketSink,
) -> Result<usize, PacketStop> {
    check_magic(sink)?;
    let found = match shared.class.streams.len() {
        1 if sink.stream_class == 0 => Some(shared.plan.stream(0).unwrap_or(0)),
        _ => shared.plan.stream(sink.stream_class),
    };
    let class = found.ok_or(PacketStop::Refused(Reason::StreamClass {
        id: sink.stream_class,
    }))?;
    let plan = &shared.plan.streams[class];
    let slots: Slots = vec![Cell::new(0); plan.slots].into();
    let mut cursor = Cursor::new(window.from(0), 0, 0, u64::MAX);
    plan.packet_header_program
        .run(&mut cursor, &slots, &mut Nothing)?;
    plan.packet_context_program.run(&mut cursor, &slots, sink)?;
    Ok(class)
}
