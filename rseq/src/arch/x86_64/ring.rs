//! The sequences of a ring buffer on x86-64: reserve and count.

use core::arch::asm;
use core::mem::offset_of;
use core::sync::atomic::AtomicU64;

use crate::area::Area;
use crate::ring::{LAP_SHIFT, Reserved, RingSlot, Window, offsets};
use crate::slot::Slot;

/// See [`Window::reserve`].
///
/// About 20 instructions, most of which run in the shadow of `rdtsc`.
#[inline(always)]
pub(crate) fn reserve<S: RingSlot>(
    offset: isize,
    window: &Window,
    bytes: u64,
    header: u32,
) -> Option<Reserved> {
    let (record, lane, position, slot): (*mut u8, *mut u8, u64, u64);
    // SAFETY: `offset` leads to this thread's rseq area. Memory behind the window is touched only
    // after its `lanes` was found to be more than our CPU, which `Window::open`'s caller vouches
    // for; the position is masked before it indexes. No stack is used.
    unsafe {
        asm!(
            descriptor!(start: "2f", commit: "3f", abort: "4f"),
            arm!(),
            "2:",
            "mov {slot:e}, dword ptr fs:[{offset} + {field}]",
            "cmp {slot:e}, dword ptr [{window} + {lanes}]", // a lane of ours, and rseq at all?
            "jae 5f",
            "mov {lane}, {slot}",
            "imul {lane}, qword ptr [{window} + {stride}]",
            "add {lane}, qword ptr [{window} + {first_lane}]",
            "mov {position}, qword ptr [{lane} + {reserved}]",
            "mov {tmp}, {position}",
            "neg {tmp}",
            "and {tmp}, qword ptr [{window} + {sub_buffer_mask}]", // bytes to the next sub-buffer
            "cmp {tmp}, {bytes}",
            "jb 5f",
            "lea {end}, [{position} + {bytes}]",
            "mov {record}, {position}",
            "and {record}, qword ptr [{window} + {lane_mask}]",
            "add {record}, {lane}",
            "rdtsc",
            "cmp edx, dword ptr [{lane} + {epoch}]", // does the lower half say it all?
            "jne 5f",
            "mov dword ptr [{record}], eax",
            "mov dword ptr [{record} + 4], {header:e}",
            "mov qword ptr [{lane} + {reserved}], {end}", // commit
            "3:",
            "6:",
            ".pushsection __rseq_refused, \"ax\", @progbits",
            "5:",
            "xor {record:e}, {record:e}",
            "jmp 6b",
            ".popsection",
            abort_handler!("4", "5b"),
            offset = in(reg) offset,
            window = in(reg) window,
            bytes = in(reg) bytes,
            header = in(reg) header,
            slot = out(reg) slot,
            lane = out(reg) lane,
            position = out(reg) position,
            record = out(reg) record,
            end = out(reg) _,
            tmp = out(reg) _,
            out("rax") _,
            out("rdx") _,
            field = const S::FIELD,
            rseq_cs = const offset_of!(Area, rseq_cs),
            lanes = const S::LANES,
            first_lane = const offsets::FIRST_LANE,
            stride = const offsets::STRIDE,
            sub_buffer_mask = const offsets::SUB_BUFFER_MASK,
            lane_mask = const offsets::LANE_MASK,
            reserved = const offsets::RESERVED,
            epoch = const offsets::EPOCH,
            options(nostack),
        );
    }
    if record.is_null() {
        return None;
    }
    Some(Reserved {
        record,
        lane,
        position,
        slot: slot as u32,
    })
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
            "cmp dword ptr fs:[{offset} + {field}], {slot:e}", // still on the lane's CPU?
            "jne {refused}",
            "mov {tmp}, qword ptr [{counter}]",
            "shr {tmp}, {lap_shift}",
            "cmp {tmp}, {lap}", // still on our lap?
            "jne {refused}",
            "add qword ptr [{counter}], {delta}", // commit
            "3:",
            abort_handler!("4", "{refused}"),
            offset = in(reg) offset,
            slot = in(reg) slot.number(),
            counter = in(reg) counter,
            lap = in(reg) lap,
            delta = in(reg) delta,
            tmp = out(reg) _,
            field = const S::FIELD,
            rseq_cs = const offset_of!(Area, rseq_cs),
            lap_shift = const LAP_SHIFT,
            refused = label { return false },
            options(nostack),
        );
    }
    true
}
