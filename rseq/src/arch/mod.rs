//! Everything that is written in assembly, one folder per architecture.
//!
//! ```text
//!           ┌─ x86_64    fs:[offset]      signature 0x53053053
//!  ops.rs ──┼─ aarch64   tpidr_el0+offset signature 0xd428bc00
//!           └─ none      nothing: every sequence aborts, the callers fall back
//! ```
//!
//! The contract of an architecture: `SIGNATURE`; `own_offset`, the distance from the thread
//! pointer to this crate's own area; `load` and `store` of a word at an offset from the thread
//! pointer; and the sequences that `ops.rs` and `ring.rs` document.
//! Miri and loom run no assembly and take `none`, and with it the same fallback that a kernel
//! without rseq takes.

#[cfg(all(
    target_arch = "x86_64",
    target_pointer_width = "64",
    not(any(miri, loom))
))]
#[path = "x86_64/mod.rs"]
mod imp;

#[cfg(all(
    target_arch = "aarch64",
    target_endian = "little",
    not(any(miri, loom))
))]
#[path = "aarch64/mod.rs"]
mod imp;

#[cfg(any(
    miri,
    loom,
    not(any(
        all(target_arch = "x86_64", target_pointer_width = "64"),
        all(target_arch = "aarch64", target_endian = "little"),
    ))
))]
#[path = "none.rs"]
mod imp;

pub(crate) use imp::*;
