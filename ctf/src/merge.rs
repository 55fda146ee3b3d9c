//! One trace class for the streams of several traces.
//!
//! ```text
//!  shop-1  clock mono (+5 ns)   stream class 0    ┐      clocks mono, mono_2     stream classes 0, 1
//!          vpid 1                                 ├─▶    packet header: magic, uuid, class, stream
//!  shop-2  clock mono (+9 ns)   stream class 0    ┘      packet contexts: …, vpid
//!          vpid 2
//! ```
//! Classes that are alike become one. A trace has one environment: what all say stays there. What they say differently of
//! the place an event comes from (host, process) follows every packet's context, and other differences are kept under
//! numbered names.
//!
//! Invariant: everything behind a packet's header lies as it lay before, so that packets are copied and not translated.

use crate::lane;
use crate::model::{
    ClockClass, ClockOrigin, EnvValue, FieldClass, Integer, Role, StreamClass, StringClass,
    Structure, TraceClass, Uuid,
};

/// What the environment says of where events come from.
const ORIGIN: [&str; 3] = ["hostname", "procname", "vpid"];

/// Several trace classes as one.
#[derive(Clone, Debug)]
pub struct Merged {
    class: TraceClass,
    parts: Vec<Part>,
}

/// What became of one of them.
#[derive(Clone, Debug)]
struct Part {
    /// The ids of its stream classes in the merged trace.
    streams: Vec<u64>,
    /// What is added to each of its packet contexts, by stream class.
    facts: Vec<Vec<EnvValue>>,
}

/// How packets of a merged trace begin, and what follows their context.
#[derive(Clone, Debug)]
pub struct Prologue {
    pub(crate) header: Vec<u8>,
    pub(crate) facts: Vec<u8>,
}

impl Merged {
    /// Merges trace classes into one of this identity.
    #[must_use]
    pub fn new(traces: &[&TraceClass], uuid: Uuid) -> Self {
        let mut class = TraceClass::new(uuid);
        class.packet_header = Some(packet_header());
        let (environment, differing) = environment(traces);
        class.environment = environment;
        if let [first, rest @ ..] = traces {
            let same = |of: fn(&TraceClass) -> &Option<String>| {
                let name = of(first);
                rest.iter().all(|t| of(t) == name).then(|| name.clone())?
            };
            class.namespace = same(|t| &t.namespace);
            class.name = same(|t| &t.name);
        }
        let mut parts = Vec::with_capacity(traces.len());
        for trace in traces {
            let names: Vec<_> = trace
                .clocks
                .iter()
                .map(|c| add_clock(&mut class, c))
                .collect();
            let renamed = |name: &str| {
                let index = trace.clocks.iter().position(|clock| clock.name == name);
                index.map(|index| names[index].clone())
            };
            let mut part = Part {
                streams: Vec::new(),
                facts: Vec::new(),
            };
            for stream in &trace.streams {
                let mut stream = stream.clone();
                rename_clocks(&mut stream, &renamed);
                part.facts.push(add_facts(&mut stream, trace, &differing));
                part.streams.push(add_stream(&mut class, stream));
            }
            parts.push(part);
        }
        Merged { class, parts }
    }

    /// The class.
    #[must_use]
    pub fn class(&self) -> &TraceClass {
        &self.class
    }

    /// What packets begin with that come from a stream of one of the traces; `stream` is a number that no other stream of
    /// the merged trace has.
    ///
    /// # Panics
    /// There is no such trace, or no such stream class in it.
    #[must_use]
    pub fn prologue(&self, trace: usize, stream_class: usize, stream: u64) -> Prologue {
        let part = &self.parts[trace];
        let mut header = lane::MAGIC.to_ne_bytes().to_vec();
        header.extend(self.class.uuid.unwrap_or_default().0);
        header.extend(part.streams[stream_class].to_ne_bytes());
        header.extend(stream.to_ne_bytes());
        let mut facts = Vec::new();
        for fact in &part.facts[stream_class] {
            match fact {
                EnvValue::Integer(value) => facts.extend(value.to_ne_bytes()),
                EnvValue::Text(text) => {
                    facts.extend(text.bytes().take_while(|&byte| byte != 0));
                    facts.push(0);
                }
            }
        }
        Prologue { header, facts }
    }
}

/// See [`Merged::prologue`].
fn packet_header() -> Structure {
    let lanes = lane::trace_class(Uuid::default(), ClockClass::new("", 1));
    let mut header = Structure::new();
    for field in lanes.packet_header.into_iter().flat_map(|h| h.fields) {
        match field.name.as_str() {
            "stream_id" => {
                header.push("stream_id", Integer::unsigned(64).role(Role::StreamClassId))
            }
            "stream_instance_id" => header.push(
                "stream_instance_id",
                Integer::unsigned(64).role(Role::StreamId),
            ),
            _ => header.fields.push(field),
        }
    }
    header
}

/// What the environments have in common and what else can be kept there; and the names of what cannot.
fn environment(traces: &[&TraceClass]) -> (Vec<(String, EnvValue)>, Vec<&'static str>) {
    let mut merged: Vec<(String, EnvValue)> = Vec::new();
    for (i, trace) in traces.iter().enumerate() {
        for (name, value) in &trace.environment {
            let everywhere = traces.iter().all(|other| other.env(name) == Some(value));
            let entry = match everywhere {
                true => name.clone(),
                false if ORIGIN.contains(&name.as_str()) => continue,
                false => format!("{name}_{}", i + 1),
            };
            if !merged.iter().any(|(known, _)| *known == entry) {
                merged.push((entry, value.clone()));
            }
        }
    }
    let differs = |name: &&str| {
        traces
            .iter()
            .any(|trace| trace.env(name) != traces[0].env(name))
    };
    (merged, ORIGIN.into_iter().filter(differs).collect())
}

