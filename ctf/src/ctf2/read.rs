//! Fragments into a trace class.
//!
//! Reference: CTF2-SPEC-2.0, sections 5.4 to 5.10 (fragments).

use serde_json::{Deserializer, Value};

use super::json::{Object, Wrong, each, maybe, need, object, signed, text, unsigned};
use super::read_class::{ClassReader, attributes};
use super::{BABELTRACE, Error, LOG_LEVELS, LTTNG, RECORD_SEPARATOR};
use crate::model::{
    Attributes, ByteOrder, ClockClass, ClockOrigin, EnvValue, EventClass, StreamClass, TraceClass,
    Uuid,
};

/// Reads CTF 2 metadata.
///
/// # Errors
/// Text that is no JSON, or JSON that is no CTF 2; the error says in which fragment, where and what.
pub fn read(bytes: &[u8]) -> Result<TraceClass, Error> {
    let mut reader = Reader {
        trace: TraceClass {
            byte_order: ByteOrder::Little,
            ..TraceClass::default()
        },
        classes: ClassReader::default(),
        preamble: false,
        trace_class: false,
    };
    let mut number = 0;
    // Between texts stand separators and line ends; both a text and what is between may span several.
    for part in bytes.split(|&b| b == RECORD_SEPARATOR) {
        for value in Deserializer::from_slice(part).into_iter::<Value>() {
            number += 1;
            let failed = |wrong: Wrong| Error {
                fragment: number,
                path: wrong.path,
                message: wrong.message,
            };
            let value = value.map_err(|e| failed(Wrong::new(e.to_string())))?;
            object(&value)
                .and_then(|fragment| reader.fragment(fragment))
                .map_err(failed)?;
        }
    }
    match reader.preamble {
        true => Ok(reader.trace),
        false => Err(Error {
            fragment: 1,
            path: String::new(),
            message: "there is no preamble".to_owned(),
        }),
    }
}

struct Reader {
    trace: TraceClass,
    classes: ClassReader,
    preamble: bool,
    trace_class: bool,
}

impl Reader {
    fn fragment(&mut self, o: &Object) -> Result<(), Wrong> {
        let kind = need(o, "type", text)?;
        if !self.preamble && kind != "preamble" {
            return Err(Wrong::new("the first fragment has to be the preamble"));
        }
        match kind.as_str() {
            "preamble" => self.preamble(o),
            "field-class-alias" => {
                let name = need(o, "name", text)?;
                need(o, "field-class", |v| self.classes.define(name, v))
            }
            "trace-class" => self.trace_class(o),
            "clock-class" => self.clock_class(o),
            "data-stream-class" => self.stream_class(o),
            "event-record-class" => self.event_class(o),
            other => Err(Wrong::new(format!("there is no fragment type `{other}`")).under("type")),
        }
    }

    fn preamble(&mut self, o: &Object) -> Result<(), Wrong> {
        if self.preamble {
            return Err(Wrong::new("there is another preamble"));
        }
        self.preamble = true;
        match need(o, "version", unsigned)? {
            2 => {}
            version => {
                return Err(
                    Wrong::new(format!("version {version} is not supported")).under("version")
                );
            }
        }
        if let Some(extensions) = o.get("extensions").and_then(Value::as_object)
            && let Some(first) = extensions.keys().next()
        {
            return Err(
                Wrong::new(format!("the extension `{first}` is not supported")).under("extensions"),
            );
        }
        self.trace.uuid = maybe(o, "uuid", |v| {
            let bytes = each(v, |byte| {
                u8::try_from(unsigned(byte)?).map_err(|_| Wrong::new("expected a byte"))
            })?;
            let bytes = bytes
                .try_into()
                .map_err(|_| Wrong::new("a UUID has 16 bytes"))?;
            Ok(Uuid(bytes))
        })?;
        Ok(())
    }

    fn trace_class(&mut self, o: &Object) -> Result<(), Wrong> {
        if std::mem::replace(&mut self.trace_class, true) {
            return Err(Wrong::new("there is another trace class"));
        }
        let trace = &mut self.trace;
        trace.namespace = maybe(o, "namespace", text)?;
        trace.name = maybe(o, "name", text)?;
        trace.uid = maybe(o, "uid", text)?;
        trace.attributes = attributes(o)?;
        let environment = maybe(o, "environment", |v| {
            let mut entries = Vec::new();
            for (name, value) in object(v)? {
                let value = match value {
                    Value::String(text) => EnvValue::Text(text.clone()),
                    value => EnvValue::Integer(signed(value).map_err(|e| e.under(name))?),
                };
                entries.push((name.clone(), value));
            }
            Ok(entries)
        })?;
        trace.environment = environment.unwrap_or_default();
        trace.packet_header = maybe(o, "packet-header-field-class", |v| {
            self.classes.structure(v)
        })?;
        Ok(())
    }

