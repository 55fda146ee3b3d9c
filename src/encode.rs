//! How values become bytes of a record.
//!
//! ```text
//!   u32 7                07 00 00 00                       Some(7_u8)     01 07
//!   "hi"                 68 69 00                          None::<u8>     00
//!   [1_u16, 2]           01 00 02 00                       vec![1_u16]    01 00 00 00 01 00
//! ```
//! Every field is byte-aligned and packed; the layout of each type is that of
//! [`laneway_control::FieldType`]. The trait is sealed, because the size of a record is
//! known before the record is reserved: a type of which two readings differ, or whose
//! `size` is not what it writes, would spoil the records around it. What is implemented
//! here is plain immutable data.
//!
//! Invariant: [`Encode::write`] writes [`Encode::size`] bytes, laid out as [`Encode::TYPE`] says.

mod compound;
mod scalar;
mod structure;
mod textual;

pub use structure::{FieldNames, Struct};

use crate::types::Type;
use crate::writer::Writer;

/// Values that can stand in a record as they are: numbers, text, bytes, and arrays, slices and
/// options of them.
///
/// The trait is sealed. For a type of your own, implement [`Value`](crate::Value): it says as
/// which of these your values appear.
///
/// | Rust | in a trace | bytes |
/// |---|---|---|
/// | `u8` … `u64`, `i8` … `i64`, `usize`, `isize` | integer | 1 to 8 |
/// | `u128`, `i128` | two halves, the low one first | 16 |
/// | `f32`, `f64` | floating point | 4, 8 |
/// | `bool` | `false`, `true` | 1 |
/// | `char`, strings, paths, C strings | text | as UTF-8 (paths: as they are), and a NUL |
/// | slices, arrays and vectors of `u8` | bytes, in hexadecimal | 4, and the bytes |
/// | other arrays | array | its elements |
/// | other slices and vectors | sequence | 4, and its elements |
/// | `Option` | nothing or a value | 1, and the value if there is one |
/// | [`Duration`](std::time::Duration) | nanoseconds | 8 |
/// | pointers | address, in hexadecimal | 8 |
/// | references, `Box`, `Rc`, `Arc`, `Cow`, `NonZero`, `Wrapping` | what is in them | |
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no layout of its own in a trace",
    label = "not a number, text, or an array, slice or option of these",
    note = "elements of slices and results of `Value::repr` are built-in types: see the list at `laneway::Encode`"
)]
pub trait Encode: sealed::Sealed {
    /// The type in the description of the event.
    #[doc(hidden)]
    const TYPE: Type;

    /// Whether a slice of these is shown as bytes and not as numbers.
    #[doc(hidden)]
    const IS_BYTE: bool = false;

    /// How many bytes the value takes.
    #[doc(hidden)]
    fn size(&self) -> usize;

    /// Appends the value, whose size is `size`.
    #[doc(hidden)]
    fn write(&self, size: usize, writer: &mut Writer<'_>);

    /// How many bytes `values` take together.
    #[doc(hidden)]
    #[inline]
    fn size_of_all(values: &[Self]) -> usize
    where
        Self: Sized,
    {
        values
            .iter()
            .fold(0, |sum, value| sum.saturating_add(value.size()))
    }

    /// Appends `values`, one behind the other.
    #[doc(hidden)]
    #[inline]
    fn write_all(values: &[Self], writer: &mut Writer<'_>)
    where
        Self: Sized,
    {
        for value in values {
            value.write(value.size(), writer);
        }
    }
}

pub(crate) mod sealed {
    /// Keeps [`Encode`](super::Encode) to this crate.
    pub trait Sealed {}
}

/// Implements `Encode` and its seal.
macro_rules! encode {
    ([$($generics:tt)*] $ty:ty { $($body:tt)* }) => {
        impl<$($generics)*> $crate::encode::sealed::Sealed for $ty {}
        impl<$($generics)*> $crate::encode::Encode for $ty { $($body)* }
    };
}
use encode;
