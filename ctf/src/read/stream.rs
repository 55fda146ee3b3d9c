//! One stream: its packets, file after file, and the events in them.
//!
//! ```text
//!  file   ▕ packet        ▏ packet          ▏ packet ▏        next file ▕ …
//!          header context  event event event
//!                                      ▲ at
//! ```
//! Going on to an event reads its header and goes past the rest; its fields are decoded when they are asked for.
//!
//! Damage costs the rest of its packet: reading goes on at the next one, which is where the packet's size says, or,
//! if that cannot be believed, where the magic number of the trace is found next.
//!
//! Invariant: whatever the bytes are, every step gets further or ends.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bits::Cursor;
use super::node::{Node, Slots, selected};
use super::plan::{StreamPlan, TracePlan};
use super::program::{Nothing, Program, Sink, Stop};
use super::source::{FileSource, Grown, MAX_WINDOW, Source, Window};
use super::visit::{Trail, visit};
use crate::error::{Damage, Reason};
use crate::lane::MAGIC;
use crate::model::{ClockClass, Role, Roles, Scope, StreamClass, Timing, TraceClass};

/// What all streams of a trace share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) path: PathBuf,
    /// Where it lies below the directory that was asked for.
    pub(crate) below: Option<String>,
    pub(crate) class: TraceClass,
    pub(crate) plan: TracePlan,
}

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

/// What going on came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// An event.
    Event,
    /// The begin of a packet.
    Packet,
    /// The end of what there is for now.
    End,
}

/// The event a stream is at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Current {
    /// The index of its class.
    pub(crate) class: usize,
    /// Where its header begins, its context begins, and it ends, in bits.
    pub(crate) begin: u64,
    pub(crate) context: u64,
    pub(crate) end: u64,
}

/// A stream that is being read.
pub(crate) struct StreamReader {
    pub(crate) shared: Arc<Shared>,
    /// The index of its class.
    pub(crate) class: usize,
    /// The files it is made of, in order.
    pub(crate) files: Vec<PathBuf>,
    file: usize,
    keep_open: bool,
    /// Whether the files may still be growing.
    pub(crate) following: bool,
    /// Its id, or, if the trace gives none, its number among the streams of its class.
    pub(crate) id: u64,
    source: Option<Box<dyn Source>>,
    window: Window,
    slots: Slots,
    pub(crate) packet: Packet,
    /// The packet before.
    pub(crate) previous: Option<Packet>,
    /// How many packets there were.
    pub(crate) packets: u64,
    /// Header and context of the packet: they are asked for when the window has long moved on.
    prologue: Vec<u8>,
    /// Whether `packet` is one: not before the first, nor behind the last.
    in_packet: bool,
    /// Where the next packet begins.
    next_packet: u64,
    /// The next bit of the packet.
    at: u64,
    /// Where in the packet the window begins, in bytes.
    base: u64,
    /// The clock of the last event, or of the packet's begin.
    pub(crate) clock: u64,
    /// How its readings become times.
    pub(crate) timing: Option<Timing>,
    pub(crate) event: Current,
}

