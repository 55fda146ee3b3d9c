//! A trace class into fragments.
//!
//! What TSDL says and CTF 2 does not (log levels, `model.emf.uri`, `absolute` clocks) is put into user attributes, where
//! babeltrace and LTTng put it too and [`read`](super::read()) finds it again.

use serde_json::{Map, Value, json};

use super::read_class::{ORIGINS, ROLES};
use super::{BABELTRACE, LOG_LEVELS, LTTNG, RECORD_SEPARATOR};
use crate::model::{
    Attributes, Base, BitArray, ByteOrder, ClockClass, ClockOrigin, Encoding, EnvValue, EventClass,
    FieldClass, FieldLocation, Integer, Length, Mapping, Range, Role, Roles, Selector, StreamClass,
    Structure, TraceClass, VariantOption,
};

/// The metadata of `trace`.
#[must_use]
pub fn write(trace: &TraceClass) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |fragment: Value| {
        out.push(RECORD_SEPARATOR);
        // Serializing a `Value` into a vector cannot fail.
        let _ = serde_json::to_writer_pretty(&mut out, &fragment);
        out.push(b'\n');
    };
    let mut preamble = json!({ "type": "preamble", "version": 2 });
    if let Some(uuid) = trace.uuid {
        preamble["uuid"] = json!(uuid.0);
    }
    put(preamble);
    put(trace_class(trace));
    for clock in &trace.clocks {
        put(clock_class(clock));
    }
    for stream in &trace.streams {
        put(stream_class(stream));
        for event in &stream.events {
            put(event_class(stream, event));
        }
    }
    out
}

type Object = Map<String, Value>;

fn fragment(kind: &str) -> Object {
    let mut object = Object::new();
    object.insert("type".into(), kind.into());
    object
}

fn set(object: &mut Object, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        object.insert(key.into(), value.into());
    }
}

fn set_text(object: &mut Object, key: &str, value: &Option<String>) {
    set(object, key, value.as_deref());
}

fn set_attributes(object: &mut Object, attributes: &Attributes) {
    set(object, "attributes", attributes.as_deref().cloned());
}

fn trace_class(trace: &TraceClass) -> Value {
    let mut object = fragment("trace-class");
    set_text(&mut object, "namespace", &trace.namespace);
    set_text(&mut object, "name", &trace.name);
    set_text(&mut object, "uid", &trace.uid);
    if !trace.environment.is_empty() {
        let entries = trace.environment.iter().map(|(name, value)| {
            let value: Value = match value {
                EnvValue::Integer(value) => (*value).into(),
                EnvValue::Text(text) => text.as_str().into(),
            };
            (name.clone(), value)
        });
        object.insert("environment".into(), Value::Object(entries.collect()));
    }
    set(
        &mut object,
        "packet-header-field-class",
        trace.packet_header.as_ref().map(structure),
    );
    set_attributes(&mut object, &trace.attributes);
    object.into()
}

fn clock_class(clock: &ClockClass) -> Value {
    let mut object = fragment("clock-class");
    object.insert("id".into(), clock.name.as_str().into());
    set_text(&mut object, "namespace", &clock.namespace);
    set_text(&mut object, "name", &clock.public_name);
    match (&clock.uid, clock.uuid) {
        (Some(uid), _) => drop(object.insert("uid".into(), uid.as_str().into())),
        (None, uuid) => set(&mut object, "uid", uuid.map(|uuid| uuid.to_string())),
    }
    set_text(&mut object, "description", &clock.description);
    object.insert("frequency".into(), clock.frequency.into());
    set(&mut object, "precision", clock.precision);
    set(&mut object, "accuracy", clock.accuracy);
    let offset = json!({ "seconds": clock.offset_seconds, "cycles": clock.offset_cycles });
    object.insert("offset-from-origin".into(), offset);
    match &clock.origin {
        ClockOrigin::UnixEpoch => drop(object.insert("origin".into(), "unix-epoch".into())),
        ClockOrigin::Unknown => {}
        ClockOrigin::Custom {
            namespace,
            name,
            uid,
        } => {
            let mut origin = Object::new();
            set_text(&mut origin, "namespace", namespace);
            origin.insert("name".into(), name.as_str().into());
            origin.insert("uid".into(), uid.as_str().into());
            object.insert("origin".into(), origin.into());
        }
    }
    let mut attributes = clock.attributes.clone();
    if clock.absolute {
        add_attribute(&mut attributes, BABELTRACE, "absolute", true.into());
    }
    set_attributes(&mut object, &attributes);
    object.into()
}

fn add_attribute(attributes: &mut Attributes, namespace: &str, key: &str, value: Value) {
    let all = attributes.get_or_insert_default();
    let of = all.entry(namespace).or_insert_with(|| json!({}));
    if let Some(of) = of.as_object_mut() {
        of.insert(key.into(), value);
    }
}

