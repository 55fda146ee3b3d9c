//! A bounded stack of items for every CPU, in an array: the shape of a per-CPU cache.
//!
//! ```text
//!   local side of CPU n                        remote side: the same, under its lock
//!   ┌──────┬───────┬───────────────────────────────┐
//!   │ lock │ count │ item 0 │ item 1 │ item 2 │ …  │   an item is W words
//!   └──────┴───────┴───────────────────────────────┘
//!             3 ─────────────────────────▲
//! ```
//!
//! *Push* writes the item above the top, where nobody looks, and commits by counting it. *Pop*
//! reads the top item and commits by counting it off. One word is stored or compared directly,
//! several are copied. The remote side, for threads without a sequence, needs two words changed at
//! once, so it has a lock, which nobody waits for: who finds it taken goes on to the next CPU's.
//!
//! Invariant: an item whose push succeeded is popped at most once; `count` items of a side are
//! whole.

use std::os::fd::{BorrowedFd, OwnedFd};

use crate::memory::{Backing, Error, Memory, Shape};
use crate::ops::{Interrupted, Store};
use crate::registration::Rseq;
use crate::slot::CpuId;
use crate::sync::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

const KIND: u64 = u64::from_le_bytes(*b"cpubuf_1");
const HEAD_WORDS: usize = 2;

/// A stack of items of `W` words for every CPU, of a fixed capacity each.
///
/// ```
/// use laneway_rseq::{Backing, CpuBuffer};
///
/// let cache = CpuBuffer::<1>::new(64, Backing::Private)?;
/// let page = Box::new([0u8; 4096]);
/// if let Err([address]) = cache.push([Box::into_raw(page) as u64]) {
///     // Full: what was pushed comes back.
///     // SAFETY: it came from `Box::into_raw` just now.
///     drop(unsafe { Box::from_raw(address as *mut [u8; 4096]) });
/// }
/// if let Some([address]) = cache.pop() {
///     // SAFETY: only such addresses are pushed, and each is popped once.
///     drop(unsafe { Box::from_raw(address as *mut [u8; 4096]) });
/// }
/// # Ok::<(), laneway_rseq::Error>(())
/// ```
#[derive(Debug)]
pub struct CpuBuffer<const W: usize> {
    memory: Memory,
}

impl<const W: usize> CpuBuffer<W> {
    const ITEM: () = assert!(W > 0, "an item has at least one word");

    /// Empty stacks for `capacity` items each.
    ///
    /// # Errors
    /// [`Error::TooLarge`], or what the kernel says.
    pub fn new(capacity: usize, backing: Backing) -> Result<Self, Error> {
        let () = Self::ITEM;
        let words = capacity.saturating_mul(W).saturating_add(HEAD_WORDS);
        let shape = Shape {
            kind: Self::kind(),
            words,
            common: 0,
        };
        Ok(Self {
            memory: Memory::new(shape, backing)?,
        })
    }

    /// The stacks that another process made with [`Backing::Shared`]. A process that dies while it
    /// has a remote side's lock makes that side useless, and takes its items along.
    ///
    /// # Errors
    /// As for [`Memory::attach`].
    pub fn attach(fd: OwnedFd) -> Result<Self, Error> {
        let right = |words, _| words >= HEAD_WORDS;
        Ok(Self {
            memory: Memory::attach(fd, Self::kind())?.require(right)?,
        })
    }

    /// What other processes attach to.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.memory.fd()
    }

    /// How many items fit in the stack of one CPU.
    pub fn capacity(&self) -> usize {
        (self.memory.sizes().0 - HEAD_WORDS) / W
    }

    /// Puts an item on the stack of the current CPU. May be called in a signal handler.
    ///
    /// # Errors
    /// The item, if there is no room.
    #[inline]
    pub fn push(&self, item: [u64; W]) -> Result<(), [u64; W]> {
        let rseq = self.memory.rseq();
        match self
            .memory
            .try_local(|cpu, words| push_local(rseq, cpu, words, &item))
        {
            Some(true) => Ok(()),
            Some(false) => Err(item),
            None => self.push_slow(item),
        }
    }

    /// Takes the item that was put last on the stack of the current CPU; `None` if it is empty,
    /// though others may have some. May be called in a signal handler.
    #[inline]
    pub fn pop(&self) -> Option<[u64; W]> {
        let rseq = self.memory.rseq();
        match self
            .memory
            .try_local(|cpu, words| pop_local(rseq, cpu, words))
        {
            Some(Some(item)) => Some(item),
            Some(None) => self.pop_remote(),
            None => self.pop_slow(),
        }
    }

    #[cold]
    fn push_slow(&self, item: [u64; W]) -> Result<(), [u64; W]> {
        let pushed = self.remote_sides().any(|words| {
            let Some(side) = Side::try_lock(words) else {
                return false;
            };
            let count = side.count.load(Relaxed) as usize;
            let Some(place) = side.items.chunks_exact(W).nth(count) else {
                return false;
            };
            place
                .iter()
                .zip(item)
                .for_each(|(word, value)| word.store(value, Relaxed));
            side.count.store(count as u64 + 1, Relaxed);
            true
        });
        if pushed { Ok(()) } else { Err(item) }
    }

    #[cold]
    fn pop_slow(&self) -> Option<[u64; W]> {
        self.remote_sides().find_map(pop_locked)
    }

    /// For threads with a sequence, whose local stack is empty.
    #[cold]
    fn pop_remote(&self) -> Option<[u64; W]> {
        pop_locked(self.memory.remote())
    }

    /// All remote sides, that of the current CPU first.
    fn remote_sides(&self) -> impl Iterator<Item = &[AtomicU64]> {
        let cpus = self.memory.cpus();
        let here = crate::cpus::current_cpu().0 % cpus;
        (here..cpus)
            .chain(0..here)
            .map(|cpu| self.memory.remote_of(CpuId(cpu)))
    }

    /// Stacks of other items are another kind.
    fn kind() -> u64 {
        KIND ^ (W as u64).rotate_right(8)
    }
}