/// Takes what has a role in a packet header and context.
#[derive(Default)]
struct PacketSink {
    magic: Option<u64>,
    stream_class: u64,
    stream: Option<u64>,
    begin: Option<u64>,
    end: Option<u64>,
    content: Option<u64>,
    size: Option<u64>,
    sequence: Option<u64>,
    discarded: Option<u64>,
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

/// Takes what has a role in an event header.
struct EventSink {
    clock: u64,
    id: u64,
}

impl Sink for EventSink {
    #[inline(always)]
    fn number(&mut self, value: u64, bits: u32, roles: Roles) {
        if roles.has(Role::EventClassId) {
            self.id = value;
        } else if roles.has(Role::Timestamp) {
            self.clock = later(self.clock, value, bits);
        }
    }
}

/// The clock after `clock` whose lowest `bits` bits are `low`: the nearest one that is not before it.
#[inline(always)]
fn later(clock: u64, low: u64, bits: u32) -> u64 {
    if bits >= 64 {
        return low;
    }
    let span = 1u64 << bits;
    let mask = span - 1;
    let wrapped = if low < clock & mask { span } else { 0 };
    (clock & !mask).wrapping_add(wrapped) | low
}

impl StreamReader {
    /// A reader of the stream in these files, at the begin of the first. `window` is how many bytes to have at hand.
    pub(crate) fn new(
        shared: Arc<Shared>,
        class: usize,
        files: Vec<PathBuf>,
        window: usize,
        keep_open: bool,
    ) -> Self {
        let clock = shared.plan.streams.get(class).and_then(|plan| plan.clock);
        let timing = clock.and_then(|clock| shared.class.clocks[clock].timing());
        let slots = shared
            .plan
            .streams
            .get(class)
            .map_or(0, |plan| plan.slots)
            .max(shared.plan.header_slots);
        StreamReader {
            shared,
            class,
            files,
            file: 0,
            keep_open,
            following: false,
            id: 0,
            source: None,
            window: Window::new(window),
            slots: vec![Cell::new(0); slots].into(),
            packet: Packet::default(),
            previous: None,
            packets: 0,
            prologue: Vec::new(),
            in_packet: false,
            next_packet: 0,
            at: 0,
            base: 0,
            clock: 0,
            timing,
            event: Current::default(),
        }
    }

    /// The same, of bytes that are no file.
    pub(crate) fn of_source(
        shared: Arc<Shared>,
        class: usize,
        name: PathBuf,
        source: Box<dyn Source>,
    ) -> Self {
        let mut reader = StreamReader::new(shared, class, vec![name], 1 << 16, true);
        reader.source = Some(source);
        reader
    }

    /// The file being read.
    pub(crate) fn path(&self) -> &Path {
        self.files
            .get(self.file.min(self.files.len().saturating_sub(1)))
            .map_or(Path::new(""), PathBuf::as_path)
    }

    pub(crate) fn stream_class(&self) -> &StreamClass {
        &self.shared.class.streams[self.class]
    }

    fn plan(&self) -> &StreamPlan {
        &self.shared.plan.streams[self.class]
    }

    /// The clock of the stream's timestamps.
    pub(crate) fn clock_class(&self) -> Option<&ClockClass> {
        Some(&self.shared.class.clocks[self.plan().clock?])
    }

    /// Goes on to the next event or packet.
    #[inline]
    pub(crate) fn step(&mut self) -> Result<Step, Box<Damage>> {
        loop {
            if !self.in_packet || self.at >= self.packet.content {
                return self.step_packet();
            }
            let plan = &self.shared.plan.streams[self.class];
            let bytes = self.window.from(self.packet.offset + self.base);
            let mut cursor = Cursor::new(bytes, self.base, self.at, self.packet.content);
            match next_event(plan, &mut cursor, &self.slots, self.clock) {
                Ok((event, clock)) => {
                    self.clock = clock;
                    self.event = Current {
                        begin: self.at,
                        ..event
                    };
                    self.at = event.end;
                    return Ok(Step::Event);
                }
                Err(stop) => self.recover(stop)?,
            }
        }
    }

    /// Counts the rest of the packet's events, by class, without stopping at each.
    pub(crate) fn count_packet(&mut self, counts: &mut [u64]) -> Result<(), Box<Damage>> {
        while self.in_packet && self.at < self.packet.content {
            let plan = &self.shared.plan.streams[self.class];
            let bytes = self.window.from(self.packet.offset + self.base);
            let mut cursor = Cursor::new(bytes, self.base, self.at, self.packet.content);
            let (mut at, mut clock) = (self.at, self.clock);
            let stop = loop {
                match next_event(plan, &mut cursor, &self.slots, clock) {
                    Ok((event, new)) => {
                        clock = new;
                        at = event.end;
                        counts[event.class] += 1;
                        if at >= self.packet.content {
                            break None;
                        }
                    }
                    Err(stop) => break Some(stop),
                }
            };
            self.at = at;
            self.clock = clock;
            if let Some(stop) = stop {
                self.recover(stop)?;
            }
        }
        Ok(())
    }

