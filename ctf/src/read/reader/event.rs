//! What a reader shows: the event at hand, and the stream it is of.
//!
//! ```text
//!  Reader ─▶ Item::Event(Event) ─▶ class, time, fields
//!                         └─▶ Stream ─▶ class, clock, packet, file
//! ```

use std::path::Path;

use crate::model::{ClockClass, EventClass, Scope, StreamClass, TraceClass};
use crate::read::bits::Cursor;
use crate::read::node::Node;
use crate::read::packet::Packet;
use crate::read::stream::StreamReader;
use crate::read::value::{Value, ValueBuilder};
use crate::read::visit::Visitor;

/// A stream of a reader.
#[derive(Clone, Copy)]
pub struct Stream<'a> {
    pub(super) reader: &'a StreamReader,
}

impl<'a> Stream<'a> {
    pub(crate) fn reader(self) -> &'a StreamReader {
        self.reader
    }

    /// The class of its trace.
    #[must_use]
    pub fn trace_class(self) -> &'a TraceClass {
        &self.reader.shared.class
    }

    /// The directory of its trace.
    #[must_use]
    pub fn trace_path(self) -> &'a Path {
        &self.reader.shared.path
    }

    /// Its class.
    #[must_use]
    pub fn class(self) -> &'a StreamClass {
        self.reader.stream_class()
    }

    /// Where its trace lies below the directory that was asked for; `None` if that is the trace itself.
    #[must_use]
    pub fn below(self) -> Option<&'a str> {
        self.reader.shared.below.as_deref()
    }

    /// Its id within its class, or, if the trace gives none, its number among the streams of the class.
    #[must_use]
    pub fn id(self) -> u64 {
        self.reader.id
    }

    /// Its clock.
    #[must_use]
    pub fn clock(self) -> Option<&'a ClockClass> {
        self.reader.clock_class()
    }

    /// The file it is read from now.
    #[must_use]
    pub fn file(self) -> &'a Path {
        self.reader.path()
    }

    /// The first of its files.
    #[must_use]
    pub fn first_file(self) -> &'a Path {
        self.reader
            .files
            .first()
            .map_or(Path::new(""), |path| path.as_path())
    }

    /// The packet it is at.
    #[must_use]
    pub fn packet(self) -> &'a Packet {
        &self.reader.packet
    }

    /// How many packets it has come to, this one included.
    #[must_use]
    pub fn packets(self) -> u64 {
        self.reader.packets
    }
}

/// An event at hand.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    pub(super) stream: &'a StreamReader,
    pub(super) index: usize,
    pub(super) ns: i64,
}

impl<'a> Event<'a> {
    pub(crate) fn reader(&self) -> &'a StreamReader {
        self.stream
    }

    /// The nodes of its contexts and its payload.
    pub(crate) fn nodes(&self) -> [Option<&'a Node>; 3] {
        self.stream.context_nodes()
    }

    /// A cursor at the begin of its contexts.
    #[inline]
    pub(crate) fn context_cursor(&self) -> Cursor<'a> {
        self.stream.context_cursor()
    }

    /// The stream it is of.
    #[must_use]
    pub fn stream(&self) -> Stream<'a> {
        Stream {
            reader: self.stream,
        }
    }

    /// The index of that stream in the reader.
    #[must_use]
    pub fn stream_index(&self) -> usize {
        self.index
    }

    /// Its class.
    #[must_use]
    pub fn class(&self) -> &'a EventClass {
        &self.stream.stream_class().events[self.stream.event.class]
    }

    /// The index of its class in the stream class.
    #[must_use]
    pub fn class_index(&self) -> usize {
        self.stream.event.class
    }

    /// The name of its class, empty if it has none.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.class().name.as_deref().unwrap_or_default()
    }

    /// When it happened: nanoseconds since the origin of its clock. `None` if the stream has no clock, or the time does not
    /// fit.
    #[must_use]
    pub fn ns(&self) -> Option<i64> {
        (self.ns != i64::MIN).then_some(self.ns)
    }

    /// When it happened, by the clock of its stream.
    #[must_use]
    pub fn cycles(&self) -> Option<u64> {
        self.stream.clock_class().map(|_| self.stream.clock)
    }

    /// How many bits it takes in its stream, padding before it not included.
    #[must_use]
    pub fn bits(&self) -> u64 {
        self.stream.event.end - self.stream.event.begin
    }

    /// The packet it is in.
    #[must_use]
    pub fn packet(&self) -> &'a Packet {
        &self.stream.packet
    }

    /// Whether it has fields in this scope.
    #[must_use]
    pub fn has(&self, scope: Scope) -> bool {
        let (stream, event) = (self.stream.stream_class(), self.class());
        match scope {
            Scope::PacketHeader => self.stream.shared.class.packet_header.is_some(),
            Scope::PacketContext => stream.packet_context.is_some(),
            Scope::EventHeader => stream.event_header.is_some(),
            Scope::EventContext => stream.event_context.is_some(),
            Scope::OwnContext => event.context.is_some(),
            Scope::Payload => event.payload.is_some(),
        }
    }

    /// The fields of a scope as a structure; an empty one if the event has no such scope.
    #[must_use]
    pub fn value(&self, scope: Scope) -> Value {
        let mut builder = ValueBuilder::new();
        self.visit(scope, &mut builder);
        builder.finish()
    }

    /// Decodes the fields of a scope, one after the other. Does nothing if the event has no such scope.
    pub fn visit(&self, scope: Scope, visitor: &mut (impl Visitor + ?Sized)) {
        // The event was gone past without an error, and visiting takes the same steps.
        let _ = self.stream.visit(scope, visitor);
    }
}
