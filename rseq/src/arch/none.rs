//! No assembly here: an architecture this crate knows no sequences for, or Miri, or loom.
//!
//! Reading `cpu_id` always answers "not registered", and every sequence aborts before its first
//! step, so that all callers take the fallback they have anyway.

use core::sync::atomic::AtomicU64 as RingWord;

use crate::area::CPU_ID_UNINITIALIZED;
use crate::ops::{Interrupted, NotDone, Store};
use crate::ring::{Reserved, RingSlot, Window};
use crate::slot::Slot;
use crate::sync::AtomicU64;

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
    ($($(#[$meta:meta])* [$($unsafe:tt)?] $name:ident($($argument:ty),*) -> $result:ty;)*) => {
        $($(#[$meta])*
        pub(crate) $($unsafe)? fn $name<S: Slot>(
            _offset: isize,
            _slot: S,
            $(_: $argument),*
        ) -> $result {
            Err(NotDone::Aborted.into())
        })*
    };
}

aborts! {
    [] compare_and_store(&AtomicU64, u64, u64) -> Result<(), NotDone>;
    [] compare_both_and_store(&AtomicU64, u64, &AtomicU64, u64, u64) -> Result<(), NotDone>;
    [] compare_store_store(&AtomicU64, u64, Store<'_>, u64) -> Result<(), NotDone>;
    [] compare_store_many(&AtomicU64, u64, &[Store<'_>], &Store<'_>) -> Result<(), NotDone>;
    [] add(&AtomicU64, u64) -> Result<(), Interrupted>;
    [] pop_index(&AtomicU64, &AtomicU64, &[AtomicU64]) -> Result<u64, NotDone>;
    /// # Safety
    /// None: nothing is touched.
    [unsafe] compare_not_load_store(&AtomicU64, u64, isize) -> Result<u64, NotDone>;
    /// # Safety
    /// None: nothing is touched.
    #[expect(clippy::too_many_arguments, reason = "the contract has them")]
    [unsafe] compare_copy_store(&AtomicU64, u64, *const u8, *mut u8, usize, u64) -> Result<(), NotDone>;
}

pub(crate) fn reserve<S: RingSlot>(
    _offset: isize,
    _window: &Window,
    _bytes: u64,
    _header: u32,
) -> Option<Reserved> {
    None
}

/// # Safety
/// None: nothing is touched.
pub(crate) unsafe fn count<S: Slot>(
    _offset: isize,
    _slot: S,
    _counter: *const RingWord,
    _lap: u64,
    _delta: u64,
) -> bool {
    false
}
