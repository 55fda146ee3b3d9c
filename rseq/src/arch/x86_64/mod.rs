//! x86-64: the area is `fs:[offset]`, and the parts every sequence is made of.
//!
//! ```text
//!   text                                __rseq_cs (static data)       __rseq_failure (text)
//!   ────                                ───────────────────────       ────────────────────────
//!      lea tmp, [descriptor]       7:   0, 0                          0f b9 3d      ud1 edi, [rip + …]
//!      mov fs:[rseq_cs], tmp            start_ip            ──▶ 2     53 30 05 53   the signature
//!   2: cmp fs:[cpu_id], cpu             post_commit_offset  ──▶ 3   4: jmp aborted
//!      …                                abort_ip            ──▶ 4
//!      mov [word], new   ◀ commit
//!   3:
//! ```
//!
//! The store that arms a sequence is the instruction *before* label 2: a thread interrupted
//! before it is not in the section, one interrupted after it stands at `start_ip` and is.
//! Nothing disarms: a descriptor whose range the thread has left is ignored, and the kernel
//! clears it when it next looks. (It must outlive every thread that may still point to it: see
//! `registration.rs`, "pinned".)
//!
//! The signature is the operand of an undefined instruction (`ud1`), so that the four bytes
//! before an abort handler can be nothing but an abort handler.
//!
//! Sequences may use the numeric labels 5 and 6 for themselves; 2, 3, 4 and 7 have the meaning
//! above, 8 and 9 are `inject!`'s. (Labels made of 0 and 1 read as binary numbers in Intel syntax.)

use core::arch::{asm, global_asm};
use core::mem::{offset_of, size_of};

use crate::area::{Area, CPU_ID_UNINITIALIZED, Own};

/// The static `struct rseq_cs` of the sequence around it, at label 7.
///
/// It holds addresses, so it lies in a writable section (the loader relocates it) which the
/// code refers to, so that it is kept or dropped together with the code.
macro_rules! descriptor {
    (start: $start:literal, commit: $commit:literal, abort: $abort:literal) => {
        concat!(
            ".pushsection __rseq_cs, \"aw\", @progbits\n",
            ".balign 32\n",
            "7:\n",
            ".long 0, 0\n", // version, flags
            ".quad ",
            $start,
            "\n",
            ".quad (",
            $commit,
            " - ",
            $start,
            ")\n",
            ".quad ",
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
            "lea {tmp}, [rip + 7b]\n",
            "mov qword ptr fs:[{offset} + {rseq_cs}], {tmp}",
        )
    };
}

/// Where the kernel sends a thread that was interrupted in the sequence: out of line, behind the
/// signature, and on to `$then`.
macro_rules! abort_handler {
    ($label:literal, $then:literal) => {
        concat!(
            ".pushsection __rseq_failure, \"ax\", @progbits\n",
            ".byte 0x0f, 0xb9, 0x3d\n",
            ".long 0x53053053\n",
            $label,
            ":\n",
            "jmp ",
            $then,
            "\n",
            ".popsection",
        )
    };
}

/// A point between two instructions where the unit tests of this crate wait or trap; nothing in
/// any other build. Uses `r11`.
///
/// ```text
/// n = this thread's inject[point];   n > 0 → count to n;   n < 0 → int3 (SIGTRAP)
/// ```
#[cfg(test)]
macro_rules! inject {
    ($point:literal) => {
        concat!(
            "mov r11, qword ptr [rip + ",
            own_symbol!(),
            "@GOTTPOFF]\n",
            "mov r11d, dword ptr fs:[r11 + 36 + 4 * ",
            $point,
            "]\n",
            "test r11d, r11d\n",
            "je 9f\n",
            "jns 8f\n",
            "int3\n",
            "jmp 9f\n",
            "8:\n",
            "sub r11d, 1\n",
            "jne 8b\n",
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
                    concat!("mov {address}, qword ptr [rip + ", $name, "@GOTPCREL]"),
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

/// The four bytes the kernel wants to see before an abort handler.
pub(crate) const SIGNATURE: u32 = 0x5305_3053;

// The own area in thread-local storage. Its symbol carries the crate's version, so that two
// versions of this crate in one program are two areas, and is hidden, so that two libraries in one
// process are too.
global_asm!(
    ".pushsection .tdata.laneway_rseq, \"awT\", @progbits",
    ".balign 32",
    concat!(".globl ", own_symbol!()),
    concat!(".hidden ", own_symbol!()),
    concat!(".type ", own_symbol!(), ", @object"),
    concat!(own_symbol!(), ":"),
    ".long 0",                          // cpu_id_start: a possible CPU
    ".long {uninitialized}",            // cpu_id
    ".quad 0",                          // rseq_cs
    ".long 0, 0",                       // flags, node_id
    ".long {uninitialized}",            // mm_cid: no slot either, until the kernel says so
    ".long 0",                          // reserved
    ".long 0",                          // errno
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
            concat!("mov {offset}, qword ptr [rip + ", own_symbol!(), "@GOTTPOFF]"),
            offset = out(reg) offset,
            options(nostack, preserves_flags, readonly, pure),
        );
    }
    offset
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
            "mov {value:e}, dword ptr fs:[{offset} + {field}]",
            value = lateout(reg) value,
            offset = in(reg) offset,
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
            "mov dword ptr fs:[{offset} + {field}], {value:e}",
            value = in(reg) value,
            offset = in(reg) offset,
            field = const FIELD,
            options(nostack, preserves_flags),
        );
    }
}

/// The address of what lies `offset` bytes from the thread pointer, for the system call.
pub(crate) fn address(offset: isize) -> usize {
    let base: usize;
    // SAFETY: `fs:0` holds its own address, by the x86-64 ELF TLS ABI ("variant II").
    unsafe {
        asm!(
            "mov {base}, qword ptr fs:[0]",
            base = lateout(reg) base,
            options(nostack, preserves_flags, readonly, pure),
        );
    }
    base.wrapping_add_signed(offset)
}
