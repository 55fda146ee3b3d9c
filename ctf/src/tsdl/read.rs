//! Blocks into a trace class.
//!
//! ```text
//!  text ─lex─▶ tokens ─parse─▶ statements ─read─▶ classes with written paths ─bind─▶ TraceClass
//! ```
//!
//! Reference: CTF 1.8.3, chapters 5 to 8.

use std::collections::HashSet;

use super::ast::{Statement, TypeSpec, Value};
use super::attributes::{boolean, byte_order};
use super::bind;
use super::types::Types;
use super::{Error, Position, parse};
use crate::model::{
    ByteOrder, ClockClass, EnvValue, EventClass, FieldClass, Role, Scope, StreamClass, Structure,
    TraceClass,
};

/// Reads TSDL metadata.
///
/// # Errors
/// Text that is no TSDL, or describes what no trace can be; the error says where and what.
pub fn read(text: &str) -> Result<TraceClass, Error> {
    let statements = parse::parse(text)?;
    let mut trace = TraceClass {
        byte_order: trace_byte_order(&statements)?,
        ..TraceClass::default()
    };
    let mut reader = Reader {
        types: Types::new(trace.byte_order),
        streams_seen: HashSet::new(),
    };
    for statement in &statements {
        match statement {
            Statement::Declare(declaration) => reader.types.declare(declaration)?,
            Statement::Block(..) => {}
            Statement::Assign(_, _, position) | Statement::AssignType(_, _, position) => {
                return Err(Error::new(*position, "assignments stand in blocks"));
            }
        }
    }
    // Blocks may stand in any order: an event before its stream, a clock behind the fields that it is mapped to.
    for kind in ["clock", "trace", "env", "stream", "event"] {
        for statement in &statements {
            if let Statement::Block(name, body, position) = statement
                && name == kind
            {
                reader.types.enter();
                reader.block(&mut trace, name, body, *position)?;
                reader.types.leave();
            }
        }
    }
    map_clock_by_name(&mut trace);
    bind::bind(&mut trace)?;
    Ok(trace)
}

/// The byte order has to be known before the first integer, wherever its block stands.
fn trace_byte_order(statements: &[Statement]) -> Result<ByteOrder, Error> {
    for statement in statements {
        let Statement::Block(name, body, position) = statement else {
            continue;
        };
        if name != "trace" {
            continue;
        }
        for inner in body {
            if let Statement::Assign(path, value, position) = inner
                && path.join(".") == "byte_order"
            {
                return byte_order(value, ByteOrder::default(), *position);
            }
        }
        return Err(Error::new(
            *position,
            "the trace block needs a `byte_order`, `le` or `be`",
        ));
    }
    Err(Error::new(Position::default(), "there is no trace block"))
}

/// Maps the timestamps that no clock was named for to the only clock there is; if there is none at all, to one that
/// counts nanoseconds from 1970. Old tracers leave this to the reader, and babeltrace does the same.
fn map_clock_by_name(trace: &mut TraceClass) {
    let name = match trace.clocks.as_slice() {
        [] => "default".to_owned(),
        [only] => only.name.clone(),
        _ => return,
    };
    let mut used = false;
    for stream in &mut trace.streams {
        for (scope, names) in [
            (
                &mut stream.packet_context,
                ["timestamp_begin", "timestamp_end"].as_slice(),
            ),
            (&mut stream.event_header, ["timestamp"].as_slice()),
        ] {
            if let Some(structure) = scope {
                map_in(structure, names, &name, &mut used);
            }
        }
    }
    if used && trace.clocks.is_empty() {
        trace.clocks.push(ClockClass::new(name, 1_000_000_000));
    }
}

fn map_in(structure: &mut Structure, names: &[&str], clock: &str, used: &mut bool) {
    for field in &mut structure.fields {
        match &mut field.class {
            FieldClass::Integer(class)
                if names.contains(&field.name.as_str()) && class.clock.is_none() =>
            {
                class.clock = Some(clock.to_owned());
                class.roles.insert(Role::Timestamp);
                *used = true;
            }
            FieldClass::Structure(class) => map_in(class, names, clock, used),
            FieldClass::Variant(class) => {
                for option in &mut class.options {
                    if let FieldClass::Structure(class) = &mut option.class {
                        map_in(class, names, clock, used);
                    }
                }
            }
            _ => {}
        }
    }
}

