//! Where a field is that another one depends on.

/// The structures that hold the fields of a packet and an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// The packet header.
    PacketHeader,
    /// The packet context.
    PacketContext,
    /// The event header.
    EventHeader,
    /// The context that all events of a stream class have.
    EventContext,
    /// The context that one event class has.
    OwnContext,
    /// The payload.
    Payload,
}

impl Scope {
    /// All of them, in the order in which they lie in a stream.
    pub const ALL: [Scope; 6] = [
        Scope::PacketHeader,
        Scope::PacketContext,
        Scope::EventHeader,
        Scope::EventContext,
        Scope::OwnContext,
        Scope::Payload,
    ];
}

/// Where a field is that another one depends on: always before that one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldLocation {
    /// The scope that the path begins in; `None`: the structure that holds the depending field.
    pub origin: Option<Scope>,
    /// Names of structure members, from the outside in; `None` leads one structure out. Arrays, variants and
    /// optional fields on the way are passed through, into their current element or option.
    pub path: Vec<Option<String>>,
}

impl FieldLocation {
    /// A field of the same structure.
    #[must_use]
    pub fn sibling(name: impl Into<String>) -> Self {
        FieldLocation {
            origin: None,
            path: vec![Some(name.into())],
        }
    }

    /// The field at this path from the beginning of a scope.
    #[must_use]
    pub fn in_scope<S: Into<String>>(scope: Scope, path: impl IntoIterator<Item = S>) -> Self {
        FieldLocation {
            origin: Some(scope),
            path: path.into_iter().map(|name| Some(name.into())).collect(),
        }
    }
}
