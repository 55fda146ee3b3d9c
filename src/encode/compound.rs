//! References, options, arrays and slices of what can be encoded.
//!
//! Invariant: nothing here has interior mutability, since no element has.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use super::{Encode, encode};
use crate::types::Type;
use crate::writer::Writer;

/// Bytes of the number in front of a sequence.
const LEN_BYTES: usize = size_of::<u32>();

/// Types that hold a value and appear as it.
macro_rules! transparent {
    ($([$($generics:tt)*] $ty:ty => $inner:ty;)*) => { $(
        encode!([$($generics)*] $ty {
            const TYPE: Type = <$inner>::TYPE;
            const IS_BYTE: bool = <$inner>::IS_BYTE;

            #[inline(always)]
            fn size(&self) -> usize {
                (**self).size()
            }

            #[inline(always)]
            fn write(&self, size: usize, writer: &mut Writer<'_>) {
                (**self).write(size, writer);
            }
        });
    )* };
}
transparent! {
    [T: Encode + ?Sized] &T => T;
    [T: Encode + ?Sized] Box<T> => T;
    [T: Encode + ?Sized] Rc<T> => T;
    [T: Encode + ?Sized] Arc<T> => T;
    [T: Encode + ToOwned + ?Sized] Cow<'_, T> => T;
    [T: Encode] Vec<T> => [T];
}

encode!([T: Encode] Option<T> {
    const TYPE: Type = Type::Optional(&T::TYPE);

    #[inline(always)]
    fn size(&self) -> usize {
        match self {
            Some(value) => value.size().saturating_add(1),
            None => 1,
        }
    }

    #[inline(always)]
    fn write(&self, size: usize, writer: &mut Writer<'_>) {
        writer.put_u8(u8::from(self.is_some()));
        if let Some(value) = self {
            value.write(size - 1, writer);
        }
    }
});

encode!([T: Encode] [T] {
    const TYPE: Type = if T::IS_BYTE { Type::Bytes } else { Type::Sequence(&T::TYPE) };

    #[inline(always)]
    fn size(&self) -> usize {
        T::size_of_all(self).saturating_add(LEN_BYTES)
    }

    #[inline(always)]
    fn write(&self, _size: usize, writer: &mut Writer<'_>) {
        writer.put_len(self.len());
        T::write_all(self, writer);
    }
});

encode!([T: Encode, const N: usize] [T; N] {
    // Bytes have a length in front even where it is known, since that is how they are
    // shown in hexadecimal.
    const TYPE: Type = if T::IS_BYTE { Type::Bytes } else { Type::Array(N as u32, &T::TYPE) };

    #[inline(always)]
    fn size(&self) -> usize {
        let prefix = if T::IS_BYTE { LEN_BYTES } else { 0 };
        T::size_of_all(self).saturating_add(prefix)
    }

    #[inline(always)]
    fn write(&self, _size: usize, writer: &mut Writer<'_>) {
        if T::IS_BYTE {
            writer.put_len(N);
        }
        T::write_all(self, writer);
    }
});