struct Reader {
    types: Types,
    streams_seen: HashSet<u64>,
}

impl Reader {
    fn block(
        &mut self,
        trace: &mut TraceClass,
        name: &str,
        body: &[Statement],
        at: Position,
    ) -> Result<(), Error> {
        match name {
            "trace" => self.trace(trace, body),
            "stream" => self.stream(trace, body, at),
            "event" => self.event(trace, body, at),
            "clock" => self.clock(trace, body, at),
            "env" => self.env(trace, body),
            _ => Ok(()), // Call sites say where in the source an event is; the model has no use for them.
        }
    }

    fn trace(&mut self, trace: &mut TraceClass, body: &[Statement]) -> Result<(), Error> {
        for statement in body {
            match statement {
                Statement::Assign(path, value, at) => match path.join(".").as_str() {
                    "major" if *value != Value::Integer(1) => {
                        return Err(Error::new(*at, "only CTF 1.8 is TSDL"));
                    }
                    "minor" if *value != Value::Integer(8) => {
                        return Err(Error::new(*at, "only CTF 1.8 is TSDL"));
                    }
                    "uuid" => trace.uuid = Some(uuid(value, *at)?),
                    _ => {}
                },
                Statement::AssignType(path, spec, _) => {
                    // Other scopes nobody knows; they are ignored like unknown attributes.
                    if path.join(".") == "packet.header" {
                        self.scope(&mut trace.packet_header, spec)?;
                    }
                }
                Statement::Declare(declaration) => self.types.declare(declaration)?,
                Statement::Block(..) => {}
            }
        }
        Ok(())
    }

    fn stream(
        &mut self,
        trace: &mut TraceClass,
        body: &[Statement],
        at: Position,
    ) -> Result<(), Error> {
        let mut stream = StreamClass::default();
        for statement in body {
            match statement {
                Statement::Assign(path, value, at) => {
                    if path.join(".") == "id" {
                        stream.id = number(value, *at)?;
                    }
                }
                Statement::AssignType(path, spec, _) => match path.join(".").as_str() {
                    "event.header" => self.scope(&mut stream.event_header, spec)?,
                    "event.context" => self.scope(&mut stream.event_context, spec)?,
                    "packet.context" => self.scope(&mut stream.packet_context, spec)?,
                    _ => {} // No scope that anybody knows, like an unknown attribute.
                },
                Statement::Declare(declaration) => self.types.declare(declaration)?,
                Statement::Block(..) => {}
            }
        }
        if !self.streams_seen.insert(stream.id) {
            return Err(Error::new(
                at,
                format!("there is another stream with id {}", stream.id),
            ));
        }
        trace.streams.push(stream);
        Ok(())
    }

    fn event(
        &mut self,
        trace: &mut TraceClass,
        body: &[Statement],
        at: Position,
    ) -> Result<(), Error> {
        let mut event = EventClass::default();
        let mut stream_id = None;
        for statement in body {
            match statement {
                Statement::Assign(path, value, at) => match path.join(".").as_str() {
                    "name" => event.name = Some(text(value, *at)?),
                    "id" => event.id = number(value, *at)?,
                    "stream_id" => stream_id = Some(number(value, *at)?),
                    "loglevel" => event.log_level = Some(signed(value, *at)?),
                    "model.emf.uri" => event.emf_uri = Some(text(value, *at)?),
                    _ => {}
                },
                Statement::AssignType(path, spec, _) => match path.join(".").as_str() {
                    "context" => self.scope(&mut event.context, spec)?,
                    "fields" => self.scope(&mut event.payload, spec)?,
                    _ => {} // No scope that anybody knows, like an unknown attribute.
                },
                Statement::Declare(declaration) => self.types.declare(declaration)?,
                Statement::Block(..) => {}
            }
        }
        if trace.streams.is_empty() && stream_id.unwrap_or(0) == 0 {
            trace.streams.push(StreamClass::default());
            self.streams_seen.insert(0);
        }
        let found = match (stream_id, trace.streams.len()) {
            (None, 1) => trace.streams.first_mut(),
            (None, _) => None,
            (Some(id), _) => trace.streams.iter_mut().find(|stream| stream.id == id),
        };
        let Some(stream) = found else {
            let message = match stream_id {
                Some(id) => format!("there is no stream with id {id} before this event"),
                None => "the event needs a `stream_id`: there is more than one stream".to_owned(),
            };
            return Err(Error::new(at, message));
        };
        if stream.events.last().is_some_and(|last| last.id >= event.id)
            && stream.events.iter().any(|other| other.id == event.id)
        {
            return Err(Error::new(
                at,
                format!("the stream has another event with id {}", event.id),
            ));
        }
        stream.events.push(event);
        Ok(())
    }

