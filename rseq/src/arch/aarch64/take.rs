//! The sequences on aarch64 that take the first element of a list.
//!
//! ```text
//!   head ──▶ node ──▶ next ──▶ …       becomes       head ──▶ next ──▶ …
//! ```
//!
//! The element is handed out through memory of the caller's, which is stored to before the commit
//! and means nothing after an abort: stable Rust does not let one `asm!` have outputs and jump to
//! labels.

use core::arch::asm;
use core::mem::offset_of;
use core::sync::atomic::AtomicU64;

use super::address;
use crate::area::Area;
use crate::ops::NotDone;
use crate::slot::Slot;

/// See [`Rseq::compare_not_load_store`](crate::Rseq::compare_not_load_store).
///
/// ```text
/// if area.slot != slot        → aborted
/// old = *word
/// if old == unwanted          → mismatch
/// next = *(old + link)
/// *word = next                                       ◀ commit
/// ```
///
/// # Safety
/// As for the public method.
#[inline(always)]
pub(crate) unsafe fn compare_not_load_store<S: Slot>(
    offset: isize,
    slot: S,
    word: &AtomicU64,
    unwanted: u64,
    link: isize,
) -> Result<u64, NotDone> {
    let mut old = 0;
    // SAFETY: `offset` leads to this thread's rseq area (`Rseq` is the witness); the word is a
    // borrowed atomic; what it holds, if not `unwanted`, can be read at `link` (caller). No stack
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
            "ldr {tmp}, [{word}]",
            "cmp {tmp}, {unwanted}", // anything there?
            "b.eq {mismatch}", // [compare]
            inject!(4),
            "str {tmp}, [{old}]",
            "ldr {tmp}, [{tmp}, {link}]", // nobody else can have taken it meanwhile
            inject!(5),
            "stlr {tmp}, [{word}]", // [commit]
            "3:",
            inject!(6),
            abort_handler!("4", "{aborted}"),
            area = in(reg) address(offset),
            field = const S::FIELD,
            rseq_cs = const offset_of!(Area, rseq_cs),
            slot = in(reg) slot.number(),
            word = in(reg) word.as_ptr(),
            unwanted = in(reg) unwanted,
            link = in(reg) link,
            old = in(reg) &raw mut old,
            tmp = out(reg) _,
            aborted = label { return Err(NotDone::Aborted) },
            mismatch = label { return Err(NotDone::Mismatch) },
            #[cfg(test)] out("x10") _,
            #[cfg(test)] out("x11") _,
            options(nostack),
        );
    }
    Ok(old)
}

/// See [`Rseq::pop_index`](crate::Rseq::pop_index).
///
/// ```text
/// if area.slot != slot        → aborted
/// if *gate != 0               → mismatch
/// index = *head − 1
/// if index ≥ links.len()      → mismatch     (an empty list, 0 − 1, is among these)
/// next = links[index]
/// *head = next                                       ◀ commit
/// ```
#[inline(always)]
pub(crate) fn pop_index<S: Slot>(
    offset: isize,
    slot: S,
    gate: &AtomicU64,
    head: &AtomicU64,
    links: &[AtomicU64],
) -> Result<u64, NotDone> {
    let mut index = 0;
    // SAFETY: `offset` leads to this thread's rseq area; all words are borrowed atomics, and
    // the index is checked against the length of `links` before it is used. No stack is used.
    unsafe {
        asm!(
            descriptor!(start: "2f", commit: "3f", abort: "4f"),
            inject!(1),
            arm!(),
            "2:",
            inject!(2),
            same_slot!("{aborted}"), // [cpu]
            inject!(3),
            "ldar {tmp}, [{gate}]", // may we? (before the head is read)
            "cbnz {tmp}, {mismatch}", // [guard]
            inject!(4),
            "ldr {tmp}, [{head}]",
            "sub {tmp}, {tmp}, 1",
            "cmp {tmp}, {len}", // an element at all, and one of ours?
            "b.hs {mismatch}", // [compare]
            inject!(5),
            "str {tmp}, [{index}]",
            "ldr {tmp}, [{links}, {tmp}, lsl 3]",
            inject!(6),
            "stlr {tmp}, [{head}]", // [commit]
            "3:",
            inject!(7),
            abort_handler!("4", "{aborted}"),
            area = in(reg) address(offset),
            field = const S::FIELD,
            rseq_cs = const offset_of!(Area, rseq_cs),
            slot = in(reg) slot.number(),
            gate = in(reg) gate.as_ptr(),
            head = in(reg) head.as_ptr(),
            links = in(reg) links.as_ptr(),
            len = in(reg) links.len(),
            index = in(reg) &raw mut index,
            tmp = out(reg) _,
            aborted = label { return Err(NotDone::Aborted) },
            mismatch = label { return Err(NotDone::Mismatch) },
            #[cfg(test)] out("x10") _,
            #[cfg(test)] out("x11") _,
            options(nostack),
        );
    }
    Ok(index)
}
