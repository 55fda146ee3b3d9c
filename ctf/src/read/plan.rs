//! All that a trace class says, ready to decode packets with.
//!
//! ```text
//!  TracePlan ── packet header
//!    └─ StreamPlan ── packet context, event header, common context
//!         └─ EventPlan ── own context, payload, and the way past all of it
//! ```
//!
//! Invariant: streams and events stand in the order of the trace class, so one index serves both.

use std::collections::HashMap;

use super::compile::{Compiler, Scopes};
use super::glance::Glance;
use super::node::Node;
use super::program::Program;
use crate::model::{EventClass, Scope, StreamClass, Structure, TraceClass};

/// How to decode a trace.
#[derive(Debug)]
pub(crate) struct TracePlan {
    /// Past a packet header, for what has a role in it: before its stream class is known.
    pub(crate) packet_header: Program,
    /// How many slots that needs.
    pub(crate) header_slots: usize,
    pub(crate) streams: Vec<StreamPlan>,
    by_id: HashMap<u64, usize>,
}

/// How to decode the streams of a class.
#[derive(Debug)]
pub(crate) struct StreamPlan {
    pub(crate) packet_header: Option<Node>,
    /// Past packet header and context: their slots and roles.
    pub(crate) packet_header_program: Program,
    pub(crate) packet_context: Option<Node>,
    pub(crate) packet_context_program: Program,
    pub(crate) event_header: Option<Node>,
    pub(crate) event_header_program: Program,
    /// Whether nothing in an event depends on its header, so that later headers may be read before its fields are.
    pub(crate) may_look_ahead: bool,
    /// The quick way past the event header.
    pub(crate) glance: Option<Glance>,
    pub(crate) event_context: Option<Node>,
    pub(crate) event_context_program: Program,
    pub(crate) events: Vec<EventPlan>,
    /// The event class of every small id.
    dense: Box<[Known]>,
    sparse: HashMap<u64, usize>,
    /// How many slots the scopes of this class need.
    pub(crate) slots: usize,
    /// The index of its clock in the trace class.
    pub(crate) clock: Option<usize>,
}

/// What it takes to go past an event, in one place: where the next one begins waits for every look into memory.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The index of its class plus one; 0 if there is none of this id.
    class: u32,
    /// What is behind the header begins at a multiple of this many bits, and takes this many if that is always the same.
    align: u32,
    fixed: Option<u64>,
}

/// How to decode an event.
#[derive(Debug)]
pub(crate) struct EventPlan {
    pub(crate) own_context: Option<Node>,
    pub(crate) payload: Option<Node>,
    /// Past its own context, from the end of the common one.
    pub(crate) own_context_program: Program,
    /// Past everything behind the header.
    pub(crate) past: Program,
    /// The same, if it is an alignment and a number of bits.
    pub(crate) fixed: Option<(u32, u64)>,
}

/// Event ids below are looked up by index.
const DENSE: u64 = 4096;

impl TracePlan {
    pub(crate) fn new(trace: &TraceClass) -> Result<Self, String> {
        let scopes: Scopes<'_> = [trace.packet_header.as_ref(), None, None, None, None, None];
        let mut compiler = Compiler::default();
        compiler
            .reserve(&scopes, Scope::PacketHeader)
            .map_err(|e| format!("packet header: {e}"))?;
        let header = compiler
            .compile(&scopes, Scope::PacketHeader)
            .map_err(|e| format!("packet header: {e}"))?;
        let mut streams = Vec::with_capacity(trace.streams.len());
        for stream in &trace.streams {
            let plan = StreamPlan::new(trace, stream)
                .map_err(|e| format!("stream class {}: {e}", stream.id))?;
            streams.push(plan);
        }
        let by_id = trace
            .streams
            .iter()
            .enumerate()
            .map(|(i, stream)| (stream.id, i))
            .collect();
        Ok(TracePlan {
            packet_header: Program::new(&header, 1 << 31, true),
            header_slots: compiler.slots(),
            streams,
            by_id,
        })
    }

    /// The index of the stream class of this id.
    pub(crate) fn stream(&self, id: u64) -> Option<usize> {
        self.by_id.get(&id).copied()
    }
}

fn scopes<'a>(
    trace: &'a TraceClass,
    stream: &'a StreamClass,
    event: Option<&'a EventClass>,
) -> Scopes<'a> {
    fn structure(of: &Option<Structure>) -> Option<&Structure> {
        of.as_ref()
    }
    [
        structure(&trace.packet_header),
        structure(&stream.packet_context),
        structure(&stream.event_header),
        structure(&stream.event_context),
        event.and_then(|event| structure(&event.context)),
        event.and_then(|event| structure(&event.payload)),
    ]
}

