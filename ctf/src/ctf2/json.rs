//! Taking JSON apart with errors that say where.
//!
//! Invariant: every error names the property that it is about.

use serde_json::{Map, Value};

/// What is wrong: the property, and what with it.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) path: String,
    pub(super) message: String,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Wrong {
            path: String::new(),
            message: message.into(),
        }
    }

    /// The same, seen from the object that holds the property.
    pub(super) fn under(mut self, step: &str) -> Self {
        self.path = match self.path.as_str() {
            "" => step.to_owned(),
            path if path.starts_with('[') => format!("{step}{path}"),
            path => format!("{step}.{path}"),
        };
        self
    }
}

pub(super) type Object = Map<String, Value>;

pub(super) fn object(value: &Value) -> Result<&Object, Wrong> {
    value
        .as_object()
        .ok_or_else(|| Wrong::new("expected an object"))
}

/// A property that may be missing, and what to make of it.
pub(super) fn maybe<'a, T>(
    object: &'a Object,
    key: &str,
    make: impl FnOnce(&'a Value) -> Result<T, Wrong>,
) -> Result<Option<T>, Wrong> {
    match object.get(key) {
        None => Ok(None),
        Some(value) => make(value).map(Some).map_err(|e| e.under(key)),
    }
}

/// A property that has to be there.
pub(super) fn need<'a, T>(
    object: &'a Object,
    key: &str,
    make: impl FnOnce(&'a Value) -> Result<T, Wrong>,
) -> Result<T, Wrong> {
    maybe(object, key, make)?.ok_or_else(|| Wrong::new(format!("there is no `{key}`")))
}

pub(super) fn text(value: &Value) -> Result<String, Wrong> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Wrong::new("expected a string"))
}

pub(super) fn unsigned(value: &Value) -> Result<u64, Wrong> {
    value
        .as_u64()
        .ok_or_else(|| Wrong::new("expected an integer, zero or more"))
}

pub(super) fn signed(value: &Value) -> Result<i64, Wrong> {
    value
        .as_i64()
        .ok_or_else(|| Wrong::new("expected an integer of 64 bits"))
}

/// An integer, signed or not, of 64 bits.
pub(super) fn any_integer(value: &Value) -> Result<i128, Wrong> {
    let unsigned = value.as_u64().map(i128::from);
    unsigned
        .or(value.as_i64().map(i128::from))
        .ok_or_else(|| Wrong::new("expected an integer of 64 bits"))
}

pub(super) fn array(value: &Value) -> Result<&Vec<Value>, Wrong> {
    value
        .as_array()
        .ok_or_else(|| Wrong::new("expected an array"))
}

/// The elements of an array, each made into something.
pub(super) fn each<T>(
    value: &Value,
    mut make: impl FnMut(&Value) -> Result<T, Wrong>,
) -> Result<Vec<T>, Wrong> {
    let mut out = Vec::new();
    for (i, element) in array(value)?.iter().enumerate() {
        out.push(make(element).map_err(|e| e.under(&format!("[{i}]")))?);
    }
    Ok(out)
}
