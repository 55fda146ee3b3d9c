//! The rseq area: 32 bytes per thread that the kernel writes and user space reads.
//!
//! ```text
//!  thread pointer (fs:0 on x86-64, tpidr_el0 on aarch64)
//!  │
//!  │◀── offset, the same in every thread ──▶┌──────────────┬────────┬─────────┬───────┬─────────┬────────┐
//!  │                                        │ cpu_id_start │ cpu_id │ rseq_cs │ flags │ node_id │ mm_cid │
//!  ▼                                        └──────────────┴────────┴─────────┴───────┴─────────┴────────┘
//!                                            0              4        8         16      20        24     28
//! ```
//!
//! `cpu_id` is the word everything turns on. While the thread is registered it is the CPU the
//! thread runs on; otherwise it is negative, so one unsigned compare with the number of per-CPU
//! slots tells "there is no slot for this CPU" and "no rseq in this thread" alike.
//!
//! Invariant: whatever [`Rseq`](crate::Rseq) publishes as the offset leads, in every thread
//! of the process, to 32 bytes laid out like this.
//!
//! Source: `include/uapi/linux/rseq.h`; rseq(2) in librseq's `doc/man`.

use core::mem::{offset_of, size_of};

/// `cpu_id` before the thread registers, and after it unregistered
/// (`RSEQ_CPU_ID_UNINITIALIZED`).
pub(crate) const CPU_ID_UNINITIALIZED: u32 = -1i32 as u32;

/// `cpu_id` of a thread whose registration failed or is over: it is not tried again
/// (`RSEQ_CPU_ID_REGISTRATION_FAILED`).
pub(crate) const CPU_ID_REGISTRATION_FAILED: u32 = -2i32 as u32;

/// The area as the first kernels laid it out. Later kernels may be told of a longer one;
/// every field known today lies within these 32 bytes.
///
/// The struct is a map of offsets: nobody ever makes a reference to one, because the kernel
/// writes it at any time.
#[repr(C, align(32))]
pub struct Area {
    /// A possible CPU even where there is no rseq, so that it can index without a check.
    pub cpu_id_start: u32,
    /// The CPU this thread runs on, or negative.
    pub cpu_id: u32,
    /// Address of the descriptor of the sequence under way, or of the last one.
    pub rseq_cs: u64,
    /// Deprecated since Linux 6.1, always 0.
    pub flags: u32,
    /// The NUMA node of the CPU (Linux 6.3).
    pub node_id: u32,
    /// The thread's concurrency id: small, unique among the threads of the memory map that run
    /// right now (Linux 6.3).
    pub mm_cid: u32,
    /// Up to the 32 bytes that every kernel accepts.
    pub reserved: u32,
}

/// Bytes of the area the first kernels knew: up to the end of `flags`, rounded as they reported it.
pub(crate) const ORIGINAL_FEATURE_BYTES: usize = 20;

const _: () = {
    assert!(size_of::<Area>() == 32);
    assert!(offset_of!(Area, cpu_id) == 4);
    assert!(offset_of!(Area, rseq_cs) == 8);
    assert!(offset_of!(Area, node_id) == ORIGINAL_FEATURE_BYTES);
    assert!(offset_of!(Area, mm_cid) == 24);
};

/// What this crate keeps for each thread in static TLS: an area of its own, used when libc has
/// registered none, and the reason why registering it failed.
///
/// Its initial image is written in assembly (`arch/*/mod.rs`), because stable Rust has no
/// initial-exec thread locals; the layout here is the one that image must have.
#[repr(C)]
pub(crate) struct Own {
    pub(crate) area: Area,
    /// `errno` of the registration that failed in this thread, else 0.
    pub(crate) errno: u32,
    /// What the unit tests do between the instructions of sequences of this thread: see `inject!`.
    #[cfg(test)]
    pub(crate) inject: [u32; 8],
}
