//! The sequences of a ring buffer on aarch64: count, and a reserve that always refuses.
//!
//! The clock of a trace is read inside the reserve sequence. On aarch64 the ring's clock is `CLOCK_MONOTONIC`, which
//! takes a call, so there is nothing a sequence could read: the ring uses its atomic lanes.

use core::arch::asm;
use core::mem::offset_of;
use core::sync::atomic::AtomicU64;

use super::address;
use crate::area::Area;
use crate::ring::{LAP_SHIFT, Reserved, RingSlot, Window};
use crate::slot::Slot;

/// Refuses: see above.
#[inline(always)]
pub(crate) fn reserve<S: RingSlot>(
    _offset: isize,
    _window: &Window,
    _bytes: u64,
    _header: u32,
) -> Option<Reserved> {
    None
}

/// See [`Window::count`].
///
/// # Safety
/// `counter` is valid and aligned, and nothing but sequences in `slot` writes it.
#[inline(always)]
pub(crate) unsafe fn count<S: Slot>(
    offset: isize,
    slot: S,
    counter: *const AtomicU64,
    lap: u64,
    delta: u64,
) -> bool {
    // SAFETY: `offset` leads to this thread's rseq area, the counter is the caller's word. No stack
    // is used.
    unsafe {
        asm!(
            descriptor!(start: "2f", commit: "3f", abort: "4f"),
            arm!(),
            "2:",
            same_slot!("{refused}"), // still on the lane's CPU?
            "ldr {value}, [{counter}]",
            "lsr {tmp}, {value}, {lap_shift}",
            "cmp {tmp}, {lap}", // still on our lap?
            "b.ne {refused}",
            "add {value}, {value}, {delta}",
            "stlr {value}, [{counter}]", // commit
            "3:",
            abort_handler!("4", "{refused}"),
            area = in(reg) address(offset),
            field = const S::FIELD,
            rseq_cs = const offset_of!(Area, rseq_cs),
            slot = in(reg) slot.number(),
            counter = in(reg) counter,
            lap = in(reg) lap,
            delta = in(reg) delta,
            value = out(reg) _,
            tmp = out(reg) _,
            lap_shift = const LAP_SHIFT,
            refused = label { return false },
            options(nostack),
        );
    }
    true
}
