//! What `trace!` accepts as a field.
//!
//! ```text
//!   String ─┐                              ┌─ u64 ◀── NonZero<u64>, AtomicU64, &u64, Arc<u64>
//!   Cow ────┼─▶ &str ─▶ Encode ─▶ record ◀─┤
//!   Box<str>┘                              └─ Struct ◀── your type, by `repr`
//! ```
//! A field is read once, by [`Value::repr`], when its event is enabled: into a built-in
//! type that borrows from it. So callsites with a `String` and with a `&str` share code,
//! and a user's type is never asked for its size and its bytes apart.
//!
//! Invariant: `repr` is called once for each field of an enabled event, in the order of the fields.

use std::borrow::Cow;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::num::{NonZero, Wrapping};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{self, Ordering};
use std::time::Duration;

use crate::encode::Encode;

/// A type whose values can be fields of events.
///
/// Implement it for your own types by saying as what they appear:
///
/// ```
/// enum Method { Get, Post }
///
/// impl laneway::Value for Method {
///     type Repr<'a> = &'static str;
///
///     fn repr(&self) -> &'static str {
///         match self {
///             Method::Get => "GET",
///             Method::Post => "POST",
///         }
///     }
/// }
///
/// struct OrderId(u64);
///
/// impl laneway::Value for OrderId {
///     type Repr<'a> = u64;
///
///     fn repr(&self) -> u64 {
///         self.0
///     }
/// }
///
/// let (method, order) = (Method::Get, OrderId(7));
/// laneway::trace!("shop:request", method, order, next = None::<OrderId>);
/// ```
///
/// A structure of several fields is written with [`value_struct!`](crate::value_struct).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of an event",
    label = "not a type that `trace!` knows",
    note = "write `name = %expr` or `name = ?expr` to record what its `Display` or `Debug` prints",
    note = "or implement `laneway::Value` for it, to record it as a number, as text or as a structure"
)]
pub trait Value {
    /// As what values of this type appear in a trace: something small, or a reference.
    type Repr<'a>: Encode + Copy
    where
        Self: 'a;

    /// This value, as it appears in a trace.
    fn repr(&self) -> Self::Repr<'_>;
}

/// Types that are copied.
macro_rules! copied {
    ($([$($generics:tt)*] $ty:ty)*) => { $(
        impl<$($generics)*> Value for $ty {
            type Repr<'a> = $ty where Self: 'a;

            #[inline(always)]
            fn repr(&self) -> $ty {
                *self
            }
        }
    )* };
}
copied!([] u8 [] u16 [] u32 [] u64 [] u128 [] usize);
copied!([] i8 [] i16 [] i32 [] i64 [] i128 [] isize);
copied!([] f32 [] f64 [] bool [] char [] Duration);
copied!([T: ?Sized] *const T [T: ?Sized] *mut T [T: ?Sized] NonNull<T>);

/// Types that become a simpler one.
macro_rules! becomes {
    ($($ty:ty => $repr:ty, |$value:ident| $expr:expr;)*) => { $(
        impl Value for $ty {
            type Repr<'a> = $repr;

            #[inline(always)]
            fn repr(&self) -> $repr {
                let $value = self;
                $expr
            }
        }
    )* };
}

macro_rules! integers {
    ($($ty:ty)*) => { $(
        becomes! {
            NonZero<$ty> => $ty, |value| value.get();
            Wrapping<$ty> => $ty, |value| value.0;
        }
    )* };
}
integers!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

macro_rules! atomics {
    ($($width:literal $atomic:ident $ty:ty;)*) => { $(
        #[cfg(target_has_atomic = $width)]
        becomes!(atomic::$atomic => $ty, |value| value.load(Ordering::Relaxed););
    )* };
}
atomics! {
    "8" AtomicBool bool;
    "8" AtomicU8 u8;
    "8" AtomicI8 i8;
    "16" AtomicU16 u16;
    "16" AtomicI16 i16;
    "32" AtomicU32 u32;
    "32" AtomicI32 i32;
    "64" AtomicU64 u64;
    "64" AtomicI64 i64;
    "ptr" AtomicUsize usize;
    "ptr" AtomicIsize isize;
}

/// Types that are borrowed, as what they dereference to.
macro_rules! borrowed {
    ($([$($generics:tt)*] $ty:ty => $repr:ty;)*) => { $(
        impl<$($generics)*> Value for $ty {
            type Repr<'a> = &'a $repr where Self: 'a;

            #[inline(always)]
            fn repr(&self) -> &$repr {
                self
            }
        }
    )* };
}
borrowed! {
    [] str => str;
    [] String => str;
    [] OsStr => OsStr;
    [] OsString => OsStr;
    [] Path => Path;
    [] PathBuf => Path;
    [] CStr => CStr;
    [] CString => CStr;
    [T: Encode] [T] => [T];
    [T: Encode] Vec<T> => [T];
    [T: Encode, const N: usize] [T; N] => [T; N];
}

/// Types that hold a value and appear as it.
macro_rules! transparent {
    ($([$($generics:tt)*] $ty:ty => $inner:ty;)*) => { $(
        impl<$($generics)*> Value for $ty {
            type Repr<'a> = <$inner as Value>::Repr<'a> where Self: 'a;

            #[inline(always)]
            fn repr(&self) -> Self::Repr<'_> {
                (**self).repr()
            }
        }
    )* };
}
transparent! {
    [T: Value + ?Sized] &T => T;
    [T: Value + ?Sized] &mut T => T;
    [T: Value + ?Sized] Box<T> => T;
    [T: Value + ?Sized] Rc<T> => T;
    [T: Value + ?Sized] Arc<T> => T;
    [T: Value + ToOwned + ?Sized] Cow<'_, T> => T;
}

impl<T: Value> Value for Option<T> {
    type Repr<'a>
        = Option<T::Repr<'a>>
    where
        Self: 'a;

    #[inline(always)]
    fn repr(&self) -> Self::Repr<'_> {
        self.as_ref().map(Value::repr)
    }
}