#[inline(always)]
fn push_local<const W: usize>(
    rseq: Rseq,
    cpu: CpuId,
    words: &[AtomicU64],
    item: &[u64; W],
) -> Result<bool, Interrupted> {
    let [_, top, items @ ..] = words else {
        return Ok(false);
    };
    let count = top.load(Relaxed);
    let Some(place) = items.chunks_exact(W).nth(count as usize) else {
        return Ok(false);
    };
    if let ([word], [value]) = (place, &item[..]) {
        let first = Store {
            word,
            value: *value,
        };
        rseq.compare_store_store(cpu, top, count, first, count + 1)?;
    } else {
        let (from, to) = (item.as_ptr().cast(), place.as_ptr().cast::<u8>().cast_mut());
        // SAFETY: W words can be read at `from`, which is ours, and written at `to`; atomics may be
        // written through a shared reference, and threads elsewhere do not look above the top.
        unsafe {
            rseq.compare_copy_store(cpu, top, count, from, to, size_of_val(item), count + 1)?
        };
    }
    Ok(true)
}

#[inline(always)]
fn pop_local<const W: usize>(
    rseq: Rseq,
    cpu: CpuId,
    words: &[AtomicU64],
) -> Result<Option<[u64; W]>, Interrupted> {
    let [_, top, items @ ..] = words else {
        return Ok(None);
    };
    let count = top.load(Relaxed);
    let last = (count as usize).wrapping_sub(1);
    let Some(place) = items.chunks_exact(W).nth(last) else {
        return Ok(None);
    };
    let mut item = [0; W];
    if let ([word], [value]) = (place, &mut item[..]) {
        *value = word.load(Relaxed);
        // The count alone may be the same again after a pop and a push.
        rseq.compare_both_and_store(cpu, (word, *value), (top, count), count - 1)?;
    } else {
        let (from, to) = (place.as_ptr().cast(), item.as_mut_ptr().cast());
        // SAFETY: W words can be read at `from` and written at `to`, which is ours; only sequences
        // on this CPU write the items.
        unsafe {
            rseq.compare_copy_store(cpu, top, count, from, to, size_of::<[u64; W]>(), count - 1)?
        };
    }
    Ok(Some(item))
}

fn pop_locked<const W: usize>(words: &[AtomicU64]) -> Option<[u64; W]> {
    if words.get(1)?.load(Relaxed) == 0 {
        return None; // not worth the lock
    }
    let side = Side::try_lock(words)?;
    let last = (side.count.load(Relaxed) as usize).checked_sub(1)?;
    let place = side.items.chunks_exact(W).nth(last)?;
    let mut item = [0; W];
    item.iter_mut()
        .zip(place)
        .for_each(|(value, word)| *value = word.load(Relaxed));
    side.count.store(last as u64, Relaxed);
    Some(item)
}

/// A remote side whose lock is held.
struct Side<'a> {
    lock: &'a AtomicU64,
    count: &'a AtomicU64,
    items: &'a [AtomicU64],
}

impl<'a> Side<'a> {
    fn try_lock(words: &'a [AtomicU64]) -> Option<Self> {
        let [lock, count, items @ ..] = words else {
            return None;
        };
        // SYNC(side): pairs with the Release in the drop.
        lock.compare_exchange(0, 1, Acquire, Relaxed).ok()?;
        Some(Self { lock, count, items })
    }
}

impl Drop for Side<'_> {
    fn drop(&mut self) {
        // SYNC(side): pairs with the Acquire in `try_lock`.
        self.lock.store(0, Release);
    }
}