fn stream_class(stream: &StreamClass) -> Value {
    let mut object = fragment("data-stream-class");
    object.insert("id".into(), stream.id.into());
    set_text(&mut object, "namespace", &stream.namespace);
    set_text(&mut object, "name", &stream.name);
    set_text(&mut object, "uid", &stream.uid);
    set_text(&mut object, "default-clock-class-id", &stream.clock);
    for (key, scope) in [
        ("packet-context-field-class", &stream.packet_context),
        ("event-record-header-field-class", &stream.event_header),
        (
            "event-record-common-context-field-class",
            &stream.event_context,
        ),
    ] {
        set(&mut object, key, scope.as_ref().map(structure));
    }
    set_attributes(&mut object, &stream.attributes);
    object.into()
}

fn event_class(stream: &StreamClass, event: &EventClass) -> Value {
    let mut object = fragment("event-record-class");
    object.insert("data-stream-class-id".into(), stream.id.into());
    object.insert("id".into(), event.id.into());
    set_text(&mut object, "namespace", &event.namespace);
    set_text(&mut object, "name", &event.name);
    set_text(&mut object, "uid", &event.uid);
    for (key, scope) in [
        ("specific-context-field-class", &event.context),
        ("payload-field-class", &event.payload),
    ] {
        set(&mut object, key, scope.as_ref().map(structure));
    }
    let mut attributes = event.attributes.clone();
    let level = event
        .log_level
        .and_then(|level| LOG_LEVELS.get(usize::try_from(level).ok()?));
    if let Some(level) = level {
        add_attribute(&mut attributes, LTTNG, "log-level", (*level).into());
        add_attribute(&mut attributes, BABELTRACE, "log-level", (*level).into());
    }
    if let Some(uri) = &event.emf_uri {
        add_attribute(&mut attributes, BABELTRACE, "emf-uri", uri.as_str().into());
    }
    set_attributes(&mut object, &attributes);
    object.into()
}

fn structure(class: &Structure) -> Value {
    let mut object = fragment("structure");
    if class.align > 1 {
        object.insert("minimum-alignment".into(), class.align.into());
    }
    let members = class.fields.iter().map(|field| {
        let mut member = Object::new();
        member.insert("name".into(), field.name.as_str().into());
        let mut inner = field_class(&field.class);
        if let (Some(attributes), Some(inner)) = (&field.class_attributes, inner.as_object_mut()) {
            inner.insert("attributes".into(), attributes.as_ref().clone().into());
        }
        member.insert("field-class".into(), inner);
        set_attributes(&mut member, &field.attributes);
        Value::Object(member)
    });
    object.insert("member-classes".into(), members.collect());
    object.into()
}

fn field_class(class: &FieldClass) -> Value {
    match class {
        FieldClass::Integer(class) => integer(class),
        FieldClass::VarInteger(class) => {
            let sign = if class.signed { "signed" } else { "unsigned" };
            let mut object = fragment(&format!("variable-length-{sign}-integer"));
            set_base(&mut object, class.base);
            set(
                &mut object,
                "mappings",
                class.mappings.as_deref().map(mappings),
            );
            set_roles(&mut object, class.roles);
            object.into()
        }
        FieldClass::BitArray(class) => {
            let BitArray {
                bits,
                align,
                order,
                reversed,
                flags,
            } = class;
            let kind = if flags.is_some() {
                "fixed-length-bit-map"
            } else {
                "fixed-length-bit-array"
            };
            let mut object = fixed(kind, *bits, *align, *order, *reversed);
            set(&mut object, "flags", flags.as_deref().map(mappings));
            object.into()
        }
        FieldClass::Boolean(class) => fixed(
            "fixed-length-boolean",
            class.bits,
            class.align,
            class.order,
            class.reversed,
        )
        .into(),
        FieldClass::Float(class) => {
            let kind = "fixed-length-floating-point-number";
            fixed(kind, class.bits, class.align, class.order, class.reversed).into()
        }
        FieldClass::String(class) => {
            let mut object = fragment("null-terminated-string");
            set_encoding(&mut object, class.encoding);
            object.into()
        }
        FieldClass::Text(class) => {
            let mut object = of_length(&class.length, "string");
            set_encoding(&mut object, class.encoding);
            object.into()
        }
        FieldClass::Blob(class) => {
            let mut object = of_length(&class.length, "blob");
            set_text(&mut object, "media-type", &class.media_type);
            set_roles(&mut object, class.roles);
            object.into()
        }
        FieldClass::Array(class) => {
            // The UUID of the trace is an array of bytes in TSDL, and a blob here.
            if let (FieldClass::Integer(byte), Length::Fixed(16)) =
                (class.element.as_ref(), &class.length)
                && byte.roles.has(Role::TraceUuid)
            {
                let mut object = of_length(&class.length, "blob");
                set_roles(&mut object, Role::TraceUuid.into());
                return object.into();
            }
            let mut object = of_length(&class.length, "array");
            if class.align > 1 {
                object.insert("minimum-alignment".into(), class.align.into());
            }
            object.insert("element-field-class".into(), field_class(&class.element));
            object.into()
        }
        FieldClass::Structure(class) => structure(class),
        FieldClass::Variant(class) => {
            let mut object = fragment("variant");
            object.insert("selector-field-location".into(), location(&class.selector));
            object.insert("options".into(), class.options.iter().map(option).collect());
            object.into()
        }
        FieldClass::Optional(class) => {
            let mut object = fragment("optional");
            object.insert(
                "selector-field-location".into(),
                location(class.selector.location()),
            );
            if let Selector::Integer(_, of) = &class.selector {
                object.insert("selector-field-ranges".into(), ranges(of));
            }
            object.insert("field-class".into(), field_class(&class.class));
            object.into()
        }
    }
}

