//! Values as JSON.
//!
//! ```text
//!  {"time":"2026-11-20T08:40:03.025783637Z","name":"shop:order","cpu":1,"pid":7,"tid":7,"fields":{"id":0}}
//! ```
//! JSON has no NaN and no infinities: they become strings. Bytes become hexadecimal text, an enumeration its label (its
//! number, if it has none), text that is no UTF-8 is mended.

use laneway_ctf::model::Scope;
use laneway_ctf::read::{Event, Value};
use serde_json::{Map, Value as Json};

use super::select::{Origin, is_origin};

/// A value as JSON.
pub(crate) fn json(value: &Value) -> Json {
    match value {
        Value::Nothing => Json::Null,
        Value::Unsigned(_, Some(label)) | Value::Signed(_, Some(label)) => {
            Json::from(label.as_ref())
        }
        Value::Unsigned(value, None) => Json::from(*value),
        Value::Signed(value, None) => Json::from(*value),
        Value::Float(value) if value.is_finite() => Json::from(*value),
        Value::Float(value) => Json::from(value.to_string()),
        Value::Boolean(value) => Json::from(*value),
        Value::Text(text) => Json::from(String::from_utf8_lossy(text).into_owned()),
        Value::Blob(bytes) => Json::from(hexadecimal(bytes)),
        Value::Array(elements) => elements.iter().map(json).collect(),
        Value::Structure(members) => members
            .iter()
            .map(|(name, value)| (name.to_string(), json(value)))
            .collect(),
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A time in nanoseconds since 1970 as RFC 3339 has it.
pub(crate) fn rfc3339(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(ns))
        .map_or_else(|_| ns.to_string(), |time| format!("{time:.9}"))
}

/// An event as JSON.
pub(crate) fn event(event: &Event<'_>) -> Json {
    let mut object = Map::new();
    let mut put = |key: &str, value: Option<Json>| {
        if let Some(value) = value {
            object.insert(key.to_owned(), value);
        }
    };
    let origin = Origin::of(event);
    put("time", event.ns().map(|ns| rfc3339(ns).into()));
    put("name", Some(event.name().into()));
    put("cpu", origin.cpu.map(Json::from));
    put("pid", origin.process.map(Json::from));
    put("tid", origin.thread.map(Json::from));
    put("process", origin.name.map(Json::from));
    let context = context(event);
    put(
        "context",
        (!context.is_empty()).then(|| Json::Object(context)),
    );
    put("fields", Some(json(&event.value(Scope::Payload))));
    object.into()
}

/// The fields of an event's contexts, but for those that have a place of their own.
pub(crate) fn context(event: &Event<'_>) -> Map<String, Json> {
    let mut out = Map::new();
    for scope in [Scope::EventContext, Scope::OwnContext] {
        if let Value::Structure(members) = event.value(scope) {
            let others = members.iter().filter(|(name, _)| !is_origin(name));
            out.extend(others.map(|(name, value)| (name.to_string(), json(value))));
        }
    }
    out
}
