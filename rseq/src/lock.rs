//! A spin lock for every CPU, each with words of its own.
//!
//! ```text
//!   local side of CPU n          taken by a sequence on CPU n: compare 0, store 1 (no locked instruction)
//!   ┌──────┬───────────────┐
//!   │ lock │ words         │    given back by a release store, from whatever CPU
//!   └──────┴───────────────┘
//!   remote side of CPU n         taken by compare-and-swap, by those who have no sequence
//!   ┌──────┬───────────────┐
//!   │ lock │ words         │
//!   └──────┴───────────────┘
//! ```
//!
//! A sequence and a compare-and-swap cannot exclude each other from one word, so there are twice as
//! many locks as CPUs, and `lock` says which one it took by handing out that lock's words. Whoever
//! wants the whole adds up all of them.
//!
//! Invariant: between `lock` and the guard's drop no other guard has the same words.

use std::ops::Deref;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::memory::{Backing, Error, Memory, Shape};
use crate::ops::{Interrupted, NotDone};
use crate::sync::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence, relax, yield_now,
};

const KIND: u64 = u64::from_le_bytes(*b"cpulock1");
const FREE: u64 = 0;
const TAKEN: u64 = 1;
/// How often a taken lock is looked at before its holder is given the CPU: he may be preempted on
/// this very one.
const SPINS: u32 = 64;

/// Words that are locked for the CPU a thread runs on.
///
/// ```
/// use laneway_rseq::{Backing, CpuLock};
/// use std::sync::atomic::Ordering::Relaxed;
///
/// let seen = CpuLock::new(2, Backing::Private)?;
/// {
///     let words = seen.lock();
///     words[0].store(words[0].load(Relaxed) + 1, Relaxed);
///     words[1].fetch_max(17, Relaxed);
/// }
/// assert_eq!(seen.all().map(|words| words[0].load(Relaxed)).sum::<u64>(), 1);
/// # Ok::<(), laneway_rseq::Error>(())
/// ```
#[derive(Debug)]
pub struct CpuLock {
    memory: Memory,
}

impl CpuLock {
    /// Locks with `words` zeroed words each.
    ///
    /// # Errors
    /// [`Error::TooLarge`], or what the kernel says.
    pub fn new(words: usize, backing: Backing) -> Result<Self, Error> {
        let shape = Shape {
            kind: KIND,
            words: words.saturating_add(1),
            common: 0,
        };
        Ok(Self {
            memory: Memory::new(shape, backing)?,
        })
    }

    /// The locks that another process made with [`Backing::Shared`]. A process that dies with a
    /// lock keeps it locked for good; others with a sequence on that CPU then wait for ever in
    /// [`lock`](Self::lock), and [`try_lock`](Self::try_lock) passes on to the remote one.
    ///
    /// # Errors
    /// As for [`Memory::attach`].
    pub fn attach(fd: OwnedFd) -> Result<Self, Error> {
        Ok(Self {
            memory: Memory::attach(fd, KIND)?.require(|words, _| words >= 1)?,
        })
    }

    /// What other processes attach to.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.memory.fd()
    }

    /// Takes the lock of the current CPU, waiting for it if need be.
    ///
    /// Not to be called by a signal handler that may have interrupted a holder: it would wait for
    /// itself.
    #[inline]
    pub fn lock(&self) -> Guard<'_> {
        match self.lock_local() {
            Ok(guard) => guard,
            Err(Busy) => self.lock_slow(),
        }
    }

    /// Takes the lock of the current CPU if nobody has it, or else its remote one if nobody has
    /// that.
    #[inline]
    pub fn try_lock(&self) -> Option<Guard<'_>> {
        self.lock_local().or_else(|Busy| self.lock_remote()).ok()
    }

    /// The words of all locks, locked or not: for sums, which are exact once nobody holds a lock.
    pub fn all(&self) -> impl Iterator<Item = &[AtomicU64]> {
        self.memory
            .slots()
            .flat_map(|slot| [&slot.local[1..], &slot.remote[1..]])
    }

    /// One try on the local lock: taken, or busy, or (`None` inside) no sequence got through.
    #[inline(always)]
    fn lock_local(&self) -> Result<Guard<'_>, Busy> {
        let rseq = self.memory.rseq();
        let taken = self.memory.try_local(|cpu, words| {
            let [lock, ..] = words else {
                return Err(Interrupted);
            };
            match rseq.compare_and_store(cpu, lock, FREE, TAKEN) {
                Ok(()) => Ok(Ok(cpu)),
                Err(NotDone::Mismatch) => Ok(Err(Busy)),
                Err(NotDone::Aborted) => Err(Interrupted),
            }
        });
        match taken {
            Some(Ok(cpu)) => {
                // SYNC(unlock): pairs with the Release in the guard's drop, whose 0 the sequence
                // read.
                fence(Acquire);
                Ok(Guard {
                    words: self.memory.local_of(cpu),
                })
            }
            Some(Err(Busy)) => Err(Busy),
            None => self.lock_remote(),
        }
    }

    #[cold]
    fn lock_remote(&self) -> Result<Guard<'_>, Busy> {
        let words = self.memory.remote();
        // SYNC(unlock): pairs with the Release in the guard's drop.
        match words[0].compare_exchange(FREE, TAKEN, Acquire, Relaxed) {
            Ok(_) => Ok(Guard { words }),
            Err(_) => Err(Busy),
        }
    }

    #[cold]
    fn lock_slow(&self) -> Guard<'_> {
        let mut tries = 0u32;
        loop {
            if let Ok(guard) = self.lock_local() {
                return guard;
            }
            tries += 1;
            if tries.is_multiple_of(SPINS) {
                yield_now();
            } else {
                relax();
            }
        }
    }
}

/// Somebody has the lock.
struct Busy;

/// A lock that is held; derefs to its words, and gives it back when dropped, on whatever CPU.
#[derive(Debug)]
pub struct Guard<'a> {
    words: &'a [AtomicU64],
}

impl Deref for Guard<'_> {
    type Target = [AtomicU64];

    #[inline]
    fn deref(&self) -> &[AtomicU64] {
        &self.words[1..]
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        // SYNC(unlock): pairs with the Acquire of the next holder.
        self.words[0].store(FREE, Release);
    }
}