fn option(option: &VariantOption) -> Value {
    let mut object = Object::new();
    set_text(&mut object, "name", &option.name);
    object.insert("field-class".into(), field_class(&option.class));
    object.insert("selector-field-ranges".into(), ranges(&option.ranges));
    set_attributes(&mut object, &option.attributes);
    object.into()
}

fn integer(class: &Integer) -> Value {
    let sign = if class.signed { "signed" } else { "unsigned" };
    let kind = format!("fixed-length-{sign}-integer");
    let mut object = fixed(&kind, class.bits, class.align, class.order, class.reversed);
    set_base(&mut object, class.base);
    set(
        &mut object,
        "mappings",
        class.mappings.as_deref().map(mappings),
    );
    set_roles(&mut object, class.roles);
    object.into()
}

fn fixed(kind: &str, bits: u32, align: u32, order: ByteOrder, reversed: bool) -> Object {
    let mut object = fragment(kind);
    object.insert("length".into(), bits.into());
    let (bytes, bit_order) = match order {
        ByteOrder::Little => ("little-endian", "last-to-first"),
        ByteOrder::Big => ("big-endian", "first-to-last"),
    };
    object.insert("byte-order".into(), bytes.into());
    if reversed {
        object.insert("bit-order".into(), bit_order.into());
    }
    if align > 1 {
        object.insert("alignment".into(), align.into());
    }
    object
}

fn of_length(length: &Length, kind: &str) -> Object {
    match length {
        Length::Fixed(length) => {
            let mut object = fragment(&format!("static-length-{kind}"));
            object.insert("length".into(), (*length).into());
            object
        }
        Length::Field(at) => {
            let mut object = fragment(&format!("dynamic-length-{kind}"));
            object.insert("length-field-location".into(), location(at));
            object
        }
    }
}

fn set_base(object: &mut Object, base: Base) {
    let base = match base {
        Base::Binary => 2,
        Base::Octal => 8,
        Base::Decimal => return,
        Base::Hexadecimal => 16,
    };
    object.insert("preferred-display-base".into(), base.into());
}

fn set_encoding(object: &mut Object, encoding: Encoding) {
    let encoding = match encoding {
        Encoding::Utf8 | Encoding::Ascii => return,
        Encoding::Utf16Be => "utf-16be",
        Encoding::Utf16Le => "utf-16le",
        Encoding::Utf32Be => "utf-32be",
        Encoding::Utf32Le => "utf-32le",
    };
    object.insert("encoding".into(), encoding.into());
}

fn set_roles(object: &mut Object, roles: Roles) {
    if !roles.is_empty() {
        let names = ROLES
            .into_iter()
            .filter(|(role, _)| roles.has(*role))
            .map(|(_, name)| Value::from(name));
        object.insert("roles".into(), names.collect());
    }
}

fn location(location: &FieldLocation) -> Value {
    let mut object = Object::new();
    if let Some(origin) = location.origin {
        let name = ORIGINS
            .into_iter()
            .find(|(scope, _)| *scope == origin)
            .map(|(_, name)| name);
        set(&mut object, "origin", name);
    }
    object.insert(
        "path".into(),
        location
            .path
            .iter()
            .map(|step| Value::from(step.as_deref()))
            .collect(),
    );
    object.into()
}

fn ranges(ranges: &[Range]) -> Value {
    let bound = |value: i128| match u64::try_from(value) {
        Ok(value) => Value::from(value),
        Err(_) => Value::from(i64::try_from(value).unwrap_or(i64::MIN)),
    };
    ranges
        .iter()
        .map(|range| json!([bound(range.low), bound(range.high)]))
        .collect()
}

fn mappings(mappings: &[Mapping]) -> Value {
    let entries = mappings
        .iter()
        .map(|mapping| (mapping.label.clone(), ranges(&mapping.ranges)));
    Value::Object(entries.collect())
}
