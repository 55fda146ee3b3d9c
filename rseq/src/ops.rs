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
//! signal until the last instruction, the *commit*, all of it has happened; else the kernel sends the
//! thread to the abort handler, and what it did before the commit stays where it was stored. So a
//! primitive is atomic against every other thread and signal handler on this CPU *as far as its commit
//! goes*; stores before the commit must be to memory that means nothing until the commit says so.
//! Against other CPUs it is not atomic at all: nobody else may write the words at the same time.
//!
//! Commits have release order: who reads the committed word with acquire order on another
//! CPU sees the stores before it. On x86-64 every store has it; on aarch64 the commit is an `stlr`.

use core::sync::atomic::AtomicU64;

use crate::registration::Rseq;
use crate::slot::Slot;

/// Why a primitive did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotDone {
    /// A word did not hold what the caller expected.
    Mismatch,
    /// The thread is not in that slot, or was interrupted before the commit, or has no rseq.
    Aborted,
}

impl core::fmt::Display for NotDone {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Mismatch => "the word does not hold the expected value; read it again",
            Self::Aborted => "the sequence was interrupted; find the current CPU again",
        })
    }
}

impl core::error::Error for NotDone {}

/// One store of [`Rseq::compare_store_many`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Store<'a> {
    /// Where to.
    pub word: &'a AtomicU64,
    /// What.
    pub value: u64,
}

impl Rseq {
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
        crate::arch::compare_store_many(self.offset(), slot, word, expected, stores, &commit)
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::Ordering::Relaxed;

    use super::*;
    use crate::slot::CpuId;

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
}
