//! The sequences on aarch64 that compare and store single words.
//!
//! ```text
//!   compare_and_store        [word] == expected                     → word = new
//!   compare_both_and_store   [guard] == open, [word] == expected    → word = new
//!   compare_store_store      [word] == expected → first = value     → word = new
//!   add                                                             → word += delta
//! ```
//!
//! Every commit is a store-release; the guard is read with a load-acquire, before the word it
//! guards.

use core::arch::asm;
use core::mem::offset_of;
use core::sync::atomic::AtomicU64;

use super::address;
use crate::area::Area;
use crate::ops::{Interrupted, NotDone, Store};
use crate::slot::Slot;

/// See [`Rseq::compare_and_store`](crate::Rseq::compare_and_store).
///
/// ```text
/// if area.slot != slot        → aborted
/// if *word != expected        → mismatch
/// *word = new                                        ◀ commit
/// ```
#[inline(always)]
pub(crate) fn compare_and_store<S: Slot>(
    offset: isize,
    slot: S,
    word: &AtomicU64,
    expected: u64,
    new: u64,
) -> Result<(), NotDone> {
    // SAFETY: `offset` leads to this thread's rseq area (`Rseq` is the witness), the word is a
    // borrowed atomic. No stack is used.
    unsafe {
        asm!(
            descriptor!(start: "2f", commit: "3f", abort: "4f"),
            inject!(1),
            arm!(),
            "2:",
            inject!(2),
            same_slot!("{aborted}"), // [cpu]
            inject!(3),
            "ldr {tmp}, [{word}]", // still what the caller saw?
            "cmp {tmp}, {expected}",
            "b.ne {mismatch}", // [compare]
            inject!(4),
            "stlr {new}, [{word}]", // [commit]
            "3:",
            inject!(5),
            abort_handler!("4", "{aborted}"),
            area = in(reg) address(offset),
            field = const S::FIELD,
            rseq_cs = const offset_of!(Area, rseq_cs),
            slot = in(reg) slot.number(),
            word = in(reg) word.as_ptr(),
            expected = in(reg) expected,
            new = in(reg) new,
            tmp = out(reg) _,
            aborted = label { return Err(NotDone::Aborted) },
            mismatch = label { return Err(NotDone::Mismatch) },
            #[cfg(test)] out("x10") _,
            #[cfg(test)] out("x11") _,
            options(nostack),
        );
    }
    Ok(())
}

/// See [`Rseq::compare_both_and_store`](crate::Rseq::compare_both_and_store).
///
/// ```text
/// if area.slot != slot        → aborted
/// if *guard != open           → mismatch
/// if *word != expected        → mismatch
/// *word = new                                        ◀ commit
/// ```
#[inline(always)]
pub(crate) fn compare_both_and_store<S: Slot>(
    offset: isize,
    slot: S,
    guard: &AtomicU64,
    open: u64,
    word: &AtomicU64,
    expected: u64,
    new: u64,
) -> Result<(), NotDone> {
    // SAFETY: as for `compare_and_store`; both words are borrowed atomics.
    unsafe {
        asm!(
            descriptor!(start: "2f", commit: "3f", abort: "4f"),
            inject!(1),
            arm!(),
            "2:",
            inject!(2),
            same_slot!("{aborted}"), // [cpu]
            inject!(3),
            "ldar {tmp}, [{guard}]", // may we? (before the word is read)
            "cmp {tmp}, {open}",
            "b.ne {mismatch}", // [guard]
            inject!(4),
            "ldr {tmp}, [{word}]", // still what the caller saw?
            "cmp {tmp}, {expected}",
            "b.ne {mismatch}", // [compare]
            inject!(5),
            "stlr {new}, [{word}]", // [commit]
            "3:",
            inject!(6),
            abort_handler!("4", "{aborted}"),
            area = in(reg) address(offset),
            field = const S::FIELD,
            rseq_cs = const offset_of!(Area, rseq_cs),
            slot = in(reg) slot.number(),
            word = in(reg) word.as_ptr(),
            expected = in(reg) expected,
            guard = in(reg) guard.as_ptr(),
            open = in(reg) open,
            new = in(reg) new,
            tmp = out(reg) _,
            aborted = label { return Err(NotDone::Aborted) },
            mismatch = label { return Err(NotDone::Mismatch) },
            #[cfg(test)] out("x10") _,
            #[cfg(test)] out("x11") _,
            options(nostack),
        );
    }
    Ok(())
}

