//! compare-and-store-many on aarch64.

use core::arch::asm;
use core::mem::{offset_of, size_of};
use core::sync::atomic::AtomicU64;

use super::address;
use crate::area::Area;
use crate::ops::{NotDone, Store};
use crate::slot::Slot;

// The sequence walks the table by hand.
const _: () = assert!(
    offset_of!(Store<'_>, word) == 0
        && offset_of!(Store<'_>, value) == 8
        && size_of::<Store<'_>>() == 16
);

/// See [`Rseq::compare_store_many`](crate::Rseq::compare_store_many).
///
/// ```text
/// if area.slot != slot        → aborted
/// if *word != expected        → mismatch
/// for s in stores             *s.word = s.value
/// *commit.word = commit.value                        ◀ commit
/// ```
#[inline(always)]
pub(crate) fn compare_store_many<S: Slot>(
    offset: isize,
    slot: S,
    word: &AtomicU64,
    expected: u64,
    stores: &[Store<'_>],
    commit: &Store<'_>,
) -> Result<(), NotDone> {
    let stores = stores.as_ptr_range();
    // SAFETY: `offset` leads to this thread's rseq area (`Rseq` is the witness). All words are
    // borrowed atomics, the table is walked from its first entry to one past its last. No stack is
    // used.
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
            "5:",
            "cmp {next}, {end}", // all but the last store
            "b.eq 6f",
            "ldp {tmp}, {value}, [{next}], 16",
            "str {value}, [{tmp}]", // [first]
            inject!(5),
            "b 5b",
            "6:",
            inject!(6),
            "stlr {commit_value}, [{commit_word}]", // [commit]
            "3:",
            inject!(7),
            abort_handler!("4", "{aborted}"),
            area = in(reg) address(offset),
            field = const S::FIELD,
            rseq_cs = const offset_of!(Area, rseq_cs),
            slot = in(reg) slot.number(),
            word = in(reg) word.as_ptr(),
            expected = in(reg) expected,
            next = inout(reg) stores.start => _,
            end = in(reg) stores.end,
            commit_word = in(reg) commit.word.as_ptr(),
            commit_value = in(reg) commit.value,
            tmp = out(reg) _,
            value = out(reg) _,
            aborted = label { return Err(NotDone::Aborted) },
            mismatch = label { return Err(NotDone::Mismatch) },
            #[cfg(test)] out("x10") _,
            #[cfg(test)] out("x11") _,
            options(nostack),
        );
    }
    Ok(())
}
