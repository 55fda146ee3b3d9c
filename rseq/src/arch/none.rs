//! No assembly here: an architecture this crate knows no sequences for, or Miri, or loom.
//!
//! Reading `cpu_id` always answers "not registered", and every sequence aborts before its first
//! step, so that all callers take the fallback they have anyway.

use core::sync::atomic::AtomicU64;

use crate::area::CPU_ID_UNINITIALIZED;
use crate::ops::{NotDone, Store};
use crate::ring::{Reserved, Window};
use crate::slot::Slot;

/// No sequence ever runs.
pub(crate) const SUPPORTED: bool = false;

/// Nothing checks it.
pub(crate) const SIGNATURE: u32 = 0;

/// Leads nowhere: `load` and `store` do not look at it.
pub(crate) fn own_offset() -> isize {
    0
}

/// Answers as an area that was never registered.
///
/// # Safety
/// None: nothing is read.
pub(crate) unsafe fn load<const FIELD: usize>(_offset: isize) -> u32 {
    CPU_ID_UNINITIALIZED
}

/// # Safety
/// None: nothing is written.
pub(crate) unsafe fn store<const FIELD: usize>(_offset: isize, _value: u32) {}

pub(crate) fn address(_offset: isize) -> usize {
    0
}

/// Sequences that abort before their first step.
macro_rules! aborts {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(pub(crate) fn $name<S: Slot>(
            _offset: isize,
            _slot: S,
            $($argument: $type),*
        ) -> Result<$result, NotDone> {
            Err(NotDone::Aborted)
        })*
    };
}

pub(crate) fn compare_store_many<S: Slot>(
    _offset: isize,
    _slot: S,
    _word: &AtomicU64,
    _expected: u64,
    _stores: &[Store<'_>],
    _commit: &Store<'_>,
) -> Result<(), NotDone> {
    Err(NotDone::Aborted)
}

pub(crate) fn reserve(
    _offset: isize,
    _window: &Window,
    _bytes: u64,
    _header: u64,
) -> Option<Reserved> {
    None
}

/// # Safety
/// None: nothing is touched.
pub(crate) unsafe fn count(
    _offset: isize,
    _cpu: u32,
    _counter: *const AtomicU64,
    _lap: u64,
    _delta: u64,
) -> bool {
    false
}
