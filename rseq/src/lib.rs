//! Restartable sequences and per-CPU data for Linux.
//!
//! Threads that run on different CPUs can count, allocate or log without ever meeting, if each
//! works on memory of *its CPU*. The trouble is that a thread may be moved or preempted between
//! finding out where it runs and writing there. Locked instructions solve that at 5 to 20 times the
//! price of a plain store. A *restartable sequence* solves it for nothing: a few instructions of
//! which the kernel promises that they run on one CPU without interruption up to the last one, or
//! are aborted.
//!
//! ```text
//!    thread A, on CPU 3                       what the kernel does
//!    ──────────────────                       ────────────────────
//!    arm: "I am in this sequence"
//!  ┌ still CPU 3?          ── no ──▶ again
//!  │ old = list.head                       ◀─ preempted here, moved, or a signal?
//!  │ new = old.next                           then, before A runs on: jump to "abort"
//!  └ list.head = new       ◀ commit: the one store that counts
//!    done                                     abort: ──▶ again, a few times; then the fallback
//! ```
//!
//! Nothing is undone by an abort and nothing needs to be: before the commit a sequence stores only
//! to places that mean nothing until the commit says so.
//!
//! # What is here
//!
//! | | |
//! |---|---|
//! | [`Counter`], [`CpuLock`], [`FreeList`], [`CpuBuffer`] | ready-made structures, all safe, in private memory or shared between processes |
//! | [`Memory`] | words for every CPU, to build more of these |
//! | [`Rseq`] | where am I, and the primitives: each one sequence, with its pseudocode |
//! | [`Barrier`] | ends the sequences of other CPUs: `membarrier(2)` |
//! | [`ring`] | the two sequences of Laneway's ring buffers |
//!
//! # Example: a counter
//!
//! ```
//! use laneway_rseq::{Backing, Memory, Shape};
//! use std::sync::atomic::Ordering::Relaxed;
//!
//! // One word for every CPU, in two copies: `local` for sequences, `remote` for everybody else.
//! let memory = Memory::new(Shape { kind: 1, words: 1, common: 0 }, Backing::Private)?;
//! let rseq = memory.rseq();
//!
//! let add = |delta| {
//!     // Finds the CPU, runs the sequence on its word, and tries again after an abort, a few times.
//!     let done = memory.try_local(|cpu, words| rseq.add(cpu, &words[0], delta));
//!     if done.is_none() {
//!         // No rseq in this thread, or somebody steps through it in a debugger: the slow way.
//!         memory.remote()[0].fetch_add(delta, Relaxed);
//!     }
//! };
//! std::thread::scope(|s| {
//!     for _ in 0..4 {
//!         s.spawn(|| (0..1000).for_each(|_| add(1)));
//!     }
//! });
//! let sum: u64 = memory.slots().map(|slot| slot.local[0].load(Relaxed) + slot.remote[0].load(Relaxed)).sum();
//! assert_eq!(sum, 4000);
//! # Ok::<(), laneway_rseq::Error>(())
//! ```
//!
//! [`Counter`] is this and little more.
//!
//! # With and without rseq
//!
//! glibc registers rseq for its threads since 2.35. Where nobody has, this crate does it, thread by
//! thread, when a thread first needs it. Where that fails (an old kernel, a seccomp filter,
//! valgrind, another library that was first), or with `LANEWAY_RSEQ=off` in the environment,
//! sequences abort at their first compare and everything runs on its fallback: atomics on words of
//! their own. [`Rseq::process`] and [`Rseq::register_thread`] say which it is and why.
//!
//! Threads of both kinds, and processes of both kinds, work on one structure at the same time,
//! because they never write the same words. Progress does not depend on rseq either: after
//! [`ATTEMPTS`] aborts in a row an operation takes the fallback, so a thread that is stepped
//! through or showered with signals gets on.
//!
//! # What must never be done in a sequence
//!
//! The sequences here obey these rules, which is why they are written in assembly and why there is
//! no way to pass one a closure:
//!
//! - **No system call.** The kernel kills the process for it, if built to check
//!   (`CONFIG_DEBUG_RSEQ`).
//! - **No call, no stack, no nested sequence.** A thread has one descriptor; whoever arms another
//!   leaves the first.
//! - **No jump in.** An interrupted sequence starts anew or not at all; entering it behind the
//!   compare of the CPU would skip that.
//! - **One commit, and last.** A store that others take for true before it would stay true after an
//!   abort.
//! - **No use of a register or word after the abort** that the sequence may have changed.
//! - **No descriptor that goes away**: the kernel looks at it when it next interrupts the thread,
//!   so code with sequences must stay mapped. A library with this crate in it is not unloaded by
//!   `dlclose`.
//!
//! And around them:
//!
//! - A CPU number is true when it is read and old right after; only a sequence makes use of it
//!   safely.
//! - Words that sequences write belong to them: an atomic read-modify-write from elsewhere does not
//!   exclude a sequence.
//! - A thread made by `clone(CLONE_VM)` or `vfork` without thread-local storage of its own reads
//!   its creator's area: it must not use this crate.
//!
//! # Platforms
//!
//! Linux 4.18 or newer for rseq, 5.10 for [`Barrier`], 6.3 for [`Rseq::mm_cid`] and [`Rseq::node`].
//! x86-64 and little-endian aarch64 have sequences; others, and Miri and loom, run on the fallback.
//! Everything is tested on both; see the README.
//!
//! # Sources
//!
//! rseq(2) in librseq's `doc/man`; `include/uapi/linux/rseq.h` and `tools/testing/selftests/rseq`
//! of the kernel; the glibc manual, "Restartable Sequences"; membarrier(2).

#![warn(missing_docs)]

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
mod status;
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
pub use registration::Rseq;
pub use slot::{CpuId, MmCid, Slot};
pub use status::{Owner, Unavailable};

#[cfg(all(test, not(any(miri, loom))))]
mod tests;

/// The examples of the README are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