    /// An event could not be read: gets more bytes, or gives the packet up.
    #[cold]
    fn recover(&mut self, stop: EventStop) -> Result<(), Box<Damage>> {
        let reason = match stop {
            EventStop::Fields(Stop::Short) if self.more_of_packet() => {
                let offset = self.packet.offset + self.at / 8;
                match self.advance(offset) {
                    Ok(Grown::Yes) => {
                        self.base = self.at / 8;
                        return Ok(());
                    }
                    Ok(Grown::Full) => Reason::TooLarge {
                        limit: MAX_WINDOW as u64,
                    },
                    Ok(Grown::AtEnd) | Err(_) => {
                        let end = self.packet.offset + self.packet.content.div_ceil(8);
                        Reason::CutShort {
                            missing: end.saturating_sub(self.window.end()),
                        }
                    }
                }
            }
            EventStop::Fields(Stop::Short) => Reason::BeyondContent,
            EventStop::Fields(Stop::NoOption { selector, signed }) => {
                let value = selected_in(&self.slots, selector, signed);
                Reason::NoOption { value }
            }
            EventStop::Fields(Stop::TooLarge) => Reason::VarInteger,
            EventStop::Class(id) => Reason::EventClass { id },
            EventStop::NoProgress => Reason::NoProgress,
        };
        let damage = self.damage_in_event(reason);
        self.in_packet = false;
        if let Reason::CutShort { .. } = damage.reason {
            self.next_packet = self.next_packet.min(self.window.end());
        }
        Err(damage)
    }

    /// Whether the packet has bytes that are not at hand.
    fn more_of_packet(&self) -> bool {
        let end = self.packet.offset + self.packet.content.div_ceil(8);
        self.window.end() < end
    }

    fn advance(&mut self, offset: u64) -> std::io::Result<Grown> {
        match &mut self.source {
            Some(source) => self.window.advance(source.as_mut(), offset),
            None => Ok(Grown::AtEnd),
        }
    }

    /// Goes on to the next packet.
    fn step_packet(&mut self) -> Result<Step, Box<Damage>> {
        self.in_packet = false;
        loop {
            if self.source.is_none() && !self.open_file() {
                return Ok(Step::End);
            }
            self.window_at(self.next_packet);
            if self.window.from(self.next_packet).is_empty() {
                if let Some(damage) = self.missing_end() {
                    return Err(damage);
                }
                // Nothing more for now. In the last file there may be some later.
                if self.file + 1 >= self.files.len() {
                    return Ok(Step::End);
                }
                self.file += 1;
                self.source = None;
                continue;
            }
            return self.begin_packet();
        }
    }

    /// What is wrong if the last packet says it goes on behind the end of the file; once.
    fn missing_end(&mut self) -> Option<Box<Damage>> {
        if self.following || self.packets == 0 {
            return None;
        }
        let len = self.source.as_mut()?.len().ok()?;
        let missing = self
            .next_packet
            .checked_sub(len)
            .filter(|missing| *missing > 0)?;
        self.next_packet = len;
        Some(Box::new(Damage {
            file: self.path().to_owned(),
            packet: self.packet.offset,
            bit: self.packet.content,
            field: None,
            reason: Reason::CutShort { missing },
            skipped: 0,
        }))
    }

    fn open_file(&mut self) -> bool {
        let Some(path) = self.files.get(self.file) else {
            return false;
        };
        self.source = Some(Box::new(FileSource::new(path.clone(), self.keep_open)));
        self.window.clear();
        self.next_packet = 0;
        true
    }

    /// Has bytes at hand from `offset` on, if there are any.
    fn window_at(&mut self, offset: u64) {
        if self.window.from(offset).is_empty() {
            // An error reads as the end of the file, which is what there is to be read of it.
            let _ = self.advance(offset);
        }
    }

