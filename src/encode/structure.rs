//! Structures: named values that are one field together.
//!
//! ```text
//!   Struct<Names, ((((), f64), f64), &str)>       x = 1.0, y = 2.0, label = "home"
//! ```
//! Fields are nested pairs, so that there may be any number of them, and the last is the
//! outermost, so that a macro can add one after the other.
//!
//! Invariant: there are as many names as values.

use std::fmt;
use std::marker::PhantomData;

use super::{Encode, encode};
use crate::types::{Names, Type, Types};
use crate::writer::Writer;

/// The names of the fields of a structure.
#[doc(hidden)]
pub trait FieldNames {
    const NAMES: Names;
}

/// A value of named fields; made by [`value_struct!`](crate::value_struct).
pub struct Struct<N, F> {
    fields: F,
    names: PhantomData<N>,
}

impl<N, F: Copy> Clone for Struct<N, F> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<N, F: Copy> Copy for Struct<N, F> {}

impl<N: FieldNames, F: Pack> Struct<N, F> {
    #[doc(hidden)]
    #[inline(always)]
    pub fn new(fields: F) -> Self {
        const { assert!(N::NAMES.len() == F::LEN) };
        Struct {
            fields,
            names: PhantomData,
        }
    }
}

impl<N: FieldNames, F> fmt::Debug for Struct<N, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(N::NAMES).finish()
    }
}

encode!([N: FieldNames, F: Pack] Struct<N, F> {
    const TYPE: Type = Type::Struct(N::NAMES, &F::TYPES);

    #[inline(always)]
    fn size(&self) -> usize {
        self.fields.size()
    }

    #[inline(always)]
    fn write(&self, _size: usize, writer: &mut Writer<'_>) {
        self.fields.write(writer);
    }
});

/// Nested pairs of values, the last one outermost.
#[doc(hidden)]
pub trait Pack {
    const LEN: usize;
    const TYPES: Types;
    fn size(&self) -> usize;
    fn write(&self, writer: &mut Writer<'_>);
}

impl Pack for () {
    const LEN: usize = 0;
    const TYPES: Types = Types::None;

    #[inline(always)]
    fn size(&self) -> usize {
        0
    }

    #[inline(always)]
    fn write(&self, _writer: &mut Writer<'_>) {}
}

impl<P: Pack, E: Encode> Pack for (P, E) {
    const LEN: usize = P::LEN + 1;
    const TYPES: Types = Types::Field {
        before: &P::TYPES,
        ty: &E::TYPE,
    };

    #[inline(always)]
    fn size(&self) -> usize {
        self.0.size().saturating_add(self.1.size())
    }

    #[inline(always)]
    fn write(&self, writer: &mut Writer<'_>) {
        self.0.write(writer);
        self.1.write(self.1.size(), writer);
    }
}