    fn clock(
        &mut self,
        trace: &mut TraceClass,
        body: &[Statement],
        at: Position,
    ) -> Result<(), Error> {
        let mut clock = ClockClass::new("", 1_000_000_000);
        for statement in body {
            let Statement::Assign(path, value, at) = statement else {
                continue;
            };
            match path.join(".").as_str() {
                "name" => clock.name = text(value, *at)?,
                "uuid" => clock.uuid = Some(uuid(value, *at)?),
                "description" => clock.description = Some(text(value, *at)?),
                "freq" => clock.frequency = number(value, *at)?,
                "precision" => clock.precision = Some(number(value, *at)?),
                "offset_s" => clock.offset_seconds = signed(value, *at)?,
                "offset" => clock.offset_cycles = signed(value, *at)?,
                "absolute" => clock.absolute = boolean(value, *at)?,
                _ => {}
            }
        }
        if clock.name.is_empty() {
            return Err(Error::new(at, "a clock needs a `name`"));
        }
        if clock.frequency == 0 {
            return Err(Error::new(at, "a clock of frequency 0 tells no time"));
        }
        if trace.clock(&clock.name).is_some() {
            return Err(Error::new(
                at,
                format!("there is another clock named `{}`", clock.name),
            ));
        }
        trace.clocks.push(clock);
        Ok(())
    }

    fn env(&mut self, trace: &mut TraceClass, body: &[Statement]) -> Result<(), Error> {
        for statement in body {
            let Statement::Assign(path, value, at) = statement else {
                continue;
            };
            let value = match value {
                Value::Integer(_) => EnvValue::Integer(signed(value, *at)?),
                Value::Text(text) => EnvValue::Text(text.clone()),
                Value::Words(words) => EnvValue::Text(words.join(".")),
            };
            trace.set_env(&path.join("."), value);
        }
        Ok(())
    }

    fn scope(&mut self, slot: &mut Option<Structure>, spec: &TypeSpec) -> Result<(), Error> {
        if slot.is_some() {
            return Err(Error::new(
                spec.position,
                "this scope has been described before",
            ));
        }
        *slot = Some(self.types.structure(spec)?);
        Ok(())
    }
}

fn number(value: &Value, at: Position) -> Result<u64, Error> {
    match value {
        Value::Integer(value) => u64::try_from(*value).ok(),
        _ => None,
    }
    .ok_or_else(|| Error::new(at, "expected a number, zero or more"))
}

fn signed(value: &Value, at: Position) -> Result<i64, Error> {
    match value {
        // Numbers above i64::MAX wrap, as in babeltrace.
        Value::Integer(value) => i64::try_from(*value)
            .or(u64::try_from(*value).map(|v| v as i64))
            .ok(),
        _ => None,
    }
    .ok_or_else(|| Error::new(at, "expected a number"))
}

fn text(value: &Value, at: Position) -> Result<String, Error> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        Value::Words(words) => Ok(words.join(".")),
        Value::Integer(_) => Err(Error::new(at, "expected a string")),
    }
}

fn uuid(value: &Value, at: Position) -> Result<crate::model::Uuid, Error> {
    text(value, at)?
        .parse()
        .map_err(|e: crate::model::NotAUuid| Error::new(at, e.to_string()))
}

/// The structures of an event's scopes, for whoever looks up a path in them.
pub(super) struct Scopes<'a> {
    pub(super) trace: &'a TraceClass,
    pub(super) stream: Option<&'a StreamClass>,
    pub(super) event: Option<&'a EventClass>,
}

impl<'a> Scopes<'a> {
    pub(super) fn get(&self, scope: Scope) -> Option<&'a Structure> {
        match scope {
            Scope::PacketHeader => self.trace.packet_header.as_ref(),
            Scope::PacketContext => self.stream?.packet_context.as_ref(),
            Scope::EventHeader => self.stream?.event_header.as_ref(),
            Scope::EventContext => self.stream?.event_context.as_ref(),
            Scope::OwnContext => self.event?.context.as_ref(),
            Scope::Payload => self.event?.payload.as_ref(),
        }
    }
}