    /// Goes to the end of the packet at hand without reading its events.
    pub(crate) fn skip_packet(&mut self) {
        self.at = self.packet.content;
    }

    /// Reads the header and context of the packet at `next_packet`.
    fn begin_packet(&mut self) -> Result<Step, Box<Damage>> {
        let offset = self.next_packet;
        loop {
            let bytes = self.window.from(offset);
            let mut cursor = Cursor::new(bytes, 0, 0, u64::MAX);
            let mut sink = PacketSink::default();
            let at_hand = bytes.len() as u64;
            let result = packet_header(
                &self.shared,
                self.class,
                &self.slots,
                &mut cursor,
                &mut sink,
            );
            let at = cursor.at;
            match result {
                Ok(()) => return self.enter_packet(offset, at, &sink),
                Err(PacketStop::Fields(Stop::Short)) => match self.advance(offset) {
                    Ok(Grown::Yes) => {}
                    _ if self.following => return Ok(Step::End),
                    _ => {
                        let reason = Reason::CutShort { missing: 1 };
                        return Err(self.refuse_packet(offset, at, reason, Some(at_hand)));
                    }
                },
                Err(stop) => {
                    let reason = match stop {
                        PacketStop::Fields(Stop::NoOption { selector, signed }) => {
                            let value = selected_in(&self.slots, selector, signed);
                            Reason::NoOption { value }
                        }
                        PacketStop::Fields(_) => Reason::VarInteger,
                        PacketStop::Refused(reason) => reason,
                    };
                    return Err(self.refuse_packet(offset, at, reason, None));
                }
            }
        }
    }

    fn enter_packet(
        &mut self,
        offset: u64,
        header: u64,
        found: &PacketSink,
    ) -> Result<Step, Box<Damage>> {
        let rest = self
            .source
            .as_mut()
            .and_then(|source| source.len().ok())
            .unwrap_or(0)
            .saturating_sub(offset)
            * 8;
        let size = found.size.or(found.content).unwrap_or(rest);
        let content = found.content.unwrap_or(size);
        if content > size || content < header || !size.is_multiple_of(8) || size == 0 {
            let reason = Reason::Sizes {
                content,
                packet: size,
                header,
            };
            return Err(self.refuse_packet(offset, header, reason, None));
        }
        if self.packets > 0 && self.packet.stream != found.stream {
            return Err(self.refuse_packet(offset, header, Reason::OtherStream, Some(size / 8)));
        }
        if self.following && size > rest {
            return Ok(Step::End);
        }
        self.previous = (self.packets > 0).then_some(self.packet);
        self.packets += 1;
        self.prologue.clear();
        let prologue = self
            .window
            .from(offset)
            .iter()
            .take(header.div_ceil(8) as usize);
        self.prologue.extend(prologue);
        self.packet = Packet {
            offset,
            size,
            content,
            begin: found.begin,
            end: found.end,
            sequence: found.sequence,
            discarded: found.discarded,
            stream_class: found.stream_class,
            stream: found.stream,
        };
        self.next_packet = offset.saturating_add(size / 8);
        self.in_packet = true;
        self.at = header;
        self.base = 0;
        if let Some(begin) = found.begin {
            self.clock = begin;
        }
        Ok(Step::Packet)
    }

    /// A packet that cannot be entered: goes on behind `known` bytes of it, or at the next magic number.
    #[cold]
    fn refuse_packet(
        &mut self,
        offset: u64,
        bit: u64,
        reason: Reason,
        known: Option<u64>,
    ) -> Box<Damage> {
        let file_end = self
            .source
            .as_mut()
            .and_then(|source| source.len().ok())
            .unwrap_or(offset);
        let next = match known {
            Some(bytes) => offset.saturating_add(bytes.max(1)).min(file_end),
            None => self.find_magic(offset).unwrap_or(file_end),
        };
        self.next_packet = next.max(offset + 1);
        Box::new(Damage {
            file: self.path().to_owned(),
            packet: offset,
            bit,
            field: None,
            reason,
            skipped: next.saturating_sub(offset),
        })
    }

