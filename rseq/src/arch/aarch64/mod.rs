//! aarch64: the area is at `tpidr_el0 + offset`, and the parts every sequence is made of.
//!
//! ```text
//!   text                                          __rseq_cs (static data)
//!   ────                                          ───────────────────────
//!      adrp tmp, descriptor; add …           7:   0, 0
//!      str  tmp, [area, rseq_cs]                  start_ip            ──▶ 2
//!   2: ldr  tmp, [area, cpu_id]; cmp; b.ne        post_commit_offset  ──▶ 3
//!      …                                          abort_ip            ──▶ 4
//!      stlr new, [word]   ◀ commit
//!   3: b    9f
//!      .inst 0xd428bc00   the signature: brk #0x45e0
//!   4: b    aborted
//!   9:
//! ```
//!
//! The contract is that of x86-64 (`../x86_64/mod.rs`); what differs is the memory model. Stores
//! may be seen out of order, so every commit is a store-release, and a guard is read with a
//! load-acquire before the word it guards. The abort handler stands in line: from a section of its
//! own the way back may need a veneer of the linker, which would overwrite registers that the
//! compiler believes untouched.
//!
//! Labels as on x86-64: 5 and 6 for a sequence itself; 2, 3, 4, 7 as above; 8 and 9 for `inject!`
//! and here.

use core::arch::{asm, global_asm};
use core::mem::{offset_of, size_of};

use crate::area::{Area, CPU_ID_UNINITIALIZED, Own};

/// The static `struct rseq_cs` of the sequence around it, at label 7.
macro_rules! descriptor {
    (start: $start:literal, commit: $commit:literal, abort: $abort:literal) => {
        concat!(
            ".pushsection __rseq_cs, \"aw\", %progbits\n",
            ".balign 32\n",
            "7:\n",
            ".word 0, 0\n", // version, flags
            ".xword ",
            $start,
            "\n",
            ".xword (",
            $commit,
            " - ",
            $start,
            ")\n",
            ".xword ",
            $abort,
            "\n",
            ".popsection",
        )
    };
}

/// Points the area's `rseq_cs` to the descriptor: from the next instruction on, which must be
/// the one at the start label, the thread is in the sequence. Overwrites `{tmp}`.
macro_rules! arm {
    () => {
        concat!(
            "adrp {tmp}, 7b\n",
            "add {tmp}, {tmp}, :lo12:7b\n",
            "str {tmp}, [{area}, {rseq_cs}]",
        )
    };
}

/// Where the kernel sends a thread that was interrupted in the sequence: behind the signature, and
/// on to `$then`.
macro_rules! abort_handler {
    ($label:literal, $then:literal) => {
        concat!(
            "b 9f\n",
            ".inst 0xd428bc00\n",
            $label,
            ":\n",
            "b ",
            $then,
            "\n",
            "9:",
        )
    };
}

/// Goes on only if the thread is still in the slot. Overwrites `{tmp}`.
macro_rules! same_slot {
    ($otherwise:literal) => {
        concat!(
            "ldr {tmp:w}, [{area}, {field}]\n",
            "cmp {tmp:w}, {slot:w}\n",
            "b.ne ",
            $otherwise,
        )
    };
}

/// A point between two instructions where the unit tests of this crate wait or trap; nothing in
/// any other build. Uses `x10` and `x11`.
///
/// ```text
/// n = this thread's inject[point];   n > 0 → count to n;   n < 0 → brk (SIGTRAP)
/// ```
#[cfg(test)]
macro_rules! inject {
    ($point:literal) => {
        concat!(
            "mrs x10, tpidr_el0\n",
            concat!("adrp x11, :gottprel:", own_symbol!(), "\n"),
            concat!("ldr x11, [x11, :gottprel_lo12:", own_symbol!(), "]\n"),
            "add x10, x10, x11\n",
            "ldr w11, [x10, 36 + 4 * ",
            $point,
            "]\n",
            "cbz w11, 9f\n",
            "tbz w11, 31, 8f\n",
            "brk 0\n",
            "b 9f\n",
            "8:\n",
            "subs w11, w11, 1\n",
            "b.ne 8b\n",
            "9:",
        )
    };
}
#[cfg(not(test))]
macro_rules! inject {
    ($point:literal) => {
        ""
    };
}

