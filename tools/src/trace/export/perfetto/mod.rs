//! A Perfetto trace: protobuf, written by hand.
//!
//! ```text
//!  Trace { packet*: TracePacket { clock_snapshot }                       times are nanoseconds since 1970
//!                               { track_descriptor: process | thread | CPUs | CPU 0 }
//!                               { timestamp, interned_data { names }, track_event { INSTANT, track, name, arguments } } }
//! ```
//! Only a handful of fields are used, and their numbers never change, so no generated code is needed. Names are written
//! once, and are numbers from then on.
//!
//! Reference: perfetto's `trace_packet.proto`, `track_descriptor.proto`, `track_event.proto`, `interned_data.proto`,
//! `debug_annotation.proto`, `clock_snapshot.proto`.

mod message;

use std::collections::HashMap;
use std::io::Write;

use anyhow::Result;
use laneway_ctf::model::Scope;
use laneway_ctf::read::{Event, Value};

use self::message::Message;
use super::{Exporter, Out};
use crate::trace::json::hexadecimal;
use crate::trace::select::Origin;

/// What events are shown along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Track {
    /// The thread, below its process; of events that have none, the CPU
    Thread,
    /// The CPU
    Cpu,
}

pub(super) struct Perfetto {
    out: Out,
    along: Vec<Track>,
    /// The tracks that were described.
    tracks: HashMap<Key, u64>,
    names: Names,
    began: bool,
}

/// What a track is of.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Process(i64),
    Thread(i64, i64),
    Cpus,
    Cpu(u64),
}

/// All packets are of one writer.
const SEQUENCE: u64 = 1;

/// `TrackEvent.Type`
const TYPE_INSTANT: u64 = 3;

/// `TracePacket.SequenceFlags`
const INCREMENTAL_STATE_CLEARED: u64 = 1;
const NEEDS_INCREMENTAL_STATE: u64 = 2;

/// `BuiltinClock`
const REALTIME: u64 = 1;
const BOOTTIME: u64 = 6;

/// `TrackDescriptor.ChildTracksOrdering`
const EXPLICIT: u64 = 3;

impl Perfetto {
    pub(super) fn new(out: Out, along: &[Track]) -> Self {
        Perfetto {
            out,
            along: along.to_vec(),
            tracks: HashMap::new(),
            names: Names::default(),
            began: false,
        }
    }

    /// Writes a `Trace.packet`.
    fn packet(&mut self, packet: &Message) -> Result<()> {
        let mut outer = Message::default();
        outer.message(1, packet);
        Ok(self.out.write_all(outer.as_bytes())?)
    }

    /// Says that the times are those of the day. They are taken for times since the computer was started, as all times
    /// are that do not name their clock, so both clocks show the same.
    fn begin(&mut self, ns: u64) -> Result<()> {
        let mut snapshot = Message::default();
        for id in [BOOTTIME, REALTIME] {
            let mut clock = Message::default();
            clock.number(1, id);
            clock.number(2, ns);
            snapshot.message(1, &clock);
        }
        let mut packet = Message::default();
        packet.number(8, ns);
        packet.number(10, SEQUENCE);
        packet.number(13, INCREMENTAL_STATE_CLEARED);
        packet.message(6, &snapshot);
        self.packet(&packet)
    }

    /// The track of a thread, below that of its process.
    fn thread(&mut self, pid: i64, tid: i64, name: Option<&str>) -> Result<u64> {
        let process = self.track(Key::Process(pid), None, |track| {
            let mut process = Message::default();
            process.number(1, pid as u64);
            if let Some(name) = name {
                process.text(6, name);
            }
            track.message(3, &process);
        })?;
        self.track(Key::Thread(pid, tid), Some(process), |track| {
            let mut thread = Message::default();
            thread.number(1, pid as u64);
            thread.number(2, tid as u64);
            track.message(4, &thread);
        })
    }

    /// The track of a CPU, below that of all CPUs, in their order.
    fn cpu(&mut self, cpu: u64) -> Result<u64> {
        let cpus = self.track(Key::Cpus, None, |track| {
            track.text(2, "CPUs");
            track.number(11, EXPLICIT);
        })?;
        self.track(Key::Cpu(cpu), Some(cpus), |track| {
            track.text(2, &format!("CPU {cpu}"));
            track.number(12, cpu);
        })
    }

    /// The id of a track, which is described first if it was not before.
    fn track(
        &mut self,
        key: Key,
        parent: Option<u64>,
        describe: impl FnOnce(&mut Message),
    ) -> Result<u64> {
        if let Some(track) = self.tracks.get(&key) {
            return Ok(*track);
        }
        let id = self.tracks.len() as u64 + 1;
        self.tracks.insert(key, id);
        let mut track = Message::default();
        track.number(1, id);
        if let Some(parent) = parent {
            track.number(5, parent);
        }
        describe(&mut track);
        let mut packet = Message::default();
        packet.number(10, SEQUENCE);
        packet.message(60, &track);
        self.packet(&packet)?;
        Ok(id)
    }

