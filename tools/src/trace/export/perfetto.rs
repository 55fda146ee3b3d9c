//! A Perfetto trace: protobuf, written by hand.
//!
//! ```text
//!  Trace { packet*: TracePacket { track_descriptor: process } { track_descriptor: thread }
//!                               { timestamp, track_event { INSTANT, track, name, debug_annotations* } } }
//! ```
//! Only a handful of fields are used, and their numbers never change, so no generated code is needed.
//!
//! Reference: perfetto's `trace_packet.proto`, `track_descriptor.proto`, `track_event.proto`, `debug_annotation.proto`.

use std::collections::HashSet;
use std::io::Write;

use anyhow::Result;
use laneway_ctf::model::Scope;
use laneway_ctf::read::{Event, Value};

use super::super::json::hexadecimal;
use super::super::select::Origin;
use super::{Exporter, Out};

pub(super) struct Perfetto {
    out: Out,
    processes: HashSet<i64>,
    threads: HashSet<(i64, i64)>,
}

/// All packets are of one writer.
const SEQUENCE: u64 = 1;

impl Perfetto {
    pub(super) fn new(out: Out) -> Self {
        Perfetto {
            out,
            processes: HashSet::new(),
            threads: HashSet::new(),
        }
    }

    /// Writes a `Trace.packet`.
    fn packet(&mut self, packet: &Message) -> Result<()> {
        let mut outer = Message::default();
        outer.bytes(1, &packet.0);
        Ok(self.out.write_all(&outer.0)?)
    }

    fn describe(&mut self, pid: i64, tid: i64, name: Option<&str>) -> Result<()> {
        if self.processes.insert(pid) {
            let mut process = Message::default();
            process.number(1, pid as u64);
            process.text(6, name.unwrap_or("process"));
            let mut track = Message::default();
            track.number(1, process_track(pid));
            track.bytes(3, &process.0);
            self.descriptor(&track)?;
        }
        if self.threads.insert((pid, tid)) {
            let mut thread = Message::default();
            thread.number(1, pid as u64);
            thread.number(2, tid as u64);
            thread.text(5, &format!("thread {tid}"));
            let mut track = Message::default();
            track.number(1, thread_track(pid, tid));
            track.number(5, process_track(pid));
            track.bytes(4, &thread.0);
            self.descriptor(&track)?;
        }
        Ok(())
    }

    fn descriptor(&mut self, track: &Message) -> Result<()> {
        let mut packet = Message::default();
        packet.number(10, SEQUENCE);
        packet.bytes(60, &track.0);
        self.packet(&packet)
    }
}

fn process_track(pid: i64) -> u64 {
    1 << 62 | pid as u64 & 0xffff_ffff
}

fn thread_track(pid: i64, tid: i64) -> u64 {
    1 << 61 | (pid as u64 & 0xfff_ffff) << 32 | tid as u64 & 0xffff_ffff
}

impl Exporter for Perfetto {
    fn event(&mut self, event: &Event<'_>) -> Result<()> {
        let origin = Origin::of(event);
        let pid = origin.process.unwrap_or(0);
        let tid = origin
            .thread
            .or(origin.cpu.map(|cpu| cpu as i64))
            .unwrap_or(pid);
        self.describe(pid, tid, origin.name.as_deref())?;
        let mut inner = Message::default();
        inner.number(9, 3); // TYPE_INSTANT
        inner.number(11, thread_track(pid, tid));
        inner.text(23, event.name());
        if let Some((provider, _)) = event.name().split_once(':') {
            inner.text(22, provider);
        }
        if let Some(cpu) = origin.cpu {
            let mut annotation = Message::default();
            annotation.text(10, "cpu");
            annotation.number(3, cpu);
            inner.bytes(4, &annotation.0);
        }
        if let Value::Structure(members) = event.value(Scope::Payload) {
            for (name, value) in &members {
                let mut annotation = Message::default();
                annotation.text(10, name);
                annotate(&mut annotation, value);
                inner.bytes(4, &annotation.0);
            }
        }
        let mut packet = Message::default();
        packet.number(8, event.ns().unwrap_or(0).max(0) as u64);
        packet.number(10, SEQUENCE);
        packet.bytes(11, &inner.0);
        self.packet(&packet)
    }

    fn finish(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

/// Puts a value into a `DebugAnnotation`.
fn annotate(annotation: &mut Message, value: &Value) {
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
                let mut inner = Message::default();
                annotate(&mut inner, element);
                annotation.bytes(12, &inner.0);
            }
        }
        Value::Structure(members) => {
            for (name, value) in members {
                let mut inner = Message::default();
                inner.text(10, name);
                annotate(&mut inner, value);
                annotation.bytes(11, &inner.0);
            }
        }
    }
}

/// A protobuf message being built.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(&mut self, field: u32, value: u64) {
        self.varint(u64::from(field) << 3);
        self.varint(value);
    }

    fn double(&mut self, field: u32, value: f64) {
        self.varint(u64::from(field) << 3 | 1);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn text(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }
}
