//! The fields of one event: what `trace!` hands to the code that records it.
//!
//! ```text
//!   trace!("shop:order", id, who = name, total = %price)
//!                          │        │           │
//!   ((( (),               u64 ),  &str ),   Formatted )        nested pairs, the last outermost
//! ```
//! An event is measured, reserved and written, in this order. Text is formatted while
//! measuring, into scratch memory on the stack of the code that records (not of the function
//! that holds the callsite). Everything else is passed by value, so that what a slow path
//! might want does not keep the fast path from holding it in registers.
//!
//! Invariant: `write` writes as many bytes as `measure` said, and evaluates nothing.

use std::fmt;

use crate::encode::Encode;
use crate::text::{self, Text};
use crate::types::{Type, Types};
use crate::writer::Writer;

/// A field as `trace!` passes it.
#[doc(hidden)]
pub trait Field: Copy {
    const TYPE: Type;

    /// Memory for text.
    type Scratch: Default;

    /// What is known of the field once it is measured.
    type Measured<'s>: Copy;

    /// How many bytes this field takes.
    fn measure(self, scratch: &mut Self::Scratch) -> (usize, Self::Measured<'_>);

    /// Appends this field.
    fn write(self, measured: Self::Measured<'_>, writer: &mut Writer<'_>);
}

impl<E: Encode + Copy> Field for E {
    const TYPE: Type = E::TYPE;

    type Scratch = ();

    type Measured<'s> = usize;

    #[inline(always)]
    fn measure(self, _scratch: &mut ()) -> (usize, usize) {
        let size = self.size();
        (size, size)
    }

    #[inline(always)]
    fn write(self, size: usize, writer: &mut Writer<'_>) {
        Encode::write(&self, size, writer);
    }
}

/// A field written `%expr` or `?expr`: what `print` makes of the value.
#[doc(hidden)]
pub struct Formatted<'a, T: ?Sized> {
    value: &'a T,
    print: fn(&T, &mut Text),
}

/// What the `Display` of `value` prints.
#[doc(hidden)]
#[inline(always)]
pub fn displayed<T: fmt::Display + ?Sized>(value: &T) -> Formatted<'_, T> {
    Formatted {
        value,
        print: |value, text| text.format(format_args!("{value}")),
    }
}

/// What the `Debug` of `value` prints.
#[doc(hidden)]
#[inline(always)]
pub fn debugged<T: fmt::Debug + ?Sized>(value: &T) -> Formatted<'_, T> {
    Formatted {
        value,
        print: |value, text| text.format(format_args!("{value:?}")),
    }
}

impl<T: ?Sized> Clone for Formatted<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for Formatted<'_, T> {}

impl<T: ?Sized> fmt::Debug for Formatted<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Formatted").finish_non_exhaustive()
    }
}

impl<T: ?Sized> Field for Formatted<'_, T> {
    const TYPE: Type = Type::Str;

    type Scratch = Text;

    type Measured<'s> = &'s Text;

    #[inline(always)]
    fn measure(self, text: &mut Text) -> (usize, &Text) {
        (self.print)(self.value, text);
        (text.size, text)
    }

    #[inline(always)]
    fn write(self, text: &Text, writer: &mut Writer<'_>) {
        text::write(text.as_bytes(), text.size, writer);
    }
}

/// A value on its way to be formatted.
///
/// `(&Held(&value)).__laneway_hold()` is a copy of the value if it can be copied, and a reference
/// to it otherwise. What is borrowed has to be in memory, and not only where it is borrowed:
/// `%count` would cost a function that has `count` in a register a store, whether or not
/// anybody wants the event.
///
/// Method calls prefer the implementation that needs fewer references to the receiver: that of
/// [`HoldCopy`], where it applies.
#[derive(Debug)]
#[doc(hidden)]
pub struct Held<'a, T: ?Sized>(pub &'a T);

/// The way of values that can be copied.
#[doc(hidden)]
pub trait HoldCopy {
    type Held;
    fn __laneway_hold(&self) -> Self::Held;
}

impl<T: Copy> HoldCopy for Held<'_, T> {
    type Held = T;

    #[inline(always)]
    fn __laneway_hold(&self) -> T {
        *self.0
    }
}

/// The way of all others.
#[doc(hidden)]
pub trait HoldReference {
    type Held;
    fn __laneway_hold(&self) -> Self::Held;
}

impl<'a, T: ?Sized> HoldReference for &Held<'a, T> {
    type Held = &'a T;

    #[inline(always)]
    fn __laneway_hold(&self) -> &'a T {
        self.0
    }
}

/// All fields of an event.
#[doc(hidden)]
pub trait Fields: Copy {
    const TYPES: Types;
    type Scratch: Default;
    type Measured<'s>: Copy;
    fn measure(self, scratch: &mut Self::Scratch) -> (usize, Self::Measured<'_>);
    fn write(self, measured: Self::Measured<'_>, writer: &mut Writer<'_>);
}

impl Fields for () {
    const TYPES: Types = Types::None;

    type Scratch = ();

    type Measured<'s> = ();

    #[inline(always)]
    fn measure(self, _scratch: &mut ()) -> (usize, ()) {
        (0, ())
    }

    #[inline(always)]
    fn write(self, _measured: (), _writer: &mut Writer<'_>) {}
}

impl<F: Fields, L: Field> Fields for (F, L) {
    const TYPES: Types = Types::Field {
        before: &F::TYPES,
        ty: &L::TYPE,
    };

    type Scratch = (F::Scratch, L::Scratch);

    type Measured<'s> = (F::Measured<'s>, L::Measured<'s>);

    #[inline(always)]
    fn measure(self, scratch: &mut Self::Scratch) -> (usize, Self::Measured<'_>) {
        let (before, fields) = self.0.measure(&mut scratch.0);
        let (size, last) = self.1.measure(&mut scratch.1);
        (before.saturating_add(size), (fields, last))
    }

    #[inline(always)]
    fn write(self, (fields, last): Self::Measured<'_>, writer: &mut Writer<'_>) {
        self.0.write(fields, writer);
        self.1.write(last, writer);
    }
}
