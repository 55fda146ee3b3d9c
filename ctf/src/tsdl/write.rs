//! Writes a trace class as TSDL, in the form LTTng gives it.
//!
//! ```text
//!  /* CTF 1.8 */
//!  trace { … };  env { … };  clock { … };  stream { … };  event { … };  event { … };
//! ```
//!
//! Every block stands on its own, so the text of a trace class that got more event classes begins with the text of
//! the one that had fewer: a metadata file may be rewritten, or appended to, while others read it.
//!
//! What TSDL has no word for is written as what readers of CTF 1.8 know: an optional field as a variant, a blob as
//! bytes, a boolean as an enumeration.

use std::fmt::Write as _;

use super::names::{quoted, unique};
use super::write_class::ClassWriter;
use crate::model::{
    ByteOrder, ClockClass, EnvValue, EventClass, Scope, StreamClass, Structure, TraceClass,
};

/// The metadata text of `trace`.
#[must_use]
pub fn write(trace: &TraceClass) -> String {
    let mut out = String::from("/* CTF 1.8 */\n\n");
    write_trace(&mut out, trace);
    write_env(&mut out, trace);
    for clock in &trace.clocks {
        write_clock(&mut out, clock);
    }
    for stream in &trace.streams {
        write_stream(&mut out, trace, stream);
    }
    for stream in &trace.streams {
        for event in &stream.events {
            write_event(&mut out, trace, stream, event);
        }
    }
    out
}

// Writing to a `String` cannot fail, so the results of `write!` are dropped here and below.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => {{ let _ = write!($out, $($arg)*); }};
}

fn write_trace(out: &mut String, trace: &TraceClass) {
    out.push_str("trace {\n\tmajor = 1;\n\tminor = 8;\n");
    if let Some(uuid) = trace.uuid {
        put!(out, "\tuuid = \"{uuid}\";\n");
    }
    put!(out, "\tbyte_order = {};\n", order(trace.byte_order));
    if let Some(header) = &trace.packet_header {
        scope(out, trace, None, Scope::PacketHeader, header);
    }
    out.push_str("};\n\n");
}

fn write_env(out: &mut String, trace: &TraceClass) {
    if trace.environment.is_empty() {
        return;
    }
    out.push_str("env {\n");
    let names = unique(
        trace.environment.iter().map(|(name, _)| name.as_str()),
        false,
    );
    for ((_, value), name) in trace.environment.iter().zip(names) {
        match value {
            EnvValue::Integer(value) => put!(out, "\t{name} = {value};\n"),
            EnvValue::Text(text) => put!(out, "\t{name} = {};\n", quoted(text)),
        }
    }
    out.push_str("};\n\n");
}

fn write_clock(out: &mut String, clock: &ClockClass) {
    put!(
        out,
        "clock {{\n\tname = {};\n",
        quoted(&clock_name(&clock.name))
    );
    if let Some(uuid) = clock.uuid {
        put!(out, "\tuuid = \"{uuid}\";\n");
    }
    if let Some(description) = &clock.description {
        put!(out, "\tdescription = {};\n", quoted(description));
    }
    put!(out, "\tfreq = {};\n", clock.frequency);
    if let Some(precision) = clock.precision {
        put!(out, "\tprecision = {precision};\n");
    }
    if clock.offset_seconds != 0 {
        put!(out, "\toffset_s = {};\n", clock.offset_seconds);
    }
    put!(out, "\toffset = {};\n", clock.offset_cycles);
    if clock.absolute {
        out.push_str("\tabsolute = TRUE;\n");
    }
    out.push_str("};\n\n");
}

fn write_stream(out: &mut String, trace: &TraceClass, stream: &StreamClass) {
    put!(out, "stream {{\n\tid = {};\n", stream.id);
    for (which, structure) in [
        (Scope::EventHeader, &stream.event_header),
        (Scope::PacketContext, &stream.packet_context),
        (Scope::EventContext, &stream.event_context),
    ] {
        if let Some(structure) = structure {
            scope(out, trace, Some(stream), which, structure);
        }
    }
    out.push_str("};\n\n");
}

fn write_event(out: &mut String, trace: &TraceClass, stream: &StreamClass, event: &EventClass) {
    out.push_str("event {\n");
    if let Some(name) = &event.name {
        put!(out, "\tname = {};\n", quoted(name));
    }
    put!(out, "\tid = {};\n\tstream_id = {};\n", event.id, stream.id);
    if let Some(level) = event.log_level {
        put!(out, "\tloglevel = {level};\n");
    }
    if let Some(uri) = &event.emf_uri {
        put!(out, "\tmodel.emf.uri = {};\n", quoted(uri));
    }
    for (which, structure) in [
        (Scope::OwnContext, &event.context),
        (Scope::Payload, &event.payload),
    ] {
        if let Some(structure) = structure {
            scope(out, trace, Some(stream), which, structure);
        }
    }
    out.push_str("};\n\n");
}

fn scope(
    out: &mut String,
    trace: &TraceClass,
    stream: Option<&StreamClass>,
    scope: Scope,
    structure: &Structure,
) {
    let name = match scope {
        Scope::PacketHeader => "packet.header",
        Scope::PacketContext => "packet.context",
        Scope::EventHeader => "event.header",
        Scope::EventContext => "event.context",
        Scope::OwnContext => "context",
        Scope::Payload => "fields",
    };
    put!(out, "\t{name} := ");
    let mut writer = ClassWriter {
        out,
        clock: stream
            .and_then(|stream| stream.clock.as_deref())
            .map(clock_name),
        byte_order: trace.byte_order,
        scope,
        prefixed: matches!(
            scope,
            Scope::EventContext | Scope::OwnContext | Scope::Payload
        ),
        frames: Vec::new(),
        indent: 1,
    };
    writer.structure(structure);
    out.push_str(";\n");
}

fn clock_name(name: &str) -> String {
    unique([name], false).remove(0)
}

pub(super) fn order(order: ByteOrder) -> &'static str {
    match order {
        ByteOrder::Little => "le",
        ByteOrder::Big => "be",
    }
}
