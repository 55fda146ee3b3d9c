//! Fields as a tree of values, for whoever would rather have them all at once.
//!
//! Variants and optional fields are replaced by what they hold, an option without fields (which is how TSDL says that an
//! optional field is absent) by nothing; the lengths and tags that other fields carry in front
//! of them (`_items_length`, `_who_tag`) are left out, as the values they belong to say the same.

use super::visit::Visitor;
use crate::model::{BitArray, Integer, Mapping};

/// A decoded field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// An optional field that is not there.
    Nothing,
    /// An unsigned integer, and its label if it is an enumeration that has one for it.
    Unsigned(u64, Option<Box<str>>),
    /// A signed integer, and its label.
    Signed(i64, Option<Box<str>>),
    /// A floating point number.
    Float(f64),
    /// A truth value, see also [`Integer::is_truth`].
    Boolean(bool),
    /// Text: UTF-8 if the producer kept his word.
    Text(Vec<u8>),
    /// Bytes without a meaning.
    Blob(Vec<u8>),
    /// Elements.
    Array(Vec<Value>),
    /// Named values.
    Structure(Vec<(Box<str>, Value)>),
}

impl Value {
    /// The member of this name, if it is a structure that has one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Structure(members) => members
                .iter()
                .find(|(n, _)| **n == *name)
                .map(|(_, value)| value),
            _ => None,
        }
    }
}

/// Whether a field only serves the one behind it.
#[must_use]
pub fn is_helper(name: &str) -> bool {
    name.starts_with('_') && (name.ends_with("_length") || name.ends_with("_tag"))
}

impl Integer {
    /// Whether it is a truth value: an enumeration of `false`, which is 0, and `true`, as TSDL has no other.
    #[must_use]
    pub fn is_truth(&self) -> bool {
        let Some([no, yes]) = self.mappings.as_deref() else {
            return false;
        };
        let has = |mapping: &Mapping, value| mapping.ranges.iter().any(|r| r.contains(value));
        no.label == "false"
            && yes.label == "true"
            && has(no, 0)
            && !has(no, 1)
            && has(yes, 1)
            && !has(yes, 0)
    }
}

/// Builds a [`Value`] of the fields it is shown.
#[derive(Default)]
pub struct ValueBuilder {
    open: Vec<Open>,
    done: Option<Value>,
}

enum Open {
    Structure(Vec<(Box<str>, Value)>, Box<str>),
    Array(Vec<Value>),
    /// Whether it is one of several.
    Option(bool),
}

impl ValueBuilder {
    /// A builder that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        ValueBuilder::default()
    }

    /// What it has seen; an empty structure if that was nothing.
    #[must_use]
    pub fn finish(self) -> Value {
        self.done.unwrap_or(Value::Structure(Vec::new()))
    }

    fn put(&mut self, value: Value) {
        match self.open.last_mut() {
            None => self.done = Some(value),
            Some(Open::Structure(members, name)) if !is_helper(name) => {
                members.push((name.clone(), value))
            }
            Some(Open::Array(elements)) => elements.push(value),
            Some(Open::Structure(..)) => {}
            // The option's place is taken by what it holds.
            Some(Open::Option(_)) => self.done = Some(value),
        }
    }
}

/// The first label of an enumeration that stands for `value`.
fn label(value: i128, class: &Integer) -> Option<Box<str>> {
    let mut mappings = class.mappings.iter().flatten();
    let found = mappings.find(|mapping| mapping.ranges.iter().any(|range| range.contains(value)));
    found.map(|mapping| mapping.label.as_str().into())
}

impl Visitor for ValueBuilder {
    fn structure(&mut self, members: usize) {
        self.open
            .push(Open::Structure(Vec::with_capacity(members), "".into()));
    }

    fn member(&mut self, _: usize, name: &str) {
        if let Some(Open::Structure(_, last)) = self.open.last_mut() {
            *last = name.into();
        }
    }

    fn array(&mut self, _: u64) {
        self.open.push(Open::Array(Vec::new()));
    }

    fn option(&mut self, name: Option<&str>) {
        self.open.push(Open::Option(name.is_some()));
    }

    fn end(&mut self) {
        let value = match self.open.pop() {
            Some(Open::Structure(members, _)) => Value::Structure(members),
            Some(Open::Array(elements)) => Value::Array(elements),
            Some(Open::Option(named)) => match self.done.take() {
                Some(Value::Structure(members)) if named && members.is_empty() => Value::Nothing,
                Some(value) => value,
                None => return,
            },
            None => return,
        };
        self.put(value);
    }

    fn nothing(&mut self) {
        self.put(Value::Nothing);
    }

    fn unsigned(&mut self, value: u64, class: &Integer) {
        if class.is_truth() {
            return self.put(Value::Boolean(value != 0));
        }
        let label = label(i128::from(value), class);
        self.put(Value::Unsigned(value, label));
    }

    fn signed(&mut self, value: i64, class: &Integer) {
        let label = label(i128::from(value), class);
        self.put(Value::Signed(value, label));
    }

    fn float(&mut self, value: f64, _: bool) {
        self.put(Value::Float(value));
    }

    fn boolean(&mut self, value: bool) {
        self.put(Value::Boolean(value));
    }

    fn bits(&mut self, value: u64, _: &BitArray) {
        self.put(Value::Unsigned(value, None));
    }

    fn text(&mut self, text: &[u8]) {
        self.put(Value::Text(text.to_owned()));
    }

    fn blob(&mut self, bytes: &[u8]) {
        self.put(Value::Blob(bytes.to_owned()));
    }
}