    /// Where the next packet after the one at `offset` could begin: where its magic number and UUID stand.
    fn find_magic(&mut self, offset: u64) -> Option<u64> {
        let header = self.shared.class.packet_header.as_ref()?;
        let has_magic = matches!(header.fields.first(), Some(field) if field.name == "magic");
        if !has_magic {
            return None;
        }
        let mut from = offset + 1;
        let patterns = [MAGIC.to_le_bytes(), MAGIC.to_be_bytes()];
        loop {
            self.window_at(from);
            let bytes = self.window.from(from);
            if bytes.len() < 4 {
                match self.advance(from) {
                    Ok(Grown::Yes) if self.window.from(from).len() >= 4 => continue,
                    _ => return None,
                }
            }
            let found = patterns
                .iter()
                .filter_map(|pattern| memchr::memmem::find(bytes, pattern))
                .min();
            match found {
                Some(at) => return Some(from + at as u64),
                None => from += bytes.len() as u64 - 3,
            }
        }
    }

    /// What is wrong with the event at hand: decodes it once more, to say in which field.
    #[cold]
    fn damage_in_event(&mut self, reason: Reason) -> Box<Damage> {
        let bytes = self.window.from(self.packet.offset + self.base);
        let mut cursor = Cursor::new(bytes, self.base, self.at, self.packet.content);
        let plan = self.plan();
        let mut field = None;
        let mut sink = EventSink { clock: 0, id: 0 };
        let mut event = None;
        let mut probe = cursor;
        if plan
            .event_header_program
            .run(&mut probe, &self.slots, &mut sink)
            .is_ok()
        {
            event = plan.event(sink.id).map(|i| &plan.events[i]);
        }
        let scopes = [
            (Scope::EventHeader, plan.event_header.as_ref()),
            (
                Scope::EventContext,
                plan.event_context.as_ref().filter(|_| event.is_some()),
            ),
            (
                Scope::OwnContext,
                event.and_then(|event| event.own_context.as_ref()),
            ),
            (
                Scope::Payload,
                event.and_then(|event| event.payload.as_ref()),
            ),
        ];
        for (scope, node) in scopes {
            let mut trail = Trail::default();
            if let Some(node) = node
                && visit(node, &mut cursor, &self.slots, &mut trail).is_err()
            {
                field = Some((scope, trail.path()));
                break;
            }
        }
        if field.is_none() && matches!(reason, Reason::EventClass { .. }) {
            field = Some((Scope::EventHeader, String::new()));
        }
        let end = self.next_packet.min(
            self.source
                .as_mut()
                .and_then(|source| source.len().ok())
                .unwrap_or(u64::MAX),
        );
        Box::new(Damage {
            file: self.path().to_owned(),
            packet: self.packet.offset,
            bit: self.at,
            field,
            reason,
            skipped: end.saturating_sub(self.packet.offset + self.at / 8),
        })
    }

    /// Header and context of the packet.
    pub(crate) fn prologue(&self) -> &[u8] {
        &self.prologue
    }

    pub(crate) fn slots(&self) -> &[Cell<u64>] {
        &self.slots
    }

    /// A cursor at the begin of the event at hand.
    pub(crate) fn event_cursor(&self) -> Cursor<'_> {
        let bytes = self.window.from(self.packet.offset + self.base);
        Cursor::new(bytes, self.base, self.event.begin, self.packet.content)
    }

    /// The nodes of the event's contexts and its payload.
    pub(crate) fn context_nodes(&self) -> [Option<&Node>; 3] {
        let plan = self.plan();
        let event = &plan.events[self.event.class];
        [&plan.event_context, &event.own_context, &event.payload].map(Option::as_ref)
    }

