//! The primitives: each one restartable sequence.
//!
//! ```text
//!   Rseq::get() ──▶ rseq.cpu() ──▶ plain reads of that CPU's data ──▶ one primitive
//!        ▲               ▲                                             │
//!        │               └──────────── Aborted: look again ────────────┤
//!        └── the caller's fallback, after a few tries ◀────────────────┘
//! ```
//!
//! What they have in common: a primitive is told in which [`Slot`] (CPU) the caller believes to
//! run. If the thread still runs there, and is neither preempted, migrated nor interrupted by a
//! signal until the last instruction, the *commit*, all of it has happened; else the kernel sends
//! the thread to the abort handler, and what it did before the commit stays where it was stored. So
//! a primitive is atomic against every other thread and signal handler on this CPU *as far as its
//! commit goes*; stores before the commit must be to memory that means nothing until the commit
//! says so. Against other CPUs it is not atomic at all: nobody else may write the words at the same
//! time.
//!
//! Commits have release order: who reads the committed word with acquire order on another
//! CPU sees the stores before it. On x86-64 every store has it; on aarch64 the commit is an `stlr`.

use crate::arch;
use crate::registration::Rseq;
use crate::slot::{CpuId, Slot};
use crate::sync::AtomicU64;
use core::fmt;

/// How often [`Rseq::try_local`] starts anew before it gives up. A sequence is a few nanoseconds
/// and a time slice some milliseconds, so even a second attempt is rare unless somebody steps or
/// signals the thread on purpose.
pub const ATTEMPTS: u32 = 8;

/// Why a primitive that compares did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotDone {
    /// A word did not hold what the caller expected.
    Mismatch,
    /// The thread is not in that slot, or was interrupted before the commit, or has no rseq.
    Aborted,
}

impl fmt::Display for NotDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mismatch => {
                f.write_str("the word does not hold the expected value; read it again")
            }
            Self::Aborted => Interrupted.fmt(f),
        }
    }
}

impl core::error::Error for NotDone {}

/// The thread is not in that slot, or was interrupted before the commit, or has no rseq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sequence was interrupted; find the current CPU again")
    }
}

impl core::error::Error for Interrupted {}

/// Whoever reads all words anew before each attempt treats both alike.
impl From<NotDone> for Interrupted {
    #[inline(always)]
    fn from(_: NotDone) -> Self {
        Self
    }
}

/// A store that a primitive makes before its commit.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Store<'a> {
    /// Where to.
    pub word: &'a AtomicU64,
    /// What.
    pub value: u64,
}

impl Rseq {
    /// Lets `local` work on the slot of the current CPU, [`ATTEMPTS`] times at most; `None` when
    /// the caller must fall back: the CPU has no slot (`slots` or more), the thread no rseq, or
    /// every attempt was interrupted.
    ///
    /// `local` reads what it needs and ends in one primitive on the CPU it is given. A thread that
    /// is not registered yet is registered on the way.
    ///
    /// ```
    /// use laneway_rseq::Rseq;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// // One word per CPU for sequences, and one for everybody else.
    /// let mine: Vec<AtomicU64> = (0..laneway_rseq::possible_cpus()).map(|_| AtomicU64::new(0)).collect();
    /// let shared = AtomicU64::new(0);
    ///
    /// let rseq = Rseq::get();
    /// let done = rseq.try_local(mine.len() as u32, |cpu| rseq.add(cpu, &mine[cpu.index()], 1));
    /// if done.is_none() {
    ///     shared.fetch_add(1, Ordering::Relaxed);
    /// }
    /// ```
    #[inline(always)]
    pub fn try_local<R>(
        self,
        slots: u32,
        mut local: impl FnMut(CpuId) -> Result<R, Interrupted>,
    ) -> Option<R> {
        let cpu = self.cpu_raw();
        if cpu < slots
            && let Ok(done) = local(CpuId(cpu))
        {
            return Some(done);
        }
        self.try_local_slow(slots, &mut local)
    }