/// See [`Rseq::compare_store_store`](crate::Rseq::compare_store_store).
///
/// ```text
/// if area.slot != slot        → aborted
/// if *word != expected        → mismatch
/// *first.word = first.value
/// *word = new                                        ◀ commit
/// ```
#[inline(always)]
pub(crate) fn compare_store_store<S: Slot>(
    offset: isize,
    slot: S,
    word: &AtomicU64,
    expected: u64,
    first: Store<'_>,
    new: u64,
) -> Result<(), NotDone> {
    // SAFETY: as for `compare_and_store`; both words are borrowed atomics.
    unsafe {
        asm!(
            descriptor!(start: "2f", commit: "3f", abort: "4f"),
            inject!(1),
            arm!(),
            "2:",
            inject!(2),
            same_slot!("{aborted}"), // [cpu]
            inject!(3),
            "ldr {tmp}, [{word}]", // still what the caller saw?
            "cmp {tmp}, {expected}",
            "b.ne {mismatch}", // [compare]
            inject!(4),
            "str {value}, [{first}]", // [first] means nothing before the commit
            inject!(5),
            "stlr {new}, [{word}]", // [commit]
            "3:",
            inject!(6),
            abort_handler!("4", "{aborted}"),
            area = in(reg) address(offset),
            field = const S::FIELD,
            rseq_cs = const offset_of!(Area, rseq_cs),
            slot = in(reg) slot.number(),
            word = in(reg) word.as_ptr(),
            expected = in(reg) expected,
            first = in(reg) first.word.as_ptr(),
            value = in(reg) first.value,
            new = in(reg) new,
            tmp = out(reg) _,
            aborted = label { return Err(NotDone::Aborted) },
            mismatch = label { return Err(NotDone::Mismatch) },
            #[cfg(test)] out("x10") _,
            #[cfg(test)] out("x11") _,
            options(nostack),
        );
    }
    Ok(())
}

/// See [`Rseq::add`](crate::Rseq::add).
///
/// ```text
/// if area.slot != slot        → aborted
/// *word += delta                                     ◀ commit
/// ```
#[inline(always)]
pub(crate) fn add<S: Slot>(
    offset: isize,
    slot: S,
    word: &AtomicU64,
    delta: u64,
) -> Result<(), Interrupted> {
    // SAFETY: as for `compare_and_store`.
    unsafe {
        asm!(
            descriptor!(start: "2f", commit: "3f", abort: "4f"),
            inject!(1),
            arm!(),
            "2:",
            inject!(2),
            same_slot!("{aborted}"), // [cpu]
            inject!(3),
            "ldr {tmp}, [{word}]",
            "add {tmp}, {tmp}, {delta}",
            "stlr {tmp}, [{word}]", // [commit]
            "3:",
            inject!(4),
            abort_handler!("4", "{aborted}"),
            area = in(reg) address(offset),
            field = const S::FIELD,
            rseq_cs = const offset_of!(Area, rseq_cs),
            slot = in(reg) slot.number(),
            word = in(reg) word.as_ptr(),
            delta = in(reg) delta,
            tmp = out(reg) _,
            aborted = label { return Err(Interrupted) },
            #[cfg(test)] out("x10") _,
            #[cfg(test)] out("x11") _,
            options(nostack),
        );
    }
    Ok(())
}
