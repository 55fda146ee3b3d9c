//! compare, copy and store on x86-64.

use core::arch::asm;
use core::mem::offset_of;
use core::sync::atomic::AtomicU64;

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
            "cmp dword ptr fs:[{offset} + {field}], {slot:e}", // still in our slot?
            "jne {aborted}", // [cpu]
            inject!(3),
            "cmp qword ptr [{word}], {expected}", // still what the caller saw?
            "jne {mismatch}", // [compare]
            inject!(4),
            "5:",
            "sub {bytes}, 8", // eight at a time
            "jb 5f",
            "mov {tmp}, qword ptr [{from}]",
            "mov qword ptr [{to}], {tmp}",
            inject!(5),
            "add {from}, 8",
            "add {to}, 8",
            "jmp 5b",
            "5:",
            "add {bytes}, 8", // 0 to 7 are left
            "6:",
            "sub {bytes}, 1", // one at a time
            "jb 6f",
            "movzx {tmp:e}, byte ptr [{from} + {bytes}]",
            "mov byte ptr [{to} + {bytes}], {tmp:l}",
            "jmp 6b",
            "6:",
            inject!(6),
            "mov qword ptr [{word}], {new}", // [commit]
            "3:",
            inject!(7),
            abort_handler!("4", "{aborted}"),
            offset = in(reg) offset,
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
            #[cfg(test)] out("r11") _,
            options(nostack),
        );
    }
    Ok(())
}
