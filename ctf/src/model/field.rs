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
use super::location::FieldLocation;
use super::number::{BitArray, Boolean, Float, Integer, Range, VarInteger};
use super::role::Roles;

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
