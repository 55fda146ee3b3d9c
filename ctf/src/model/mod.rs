//! What a trace is made of: classes, as the CTF specifications call them.
//!
//! ```text
//!  TraceClass ── environment, clocks, packet header
//!    └─ StreamClass ── packet context, event header, common event context
//!         └─ EventClass ── own context, payload
//! ```
//!
//! One model for both formats: it says what CTF 1.8 (TSDL) and CTF 2 (JSON) say, in the terms of CTF 2 where they
//! differ. A trace class is built by hand to be written, or read from a trace's metadata.
//!
//! Invariant: nothing here is checked on its own; metadata readers check what they read, and a
//! reader checks what it is given before it decodes a byte.

mod clock;
mod field;
mod location;
mod number;
mod role;
mod shape;
mod timing;
mod uuid;

pub use clock::{ClockClass, ClockOrigin};
pub use field::{
    Array, Blob, Encoding, Field, FieldClass, Length, Optional, Selector, StringClass, Structure,
    Text, Variant, VariantOption,
};
pub use location::{FieldLocation, Scope};
pub(crate) use number::MAX_BITS;
pub use number::{
    Base, BitArray, Boolean, ByteOrder, Flags, Float, Integer, Mapping, Mappings, Range, VarInteger,
};
pub use role::{Role, Roles};
pub use shape::Shape;
pub(crate) use timing::Timing;
pub use uuid::{NotAUuid, Uuid};

/// User attributes of a CTF 2 object: JSON, kept as it is.
pub type Attributes = Option<Box<serde_json::Map<String, serde_json::Value>>>;

/// Everything the metadata of one trace says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TraceClass {
    /// The identity of the trace, repeated in every packet header. CTF 2: the metadata stream UUID.
    pub uuid: Option<Uuid>,
    /// CTF 2: the namespace of the trace's name.
    pub namespace: Option<String>,
    /// CTF 2: the name of the trace.
    pub name: Option<String>,
    /// CTF 2: the unique id of the trace within namespace and name.
    pub uid: Option<String>,
    /// TSDL: the byte order of fields that do not state their own.
    pub byte_order: ByteOrder,
    /// Facts about where and how the trace was made, in order.
    pub environment: Vec<(String, EnvValue)>,
    /// What begins every packet.
    pub packet_header: Option<Structure>,
    /// The clocks that timestamps refer to.
    pub clocks: Vec<ClockClass>,
    /// The stream classes.
    pub streams: Vec<StreamClass>,
    /// CTF 2: user attributes of the trace class.
    pub attributes: Attributes,
}

impl TraceClass {
    /// A trace class of this identity and nothing else, in the byte order of this machine.
    #[must_use]
    pub fn new(uuid: Uuid) -> Self {
        TraceClass {
            uuid: Some(uuid),
            ..TraceClass::default()
        }
    }

    /// Adds a fact to the environment, or replaces the one of that name.
    pub fn set_env(&mut self, name: &str, value: impl Into<EnvValue>) {
        let value = value.into();
        match self.environment.iter_mut().find(|(n, _)| n == name) {
            Some(entry) => entry.1 = value,
            None => self.environment.push((name.to_owned(), value)),
        }
    }

    /// The value of an environment entry.
    #[must_use]
    pub fn env(&self, name: &str) -> Option<&EnvValue> {
        let entry = self.environment.iter().find(|(n, _)| n == name);
        entry.map(|(_, value)| value)
    }

    /// The stream class of this id.
    #[must_use]
    pub fn stream(&self, id: u64) -> Option<&StreamClass> {
        self.streams.iter().find(|stream| stream.id == id)
    }

    /// The clock of this name.
    #[must_use]
    pub fn clock(&self, name: &str) -> Option<&ClockClass> {
        self.clocks.iter().find(|clock| clock.name == name)
    }
}

/// A kind of stream: how its packets and events begin, and which events it can hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamClass {
    /// The number that packet headers name it by.
    pub id: u64,
    /// CTF 2: the namespace of its name.
    pub namespace: Option<String>,
    /// CTF 2: its name.
    pub name: Option<String>,
    /// CTF 2: its unique id within namespace and name.
    pub uid: Option<String>,
    /// The name of the clock that its timestamps are readings of.
    pub clock: Option<String>,
    /// What follows the packet header.
    pub packet_context: Option<Structure>,
    /// What begins every event.
    pub event_header: Option<Structure>,
    /// What follows the header of every event.
    pub event_context: Option<Structure>,
    /// The event classes.
    pub events: Vec<EventClass>,
    /// CTF 2: user attributes.
    pub attributes: Attributes,
}

/// A kind of event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventClass {
    /// The number that event headers name it by.
    pub id: u64,
    /// CTF 2: the namespace of its name.
    pub namespace: Option<String>,
    /// Its name, such as `shop:order`.
    pub name: Option<String>,
    /// CTF 2: its unique id within namespace and name.
    pub uid: Option<String>,
    /// How important it is, on LTTng's scale from 0 (emergency) to 14 (debug).
    pub log_level: Option<i64>,
    /// A link to a model of what the event means (Eclipse Modeling Framework).
    pub emf_uri: Option<String>,
    /// The context that only this event class has.
    pub context: Option<Structure>,
    /// Its fields.
    pub payload: Option<Structure>,
    /// CTF 2: user attributes.
    pub attributes: Attributes,
}

impl EventClass {
    /// An event class of this id and name with these fields.
    #[must_use]
    pub fn new(id: u64, name: impl Into<String>, payload: Structure) -> Self {
        EventClass {
            id,
            name: Some(name.into()),
            payload: Some(payload),
            ..EventClass::default()
        }
    }

    /// The same with a log level.
    #[must_use]
    pub fn with_log_level(mut self, level: i64) -> Self {
        self.log_level = Some(level);
        self
    }
}

/// The value of an environment entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvValue {
    /// A number.
    Integer(i64),
    /// A text.
    Text(String),
}

impl From<i64> for EnvValue {
    fn from(value: i64) -> Self {
        EnvValue::Integer(value)
    }
}

impl From<&str> for EnvValue {
    fn from(value: &str) -> Self {
        EnvValue::Text(value.to_owned())
    }
}

impl From<String> for EnvValue {
    fn from(value: String) -> Self {
        EnvValue::Text(value)
    }
}