    fn clock_class(&mut self, o: &Object) -> Result<(), Wrong> {
        let public_name = maybe(o, "name", text)?;
        // Release candidates of the specification knew clocks by their name alone.
        let id = match maybe(o, "id", text)? {
            Some(id) => id,
            None => public_name
                .clone()
                .ok_or_else(|| Wrong::new("there is no `id`"))?,
        };
        if self.trace.clock(&id).is_some() {
            return Err(
                Wrong::new(format!("there is another clock class with id `{id}`")).under("id"),
            );
        }
        let frequency = need(o, "frequency", unsigned)?;
        if frequency == 0 {
            return Err(Wrong::new("a clock of frequency 0 tells no time").under("frequency"));
        }
        let mut clock = ClockClass::new(id, frequency);
        clock.uid = maybe(o, "uid", text)?;
        clock.uuid = clock.uid.as_ref().and_then(|uid| uid.parse().ok());
        clock.public_name = public_name;
        clock.namespace = maybe(o, "namespace", text)?;
        clock.description = maybe(o, "description", text)?;
        clock.precision = maybe(o, "precision", unsigned)?;
        clock.accuracy = maybe(o, "accuracy", unsigned)?;
        if let Some((seconds, cycles)) = maybe(o, "offset-from-origin", |v| {
            let o = object(v)?;
            Ok((maybe(o, "seconds", signed)?, maybe(o, "cycles", signed)?))
        })? {
            clock.offset_seconds = seconds.unwrap_or(0);
            clock.offset_cycles = cycles.unwrap_or(0);
        }
        clock.origin = maybe(o, "origin", |v| match v.as_str() {
            Some("unix-epoch") => Ok(ClockOrigin::UnixEpoch),
            Some(other) => Err(Wrong::new(format!("there is no origin `{other}`"))),
            None => {
                let o = object(v)?;
                Ok(ClockOrigin::Custom {
                    namespace: maybe(o, "namespace", text)?,
                    name: need(o, "name", text)?,
                    uid: need(o, "uid", text)?,
                })
            }
        })?
        .unwrap_or(ClockOrigin::Unknown);
        clock.attributes = attributes(o)?;
        clock.absolute = take_flag(&mut clock.attributes, BABELTRACE, "absolute");
        self.trace.clocks.push(clock);
        Ok(())
    }

    fn stream_class(&mut self, o: &Object) -> Result<(), Wrong> {
        let id = maybe(o, "id", unsigned)?.unwrap_or(0);
        if self.trace.stream(id).is_some() {
            return Err(
                Wrong::new(format!("there is another data stream class with id {id}")).under("id"),
            );
        }
        let clock = match maybe(o, "default-clock-class-id", text)? {
            None => maybe(o, "default-clock-class-name", text)?,
            some => some,
        };
        if let Some(name) = &clock
            && self.trace.clock(name).is_none()
        {
            return Err(
                Wrong::new(format!("there is no clock class `{name}` before it"))
                    .under("default-clock-class-id"),
            );
        }
        let mut scope = |key| maybe(o, key, |v| self.classes.structure(v));
        let stream = StreamClass {
            id,
            namespace: maybe(o, "namespace", text)?,
            name: maybe(o, "name", text)?,
            uid: maybe(o, "uid", text)?,
            clock,
            packet_context: scope("packet-context-field-class")?,
            event_header: scope("event-record-header-field-class")?,
            event_context: scope("event-record-common-context-field-class")?,
            events: Vec::new(),
            attributes: attributes(o)?,
        };
        self.trace.streams.push(stream);
        Ok(())
    }

    fn event_class(&mut self, o: &Object) -> Result<(), Wrong> {
        let mut event = EventClass {
            id: maybe(o, "id", unsigned)?.unwrap_or(0),
            namespace: maybe(o, "namespace", text)?,
            name: maybe(o, "name", text)?,
            uid: maybe(o, "uid", text)?,
            context: maybe(o, "specific-context-field-class", |v| {
                self.classes.structure(v)
            })?,
            payload: maybe(o, "payload-field-class", |v| self.classes.structure(v))?,
            attributes: attributes(o)?,
            ..EventClass::default()
        };
        for namespace in [LTTNG, BABELTRACE] {
            if let Some(level) = take_text(&mut event.attributes, namespace, "log-level") {
                let level = LOG_LEVELS.iter().position(|name| *name == level);
                event.log_level = event.log_level.or(level.map(|level| level as i64));
            }
            let uri = take_text(&mut event.attributes, namespace, "emf-uri");
            event.emf_uri = event.emf_uri.or(uri);
        }
        let stream_id = maybe(o, "data-stream-class-id", unsigned)?.unwrap_or(0);
        let stream = self
            .trace
            .streams
            .iter_mut()
            .find(|stream| stream.id == stream_id)
            .ok_or_else(|| {
                Wrong::new(format!(
                    "there is no data stream class {stream_id} before it"
                ))
                .under("data-stream-class-id")
            })?;
        if stream.events.last().is_some_and(|last| last.id >= event.id)
            && stream.events.iter().any(|other| other.id == event.id)
        {
            let message = format!(
                "the data stream class has another event record class with id {}",
                event.id
            );
            return Err(Wrong::new(message).under("id"));
        }
        stream.events.push(event);
        Ok(())
    }
}

/// Takes an attribute out of its namespace, and the namespace away when nothing is left of it.
fn take(attributes: &mut Attributes, namespace: &str, key: &str) -> Option<Value> {
    let all = attributes.as_mut()?;
    let of = all.get_mut(namespace)?.as_object_mut()?;
    let value = of.remove(key);
    if of.is_empty() {
        all.remove(namespace);
    }
    if all.is_empty() {
        *attributes = None;
    }
    value
}

fn take_text(attributes: &mut Attributes, namespace: &str, key: &str) -> Option<String> {
    take(attributes, namespace, key)?
        .as_str()
        .map(str::to_owned)
}

fn take_flag(attributes: &mut Attributes, namespace: &str, key: &str) -> bool {
    take(attributes, namespace, key).is_some_and(|value| value == true)
}
