//! The consumer's side: what is whole, what is published, what died unfinished.
//!
//! ```text
//!  next_packet     counters:  a closed sub-buffer with local + remote == size     O(1)
//!  partial_packet  headers:   the published records of one still being filled     at a flush
//!  final_packet    headers:   also behind records whose writers are dead          at the end
//! ```
//! Invariant: `released <= read <= reserved`; every byte below `read` was delivered
//! once, or is padding, or belongs to a record that its writer did not live to
//! publish. Whatever the shared memory claims, the reader stays inside its mapping
//! and each call does a bounded amount of work.

use crate::Error;
use crate::lane::{Lane, Lost};
use crate::memory::SharedMemory;
use crate::packet::{Packet, Parts};
use crate::records::{self, Found};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Sleep while a closed sub-buffer waits for a straggler, who does not ring.
const STRAGGLER_NAP: Duration = Duration::from_millis(1);

/// Reads all lanes of one buffer.
#[derive(Debug)]
pub struct BufferReader {
    memory: Arc<SharedMemory>,
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
    /// Maps the buffer behind `fd`, after checking what it claims.
    ///
    /// # Errors
    /// As [`SharedMemory::open`].
    pub fn map(fd: &OwnedFd) -> Result<Self, Error> {
        let memory = Arc::new(SharedMemory::open(fd)?);
        let words = (memory.geometry().lanes() * 2).div_ceil(64);
        Ok(BufferReader {
            memory,
            lanes: Vec::new(),
            seen: vec![0; words as usize],
        })
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
                    let lane = LaneReader::new(Arc::clone(&self.memory), index);
                    self.lanes.push(lane);
                }
            }
        }
        &mut self.lanes
    }

    /// Sleeps until a producer closed a sub-buffer, somebody woke the reader, or
    /// `limit` has passed; not at all if there is a whole sub-buffer to read.
    pub fn wait(&mut self, limit: Duration) {
        let lanes = self.lanes();
        let straggler = lanes
            .iter_mut()
            .any(|lane| !lane.finish_release() || lane.waits_for_straggler());
        let limit = if straggler {
            limit.min(STRAGGLER_NAP)
        } else {
            limit
        };
        let lanes = &self.lanes;
        let header = self.memory.header();
        header
            .doorbell
            .sleep(limit, || lanes.iter().any(LaneReader::is_ready));
    }
}

/// Reads one lane.
#[derive(Debug)]
pub struct LaneReader {
    memory: Arc<SharedMemory>,
    index: u32,
    /// Position behind what was delivered or passed over.
    read: u64,
    /// Position up to which the producers may overwrite.
    released: u64,
    /// Records of the current sub-buffer that were delivered already.
    delivered: u64,
    /// End clock of the last packet.
    last_end: u64,
    recorded: u64,
    unfinished: u64,
    damaged_bytes: u64,
}

impl LaneReader {
    fn new(memory: Arc<SharedMemory>, index: u32) -> Self {
        LaneReader {
            memory,
            index,
            read: 0,
            released: 0,
            delivered: 0,
            last_end: 0,
            recorded: 0,
            unfinished: 0,
            damaged_bytes: 0,
        }
    }

    /// Index of the lane: its CPU for an rseq lane, that plus the number of CPUs for
    /// an atomic one.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The CPU the lane belongs to.
    pub fn cpu(&self) -> u32 {
        self.index % self.memory.geometry().lanes()
    }

    /// Whether any thread may write to the lane, with compare-and-swap.
    pub fn is_atomic(&self) -> bool {
        self.index >= self.memory.geometry().lanes()
    }

    /// Events delivered so far.
    pub fn recorded(&self) -> u64 {
        self.recorded
    }

    /// Bytes passed over because they were not what a producer writes.
    pub fn damaged_bytes(&self) -> u64 {
        self.damaged_bytes
    }

