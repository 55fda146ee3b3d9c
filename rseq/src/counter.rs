//! A counter that every CPU adds to in a word of its own.
//!
//! ```text
//!   add ── sequence on CPU n ──▶ local word of CPU n  ─┐
//!    └──── fetch_add, if not ──▶ remote word of CPU n ─┴─▶ sum = Σ local + Σ remote
//! ```
//!
//! Invariant: every finished `add` is in exactly one word, and no word is ever set back; so a sum
//! holds every add that finished before it began, and none twice.

use std::os::fd::{BorrowedFd, OwnedFd};

use crate::memory::{Backing, Error, Memory, Shape};
use crate::sync::Ordering::{Acquire, Release};

const KIND: u64 = u64::from_le_bytes(*b"counter1");

/// A number that many threads, of one process or of several, add to without getting in each other's
/// way.
///
/// ```
/// use laneway_rseq::{Backing, Counter};
///
/// let served = Counter::new(Backing::Private)?;
/// std::thread::scope(|s| {
///     for _ in 0..4 {
///         s.spawn(|| (0..1000).for_each(|_| served.add(1)));
///     }
/// });
/// assert_eq!(served.sum(), 4000);
/// # Ok::<(), laneway_rseq::Error>(())
/// ```
#[derive(Debug)]
pub struct Counter {
    memory: Memory,
}

impl Counter {
    /// A counter at 0.
    ///
    /// # Errors
    /// What the kernel says when there is no memory.
    pub fn new(backing: Backing) -> Result<Self, Error> {
        let shape = Shape {
            kind: KIND,
            words: 1,
            common: 0,
        };
        Ok(Self {
            memory: Memory::new(shape, backing)?,
        })
    }

    /// The counter that another process made with [`Backing::Shared`].
    ///
    /// # Errors
    /// As for [`Memory::attach`].
    pub fn attach(fd: OwnedFd) -> Result<Self, Error> {
        Ok(Self {
            memory: Memory::attach(fd, KIND)?.require(|words, _| words == 1)?,
        })
    }

    /// What other processes attach to.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.memory.fd()
    }

    /// Adds `delta`, wrapping; `0u64.wrapping_sub(n)` subtracts. May be called in a signal handler.
    #[inline]
    pub fn add(&self, delta: u64) {
        let rseq = self.memory.rseq();
        let done = self.memory.try_local(|cpu, words| match words {
            [word, ..] => rseq.add(cpu, word, delta),
            [] => Ok(()),
        });
        if done.is_none() {
            self.add_slow(delta);
        }
    }

    #[cold]
    fn add_slow(&self, delta: u64) {
        // SYNC(sum): pairs with the Acquire loads in `sum`.
        self.memory.remote()[0].fetch_add(delta, Release);
    }

    /// The sum of all adds that finished before, and of any number of those under way.
    pub fn sum(&self) -> u64 {
        self.memory
            .slots()
            // SYNC(sum): pairs with the sequences' commits and with `add_slow`.
            .map(|slot| {
                slot.local[0]
                    .load(Acquire)
                    .wrapping_add(slot.remote[0].load(Acquire))
            })
            .fold(0, u64::wrapping_add)
    }
}
