//! compare, copy and store on aarch64.

use core::arch::asm;
use core::mem::offset_of;
use core::sync::atomic::AtomicU64;

use super::address;
use crate::area::Area;
use crate::ops::NotDone;
use crate::slot::Slot;

/// See [`Rseq::compare_copy_store`](crate::Rseq::compare_copy_store).
///
/// ```text
/// if area.slot != slot        → aborted
/// if *word != expected        → mismatch
/// copy bytes from → to, eight at a time, then one at a time
/// *word = new                                        ◀ commit
/// ```
///
/// # Safety
/// As for the public method.
#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "an instruction with so many operands"
)]
pub(crate) unsafe fn compare_copy_store<S: Slot>(
    offset: isize,
    slot: S,
    word: &AtomicU64,
    expected: u64,
    from: *const u8,
    to: *mut u8,
    bytes: usize,
    new: u64,
) -> Result<(), NotDone> {
    // SAFETY: `offset` leads to this thread's rseq area (`Rseq` is the witness), the word is a
    // borrowed atomic, `bytes` bytes can be read at `from` and written at `to` (caller). No stack
    // is used.
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
            "subs {bytes}, {bytes}, 8", // eight at a time
            "b.lo 5f",
            "ldr {tmp}, [{from}], 8",
            "str {tmp}, [{to}], 8",
            inject!(5),
            "b 5b",
            "5:",
            "add {bytes}, {bytes}, 8", // 0 to 7 are left
            "6:",
            "subs {bytes}, {bytes}, 1", // one at a time
            "b.lo 6f",
            "ldrb {tmp:w}, [{from}, {bytes}]",
            "strb {tmp:w}, [{to}, {bytes}]",
            "b 6b",
            "6:",
            inject!(6),
            "stlr {new}, [{word}]", // [commit]
            "3:",
            inject!(7),
            abort_handler!("4", "{aborted}"),
            area = in(reg) address(offset),
            field = const S::FIELD,
            rseq_cs = const offset_of!(Area, rseq_cs),
            slot = in(reg) slot.number(),
            word = in(reg) word.as_ptr(),
            expected = in(reg) expected,
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            bytes = inout(reg) bytes => _,
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
