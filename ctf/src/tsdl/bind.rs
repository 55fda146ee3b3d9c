//! Looks up the fields that other fields depend on, and gives names and roles their CTF 2 form.
//!
//! ```text
//!  seq.len ─▶ from the innermost structure out: is there a field before this one that begins this path?
//!             else in the scopes before this one
//!  stream.event.header.x ─▶ in that scope
//! ```
//!
//! Afterwards one leading underscore is taken from every name (tracers put it there to keep clear of keywords), and
//! the fields that have a meaning by their name get the role that says so.
//!
//! Reference: CTF 1.8.3, chapter 7.3 (scopes), chapters 5 and 6 (names with a meaning).
//!
//! Invariant: every location has an origin and leads to an integer; every option of a variant has its values.

use super::read::Scopes;
use super::{Error, Position};
use crate::model::{
    EventClass, FieldClass, FieldLocation, Integer, Length, Role, Scope, StreamClass, Structure,
    TraceClass,
};

pub(super) fn bind(trace: &mut TraceClass) -> Result<(), Error> {
    let written = trace.clone();
    let mut none = Scopes {
        trace: &written,
        stream: None,
        event: None,
    };
    bind_scope(&mut trace.packet_header, Scope::PacketHeader, &none)?;
    for (stream, as_written) in trace.streams.iter_mut().zip(&written.streams) {
        none.stream = Some(as_written);
        none.event = None;
        bind_scope(&mut stream.packet_context, Scope::PacketContext, &none)?;
        bind_scope(&mut stream.event_header, Scope::EventHeader, &none)?;
        bind_scope(&mut stream.event_context, Scope::EventContext, &none)?;
        for (event, as_written) in stream.events.iter_mut().zip(&as_written.events) {
            none.event = Some(as_written);
            bind_scope(&mut event.context, Scope::OwnContext, &none)
                .and_then(|()| bind_scope(&mut event.payload, Scope::Payload, &none))
                .map_err(|e| in_event(e, event))?;
        }
        set_clock(stream)?;
        if let Some(name) = &stream.clock
            && written.clock(name).is_none()
        {
            return Err(Error::new(
                Position::default(),
                format!("there is no clock named `{name}`"),
            ));
        }
    }
    strip_and_assign(trace)
}

fn in_event(error: Error, event: &EventClass) -> Error {
    let name = event.name.as_deref().unwrap_or("without a name");
    Error::new(error.position, format!("event {name}: {}", error.message))
}

fn bind_scope(
    structure: &mut Option<Structure>,
    scope: Scope,
    scopes: &Scopes<'_>,
) -> Result<(), Error> {
    let (Some(structure), Some(written)) = (structure, scopes.get(scope)) else {
        return Ok(());
    };
    let mut binder = Binder {
        scope,
        scopes,
        frames: Vec::new(),
    };
    binder.structure(structure, written, Vec::new())
}

/// Walks a scope and, in step with it, the scope as it was written.
struct Binder<'a> {
    scope: Scope,
    scopes: &'a Scopes<'a>,
    frames: Vec<Frame<'a>>,
}

/// A structure on the way from the scope to the field at hand.
struct Frame<'a> {
    structure: &'a Structure,
    /// How many of its fields lie before the field at hand.
    before: usize,
    /// The names that lead to it from the beginning of the scope.
    path: Vec<String>,
}

impl<'a> Binder<'a> {
    fn structure(
        &mut self,
        structure: &mut Structure,
        written: &'a Structure,
        path: Vec<String>,
    ) -> Result<(), Error> {
        self.frames.push(Frame {
            structure: written,
            before: 0,
            path: path.clone(),
        });
        for (i, (field, as_written)) in structure.fields.iter_mut().zip(&written.fields).enumerate()
        {
            if let Some(frame) = self.frames.last_mut() {
                frame.before = i;
            }
            let mut inner = path.clone();
            inner.push(field.name.clone());
            self.class(&mut field.class, &as_written.class, &inner)?;
        }
        self.frames.pop();
        Ok(())
    }

