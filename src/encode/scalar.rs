//! Numbers, `bool`, `char`, durations and addresses.
//!
//! Invariant: the sizes here are constants, but for `char`; an optimiser leaves one store
//! of each value.

use std::num::{NonZero, Wrapping};
use std::ptr::NonNull;
use std::time::Duration;

use super::encode;
use crate::text;
use crate::types::Type;
use crate::writer::Writer;

/// Types whose bytes in memory are their bytes in a record.
macro_rules! plain {
    ($($ty:ty => $type:expr, $is_byte:expr;)*) => { $(
        encode!([] $ty {
            const TYPE: Type = $type;
            const IS_BYTE: bool = $is_byte;

            #[inline(always)]
            fn size(&self) -> usize {
                size_of::<$ty>()
            }

            #[inline(always)]
            fn write(&self, _size: usize, writer: &mut Writer<'_>) {
                writer.put_plain(std::slice::from_ref(self));
            }

            #[inline(always)]
            fn size_of_all(values: &[Self]) -> usize {
                size_of_val(values)
            }

            #[inline(always)]
            fn write_all(values: &[Self], writer: &mut Writer<'_>) {
                writer.put_plain(values);
            }
        });
    )* };
}
plain! {
    u8 => Type::Unsigned(8), true;
    u16 => Type::Unsigned(16), false;
    u32 => Type::Unsigned(32), false;
    u64 => Type::Unsigned(64), false;
    usize => Type::Unsigned(usize::BITS as u8), false;
    i8 => Type::Signed(8), false;
    i16 => Type::Signed(16), false;
    i32 => Type::Signed(32), false;
    i64 => Type::Signed(64), false;
    isize => Type::Signed(isize::BITS as u8), false;
    f32 => Type::F32, false;
    f64 => Type::F64, false;
    bool => Type::Bool, false;
}

/// Types that appear as another one.
macro_rules! as_another {
    ($([$($generics:tt)*] $ty:ty => $other:ty, $type:expr, |$value:ident| $expr:expr;)*) => { $(
        encode!([$($generics)*] $ty {
            const TYPE: Type = $type;
            const IS_BYTE: bool = <$other as super::Encode>::IS_BYTE;

            #[inline(always)]
            fn size(&self) -> usize {
                size_of::<$other>()
            }

            #[inline(always)]
            fn write(&self, _size: usize, writer: &mut Writer<'_>) {
                let $value = self;
                let plain: $other = $expr;
                plain.write(size_of::<$other>(), writer);
            }
        });
    )* };
}
use super::Encode;

macro_rules! wrapped_integers {
    ($($ty:ty)*) => { $(
        as_another! {
            [] NonZero<$ty> => $ty, <$ty as Encode>::TYPE, |value| value.get();
            [] Wrapping<$ty> => $ty, <$ty as Encode>::TYPE, |value| value.0;
        }
    )* };
}
wrapped_integers!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

as_another! {
    [] Duration => u64, Type::Duration, |value| u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
    [T: ?Sized] *const T => u64, Type::Pointer, |value| value.addr() as u64;
    [T: ?Sized] *mut T => u64, Type::Pointer, |value| value.addr() as u64;
    [T: ?Sized] NonNull<T> => u64, Type::Pointer, |value| value.addr().get() as u64;
}

/// 128 bits as two halves, the low one first, each in the byte order of the machine.
macro_rules! halves {
    ($($ty:ty => $type:expr;)*) => { $(
        encode!([] $ty {
            const TYPE: Type = $type;

            #[inline(always)]
            fn size(&self) -> usize {
                16
            }

            #[inline(always)]
            fn write(&self, _size: usize, writer: &mut Writer<'_>) {
                writer.put_plain(&[*self as u64, (*self >> 64) as u64]);
            }
        });
    )* };
}
halves! {
    u128 => Type::Unsigned(128);
    i128 => Type::Signed(128);
}

encode!([] char {
    const TYPE: Type = Type::Char;

    #[inline]
    fn size(&self) -> usize {
        let mut utf8 = [0; 4];
        text::size(self.encode_utf8(&mut utf8).as_bytes())
    }

    #[inline]
    fn write(&self, size: usize, writer: &mut Writer<'_>) {
        let mut utf8 = [0; 4];
        text::write(self.encode_utf8(&mut utf8).as_bytes(), size, writer);
    }
});