    /// Commits that went to a remote counter because their thread had migrated.
    pub fn remote_commits(&self) -> u64 {
        self.lane()
            .control()
            .lost
            .remote_commits
            .load(Ordering::Relaxed)
    }

    /// Events lost so far, by cause.
    pub fn lost(&self) -> Lost {
        Lost {
            unfinished: self.unfinished,
            ..self.lane().control().lost.read()
        }
    }

    /// End clock of the last packet; 0 before the first.
    pub fn last_end(&self) -> u64 {
        self.last_end
    }

    /// The rest of the sub-buffer at hand, if it is closed and all of it committed.
    pub fn next_packet(&mut self) -> Option<Packet<'_>> {
        loop {
            if !self.finish_release() {
                return None;
            }
            let content = self.whole_content()?;
            let start = self.start();
            let taken = self.read - start;
            if content <= taken {
                self.leave_sub_buffer();
                continue;
            }
            let sub_buffer = self.lane().sub_buffer(start);
            let committed = self.lane().committed(start)?.records;
            let end = sub_buffer.end.load(Ordering::Relaxed);
            let records = committed.saturating_sub(self.delivered);
            let padding = self.lane().trailer(start + content);
            if !(1..=8).contains(&padding) {
                self.damaged_bytes += content - taken;
                self.leave_sub_buffer();
                continue;
            }
            let parts = self.parts(content - taken, records, end, self.boundary());
            return Some(Packet { lane: self, parts });
        }
    }

    /// The published records at hand, in a sub-buffer that may still be written to.
    pub fn partial_packet(&mut self) -> Option<Packet<'_>> {
        if !self.finish_release() {
            return None;
        }
        let parts = self.published()?;
        Some(Packet { lane: self, parts })
    }

    /// The next published records, when all producers are dead: what they had
    /// reserved and not published is passed over and counted as unfinished.
    pub fn final_packet(&mut self) -> Option<Packet<'_>> {
        loop {
            if let Some(parts) = self.published() {
                return Some(Packet { lane: self, parts });
            }
            let range = self.filled();
            if range.is_empty() {
                return None;
            }
            match records::look(self.lane(), range.start, &range, self.clock_before()) {
                Found::Busy { bytes } => {
                    self.unfinished += 1;
                    self.pass_over(bytes);
                }
                Found::Padding => self.leave_sub_buffer(),
                Found::Record { bytes, .. } => {
                    self.damaged_bytes += bytes;
                    self.pass_over(bytes);
                }
                Found::Nonsense => {
                    self.damaged_bytes += range.end - range.start;
                    self.read = range.end;
                    if self.read != self.boundary() {
                        return None;
                    }
                    self.leave_sub_buffer();
                }
            }
        }
    }

    fn lane(&self) -> Lane<'_> {
        self.memory.lane(self.index)
    }

    /// Position where the sub-buffer at hand begins. A reader that stands on a
    /// boundary is at the begin of the next one.
    fn start(&self) -> u64 {
        self.lane().sub_buffer_start(self.read)
    }

    fn boundary(&self) -> u64 {
        self.start() + self.memory.geometry().sub_buffer_bytes()
    }

    pub(crate) fn memory_at(&self, position: u64) -> *const u8 {
        self.lane().at(position)
    }

    /// The lane's position, as far as it can be true.
    fn reserved(&self) -> u64 {
        // SYNC(reserve): pairs with the store that commits a reservation or a close.
        let claim = self.lane().control().reserved.load(Ordering::Acquire);
        claim.clamp(
            self.read,
            self.released + self.memory.geometry().lane_bytes(),
        )
    }

    /// Bytes of records in the sub-buffer at hand, if it is closed and whole.
    fn whole_content(&self) -> Option<u64> {
        if self.reserved() < self.boundary() {
            return None;
        }
        let start = self.start();
        let content = self.lane().closed_content(start)?;
        let committed = self.lane().committed(start)?;
        (committed.bytes == self.memory.geometry().sub_buffer_bytes()).then_some(content)
    }

    fn is_ready(&self) -> bool {
        self.whole_content().is_some()
    }

    fn waits_for_straggler(&self) -> bool {
        let left = self.reserved() >= self.boundary();
        left && self.lane().closed_content(self.start()).is_some() && !self.is_ready()
    }

    /// What was reserved in the sub-buffer at hand and not read.
    fn filled(&self) -> std::ops::Range<u64> {
        self.read..self.reserved().min(self.boundary())
    }

    fn published(&self) -> Option<Parts> {
        let range = self.filled();
        if range.is_empty() {
            return None;
        }
        let (run, _) = records::run(self.lane(), range.clone(), self.clock_before());
        let end = range.start + run.bytes;
        let sound = run.records > 0 && (1..=8).contains(&self.lane().trailer(end));
        sound.then(|| self.parts(run.bytes, run.records, run.last, end))
    }

    /// Clock of the last record before what is at hand, or of its sub-buffer's begin.
    fn clock_before(&self) -> u64 {
        let sub_buffer = self.lane().sub_buffer(self.read);
        let begin = sub_buffer.begin.load(Ordering::Relaxed);
        begin.max(self.last_end)
    }

    fn parts(&self, bytes: u64, records: u64, end: u64, next: u64) -> Parts {
        let position = self.read;
        let begin = self.clock_before();
        Parts {
            position,
            bytes,
            padding: self.lane().trailer(position + bytes),
            records,
            begin,
            end: end.max(begin),
            lost: self.lost(),
            next,
        }
    }

    pub(crate) fn advance(&mut self, parts: &Parts) {
        self.recorded += parts.records;
        self.last_end = parts.end;
        self.delivered += parts.records;
        let boundary = self.boundary();
        self.read = parts.next;
        if self.read == boundary {
            self.delivered = 0;
        }
        self.finish_release();
    }

    fn pass_over(&mut self, bytes: u64) {
        let boundary = self.boundary();
        self.read += bytes;
        if self.read == boundary {
            self.delivered = 0;
        }
    }

    fn leave_sub_buffer(&mut self) {
        self.read = self.boundary();
        self.delivered = 0;
        self.finish_release();
    }

    /// Releases every sub-buffer that was read to its end, if it can be; says whether
    /// none is left.
    fn finish_release(&mut self) -> bool {
        let size = self.memory.geometry().sub_buffer_bytes();
        while self.released + size <= self.read {
            let lane = self.lane();
            if lane
                .committed(self.released)
                .is_none_or(|committed| committed.bytes < size)
            {
                // Read as published, not counted yet: the writer still holds it.
                return false;
            }
            if self.is_atomic() && !clear(lane, self.released) {
                return false;
            }
            self.released += size;
            // SYNC(release): pairs with the Acquire load in `has_room`.
            self.lane()
                .control()
                .consumed
                .store(self.released, Ordering::Release);
            self.memory.header().doorbell.announce_room();
        }
        true
    }
}

/// Makes the sub-buffer at `start` of an atomic lane ready for its next lap, unless a
/// writer may still claim a header in it.
fn clear(lane: Lane<'_>, start: u64) -> bool {
    let sub_buffer = lane.sub_buffer(start);
    // SYNC(pin): see `Pin::new`.
    if sub_buffer.pins.load(Ordering::SeqCst) != 0 {
        return false;
    }
    sub_buffer.begin.store(0, Ordering::Relaxed);
    sub_buffer.end.store(0, Ordering::Relaxed);
    sub_buffer.content.store(0, Ordering::Relaxed);
    // SAFETY: the sub-buffer's bytes lie in the mapping; nobody reads or writes them
    // before the position comes round, which the release that follows allows.
    unsafe {
        lane.at(start)
            .write_bytes(0, lane.geometry().sub_buffer_bytes() as usize)
    };
    true
}
