//! Slots: which of the per-CPU places a thread uses right now.
//!
//! ```text
//!   CpuId   0 … possible CPUs − 1    where the thread runs
//!   MmCid   0 … threads running − 1  who it is among the threads of this memory map that run now
//! ```
//!
//! A slot is a claim that was true when it was read. A sequence proves it again, and holds it to
//! its commit, because the kernel rewrites the field (and aborts) whenever the thread moves.

use core::mem::offset_of;

use crate::area::Area;

mod sealed {
    pub trait Sealed {}
}

/// A field of the rseq area that says where a thread is, and that sequences compare.
pub trait Slot: Copy + sealed::Sealed {
    /// The field's offset in the area.
    const FIELD: usize;

    /// The number, as an index.
    fn number(self) -> u32;
}

/// The number of a CPU, as in `sched_getcpu(3)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuId(pub u32);

/// A concurrency id: unique among the threads of this process that run at the same time, and as
/// small as possible (Linux 6.3). Means nothing in memory that several processes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MmCid(pub u32);

impl sealed::Sealed for CpuId {}
impl sealed::Sealed for MmCid {}

impl Slot for CpuId {
    const FIELD: usize = offset_of!(Area, cpu_id);

    #[inline(always)]
    fn number(self) -> u32 {
        self.0
    }
}

impl Slot for MmCid {
    const FIELD: usize = offset_of!(Area, mm_cid);

    #[inline(always)]
    fn number(self) -> u32 {
        self.0
    }
}

impl CpuId {
    /// As an index.
    #[inline(always)]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl MmCid {
    /// As an index.
    #[inline(always)]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}