    /// The tracks that an event belongs on.
    fn tracks(&mut self, origin: &Origin) -> Result<Vec<u64>> {
        let mut tracks = Vec::with_capacity(self.along.len());
        if self.along.contains(&Track::Thread) && (origin.thread.is_some() || origin.cpu.is_none())
        {
            let pid = origin.process.unwrap_or(0);
            let tid = origin.thread.unwrap_or(pid);
            tracks.push(self.thread(pid, tid, origin.name.as_deref())?);
        }
        if let Some(cpu) = origin.cpu
            && (self.along.contains(&Track::Cpu) || tracks.is_empty())
        {
            tracks.push(self.cpu(cpu)?);
        }
        Ok(tracks)
    }
}

impl Exporter for Perfetto {
    fn event(&mut self, event: &Event<'_>) -> Result<()> {
        let ns = event.ns().unwrap_or(0).max(0) as u64;
        if !self.began {
            self.began = true;
            self.begin(ns)?;
        }
        let origin = Origin::of(event);
        let tracks = self.tracks(&origin)?;
        let names = &mut self.names;
        let mut inner = Message::default();
        inner.number(9, TYPE_INSTANT);
        inner.number(10, names.id(Kind::Event, event.name()));
        if let Some((provider, _)) = event.name().split_once(':') {
            inner.number(3, names.id(Kind::Category, provider));
        }
        if let Some(cpu) = origin.cpu {
            annotate(
                &mut inner,
                4,
                Some("cpu"),
                &Value::Unsigned(cpu, None),
                names,
            );
        }
        if let Value::Structure(members) = event.value(Scope::Payload) {
            for (name, value) in &members {
                annotate(&mut inner, 4, Some(name), value, names);
            }
        }
        for track in tracks {
            let mut packet = Message::default();
            packet.number(8, ns);
            packet.number(10, SEQUENCE);
            packet.number(13, NEEDS_INCREMENTAL_STATE);
            if !self.names.fresh.is_empty() {
                packet.message(12, &self.names.fresh);
                self.names.fresh.clear();
            }
            let mut on_track = Message::default();
            on_track.number(11, track);
            packet.bytes(11, &[inner.as_bytes(), on_track.as_bytes()].concat());
            self.packet(&packet)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

/// Puts a value into a message as a `DebugAnnotation`.
fn annotate(into: &mut Message, field: u32, name: Option<&str>, value: &Value, names: &mut Names) {
    let mut annotation = Message::default();
    if let Some(name) = name {
        annotation.number(1, names.id(Kind::Argument, name));
    }
    match value {
        Value::Nothing => annotation.text(6, ""),
        Value::Unsigned(_, Some(label)) | Value::Signed(_, Some(label)) => {
            annotation.text(6, label)
        }
        Value::Unsigned(value, None) => annotation.number(3, *value),
        Value::Signed(value, None) => annotation.number(4, *value as u64),
        Value::Float(value) => annotation.double(5, *value),
        Value::Boolean(value) => annotation.number(2, u64::from(*value)),
        Value::Text(text) => annotation.text(6, &String::from_utf8_lossy(text)),
        Value::Blob(bytes) => annotation.text(6, &hexadecimal(bytes)),
        Value::Array(elements) => {
            for element in elements {
                annotate(&mut annotation, 12, None, element, names);
            }
        }
        Value::Structure(members) => {
            for (name, value) in members {
                annotate(&mut annotation, 11, Some(name), value, names);
            }
        }
    }
    into.message(field, &annotation);
}

/// Names that have numbers.
#[derive(Default)]
struct Names {
    known: [HashMap<String, u64>; 3],
    /// `InternedData`: those that no packet has told yet.
    fresh: Message,
}

/// What a name is of, and the field of `InternedData` that holds such names.
#[derive(Clone, Copy)]
enum Kind {
    Category = 1,
    Event = 2,
    Argument = 3,
}

impl Names {
    fn id(&mut self, kind: Kind, name: &str) -> u64 {
        let known = &mut self.known[kind as usize - 1];
        if let Some(id) = known.get(name) {
            return *id;
        }
        let id = known.len() as u64 + 1;
        known.insert(name.to_owned(), id);
        let mut entry = Message::default();
        entry.number(1, id);
        entry.text(2, name);
        self.fresh.message(kind as u32, &entry);
        id
    }
}
