//! Field classes: how a value lies in a stream, and what it means.
//!
//! ```text
//!  scalars    Integer (mappings: enumeration)  VarInteger  BitArray  Boolean  Float
//!  bytes      String (NUL-terminated)  Text  Blob            ┐ length: Fixed, or in
//!  compounds  Structure  Array                               ┘ another field
//!             Variant  Optional                                chosen by another field
//! ```
//!
//! A class that depends on another field names it by a [`FieldLocation`].
//!
//! Invariant: alignments are powers of two, in bits.

use super::Attributes;

/// How one value lies in a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldClass {
    /// An integer of a fixed number of bits; with mappings, an enumeration.
    Integer(Integer),
    /// CTF 2: an integer in LEB128.
    VarInteger(VarInteger),
    /// CTF 2: bits that are not a number; with flags, a bit map.
    BitArray(BitArray),
    /// CTF 2: false if all bits are 0.
    Boolean(Boolean),
    /// An IEEE 754 binary floating point number.
    Float(Float),
    /// Text that ends with a NUL.
    String(StringClass),
    /// Text of a known length, cut at its first NUL. In TSDL an array or sequence of 8-bit characters.
    Text(Text),
    /// CTF 2: bytes without a meaning.
    Blob(Blob),
    /// Elements of one class, one behind the other.
    Array(Array),
    /// Named fields, one behind the other.
    Structure(Structure),
    /// One of several classes.
    Variant(Variant),
    /// A field, or nothing. In TSDL a variant whose other option is an empty structure.
    Optional(Optional),
}

/// The most bits that a number may have.
pub(crate) const MAX_BITS: u32 = 4096;

/// Which byte of a number comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// The least significant.
    Little,
    /// The most significant.
    Big,
}

impl Default for ByteOrder {
    /// The byte order of this machine.
    fn default() -> Self {
        if cfg!(target_endian = "big") {
            ByteOrder::Big
        } else {
            ByteOrder::Little
        }
    }
}

/// The base to show an integer in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Base {
    /// 2.
    Binary,
    /// 8.
    Octal,
    /// 10.
    #[default]
    Decimal,
    /// 16.
    Hexadecimal,
}

/// How text is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// UTF-8.
    #[default]
    Utf8,
    /// TSDL: ASCII.
    Ascii,
    /// CTF 2: UTF-16, big-endian.
    Utf16Be,
    /// CTF 2: UTF-16, little-endian.
    Utf16Le,
    /// CTF 2: UTF-32, big-endian.
    Utf32Be,
    /// CTF 2: UTF-32, little-endian.
    Utf32Le,
}

impl Encoding {
    /// Whether a byte is a unit of it.
    pub(crate) fn is_bytes(self) -> bool {
        matches!(self, Encoding::Utf8 | Encoding::Ascii)
    }
}

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

/// Values from `low` to `high`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Range {
    /// The lowest.
    pub low: i128,
    /// The highest.
    pub high: i128,
}

impl Range {
    /// The range from `low` to `high`, both included.
    #[must_use]
    pub fn new(low: i128, high: i128) -> Self {
        Range { low, high }
    }

    /// Whether `value` is in it.
    #[must_use]
    pub fn contains(self, value: i128) -> bool {
        self.low <= value && value <= self.high
    }
}

/// A label and the values it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The label.
    pub label: String,
    /// The values, as ranges that may touch and overlap.
    pub ranges: Vec<Range>,
}

/// The labels of an enumeration, in order.
pub type Mappings = Vec<Mapping>;

/// The flags of a bit map: a label and the bits (0 is the least significant) that carry it.
pub type Flags = Vec<Mapping>;

/// An integer of a fixed number of bits.
#[derive(Clone, Debug, PartialEq)]
pub struct Integer {
    /// Width in bits, 1 to 4096. Those of more than 64 have no labels and no role, and nothing depends on them.
    pub bits: u32,
    /// Alignment in bits.
    pub align: u32,
    /// Byte order.
    pub order: ByteOrder,
    /// CTF 2: bits are taken from the other end of each byte than the byte order suggests.
    pub reversed: bool,
    /// Whether it is a two's complement number.
    pub signed: bool,
    /// The base to show it in.
    pub base: Base,
    /// TSDL: it is a character of this encoding.
    pub encoding: Option<Encoding>,
    /// It is an enumeration with these labels.
    pub mappings: Option<Mappings>,
    /// What the format uses it for.
    pub roles: Roles,
    /// TSDL: the clock it is a reading of, if that is not the clock of its stream.
    pub clock: Option<String>,
}

