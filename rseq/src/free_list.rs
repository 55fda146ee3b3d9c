//! A free list for every CPU: last in, first out, linked through an array of indices.
//!
//! ```text
//!   local side of CPU n: gate, head                 links (common, one word per element)
//!   ┌──────┬──────┐                                  0   1   2   3   4
//!   │ open │  3 ──┼─▶ element 2 ──▶ element 0        ┌───┬───┬───┬───┬───┐
//!   └──────┴──────┘                                  │ 0 │   │ 1 │   │   │   index + 1 of the next, 0: the last
//!   remote side of CPU n: tag and head               └───┴───┴───┴───┴───┘
//! ```
//!
//! Push and pop are one sequence each. Threads that have no sequence use the remote list, a stack
//! with a tag against ABA, which a pop also looks at when the local one is empty.
//!
//! The *gate* is how another CPU takes a local list away: it closes the gate, ends all sequences on
//! that CPU ([`Barrier`]), and the list is its own. Where the barrier cannot reach, because the
//! memory belongs to several processes or the kernel is old, it only *asks*: the next thread that
//! comes to the gate on that CPU moves the list to the remote side, where anyone can take it.
//!
//! Invariant: an element is in one list at most, or with whoever popped it. Links are claims: an
//! index out of range ends a list.

use std::os::fd::{BorrowedFd, OwnedFd};

use crate::membarrier::Barrier;
use crate::memory::{Backing, CpuWords, Error, Memory, Shape};
use crate::ops::{Interrupted, NotDone};
use crate::slot::CpuId;
use crate::sync::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

const KIND: u64 = u64::from_le_bytes(*b"freelst1");
const GATE: usize = 0;
const HEAD: usize = 1;
const WORDS: usize = 2;

/// Sequences may go through.
const OPEN: u64 = 0;
/// Somebody took the list, or is about to.
const CLOSED: u64 = 1;
/// Whoever comes by should move the list to the remote side.
const ASKED: u64 = 2;

/// In a remote head: the index (plus one) below, the tag above.
const INDEX_BITS: u32 = 32;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;

/// Indices `0..capacity`, kept in a list per CPU. At first they are in no list.
///
/// ```
/// use laneway_rseq::{Backing, FreeList};
///
/// let free = FreeList::new(100, Backing::Private)?;
/// (0..100).for_each(|index| free.push(index));
/// let mine = free.pop().expect("this CPU's list is not empty");
/// free.push(mine);
/// # Ok::<(), laneway_rseq::Error>(())
/// ```
#[derive(Debug)]
pub struct FreeList {
    memory: Memory,
    /// Where no other process can have sequences under way.
    barrier: Option<Barrier>,
}