/// The name of a clock in the merged trace.
fn add_clock(class: &mut TraceClass, clock: &ClockClass) -> String {
    let mut clock = clock.clone();
    // Events of both are put in order by their times, and whoever reads the result has to know that this may be done.
    clock.absolute |= clock.origin == ClockOrigin::UnixEpoch;
    let name = clock.name.clone();
    let mut number = 2;
    while let Some(other) = class.clock(&clock.name) {
        if *other == clock {
            return clock.name;
        }
        clock.name = format!("{name}_{number}");
        number += 1;
    }
    class.clocks.push(clock.clone());
    clock.name
}

/// The id of a stream class in the merged trace.
fn add_stream(class: &mut TraceClass, mut stream: StreamClass) -> u64 {
    for known in &class.streams {
        stream.id = known.id;
        if *known == stream {
            return known.id;
        }
    }
    stream.id = class.streams.len() as u64;
    let id = stream.id;
    class.streams.push(stream);
    id
}

/// Appends to the packet context what only this trace says of where its events come from.
fn add_facts(stream: &mut StreamClass, trace: &TraceClass, names: &[&str]) -> Vec<EnvValue> {
    let mut facts = Vec::new();
    for name in names {
        let Some(value) = trace.env(name) else {
            continue;
        };
        let context = stream.packet_context.get_or_insert_default();
        if context.get(name).is_some() {
            continue;
        }
        match value {
            EnvValue::Integer(_) => context.push(*name, Integer::signed(64)),
            EnvValue::Text(_) => context.push(*name, StringClass::default()),
        }
        facts.push(value.clone());
    }
    facts
}

fn rename_clocks(stream: &mut StreamClass, renamed: &impl Fn(&str) -> Option<String>) {
    if let Some(name) = stream.clock.as_deref().and_then(renamed) {
        stream.clock = Some(name);
    }
    let common = [
        &mut stream.packet_context,
        &mut stream.event_header,
        &mut stream.event_context,
    ];
    let own = stream.events.iter_mut();
    let own = own.flat_map(|event| [&mut event.context, &mut event.payload]);
    for structure in common.into_iter().chain(own).flatten() {
        rename_in_structure(structure, renamed);
    }
}

fn rename_in_structure(structure: &mut Structure, renamed: &impl Fn(&str) -> Option<String>) {
    for field in &mut structure.fields {
        rename_in(&mut field.class, renamed);
    }
}

fn rename_in(class: &mut FieldClass, renamed: &impl Fn(&str) -> Option<String>) {
    match class {
        FieldClass::Integer(class) => {
            if let Some(name) = class.clock.as_deref().and_then(renamed) {
                class.clock = Some(name);
            }
        }
        FieldClass::Array(class) => rename_in(&mut class.element, renamed),
        FieldClass::Structure(class) => rename_in_structure(class, renamed),
        FieldClass::Optional(class) => rename_in(&mut class.class, renamed),
        FieldClass::Variant(class) => {
            for option in &mut class.options {
                rename_in(&mut option.class, renamed);
            }
        }
        FieldClass::VarInteger(_)
        | FieldClass::BitArray(_)
        | FieldClass::Boolean(_)
        | FieldClass::Float(_)
        | FieldClass::String(_)
        | FieldClass::Text(_)
        | FieldClass::Blob(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(pid: i64, offset_ns: i128) -> TraceClass {
        let mut clock = ClockClass::new("mono", 1_000_000_000);
        clock.set_offset_ns(offset_ns);
        clock.absolute = false;
        let mut class = lane::trace_class(Uuid([pid as u8; 16]), clock);
        class.set_env("hostname", "vm");
        class.set_env("vpid", pid);
        class.set_env("started", pid * 10);
        class.streams.push(lane::stream_class(0, "mono", true));
        class
    }

    #[test]
    fn classes_that_are_alike_become_one() {
        let (one, same, other) = (class(1, 5), class(1, 5), class(1, 9));
        let merged = Merged::new(&[&one, &same, &other], Uuid([3; 16]));
        let merged = merged.class();
        let names: Vec<_> = merged
            .clocks
            .iter()
            .map(|clock| clock.name.as_str())
            .collect();
        assert_eq!(names, ["mono", "mono_2"]);
        assert!(merged.clocks.iter().all(|clock| clock.absolute));
        let streams: Vec<_> = merged
            .streams
            .iter()
            .map(|s| (s.id, s.clock.as_deref()))
            .collect();
        assert_eq!(streams, [(0, Some("mono")), (1, Some("mono_2"))]);
        assert_eq!(merged.environment, one.environment);
    }

    #[test]
    fn what_differs_of_the_origin_follows_the_packet_context() {
        let (one, two) = (class(1, 5), class(2, 5));
        let merged = Merged::new(&[&one, &two], Uuid([3; 16]));
        assert_eq!(merged.class().env("vpid"), None);
        assert_eq!(merged.class().env("hostname"), one.env("hostname"));
        assert_eq!(
            merged.class().env("started_2"),
            Some(&EnvValue::Integer(20))
        );
        let streams = &merged.class().streams;
        assert_eq!(streams.len(), 1, "the value is in the packets");
        let context = streams[0].packet_context.as_ref().unwrap();
        assert_eq!(context.fields.last().unwrap().name, "vpid");
        let prologue = merged.prologue(1, 0, 7);
        assert_eq!(prologue.facts, 2i64.to_ne_bytes());
        assert_eq!(prologue.header.len(), 36);
    }
}