impl Integer {
    /// An unsigned integer of whole bytes in this machine's byte order, byte-aligned, decimal.
    #[must_use]
    pub fn unsigned(bits: u32) -> Self {
        Integer {
            bits,
            align: 8,
            order: ByteOrder::default(),
            reversed: false,
            signed: false,
            base: Base::Decimal,
            encoding: None,
            mappings: None,
            roles: Roles::NONE,
            clock: None,
        }
    }

    /// The signed sibling of [`unsigned`](Self::unsigned).
    #[must_use]
    pub fn signed(bits: u32) -> Self {
        Integer {
            signed: true,
            ..Integer::unsigned(bits)
        }
    }

    /// The same, shown in hexadecimal.
    #[must_use]
    pub fn hex(self) -> Self {
        Integer {
            base: Base::Hexadecimal,
            ..self
        }
    }

    /// The same with a role.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.roles.insert(role);
        self
    }

    /// The same with one more label, for the values from `low` to `high`.
    #[must_use]
    pub fn label(mut self, label: &str, low: i128, high: i128) -> Self {
        self.mappings.get_or_insert_default().push(Mapping {
            label: label.to_owned(),
            ranges: vec![Range::new(low, high)],
        });
        self
    }
}

/// An integer in LEB128: 7 bits per byte, least significant first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VarInteger {
    /// Whether it is signed.
    pub signed: bool,
    /// The base to show it in.
    pub base: Base,
    /// It is an enumeration with these labels.
    pub mappings: Option<Mappings>,
    /// What the format uses it for.
    pub roles: Roles,
}

/// A fixed number of bits that are not a number.
#[derive(Clone, Debug, PartialEq)]
pub struct BitArray {
    /// Width in bits, 1 to 4096.
    pub bits: u32,
    /// Alignment in bits.
    pub align: u32,
    /// Byte order.
    pub order: ByteOrder,
    /// Bits are taken from the other end of each byte than the byte order suggests.
    pub reversed: bool,
    /// It is a bit map with these flags.
    pub flags: Option<Flags>,
}

/// False if all bits are 0, else true.
#[derive(Clone, Debug, PartialEq)]
pub struct Boolean {
    /// Width in bits, 1 to 64.
    pub bits: u32,
    /// Alignment in bits.
    pub align: u32,
    /// Byte order.
    pub order: ByteOrder,
    /// Bits are taken from the other end of each byte than the byte order suggests.
    pub reversed: bool,
}

/// An IEEE 754 binary floating point number.
#[derive(Clone, Debug, PartialEq)]
pub struct Float {
    /// Width in bits: 16, 32, 64 or 128 (shown as the nearest number of 64 bits). Others are refused.
    pub bits: u32,
    /// Alignment in bits.
    pub align: u32,
    /// Byte order.
    pub order: ByteOrder,
    /// Bits are taken from the other end of each byte than the byte order suggests.
    pub reversed: bool,
}

impl Float {
    /// A byte-aligned number of 32 or 64 bits in this machine's byte order.
    #[must_use]
    pub fn new(bits: u32) -> Self {
        Float {
            bits,
            align: 8,
            order: ByteOrder::default(),
            reversed: false,
        }
    }
}

/// Text that ends with a NUL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StringClass {
    /// How it is encoded.
    pub encoding: Encoding,
}

/// How many elements or bytes there are.
#[derive(Clone, Debug, PartialEq)]
pub enum Length {
    /// Always this many.
    Fixed(u64),
    /// As many as an unsigned integer field before it says.
    Field(FieldLocation),
}

/// Text of a known length in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// How many bytes.
    pub length: Length,
    /// How it is encoded.
    pub encoding: Encoding,
}

/// Bytes without a meaning to the format.
#[derive(Clone, Debug, PartialEq)]
pub struct Blob {
    /// How many bytes.
    pub length: Length,
    /// The IANA media type of the bytes.
    pub media_type: Option<String>,
    /// What the format uses it for.
    pub roles: Roles,
}

/// Elements of one class, one behind the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// How many.
    pub length: Length,
    /// The class of each.
    pub element: Box<FieldClass>,
    /// The least alignment of the first element, in bits.
    pub align: u32,
}

