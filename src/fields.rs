//! The fields of one event: what `trace!` hands to the code that records it.
//!
//! ```text
//!   trace!("shop:order", id, who = name, total = %price)
//!                          │        │           │
//!   ((( (),               u64 ),  &str ),   Displayed )        nested pairs, the last outermost
//! ```
//! An event is measured, reserved and written, in this order. Text is formatted while
//! measuring, into scratch memory on the stack of the code that records (not of the
//! function that holds the callsite); what another field was measured to be is kept there
//! too.
//!
//! Invariant: `write` writes as many bytes as `measure` said, and evaluates nothing.

use std::fmt;

use crate::encode::Encode;
use crate::text::{self, Text};
use crate::types::{Type, Types};
use crate::writer::Writer;

/// A field as `trace!` passes it.
#[doc(hidden)]
pub trait Field {
    const TYPE: Type;

    /// What is kept between measuring and writing.
    type Scratch: Default;

    /// How many bytes this field takes.
    fn measure(&self, scratch: &mut Self::Scratch) -> usize;

    /// Appends this field.
    fn write(&self, scratch: &Self::Scratch, writer: &mut Writer<'_>);
}

impl<E: Encode> Field for E {
    const TYPE: Type = E::TYPE;

    type Scratch = usize;

    #[inline(always)]
    fn measure(&self, size: &mut usize) -> usize {
        *size = self.size();
        *size
    }

    #[inline(always)]
    fn write(&self, size: &usize, writer: &mut Writer<'_>) {
        Encode::write(self, *size, writer);
    }
}

/// A field written `%expr`: what its `Display` prints.
#[derive(Debug)]
#[doc(hidden)]
pub struct Displayed<'a, T: ?Sized>(pub &'a T);

/// A field written `?expr`: what its `Debug` prints.
#[derive(Debug)]
#[doc(hidden)]
pub struct Debugged<'a, T: ?Sized>(pub &'a T);

macro_rules! formatted {
    ($($ty:ident: $trait:ident $format:literal;)*) => { $(
        impl<T: fmt::$trait + ?Sized> Field for $ty<'_, T> {
            const TYPE: Type = Type::Str;

            type Scratch = Text;

            #[inline(always)]
            fn measure(&self, text: &mut Text) -> usize {
                text.format(format_args!($format, self.0));
                text.size
            }

            #[inline(always)]
            fn write(&self, text: &Text, writer: &mut Writer<'_>) {
                text::write(text.as_bytes(), text.size, writer);
            }
        }
    )* };
}
formatted! {
    Displayed: Display "{}";
    Debugged: Debug "{:?}";
}

/// All fields of an event.
#[doc(hidden)]
pub trait Fields {
    const TYPES: Types;
    type Scratch: Default;
    fn measure(&self, scratch: &mut Self::Scratch) -> usize;
    fn write(&self, scratch: &Self::Scratch, writer: &mut Writer<'_>);
}

impl Fields for () {
    const TYPES: Types = Types::None;

    type Scratch = ();

    #[inline(always)]
    fn measure(&self, _scratch: &mut ()) -> usize {
        0
    }

    #[inline(always)]
    fn write(&self, _scratch: &(), _writer: &mut Writer<'_>) {}
}

impl<F: Fields, L: Field> Fields for (F, L) {
    const TYPES: Types = Types::Field {
        before: &F::TYPES,
        ty: &L::TYPE,
    };

    type Scratch = (F::Scratch, L::Scratch);

    #[inline(always)]
    fn measure(&self, scratch: &mut Self::Scratch) -> usize {
        let before = self.0.measure(&mut scratch.0);
        before.saturating_add(self.1.measure(&mut scratch.1))
    }

    #[inline(always)]
    fn write(&self, scratch: &Self::Scratch, writer: &mut Writer<'_>) {
        self.0.write(&scratch.0, writer);
        self.1.write(&scratch.1, writer);
    }
}
