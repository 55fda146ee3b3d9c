//! Scalars: classes whose values are bits.
//!
//! Invariant: alignments are powers of two, in bits.

use super::field::Encoding;
use super::role::{Role, Roles};

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