    fn class(
        &mut self,
        class: &mut FieldClass,
        written: &'a FieldClass,
        path: &[String],
    ) -> Result<(), Error> {
        match (class, written) {
            (FieldClass::Structure(class), FieldClass::Structure(written)) => {
                self.structure(class, written, path.to_vec())?;
            }
            (FieldClass::Array(class), FieldClass::Array(written)) => {
                self.length(&mut class.length, path)?;
                self.class(&mut class.element, &written.element, path)?;
            }
            (FieldClass::Text(class), _) => self.length(&mut class.length, path)?,
            (FieldClass::Variant(class), FieldClass::Variant(written)) => {
                if class.selector.path.is_empty() {
                    return Err(self.error(
                        path,
                        "the variant has no tag that selects its option".into(),
                    ));
                }
                let selector = self.look_up(&class.selector, path)?;
                let Some(mappings) = &selector.1.mappings else {
                    return Err(self.error(path, "the tag of the variant is no enumeration".into()));
                };
                class.selector = selector.0;
                for (option, as_written) in class.options.iter_mut().zip(&written.options) {
                    let name = option.name.clone().unwrap_or_default();
                    let Some(mapping) = mappings.iter().find(|mapping| mapping.label == name)
                    else {
                        return Err(self.error(
                            path,
                            format!("the tag of the variant has no label `{name}`"),
                        ));
                    };
                    option.ranges = mapping.ranges.clone();
                    self.class(&mut option.class, &as_written.class, path)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn length(&self, length: &mut Length, path: &[String]) -> Result<(), Error> {
        if let Length::Field(location) = length {
            let (found, class) = self.look_up(location, path)?;
            if class.signed {
                return Err(self.error(path, "its length is a signed integer".into()));
            }
            *location = found;
        }
        Ok(())
    }

    fn error(&self, path: &[String], message: String) -> Error {
        let scope = prefix(self.scope).join(".");
        Error::new(
            Position::default(),
            format!("field {scope}.{}: {message}", path.join(".")),
        )
    }

    /// Where the written path leads, and the integer there.
    fn look_up(
        &self,
        written: &FieldLocation,
        from: &[String],
    ) -> Result<(FieldLocation, &'a Integer), Error> {
        let words: Vec<&str> = written.path.iter().flatten().map(String::as_str).collect();
        let found = self
            .absolute(&words)
            .or_else(|| self.around(&words))
            .or_else(|| self.before(&words));
        let Some((scope, path, class)) = found else {
            let message = format!("there is no field `{}` before it", words.join("."));
            return Err(self.error(from, message));
        };
        match class {
            FieldClass::Integer(class) => Ok((FieldLocation::in_scope(scope, path), class)),
            _ => Err(self.error(from, format!("`{}` is no integer", words.join(".")))),
        }
    }

    fn absolute(&self, words: &[&str]) -> Option<(Scope, Vec<String>, &'a FieldClass)> {
        let scope = Scope::ALL
            .into_iter()
            .find(|scope| words.starts_with(prefix(*scope)))?;
        let rest = &words[prefix(scope).len()..];
        let class = follow(self.scopes.get(scope)?, rest)?;
        Some((scope, owned(rest), class))
    }

    fn around(&self, words: &[&str]) -> Option<(Scope, Vec<String>, &'a FieldClass)> {
        self.frames.iter().rev().find_map(|frame| {
            let before = &frame.structure.fields[..frame.before];
            let first = before.iter().find(|field| field.name == words[0])?;
            let class = follow_class(&first.class, &words[1..])?;
            let path = frame.path.iter().cloned().chain(owned(words)).collect();
            Some((self.scope, path, class))
        })
    }

    fn before(&self, words: &[&str]) -> Option<(Scope, Vec<String>, &'a FieldClass)> {
        let before = Scope::ALL
            .into_iter()
            .rev()
            .filter(|scope| *scope < self.scope);
        before.into_iter().find_map(|scope| {
            let class = follow(self.scopes.get(scope)?, words)?;
            Some((scope, owned(words), class))
        })
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn prefix(scope: Scope) -> &'static [&'static str] {
    match scope {
        Scope::PacketHeader => &["trace", "packet", "header"],
        Scope::PacketContext => &["stream", "packet", "context"],
        Scope::EventHeader => &["stream", "event", "header"],
        Scope::EventContext => &["stream", "event", "context"],
        Scope::OwnContext => &["event", "context"],
        Scope::Payload => &["event", "fields"],
    }
}

fn follow<'a>(structure: &'a Structure, path: &[&str]) -> Option<&'a FieldClass> {
    let (first, rest) = path.split_first()?;
    follow_class(structure.get(first)?, rest)
}

fn follow_class<'a>(class: &'a FieldClass, path: &[&str]) -> Option<&'a FieldClass> {
    match (class, path.split_first()) {
        (class, None) => Some(class),
        (FieldClass::Structure(structure), Some(_)) => follow(structure, path),
        (FieldClass::Array(array), Some(_)) => follow_class(&array.element, path),
        // `v.option.x`, or `v.x` for whichever option has an `x`.
        (FieldClass::Variant(variant), Some((first, rest))) => {
            let named = variant
                .options
                .iter()
                .find(|option| option.name.as_deref() == Some(first));
            match named {
                Some(option) => follow_class(&option.class, rest),
                None => variant
                    .options
                    .iter()
                    .find_map(|option| follow_class(&option.class, path)),
            }
        }
        _ => None,
    }
}

/// Makes the one clock that the fields of a stream are mapped to the clock of the stream.
fn set_clock(stream: &mut StreamClass) -> Result<(), Error> {
    let mut clock = stream.clock.take();
    let mut claim = |class: &mut Integer| match class.clock.take() {
        Some(name) if clock.as_ref().is_some_and(|clock| *clock != name) => {
            let clock = clock.as_deref().unwrap_or_default();
            let message =
                format!("fields of one stream are mapped to two clocks, `{clock}` and `{name}`");
            Err(Error::new(Position::default(), message))
        }
        Some(name) => {
            clock = Some(name);
            Ok(())
        }
        None => Ok(()),
    };
    for structure in [
        &mut stream.packet_context,
        &mut stream.event_header,
        &mut stream.event_context,
    ] {
        each_integer(structure, &mut claim)?;
    }
    for event in &mut stream.events {
        each_integer(&mut event.context, &mut claim)?;
        each_integer(&mut event.payload, &mut claim)?;
    }
    stream.clock = clock;
    Ok(())
}

fn each_integer(
    structure: &mut Option<Structure>,
    f: &mut dyn FnMut(&mut Integer) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(structure) = structure else {
        return Ok(());
    };
    structure
        .fields
        .iter_mut()
        .try_for_each(|field| each_integer_of(&mut field.class, f))
}

fn each_integer_of(
    class: &mut FieldClass,
    f: &mut dyn FnMut(&mut Integer) -> Result<(), Error>,
) -> Result<(), Error> {
    match class {
        FieldClass::Integer(class) => f(class),
        FieldClass::Structure(class) => class
            .fields
            .iter_mut()
            .try_for_each(|field| each_integer_of(&mut field.class, f)),
        FieldClass::Array(class) => each_integer_of(&mut class.element, f),
        FieldClass::Variant(class) => class
            .options
            .iter_mut()
            .try_for_each(|option| each_integer_of(&mut option.class, f)),
        FieldClass::Optional(class) => each_integer_of(&mut class.class, f),
        _ => Ok(()),
    }
}

fn strip_and_assign(trace: &mut TraceClass) -> Result<(), Error> {
    strip(&mut trace.packet_header);
    packet_header_roles(&mut trace.packet_header)?;
    for stream in &mut trace.streams {
        strip(&mut stream.packet_context);
        strip(&mut stream.event_header);
        strip(&mut stream.event_context);
        packet_context_roles(&mut stream.packet_context)?;
        event_header_roles(&mut stream.event_header)?;
        for event in &mut stream.events {
            strip(&mut event.context);
            strip(&mut event.payload);
        }
    }
    Ok(())
}

fn strip(structure: &mut Option<Structure>) {
    if let Some(structure) = structure {
        strip_structure(structure);
    }
}

fn strip_structure(structure: &mut Structure) {
    for field in &mut structure.fields {
        strip_name(&mut field.name);
        strip_class(&mut field.class);
    }
}

fn strip_name(name: &mut String) {
    if name.starts_with('_') {
        name.remove(0);
    }
}

fn strip_location(location: &mut FieldLocation) {
    location.path.iter_mut().flatten().for_each(strip_name);
}

fn strip_class(class: &mut FieldClass) {
    let length = match class {
        FieldClass::Structure(class) => return strip_structure(class),
        FieldClass::Variant(class) => {
            strip_location(&mut class.selector);
            for option in &mut class.options {
                option.name.iter_mut().for_each(strip_name);
                strip_class(&mut option.class);
            }
            return;
        }
        FieldClass::Array(class) => {
            strip_class(&mut class.element);
            &mut class.length
        }
        FieldClass::Text(class) => &mut class.length,
        _ => return,
    };
    if let Length::Field(location) = length {
        strip_location(location);
    }
}

fn packet_header_roles(header: &mut Option<Structure>) -> Result<(), Error> {
    let Some(header) = header else {
        return Ok(());
    };
    for (i, field) in header.fields.iter_mut().enumerate() {
        match (field.name.as_str(), &mut field.class) {
            ("magic", class) => {
                let class = role(class, "magic", Role::PacketMagic)?;
                if i != 0 || class.bits != 32 {
                    return Err(refused(
                        "`magic` has to be the first field of the packet header, of 32 bits",
                    ));
                }
            }
            ("stream_id", class) => {
                role(class, "stream_id", Role::StreamClassId)?;
            }
            ("stream_instance_id", class) => {
                role(class, "stream_instance_id", Role::StreamId)?;
            }
            ("uuid", FieldClass::Array(array)) if array.length == Length::Fixed(16) => {
                let class = role(&mut array.element, "uuid", Role::TraceUuid)?;
                if class.bits != 8 || class.align != 8 {
                    return Err(refused("`uuid` in the packet header has to be 16 bytes"));
                }
            }
            ("uuid", _) => return Err(refused("`uuid` in the packet header has to be 16 bytes")),
            _ => {}
        }
    }
    Ok(())
}

fn packet_context_roles(context: &mut Option<Structure>) -> Result<(), Error> {
    let Some(context) = context else {
        return Ok(());
    };
    for field in &mut context.fields {
        let of = match field.name.as_str() {
            "timestamp_begin" => Role::Timestamp,
            "timestamp_end" => Role::PacketEnd,
            "content_size" => Role::ContentSize,
            "packet_size" => Role::PacketSize,
            "packet_seq_num" => Role::SequenceNumber,
            "events_discarded" => Role::EventsDiscarded,
            _ => continue,
        };
        let mapped =
            matches!(&field.class, FieldClass::Integer(class) if class.roles.has(Role::Timestamp));
        let class = role(&mut field.class, &field.name, of)?;
        if matches!(of, Role::Timestamp | Role::PacketEnd) {
            class.roles = if mapped {
                of.into()
            } else {
                Default::default()
            };
        }
    }
    Ok(())
}

/// Every integer named `id`, wherever in the header; the last one that an event has is its class.
fn event_header_roles(header: &mut Option<Structure>) -> Result<(), Error> {
    let Some(header) = header else {
        return Ok(());
    };
    if let Some(id) = header.fields.iter_mut().find(|field| field.name == "id") {
        role(&mut id.class, "id", Role::EventClassId)?;
    }
    ids_in(header);
    Ok(())
}

fn ids_in(structure: &mut Structure) {
    for field in &mut structure.fields {
        match &mut field.class {
            FieldClass::Integer(class) if field.name == "id" && !class.signed => {
                class.roles.insert(Role::EventClassId);
            }
            FieldClass::Structure(class) => ids_in(class),
            FieldClass::Variant(class) => {
                for option in &mut class.options {
                    if let FieldClass::Structure(class) = &mut option.class {
                        ids_in(class);
                    }
                }
            }
            _ => {}
        }
    }
}

fn role<'a>(class: &'a mut FieldClass, name: &str, role: Role) -> Result<&'a mut Integer, Error> {
    match class {
        FieldClass::Integer(class) if !class.signed => {
            class.roles.insert(role);
            Ok(class)
        }
        _ => Err(refused(format!("`{name}` has to be an unsigned integer"))),
    }
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(Position::default(), message)
}