/// Named fields, one behind the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Structure {
    /// The fields.
    pub fields: Vec<Field>,
    /// The least alignment, in bits; that of a field may be greater.
    pub align: u32,
}

impl Default for Structure {
    fn default() -> Self {
        Structure {
            fields: Vec::new(),
            align: 1,
        }
    }
}

impl Structure {
    /// A structure without fields.
    #[must_use]
    pub fn new() -> Self {
        Structure::default()
    }

    /// Appends a field.
    pub fn push(&mut self, name: impl Into<String>, class: impl Into<FieldClass>) {
        self.fields.push(Field::new(name, class));
    }

    /// The same with one more field.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, class: impl Into<FieldClass>) -> Self {
        self.push(name, class);
        self
    }

    /// The class of the field of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&FieldClass> {
        let field = self.fields.iter().find(|field| field.name == name);
        field.map(|field| &field.class)
    }
}

/// A named field of a structure.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// How its value lies.
    pub class: FieldClass,
    /// CTF 2: user attributes of the member.
    pub attributes: Attributes,
    /// CTF 2: user attributes of its class.
    pub class_attributes: Attributes,
}

impl Field {
    /// A field of this name and class.
    #[must_use]
    pub fn new(name: impl Into<String>, class: impl Into<FieldClass>) -> Self {
        Field {
            name: name.into(),
            class: class.into(),
            attributes: None,
            class_attributes: None,
        }
    }
}

/// One of several classes, chosen by an integer field before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// The field that chooses.
    pub selector: FieldLocation,
    /// The classes to choose from.
    pub options: Vec<VariantOption>,
}

/// A class that a variant may be of.
#[derive(Clone, Debug, PartialEq)]
pub struct VariantOption {
    /// Its name; in TSDL a label of the selecting enumeration.
    pub name: Option<String>,
    /// How the value lies.
    pub class: FieldClass,
    /// The values of the selector that choose it.
    pub ranges: Vec<Range>,
    /// CTF 2: user attributes.
    pub attributes: Attributes,
}

/// A field, or nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Optional {
    /// What says whether there is one.
    pub selector: Selector,
    /// How the value lies.
    pub class: Box<FieldClass>,
}

/// When an optional field is there.
#[derive(Clone, Debug, PartialEq)]
pub enum Selector {
    /// If the boolean field there is true.
    Boolean(FieldLocation),
    /// If the integer field there is in one of these ranges.
    Integer(FieldLocation, Vec<Range>),
}

impl Selector {
    /// Where the selecting field is.
    #[must_use]
    pub fn location(&self) -> &FieldLocation {
        match self {
            Selector::Boolean(location) | Selector::Integer(location, _) => location,
        }
    }
}

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

macro_rules! class_from {
    ($($class:ident($of:ty)),* $(,)?) => {$(
        impl From<$of> for FieldClass {
            fn from(class: $of) -> Self {
                FieldClass::$class(class)
            }
        }
    )*};
}

class_from! {
    Integer(Integer), VarInteger(VarInteger), BitArray(BitArray), Boolean(Boolean), Float(Float),
    String(StringClass), Text(Text), Blob(Blob), Array(Array), Structure(Structure),
    Variant(Variant), Optional(Optional),
}

impl FieldClass {
    /// The alignment of the field's first bit, in bits: a compound's is that of its most demanding part. A variant
    /// or optional field has none of its own: what it turns out to hold aligns itself.
    #[must_use]
    pub fn align(&self) -> u32 {
        match self {
            FieldClass::Integer(class) => class.align,
            FieldClass::BitArray(class) => class.align,
            FieldClass::Boolean(class) => class.align,
            FieldClass::Float(class) => class.align,
            FieldClass::VarInteger(_)
            | FieldClass::String(_)
            | FieldClass::Text(_)
            | FieldClass::Blob(_) => 8,
            FieldClass::Array(class) => class.align.max(class.element.align()),
            FieldClass::Structure(class) => class.align(),
            FieldClass::Variant(_) | FieldClass::Optional(_) => 1,
        }
    }
}

impl Structure {
    /// The alignment of its first bit, in bits.
    #[must_use]
    pub fn align(&self) -> u32 {
        let fields = self.fields.iter().map(|field| field.class.align());
        fields.fold(self.align, u32::max)
    }
}