    #[cold]
    fn try_local_slow<R>(
        self,
        slots: u32,
        local: &mut dyn FnMut(CpuId) -> Result<R, Interrupted>,
    ) -> Option<R> {
        self.register_thread().ok()?;
        (1..ATTEMPTS).find_map(|_| {
            let cpu = self.cpu_raw();
            if cpu >= slots {
                return None;
            }
            local(CpuId(cpu)).ok()
        })
    }

    /// If in `slot` and `*word == expected`: stores `new`.
    ///
    /// ```text
    /// if area.slot != slot        → Aborted
    /// if *word != expected        → Mismatch
    /// *word = new                                        ◀ commit (release)
    /// ```
    ///
    /// An abort leaves nothing behind.
    ///
    /// # Errors
    /// [`NotDone`]; nothing was stored.
    #[inline(always)]
    pub fn compare_and_store<S: Slot>(
        self,
        slot: S,
        word: &AtomicU64,
        expected: u64,
        new: u64,
    ) -> Result<(), NotDone> {
        arch::compare_and_store(self.offset(), slot, word, expected, new)
    }

    /// If in `slot`, `*guard == open` and then `*word == expected`: stores `new` to `word`.
    ///
    /// ```text
    /// if area.slot != slot        → Aborted
    /// if *guard != open           → Mismatch   (acquire)
    /// if *word != expected        → Mismatch
    /// *word = new                                        ◀ commit (release)
    /// ```
    ///
    /// An abort leaves nothing behind. The guard is compared first: whoever closes it elsewhere,
    /// ends all sequences ([`Barrier`](crate::Barrier)), changes the word and opens the guard
    /// again, cannot be overtaken.
    ///
    /// # Errors
    /// [`NotDone`]; nothing was stored.
    #[inline(always)]
    pub fn compare_both_and_store<S: Slot>(
        self,
        slot: S,
        (guard, open): (&AtomicU64, u64),
        (word, expected): (&AtomicU64, u64),
        new: u64,
    ) -> Result<(), NotDone> {
        arch::compare_both_and_store(self.offset(), slot, guard, open, word, expected, new)
    }

    /// If in `slot` and `*word == expected`: does the store `first`, then stores `new`.
    ///
    /// ```text
    /// if area.slot != slot        → Aborted
    /// if *word != expected        → Mismatch
    /// *first.word = first.value
    /// *word = new                                        ◀ commit (release)
    /// ```
    ///
    /// An abort may leave `first` done: its word must mean nothing until the commit says so, as the
    /// place above the top of a stack does.
    ///
    /// # Errors
    /// [`NotDone::Mismatch`] before anything was stored; [`NotDone::Aborted`] at any step.
    #[inline(always)]
    pub fn compare_store_store<S: Slot>(
        self,
        slot: S,
        word: &AtomicU64,
        expected: u64,
        first: Store<'_>,
        new: u64,
    ) -> Result<(), NotDone> {
        arch::compare_store_store(self.offset(), slot, word, expected, first, new)
    }

