//! Restartable sequences and per-CPU data for Linux.

#[macro_use]
mod symbol;
mod arch;
mod area;
mod cpus;
mod loader;
mod membarrier;
mod ops;
mod registration;
pub mod ring;
mod slot;

pub use area::Area;
pub use cpus::{current_cpu, possible_cpus};
pub use membarrier::{Barrier, NoBarrier};
pub use ops::{ATTEMPTS, Interrupted, NotDone, Store};
pub use registration::{Owner, Rseq, Unavailable};
pub use slot::{CpuId, MmCid, Slot};