    /// A cursor at the begin of the event's contexts.
    #[inline]
    pub(crate) fn context_cursor(&self) -> Cursor<'_> {
        let bytes = self.window.from(self.packet.offset + self.base);
        Cursor::new(bytes, self.base, self.event.context, self.packet.content)
    }

    /// Visits a scope of the packet or event at hand.
    pub(crate) fn visit(
        &self,
        scope: Scope,
        visitor: &mut (impl super::visit::Visitor + ?Sized),
    ) -> Result<(), Stop> {
        let plan = self.plan();
        let event = plan.events.get(self.event.class);
        let (node, at) = match scope {
            Scope::PacketHeader => (plan.packet_header.as_ref(), 0),
            Scope::PacketContext => (plan.packet_context.as_ref(), 0),
            Scope::EventHeader => (plan.event_header.as_ref(), self.event.begin),
            Scope::EventContext => (plan.event_context.as_ref(), self.event.context),
            Scope::OwnContext => (
                event.and_then(|event| event.own_context.as_ref()),
                self.event.context,
            ),
            Scope::Payload => (
                event.and_then(|event| event.payload.as_ref()),
                self.event.context,
            ),
        };
        let Some(node) = node else {
            return Ok(());
        };
        let mut cursor = match scope {
            Scope::PacketHeader | Scope::PacketContext => {
                Cursor::new(&self.prologue, 0, 0, u64::MAX)
            }
            _ => {
                let bytes = self.window.from(self.packet.offset + self.base);
                Cursor::new(bytes, self.base, at, self.packet.content)
            }
        };
        let past = |program: &Program, cursor: &mut Cursor<'_>| {
            program.run(cursor, &self.slots, &mut Nothing)
        };
        match scope {
            Scope::PacketContext => past(&plan.packet_header_program, &mut cursor)?,
            Scope::OwnContext | Scope::Payload => past(&plan.event_context_program, &mut cursor)?,
            _ => {}
        }
        if let (Scope::Payload, Some(event)) = (scope, event) {
            past(&event.own_context_program, &mut cursor)?;
        }
        visit(node, &mut cursor, &self.slots, visitor)
    }
}

/// The value that no option is for.
fn selected_in(slots: &[Cell<u64>], selector: u32, signed: bool) -> i128 {
    match slots.len() {
        0 => 0,
        _ => selected(slots, selector, signed),
    }
}

/// Why an event cannot be read.
enum EventStop {
    Fields(Stop),
    Class(u64),
    NoProgress,
}

impl From<Stop> for EventStop {
    #[inline(always)]
    fn from(stop: Stop) -> Self {
        EventStop::Fields(stop)
    }
}

/// The event at the cursor, and its clock.
#[inline(always)]
fn next_event(
    plan: &StreamPlan,
    cursor: &mut Cursor<'_>,
    slots: &[Cell<u64>],
    clock: u64,
) -> Result<(Current, u64), EventStop> {
    let begin = cursor.at;
    let (id, clock) = match plan.glance.as_ref().and_then(|glance| glance.read(cursor)) {
        Some(found) => match found.timestamp_bits {
            0 => (found.id, clock),
            bits => (found.id, later(clock, found.timestamp, bits)),
        },
        None => {
            let mut sink = EventSink { clock, id: 0 };
            plan.event_header_program.run(cursor, slots, &mut sink)?;
            (sink.id, sink.clock)
        }
    };
    let context = cursor.at;
    let class = plan.event(id).ok_or(EventStop::Class(id))?;
    let event = &plan.events[class];
    match event.fixed {
        Some((align, bits)) => {
            cursor.align(align);
            cursor.skip(bits).map_err(Stop::from)?;
        }
        None => event.past.run(cursor, slots, &mut Nothing)?,
    }
    if cursor.at == begin {
        return Err(EventStop::NoProgress);
    }
    let event = Current {
        class,
        begin,
        context,
        end: cursor.at,
    };
    Ok((event, clock))
}

/// Why a packet cannot be entered.
enum PacketStop {
    Fields(Stop),
    Refused(Reason),
}

impl From<Stop> for PacketStop {
    fn from(stop: Stop) -> Self {
        PacketStop::Fields(stop)
    }
}

fn packet_header(
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
