//! compare-and-store-many on x86-64.

use core::arch::asm;
use core::mem::{offset_of, size_of};
use core::sync::atomic::AtomicU64;

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
            "cmp dword ptr fs:[{offset} + {field}], {slot:e}", // still in our slot?
            "jne {aborted}", // [cpu]
            inject!(3),
            "cmp qword ptr [{word}], {expected}", // still what the caller saw?
            "jne {mismatch}", // [compare]
            inject!(4),
            "5:",
            "cmp {next}, {end}", // all but the last store
            "je 6f",
            "mov {tmp}, qword ptr [{next}]",
            "mov {value}, qword ptr [{next} + 8]",
            "mov qword ptr [{tmp}], {value}", // [first]
            inject!(5),
            "add {next}, 16",
            "jmp 5b",
            "6:",
            inject!(6),
            "mov qword ptr [{commit_word}], {commit_value}", // [commit]
            "3:",
            inject!(7),
            abort_handler!("4", "{aborted}"),
            offset = in(reg) offset,
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
            #[cfg(test)] out("r11") _,
            options(nostack),
        );
    }
    Ok(())
}
