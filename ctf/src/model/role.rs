//! What the format itself uses a field for.

/// What the trace format itself uses a field for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Role {
    /// Packet header: the constant `0xC1FC1FC1`.
    PacketMagic = 1 << 0,
    /// Packet header: which stream class the packet belongs to.
    StreamClassId = 1 << 1,
    /// Packet header: which stream of that class.
    StreamId = 1 << 2,
    /// Packet header: the UUID of the trace.
    TraceUuid = 1 << 3,
    /// A reading of the stream's clock. In a packet context: when the packet began.
    Timestamp = 1 << 4,
    /// Packet context: a reading of the stream's clock when the packet ended.
    PacketEnd = 1 << 5,
    /// Packet context: bits from the packet's begin to the end of its last event.
    ContentSize = 1 << 6,
    /// Packet context: bits from the packet's begin to the next packet's.
    PacketSize = 1 << 7,
    /// Packet context: how many packets the stream had before this one.
    SequenceNumber = 1 << 8,
    /// Packet context: events lost in this stream up to the end of this packet.
    EventsDiscarded = 1 << 9,
    /// Event header: which event class the event is of.
    EventClassId = 1 << 10,
}

/// A set of [`Role`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Roles(u16);

impl Roles {
    /// No role.
    pub const NONE: Roles = Roles(0);

    /// Whether `role` is among them.
    #[must_use]
    pub fn has(self, role: Role) -> bool {
        self.0 & role as u16 != 0
    }

    /// Adds a role.
    pub fn insert(&mut self, role: Role) {
        self.0 |= role as u16;
    }

    /// Takes a role away.
    pub fn remove(&mut self, role: Role) {
        self.0 &= !(role as u16);
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl From<Role> for Roles {
    fn from(role: Role) -> Self {
        Roles(role as u16)
    }
}