    /// If in `slot` and `*word == expected`: does `stores` in their order, then `commit`.
    ///
    /// ```text
    /// if area.slot != slot        → Aborted
    /// if *word != expected        → Mismatch
    /// for s in stores             *s.word = s.value
    /// *commit.word = commit.value                        ◀ commit (release)
    /// ```
    ///
    /// An abort leaves any number of the first `stores` done, never `commit`.
    ///
    /// # Errors
    /// [`NotDone::Mismatch`] before anything was stored; [`NotDone::Aborted`] at any step.
    #[inline(always)]
    pub fn compare_store_many<S: Slot>(
        self,
        slot: S,
        word: &AtomicU64,
        expected: u64,
        stores: &[Store<'_>],
        commit: Store<'_>,
    ) -> Result<(), NotDone> {
        arch::compare_store_many(self.offset(), slot, word, expected, stores, &commit)
    }

    /// If in `slot`: adds `delta`, wrapping.
    ///
    /// ```text
    /// if area.slot != slot        → Interrupted
    /// *word += delta                                     ◀ commit (release)
    /// ```
    ///
    /// An abort leaves nothing behind.
    ///
    /// # Errors
    /// [`Interrupted`]; nothing was added.
    #[inline(always)]
    pub fn add<S: Slot>(self, slot: S, word: &AtomicU64, delta: u64) -> Result<(), Interrupted> {
        arch::add(self.offset(), slot, word, delta)
    }

    /// If in `slot` and `*word != unwanted`: takes what `word` holds for an address, stores what
    /// lies `link` bytes behind that address to `word`, and returns the address: the pop of a
    /// linked list.
    ///
    /// ```text
    /// if area.slot != slot        → Aborted
    /// old = *word
    /// if old == unwanted          → Mismatch
    /// next = *(old + link)
    /// *word = next                                       ◀ commit (release)
    /// return old
    /// ```
    ///
    /// An abort leaves nothing behind. There is no ABA problem: while the sequence lasts nobody else
    /// pops here.
    ///
    /// ```
    /// use laneway_rseq::{NotDone, Rseq};
    /// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    ///
    /// #[repr(C)]
    /// struct Node {
    ///     value: u64,
    ///     next: AtomicU64,
    /// }
    /// const LINK: isize = std::mem::offset_of!(Node, next) as isize;
    ///
    /// // A list of two nodes that lie somewhere and stay there; one head per CPU in real life.
    /// let last = Node { value: 2, next: AtomicU64::new(0) };
    /// let first = Node { value: 1, next: AtomicU64::new(&raw const last as u64) };
    /// let head = AtomicU64::new(&raw const first as u64);
    ///
    /// let rseq = Rseq::get();
    /// let popped = rseq.try_local(laneway_rseq::possible_cpus(), |cpu| {
    ///     // SAFETY: `head` holds 0 or the address of a node, which is never taken away.
    ///     match unsafe { rseq.compare_not_load_store(cpu, &head, 0, LINK) } {
    ///         Ok(node) => Ok(Some(node)),
    ///         Err(NotDone::Mismatch) => Ok(None), // an empty list
    ///         Err(aborted) => Err(aborted.into()),
    ///     }
    /// });
    /// if let Some(Some(node)) = popped {
    ///     assert_eq!(node, &raw const first as u64);
    ///     assert_eq!(head.load(Relaxed), &raw const last as u64);
    /// }
    /// # assert_eq!(first.value + last.value, 3);
    /// ```
    ///
    /// # Errors
    /// [`NotDone`]; nothing was stored.
    ///
    /// # Safety
    /// Whatever `word` holds while the thread is in `slot`, if it is not `unwanted`, plus `link`,
    /// is the aligned address of a readable `u64`, which only sequences in the same slot change.
    #[inline(always)]
    pub unsafe fn compare_not_load_store<S: Slot>(
        self,
        slot: S,
        word: &AtomicU64,
        unwanted: u64,
        link: isize,
    ) -> Result<u64, NotDone> {
        // SAFETY: the caller's promise is the callee's.
        unsafe { arch::compare_not_load_store(self.offset(), slot, word, unwanted, link) }
    }

    /// The pop of a list whose links are indices, each plus one, and 0 for none: if in `slot`,
    /// `*gate == 0` and the list is not empty, takes the first index off and returns it.
    ///
    /// ```text
    /// if area.slot != slot        → Aborted
    /// if *gate != 0               → Mismatch   (acquire)
    /// index = *head − 1
    /// if index ≥ links.len()      → Mismatch     (an empty list, 0 − 1, is among these)
    /// next = links[index]
    /// *head = next                                       ◀ commit (release)
    /// return index
    /// ```
    ///
    /// An abort leaves nothing behind. Nothing that stands in shared memory can make it read out of
    /// bounds.
    ///
    /// # Errors
    /// [`NotDone`]; nothing was stored.
    #[inline(always)]
    pub fn pop_index<S: Slot>(
        self,
        slot: S,
        gate: &AtomicU64,
        head: &AtomicU64,
        links: &[AtomicU64],
    ) -> Result<u64, NotDone> {
        arch::pop_index(self.offset(), slot, gate, head, links)
    }

    /// If in `slot` and `*word == expected`: copies `bytes` bytes, then stores `new`.
    ///
    /// ```text
    /// if area.slot != slot        → Aborted
    /// if *word != expected        → Mismatch
    /// copy bytes from → to
    /// *word = new                                        ◀ commit (release)
    /// ```
    ///
    /// An abort leaves any part of `to` overwritten: it must mean nothing until the commit
    /// says so. The longer the copy, the likelier the abort: this is for tens or hundreds of bytes.
    ///
    /// # Errors
    /// [`NotDone::Mismatch`] before anything was stored; [`NotDone::Aborted`] at any step.
    ///
    /// # Safety
    /// `bytes` bytes at `from` can be read and at `to` written, they do not overlap, and no thread
    /// outside `slot` writes either at the same time.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "what a copy and a compare need")]
    pub unsafe fn compare_copy_store<S: Slot>(
        self,
        slot: S,
        word: &AtomicU64,
        expected: u64,
        from: *const u8,
        to: *mut u8,
        bytes: usize,
        new: u64,
    ) -> Result<(), NotDone> {
        // SAFETY: the caller's promise is the callee's.
        unsafe {
            arch::compare_copy_store(self.offset(), slot, word, expected, from, to, bytes, new)
        }
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn compare_store_many_stores_everything_or_nothing() {
        let rseq = Rseq::get();
        if rseq.register_thread().is_err() {
            return;
        }
        let words = [const { AtomicU64::new(0) }; 4];
        let stores = [
            Store {
                word: &words[1],
                value: 11,
            },
            Store {
                word: &words[2],
                value: 12,
            },
        ];
        let commit = Store {
            word: &words[3],
            value: 13,
        };
        let attempt =
            |expected, cpu| rseq.compare_store_many(cpu, &words[0], expected, &stores, commit);
        let read = || [1, 2, 3].map(|i: usize| words[i].load(Relaxed));

        let cpu = rseq.cpu().unwrap();
        assert_eq!(attempt(0, CpuId(cpu.0 + 1000)), Err(NotDone::Aborted));
        assert_eq!(read(), [0, 0, 0]);
        assert!((0..100).any(|_| attempt(1, rseq.cpu().unwrap()) == Err(NotDone::Mismatch)));
        assert_eq!(read(), [0, 0, 0]);
        assert!((0..100).any(|_| attempt(0, rseq.cpu().unwrap()).is_ok()));
        assert_eq!(read(), [11, 12, 13]);
    }

    #[test]
    fn a_cpu_without_a_slot_is_like_no_rseq() {
        let rseq = Rseq::get();
        let done = rseq.try_local(0, |cpu| -> Result<(), Interrupted> {
            panic!("no slot, yet asked for {cpu:?}")
        });
        assert_eq!(done, None);
    }

    #[test]
    fn what_always_aborts_is_tried_so_many_times_and_no_more() {
        let rseq = Rseq::get();
        let mut tries = 0;
        let done = rseq.try_local(u32::MAX >> 1, |_| -> Result<(), Interrupted> {
            tries += 1;
            Err(Interrupted)
        });
        assert_eq!(done, None);
        // A thread that was registered only now had no first attempt.
        let most = if rseq.cpu().is_some() { ATTEMPTS } else { 0 };
        assert!(tries == most || tries + 1 == most, "{tries} tries");
    }
}