/// What came of [`FreeList::take_from`].
#[derive(Debug)]
pub enum Taken<'a> {
    /// The whole list, local and remote; elements come in list order. What is not taken out is
    /// pushed back, here.
    Elements(Chain<'a>),
    /// The remote list only. The local one could not be taken from here, so its CPU has been asked
    /// for it, and it moves over with the next push or pop there; or somebody else is taking it at
    /// this moment. Try again later.
    Asked(Chain<'a>),
}

impl FreeList {
    /// Lists for the indices below `capacity`, all of them empty.
    ///
    /// # Errors
    /// [`Error::TooLarge`] from 2^32 − 1 on, or what the kernel says.
    pub fn new(capacity: usize, backing: Backing) -> Result<Self, Error> {
        let shape = Shape {
            kind: KIND,
            words: WORDS,
            common: capacity,
        };
        if capacity as u64 >= INDEX_MASK {
            return Err(Error::TooLarge { shape });
        }
        let memory = Memory::new(shape, backing)?;
        let barrier = match backing {
            Backing::Private => Barrier::register().ok(),
            Backing::Shared => None,
        };
        Ok(Self { memory, barrier })
    }

    /// The lists that another process made with [`Backing::Shared`].
    ///
    /// # Errors
    /// As for [`Memory::attach`].
    pub fn attach(fd: OwnedFd) -> Result<Self, Error> {
        let right = |words, common| words == WORDS && (common as u64) < INDEX_MASK;
        Ok(Self {
            memory: Memory::attach(fd, KIND)?.require(right)?,
            barrier: None,
        })
    }

    /// What other processes attach to.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.memory.fd()
    }

    /// How many indices there are.
    pub fn capacity(&self) -> usize {
        self.memory.sizes().1
    }

    /// Puts an index on the list of the current CPU. May be called in a signal handler.
    ///
    /// Whoever pushes an index that is in a list already gets a wrong list, no undefined behaviour.
    ///
    /// # Panics
    /// If `index` is not below the capacity.
    #[inline]
    pub fn push(&self, index: usize) {
        let rseq = self.memory.rseq();
        let link = &self.memory.common()[index];
        let done = self.memory.try_local(|cpu, words| {
            let [gate, head, ..] = words else {
                return Err(Interrupted);
            };
            if gate.load(Relaxed) != OPEN {
                return Ok(false);
            }
            let first = head.load(Relaxed);
            link.store(first, Relaxed);
            let new = index as u64 + 1;
            rseq.compare_both_and_store(cpu, (gate, OPEN), (head, first), new)?;
            Ok(true)
        });
        if done != Some(true) {
            self.push_slow(index);
        }
    }

    /// Takes the index that was put last on the list of the current CPU; `None` if this CPU has
    /// none, though others may ([`take_from`](Self::take_from)). May be called in a signal handler.
    #[inline]
    pub fn pop(&self) -> Option<usize> {
        let rseq = self.memory.rseq();
        let links = self.memory.common();
        let done = self.memory.try_local(|cpu, words| {
            let [gate, head, ..] = words else {
                return Err(Interrupted);
            };
            match rseq.pop_index(cpu, gate, head, links) {
                Ok(index) => Ok(Some(index as usize)),
                Err(NotDone::Mismatch) => Ok(None), // empty, or the gate is not open
                Err(NotDone::Aborted) => Err(Interrupted),
            }
        });
        match done {
            Some(Some(index)) => Some(index),
            _ => self.pop_slow(),
        }
    }

    /// Takes all elements of one CPU's lists away, from wherever the caller runs. May be called by
    /// many at once.
    ///
    /// # Panics
    /// If there is no such CPU.
    pub fn take_from(&self, cpu: CpuId) -> Taken<'_> {
        let slot = CpuWords {
            cpu,
            local: self.memory.local_of(cpu),
            remote: self.memory.remote_of(cpu),
        };
        let gate = &slot.local[GATE];
        // SYNC(gate): pairs with the Release below; one taker at a time.
        let mine = gate
            .compare_exchange(OPEN, CLOSED, Acquire, Relaxed)
            .is_ok();
        let reached = mine
            && self
                .barrier
                .is_some_and(|barrier| barrier.restart_on(cpu).is_ok());
        if !reached {
            if mine {
                // SYNC(gate): pairs with the Acquire of the next taker, or of `hand_over`.
                gate.store(ASKED, Release);
            }
            return Taken::Asked(self.chain(take_remote(slot.remote), 0));
        }
        // No sequence is under way on that CPU, and none gets through the gate: its words are ours.
        let local = slot.local[HEAD].load(Relaxed);
        slot.local[HEAD].store(0, Relaxed);
        // SYNC(gate): pairs with the sequences' load of the gate (they see the empty head) and
        // with the next taker.
        gate.store(OPEN, Release);
        Taken::Elements(self.chain(local, take_remote(slot.remote)))
    }

    fn chain(&self, first: u64, then: u64) -> Chain<'_> {
        Chain {
            list: self,
            first,
            then,
            left: self.capacity(),
        }
    }

    #[cold]
    fn push_slow(&self, index: usize) {
        self.hand_over();
        self.push_remote(self.memory.remote(), index as u64 + 1, index);
    }

    #[cold]
    fn pop_slow(&self) -> Option<usize> {
        self.hand_over();
        self.pop_remote(self.memory.remote())
    }

    /// Does what a taker asked for, if he asked on this CPU: moves the local list to the remote
    /// side.
    fn hand_over(&self) {
        let rseq = self.memory.rseq();
        // First take the list off: a sequence, as other threads of this CPU may come by as well.
        let taken = self.memory.try_local(|cpu, words| {
            let [gate, head, ..] = words else {
                return Err(Interrupted);
            };
            if gate.load(Relaxed) != ASKED {
                return Ok((cpu, 0));
            }
            let first = head.load(Relaxed);
            rseq.compare_both_and_store(cpu, (gate, ASKED), (head, first), 0)?;
            Ok((cpu, first))
        });
        let Some((cpu, first)) = taken else { return };
        if let Some(last) = self.last_of(first) {
            self.push_remote(self.memory.remote_of(cpu), first, last);
        }
        // SYNC(gate): pairs with the next taker's Acquire. Whoever finds it open again: done.
        let gate = &self.memory.local_of(cpu)[GATE];
        let _ = gate.compare_exchange(ASKED, OPEN, Release, Relaxed);
    }

    /// The index of the last element of the chain that starts with `first` (plus one).
    fn last_of(&self, first: u64) -> Option<usize> {
        let links = self.memory.common();
        let mut last = index_in(links, first)?;
        for _ in 0..links.len() {
            match index_in(links, links[last].load(Relaxed)) {
                Some(next) => last = next,
                None => break,
            }
        }
        Some(last)
    }

    /// Puts the chain from `first` (plus one) to `last` before a remote list.
    fn push_remote(&self, remote: &[AtomicU64], first: u64, last: usize) {
        let link = &self.memory.common()[last];
        let head = &remote[HEAD];
        let mut seen = head.load(Relaxed);
        loop {
            link.store(seen & INDEX_MASK, Relaxed);
            // SYNC(remote): pairs with the Acquire in `pop_remote` and `take_remote`: who pops it
            // sees its link.
            match head.compare_exchange_weak(seen, tagged(seen, first), Release, Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    fn pop_remote(&self, remote: &[AtomicU64]) -> Option<usize> {
        let links = self.memory.common();
        let head = &remote[HEAD];
        // SYNC(remote): pairs with the Release in `push_remote`.
        let mut seen = head.load(Acquire);
        loop {
            let index = index_in(links, seen & INDEX_MASK)?;
            let next = links[index].load(Relaxed) & INDEX_MASK;
            // SYNC(remote): as above, for the next turn. The tag grows with every change, so what
            // was read is still so.
            match head.compare_exchange_weak(seen, tagged(seen, next), AcqRel, Acquire) {
                Ok(_) => return Some(index),
                Err(now) => seen = now,
            }
        }
    }
}

/// A remote head that leads to `first` (plus one), with the tag after the one in `seen`.
fn tagged(seen: u64, first: u64) -> u64 {
    (seen & !INDEX_MASK).wrapping_add(1 << INDEX_BITS) | first
}

/// Empties a remote list; its first index (plus one).
fn take_remote(remote: &[AtomicU64]) -> u64 {
    let head = &remote[HEAD];
    let mut seen = head.load(Relaxed);
    loop {
        // SYNC(remote): pairs with the Release in `push_remote`.
        match head.compare_exchange_weak(seen, tagged(seen, 0), Acquire, Relaxed) {
            Ok(_) => return seen & INDEX_MASK,
            Err(now) => seen = now,
        }
    }
}

/// The index that a link means, if it is one.
fn index_in(links: &[AtomicU64], link: u64) -> Option<usize> {
    let index = usize::try_from(link).ok()?.checked_sub(1)?;
    (index < links.len()).then_some(index)
}

/// Elements that were taken from another CPU: iterate to have them; the rest goes to the current
/// CPU's list when this is dropped.
#[derive(Debug)]
pub struct Chain<'a> {
    list: &'a FreeList,
    first: u64,
    then: u64,
    /// A ring in a list that somebody spoilt must not keep us for ever.
    left: usize,
}

impl Iterator for Chain<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let links = self.list.memory.common();
        if self.first == 0 {
            self.first = std::mem::take(&mut self.then);
        }
        let index = index_in(links, self.first)?;
        self.left = self.left.checked_sub(1)?;
        self.first = links[index].load(Relaxed) & INDEX_MASK;
        Some(index)
    }
}

impl Drop for Chain<'_> {
    fn drop(&mut self) {
        while let Some(index) = self.next() {
            self.list.push(index);
        }
    }
}
