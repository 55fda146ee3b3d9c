//! What stands between the time and the fields of a line, which is the same for all events of a class in a stream.
//!
//! ```text
//!  vm:app:(4711) TRACE_INFO (6) shop:order:
//! ```

use super::form::{BOLD, EVENT, UNKNOWN, colored, name_equal};
use super::options::BabeltraceOptions;
use crate::model::{EnvValue, FieldClass, Structure};
use crate::read::{Event, Stream};

/// Appends what stands between the time and the fields. `start` if nothing stands before it that a comma would follow.
pub(super) fn header(
    options: &BabeltraceOptions,
    out: &mut Vec<u8>,
    event: &Event<'_>,
    start: bool,
) {
    let stream = event.stream();
    let named = options.names.header;
    let color = options.color;
    let fields = options.fields;
    let trace = stream.trace_class();
    let mut colon = false;
    let put = |out: &mut Vec<u8>, name: &str, value: &str, colon: &mut bool| {
        if !start {
            out.extend_from_slice(b", ");
        }
        if named {
            name_equal(out, name, color, BOLD);
        } else if *colon {
            out.push(b':');
        }
        out.extend_from_slice(value.as_bytes());
        *colon = true;
    };
    if fields.trace {
        let mut never = false;
        put(out, "trace", &trace_name(stream), &mut never);
        if named {
            out.extend_from_slice(b", ");
        }
    }
    for (shown, name, key) in [
        (fields.hostname, "trace:hostname", "hostname"),
        (fields.domain, "trace:domain", "domain"),
        (fields.procname, "trace:procname", "procname"),
    ] {
        if let (true, Some(EnvValue::Text(text))) = (shown, trace.env(key)) {
            put(out, name, text, &mut colon);
        }
    }
    if let (true, Some(EnvValue::Integer(vpid))) = (fields.vpid, trace.env("vpid")) {
        put(out, "trace:vpid", &format!("({vpid})"), &mut colon);
    }
    let class = event.class();
    if let (true, Some(name)) = (fields.loglevel, class.log_level.and_then(log_level_name)) {
        let level = class.log_level.unwrap_or_default();
        put(out, "loglevel", &format!("{name} ({level})"), &mut colon);
    }
    if let (true, Some(uri)) = (fields.emf, &class.emf_uri) {
        put(out, "model.emf.uri", uri, &mut colon);
    }
    if colon && !named {
        out.push(b' ');
    }
    if !start {
        out.extend_from_slice(b", ");
    }
    if named {
        name_equal(out, "name", color, BOLD);
    }
    let (shown, with) = match &class.name {
        Some(name) => (name.as_str(), EVENT),
        None => ("<unknown>", UNKNOWN),
    };
    colored(out, shown.as_bytes(), color, with);
    out.extend_from_slice(if named { b", " } else { b": " });
}

/// The name that babeltrace gives a trace.
pub(super) fn trace_name(stream: Stream<'_>) -> String {
    let host = match stream.trace_class().env("hostname") {
        Some(EnvValue::Text(host)) => Some(host.as_str()),
        _ => None,
    };
    let parts: Vec<_> = host.into_iter().chain(stream.below()).collect();
    parts.join("/")
}

fn log_level_name(level: i64) -> Option<&'static str> {
    let names = [
        "TRACE_EMERG",
        "TRACE_ALERT",
        "TRACE_CRIT",
        "TRACE_ERR",
        "TRACE_WARNING",
        "TRACE_NOTICE",
        "TRACE_INFO",
        "TRACE_DEBUG_SYSTEM",
        "TRACE_DEBUG_PROGRAM",
        "TRACE_DEBUG_PROCESS",
        "TRACE_DEBUG_MODULE",
        "TRACE_DEBUG_UNIT",
        "TRACE_DEBUG_FUNCTION",
        "TRACE_DEBUG_LINE",
        "TRACE_DEBUG",
    ];
    names.get(usize::try_from(level).ok()?).copied()
}

/// Whether any field of a packet context is for users: those with a role are not shown.
pub(super) fn shows(structure: &Structure) -> bool {
    structure.fields.is_empty()
        || structure
            .fields
            .iter()
            .any(|field| shows_class(&field.class))
}

fn shows_class(class: &FieldClass) -> bool {
    match class {
        FieldClass::Integer(class) => class.roles.is_empty(),
        FieldClass::VarInteger(class) => class.roles.is_empty(),
        FieldClass::Structure(class) => shows(class),
        FieldClass::Array(class) => shows_class(&class.element),
        _ => true,
    }
}
