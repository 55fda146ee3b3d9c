//! The consumer's side of a buffer: its lanes, and how to wait for them.
//!
//! ```text
//!   in order     every packet once, and its room given back     LaneReader::next_packet …
//!   snapshots    copies of what is there now                    LaneReader::snapshot
//!   bury         a process that shares the buffer has died      every lane
//! ```
//! Invariant: whatever the shared memory claims, a reader stays inside its mapping and each call
//! does a bounded amount of work.

use crate::Error;
use crate::lane_reader::LaneReader;
use crate::memory::SharedMemory;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Sleep while a closed sub-buffer waits for a straggler, who does not ring.
const STRAGGLER_NAP: Duration = Duration::from_millis(1);

/// Sleep while only sub-buffers wait that were left behind long ago.
const PARKED_NAP: Duration = Duration::from_millis(10);

/// What becomes of what is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// All of it is read once, in order, and its room given back to the producers.
    InOrder,
    /// The producers overwrite it, and copies are made at times.
    Snapshots,
}

/// Reads all lanes of one buffer.
#[derive(Debug)]
pub struct BufferReader {
    memory: Arc<SharedMemory>,
    reading: Reading,
    lanes: Vec<LaneReader>,
    /// Active bits for which there is a reader.
    seen: Vec<u64>,
}

/// Wakes a [`BufferReader`] from another thread.
#[derive(Clone, Debug)]
pub struct Waker(Arc<SharedMemory>);

impl Waker {
    /// Ends the reader's present or next sleep.
    pub fn wake(&self) {
        self.0.header().doorbell.wake_consumer();
    }
}

impl BufferReader {
    /// Maps the buffer behind `fd`, after checking what it claims, to read it in order from where
    /// an earlier reader stopped.
    ///
    /// # Errors
    /// As [`SharedMemory::open`].
    pub fn map(fd: &OwnedFd) -> Result<Self, Error> {
        Ok(Self::of(SharedMemory::open(fd)?, Reading::InOrder))
    }

    /// Reads a buffer that is mapped already: one for snapshots, or in a file.
    pub fn of(memory: SharedMemory, reading: Reading) -> Self {
        let words = (memory.geometry().lanes() * 2).div_ceil(64);
        BufferReader {
            memory: Arc::new(memory),
            reading,
            lanes: Vec::new(),
            seen: vec![0; words as usize],
        }
    }

    /// Who the buffer is.
    pub fn id(&self) -> [u8; 16] {
        self.memory.id()
    }

    /// Events that processes say they could not record because they did not have the buffer yet
    /// ([`Channel::count_waited`](crate::Channel::count_waited)).
    pub fn waited(&self) -> u64 {
        self.memory.header().waited.load(Ordering::Relaxed)
    }

    /// A handle that wakes this reader.
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.memory))
    }

    /// The lanes that any CPU has used so far, in the order they were first seen.
    pub fn lanes(&mut self) -> &mut [LaneReader] {
        for (number, seen) in (0..).zip(&mut self.seen) {
            let mut new = self.memory.header().active_word(number) & !*seen;
            *seen |= new;
            while new != 0 {
                let index = number * 64 + new.trailing_zeros();
                new &= new - 1;
                if index < self.memory.geometry().lanes() * 2 {
                    let lane = LaneReader::new(Arc::clone(&self.memory), index, self.reading);
                    self.lanes.push(lane);
                }
            }
        }
        &mut self.lanes
    }

    /// Sleeps until a producer closed a sub-buffer, somebody woke the reader, or
    /// `limit` has passed; not at all if there is a whole sub-buffer to read.
    ///
    /// A reader of snapshots is woken by [`Waker::wake`] only.
    pub fn wait(&mut self, limit: Duration) {
        let lanes = self.lanes();
        lanes.iter_mut().for_each(LaneReader::tend);
        let nap = lanes.iter().filter_map(LaneReader::nap).min();
        let limit = nap.map_or(limit, |nap| nap.min(limit));
        let doorbell = &self.memory.header().doorbell;
        match self.reading {
            Reading::InOrder => {
                let lanes = &self.lanes;
                doorbell.sleep(limit, || lanes.iter().any(LaneReader::is_ready));
            }
            Reading::Snapshots => doorbell.nap(limit),
        }
    }

    /// The process with this slot is dead: what it had reserved and not published will never be,
    /// and must hold up nobody. Returns how many records that were.
    ///
    /// The sub-buffers that it may have left uncounted are from now on judged by their records'
    /// headers. For buffers that several processes share; only when the process has ended.
    pub fn bury(&mut self, slot: u16) -> u64 {
        self.bury_where(&|of| of == slot)
    }

    /// The same for all processes but those with the slots of the `living`: for a consumer that
    /// takes over, when everybody who lives has had the time to come forward.
    pub fn bury_others(&mut self, living: &[u16]) -> u64 {
        self.bury_where(&|slot| !living.contains(&slot))
    }

    fn bury_where(&mut self, is_dead: &dyn Fn(u16) -> bool) -> u64 {
        // Before anything is declared done: see `Channel::detach`.
        self.memory.header().burials.fetch_add(1, Ordering::SeqCst);
        let lanes = self.lanes().iter_mut();
        lanes.map(|lane| lane.bury(is_dead)).sum()
    }
}

impl LaneReader {
    /// How long a sleep may last at most, if something is awaited that does not ring.
    fn nap(&self) -> Option<Duration> {
        if self.waits_for_straggler() {
            return Some(STRAGGLER_NAP);
        }
        self.has_parked().then_some(PARKED_NAP)
    }
}