/// A function that answers the address of a symbol, or null where nobody defines it.
#[cfg(target_feature = "crt-static")]
macro_rules! weak_symbol {
    ($function:ident, $name:literal) => {
        /// The address of the weak symbol, or null.
        pub(crate) fn $function() -> *const core::ffi::c_void {
            let address;
            // SAFETY: reads a slot of the global offset table; 0 where nobody defines the symbol.
            unsafe {
                asm!(
                    concat!(".weak ", $name),
                    concat!("adrp {address}, :got:", $name),
                    concat!("ldr {address}, [{address}, :got_lo12:", $name, "]"),
                    address = out(reg) address,
                    options(nostack, preserves_flags, readonly, pure),
                );
            }
            address
        }
    };
}
#[cfg(target_feature = "crt-static")]
weak_symbol!(rseq_offset, "__rseq_offset");
#[cfg(target_feature = "crt-static")]
weak_symbol!(rseq_size, "__rseq_size");

mod copy;
mod many;
mod ring;
mod store;
mod take;
pub(crate) use copy::*;
pub(crate) use many::*;
pub(crate) use ring::*;
pub(crate) use store::*;
pub(crate) use take::*;

/// Sequences run here.
pub(crate) const SUPPORTED: bool = true;

/// The four bytes the kernel wants to see before an abort handler (`RSEQ_SIG` of librseq and glibc;
/// little-endian).
pub(crate) const SIGNATURE: u32 = 0xd428_bc00;

// The own area in thread-local storage, as on x86-64.
global_asm!(
    ".pushsection .tdata.laneway_rseq, \"awT\", %progbits",
    ".balign 32",
    concat!(".globl ", own_symbol!()),
    concat!(".hidden ", own_symbol!()),
    concat!(".type ", own_symbol!(), ", %object"),
    concat!(own_symbol!(), ":"),
    ".word 0",               // cpu_id_start: a possible CPU
    ".word {uninitialized}", // cpu_id
    ".xword 0",              // rseq_cs
    ".word 0, 0",            // flags, node_id
    ".word {uninitialized}", // mm_cid: no slot either, until the kernel says so
    ".word 0",               // reserved
    ".word 0",               // errno
    ".zero {size} - 36",
    concat!(".size ", own_symbol!(), ", {size}"),
    ".popsection",
    uninitialized = const CPU_ID_UNINITIALIZED,
    size = const size_of::<Own>(),
);

const _: () = assert!(offset_of!(Own, errno) == 32 && offset_of!(Area, reserved) == 28);

/// The distance in bytes from the thread pointer to this crate's own area, the same for
/// every thread: static TLS, initial-exec model.
pub(crate) fn own_offset() -> isize {
    let offset: isize;
    // SAFETY: reads a slot of the global offset table, which the linker fills for the symbol
    // that is defined above; no memory of Rust is touched.
    unsafe {
        asm!(
            concat!("adrp {offset}, :gottprel:", own_symbol!()),
            concat!("ldr {offset}, [{offset}, :gottprel_lo12:", own_symbol!(), "]"),
            offset = out(reg) offset,
            options(nostack, preserves_flags, readonly, pure),
        );
    }
    offset
}

/// The address of what lies `offset` bytes from the thread pointer.
#[inline(always)]
pub(crate) fn address(offset: isize) -> usize {
    let base: usize;
    // SAFETY: the thread pointer is a register that user space may read, and never changes in a
    // thread.
    unsafe {
        asm!(
            "mrs {base}, tpidr_el0",
            base = lateout(reg) base,
            options(nostack, nomem, preserves_flags, pure),
        );
    }
    base.wrapping_add_signed(offset)
}

/// Reads the 32-bit word `FIELD` bytes into what lies `offset` bytes from the thread pointer.
///
/// # Safety
/// The word is part of this thread's static TLS or of its rseq area.
#[inline(always)]
pub(crate) unsafe fn load<const FIELD: usize>(offset: isize) -> u32 {
    let value: u32;
    // SAFETY: an aligned load from this thread's own block, which the caller vouches for. Not
    // `pure`: the kernel changes it behind the compiler's back.
    unsafe {
        asm!(
            "ldr {value:w}, [{area}, {field}]",
            value = lateout(reg) value,
            area = in(reg) address(offset),
            field = const FIELD,
            options(nostack, preserves_flags, readonly),
        );
    }
    value
}

/// Writes the 32-bit word `FIELD` bytes into what lies `offset` bytes from the thread pointer.
///
/// # Safety
/// As for [`load`], and the word is one that user space may write.
pub(crate) unsafe fn store<const FIELD: usize>(offset: isize, value: u32) {
    // SAFETY: an aligned store to this thread's own block, which the caller vouches for.
    unsafe {
        asm!(
            "str {value:w}, [{area}, {field}]",
            value = in(reg) value,
            area = in(reg) address(offset),
            field = const FIELD,
            options(nostack, preserves_flags),
        );
    }
}
