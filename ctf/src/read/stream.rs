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

mod recover;
mod renew;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bits::Cursor;
use super::event::{EventStop, next_event};
use super::node::{Node, Slots};
use super::packet::{Packet, PacketSink, PacketStop, packet_header};
use super::plan::{StreamPlan, TracePlan};
use super::program::{Nothing, Program, Stop};
use super::source::{FileSource, Grown, Source, Window};
use super::visit::visit;
use crate::error::{Damage, Reason};
use crate::model::{ClockClass, Scope, StreamClass, Timing, TraceClass};

/// What all streams of a trace share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) path: PathBuf,
    /// Where it lies below the directory that was asked for.
    pub(crate) below: Option<String>,
    pub(crate) class: TraceClass,
    pub(crate) plan: TracePlan,
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

/// Events that are gone past at once, as long as nobody moves the window.
const AHEAD: usize = 64;

/// An event that the stream has gone past, but not come to.
#[derive(Clone, Copy, Debug)]
struct Ahead {
    event: Current,
    clock: u64,
    /// When it happened; the least time if nobody knows.
    ns: i64,
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
    /// While following: how much of the last file may be read.
    mark: u64,
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
    /// When it happened, by the clock's origin; the least time if nobody knows.
    pub(crate) ns: i64,
    /// Events behind it that were gone past already, from `next` on.
    ahead: Vec<Ahead>,
    next: usize,
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
            mark: u64::MAX,
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
            ns: i64::MIN,
            ahead: Vec::new(),
            next: 0,
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

    /// Goes on to the next event, if it was gone past already. When it happened.
    #[inline(always)]
    pub(crate) fn step_ahead(&mut self) -> Option<i64> {
        let next = *self.ahead.get(self.next)?;
        self.come_to(next);
        Some(next.ns)
    }

    /// Goes on to the next event or packet.
    pub(crate) fn step(&mut self) -> Result<Step, Box<Damage>> {
        match self.step_ahead() {
            Some(_) => Ok(Step::Event),
            None => self.step_slow(),
        }
    }

    #[inline(always)]
    fn come_to(&mut self, next: Ahead) {
        self.next += 1;
        self.clock = next.clock;
        self.ns = next.ns;
        self.at = next.event.end;
        self.event = next.event;
    }

    fn step_slow(&mut self) -> Result<Step, Box<Damage>> {
        loop {
            self.forget_ahead();
            if !self.in_packet || self.at >= self.packet.content {
                return self.step_packet();
            }
            let stopped = self.look_ahead();
            if let Some(&next) = self.ahead.first() {
                self.come_to(next);
                return Ok(Step::Event);
            }
            if let Err(stop) = stopped {
                self.recover(stop)?;
            }
        }
    }

    fn forget_ahead(&mut self) {
        self.ahead.clear();
        self.next = 0;
    }

    /// Goes past as many events as are at hand. What stops it is told again when the stream has come there.
    fn look_ahead(&mut self) -> Result<(), EventStop> {
        let plan = &self.shared.plan.streams[self.class];
        let bytes = self.window.from(self.packet.offset + self.base);
        let mut cursor = Cursor::new(bytes, self.base, self.at, self.packet.content);
        let most = if plan.may_look_ahead { AHEAD } else { 1 };
        let mut clock = self.clock;
        while self.ahead.len() < most && cursor.at < self.packet.content {
            let (event, new) = next_event::<true>(plan, &mut cursor, &self.slots, clock)?;
            clock = new;
            let ns = self.timing.and_then(|timing| timing.ns(clock));
            let ns = ns.unwrap_or(i64::MIN);
            self.ahead.push(Ahead { event, clock, ns });
        }
        Ok(())
    }

    /// Counts the rest of the packet's events, by class, without stopping at each. Nobody asks when they were: the clock
    /// is not right any more until the next packet begins.
    pub(crate) fn count_packet(&mut self, counts: &mut [u64]) -> Result<(), Box<Damage>> {
        self.forget_ahead();
        while self.in_packet && self.at < self.packet.content {
            let plan = &self.shared.plan.streams[self.class];
            let bytes = self.window.from(self.packet.offset + self.base);
            let mut cursor = Cursor::new(bytes, self.base, self.at, self.packet.content);
            let mut at = self.at;
            let stop = loop {
                match next_event::<false>(plan, &mut cursor, &self.slots, 0) {
                    Ok((event, _)) => {
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
            if let Some(stop) = stop {
                self.recover(stop)?;
            }
        }
        Ok(())
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
        self.forget_ahead();
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
                            let value = recover::selected_in(&self.slots, selector, signed);
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
        if self.following && (size > rest || self.is_beyond_mark(offset, size)) {
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

    /// Header and context of the packet.
    pub(crate) fn prologue(&self) -> &[u8] {
        &self.prologue
    }

    pub(crate) fn slots(&self) -> &[Cell<u64>] {
        &self.slots
    }

    /// The node of packet contexts.
    pub(crate) fn packet_context_node(&self) -> Option<&Node> {
        self.plan().packet_context.as_ref()
    }

    /// A cursor at the begin of the packet's context.
    pub(crate) fn packet_context_cursor(&self) -> Result<Cursor<'_>, Stop> {
        let mut cursor = Cursor::new(&self.prologue, 0, 0, u64::MAX);
        let header = &self.plan().packet_header_program;
        header.run(&mut cursor, &self.slots, &mut Nothing)?;
        Ok(cursor)
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
