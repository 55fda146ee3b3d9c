//! Restartable sequences and per-CPU data for Linux.

#[macro_use]
mod symbol;
mod arch;
mod area;
mod buffer;
mod counter;
mod cpus;
mod free_list;
mod loader;
mod lock;
mod map;
mod membarrier;
mod memory;
mod ops;
mod registration;
pub mod ring;
mod slot;
mod sync;

pub use area::Area;
pub use buffer::CpuBuffer;
pub use counter::Counter;
pub use cpus::{current_cpu, possible_cpus};
pub use free_list::{Chain, FreeList, Taken};
pub use lock::{CpuLock, Guard};
pub use membarrier::{Barrier, NoBarrier};
pub use memory::{Backing, CpuWords, Error, Memory, Shape};
pub use ops::{ATTEMPTS, Interrupted, NotDone, Store};
pub use registration::{Owner, Rseq, Unavailable};
pub use slot::{CpuId, MmCid, Slot};

#[cfg(all(test, not(any(miri, loom))))]
mod tests;