impl StreamPlan {
    fn new(trace: &TraceClass, stream: &StreamClass) -> Result<Self, String> {
        let mut compiler = Compiler::default();
        let common = scopes(trace, stream, None);
        for scope in &Scope::ALL[..4] {
            compiler
                .reserve(&common, *scope)
                .map_err(|e| named(*scope, e))?;
        }
        for event in &stream.events {
            let scopes = scopes(trace, stream, Some(event));
            for scope in &Scope::ALL[4..] {
                compiler
                    .reserve(&scopes, *scope)
                    .map_err(|e| in_event(event, named(*scope, e)))?;
            }
            compiler.forget_event();
        }
        compiler.keep_common();
        let mut compile = |scope| {
            compiler
                .compile(&common, scope)
                .map_err(|e| named(scope, e))
        };
        let packet_header = compile(Scope::PacketHeader)?;
        let packet_context = compile(Scope::PacketContext)?;
        let event_header = compile(Scope::EventHeader)?;
        let event_context = compile(Scope::EventContext)?;

        let header = Program::new(&event_header, 1, true);
        let mut events = Vec::with_capacity(stream.events.len());
        for event in &stream.events {
            let scopes = scopes(trace, stream, Some(event));
            let mut compile = |scope| {
                compiler.reserve(&scopes, scope)?;
                compiler
                    .compile(&scopes, scope)
                    .map_err(|e| in_event(event, named(scope, e)))
            };
            // A payload may depend on the own context: both get their slots before either is compiled.
            compile(Scope::OwnContext)?;
            let payload = compile(Scope::Payload)?;
            let own_context = compile(Scope::OwnContext)?;
            let parts = [&event_context, &own_context, &payload];
            let past = Program::new(parts.into_iter().flatten(), header.known(), false);
            events.push(EventPlan {
                fixed: past.fixed(),
                past,
                own_context_program: Program::new(&own_context, 1, false),
                own_context,
                payload,
            });
            compiler.next_event();
        }
        let mut used = Vec::new();
        let parts = events
            .iter()
            .flat_map(|event: &EventPlan| [&event.own_context, &event.payload]);
        for node in parts.chain([&event_context]).flatten() {
            node.used_slots(&mut used);
        }
        let mut header_slots = Vec::new();
        if let Some(header) = &event_header {
            header.filled_slots(&mut header_slots);
        }
        let glance = event_header
            .as_ref()
            .and_then(|header| Glance::new(header, &used));
        let mut dense = Vec::new();
        let mut sparse = HashMap::new();
        for (i, event) in stream.events.iter().enumerate() {
            match event.id < DENSE {
                true => {
                    let id = event.id as usize;
                    dense.resize(dense.len().max(id + 1), Known::default());
                    let fixed = events[i].fixed;
                    dense[id] = Known {
                        class: i as u32 + 1,
                        align: fixed.map_or(1, |(align, _)| align),
                        fixed: fixed.map(|(_, bits)| bits),
                    };
                }
                false => drop(sparse.insert(event.id, i)),
            }
        }
        let clock = match &stream.clock {
            None => None,
            Some(name) => {
                let found = trace.clocks.iter().position(|clock| clock.name == *name);
                Some(found.ok_or_else(|| format!("there is no clock class `{name}`"))?)
            }
        };
        Ok(StreamPlan {
            packet_header_program: Program::new(&packet_header, 1 << 31, true),
            packet_context_program: Program::new(&packet_context, 1, true),
            event_header_program: header,
            may_look_ahead: !header_slots.iter().any(|slot| used.contains(slot)),
            glance,
            event_context_program: Program::new(&event_context, 1, false),
            packet_header,
            packet_context,
            event_header,
            event_context,
            events,
            dense: dense.into(),
            sparse,
            slots: compiler.slots(),
            clock,
        })
    }

    /// The index of the event class of this id.
    pub(crate) fn event(&self, id: u64) -> Option<usize> {
        self.known(id).map(|(class, _)| class)
    }

    /// The same, and how far it is past what is behind the header, if that is an alignment and a number of bits.
    #[inline(always)]
    pub(crate) fn known(&self, id: u64) -> Option<(usize, Option<(u32, u64)>)> {
        match self.dense.get(id as usize) {
            Some(known) if id < DENSE => {
                let class = (known.class as usize).checked_sub(1)?;
                Some((class, known.fixed.map(|bits| (known.align, bits))))
            }
            _ => {
                let class = *self.sparse.get(&id)?;
                Some((class, self.events[class].fixed))
            }
        }
    }
}

fn in_event(event: &EventClass, error: String) -> String {
    match &event.name {
        Some(name) => format!("event class {name}: {error}"),
        None => format!("event class {}: {error}", event.id),
    }
}

fn named(scope: Scope, error: String) -> String {
    let name = match scope {
        Scope::PacketHeader => "packet header",
        Scope::PacketContext => "packet context",
        Scope::EventHeader => "event header",
        Scope::EventContext => "event context",
        Scope::OwnContext => "own context",
        Scope::Payload => "payload",
    };
    format!("{name}: {error}")
}
