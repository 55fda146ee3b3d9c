//! Reads one lane in order: what is whole, what is published, what died unfinished.
//!
//! ```text
//!   next_packet     counters:  a closed sub-buffer with local + remote == size     O(1)
//!   partial_packet  headers:   the published records of one still being filled     at a flush
//!   final_packet    headers:   also behind records whose writers are dead          at the end
//!
//!                     parked            read ▼                     reserved ▼
//!      ┌──────────┬────────────┬──────────────┬──────────┬──────────────┐
//!      │ released │ ■■□■ held  │ ■■■■■■■■■    │ whole    │ being filled │
//!      └──────────┴────────────┴──────────────┴──────────┴──────────────┘
//! ```
//! A sub-buffer that is closed and lacks something (its thread is stopped in the middle of an
//! event) is *parked* after a while: what is published at its beginning is delivered, the reader
//! goes on with the next, and comes back when the rest is there. That rest is delivered late, with
//! times before those of packets that were delivered meanwhile.
//!
//! What was read is also said in the memory, for the reader that takes over should this one die.
//!
//! Invariant: every byte below `read` was delivered once, or is padding, or lies in a parked
//! sub-buffer, or belongs to a record that its writer did not live to publish. A place is given
//! back only when all its bytes are counted, or, after a death, when no header in it is busy.

use crate::cursor::{Cursor, Look};
use crate::lane::{self, Lane, Lost};
use crate::memory::SharedMemory;
use crate::packet::{Packet, Parts};
use crate::reader::Reading;
use crate::room;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long a closed sub-buffer may lack something before it is parked: usually a thread was
/// preempted in the middle of an event, and all of it comes within a time slice.
const PATIENCE: Duration = Duration::from_millis(20);

/// The same when the lane is nearly full.
const LITTLE_PATIENCE: Duration = Duration::from_millis(1);

/// Reads one lane.
#[derive(Debug)]
pub struct LaneReader {
    pub(crate) memory: Arc<SharedMemory>,
    index: u32,
    pub(crate) reading: Reading,
    /// Where the reader is.
    main: Cursor,
    /// Where it has been and something was missing, oldest first.
    parked: Vec<Cursor>,
    /// Sub-buffers that are judged by headers, because somebody died who may not have counted.
    pub(crate) judged: Vec<u64>,
    /// The sub-buffer that is closed and lacks something, and since when.
    straggling: Option<(u64, Instant)>,
    recorded: u64,
    /// Records that their writers will never finish, of those that nobody had to bury.
    passed_over: u64,
    damaged_bytes: u64,
}

impl LaneReader {
    pub(crate) fn new(memory: Arc<SharedMemory>, index: u32, reading: Reading) -> Self {
        let mut reader = LaneReader {
            memory,
            index,
            reading,
            main: Cursor::default(),
            parked: Vec::new(),
            judged: Vec::new(),
            straggling: None,
            recorded: 0,
            passed_over: 0,
            damaged_bytes: 0,
        };
        reader.take_over();
        reader
    }

    /// Index of the lane: its CPU, or concurrency id, for an rseq lane, that plus the number of
    /// those for an atomic one.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The CPU, or concurrency id, the lane belongs to.
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
        let mut lost = self.lane().control().lost.read();
        lost.unfinished = lost.unfinished.saturating_add(self.passed_over);
        lost
    }

    /// End clock of the last packet that was not late; 0 before the first.
    pub fn last_end(&self) -> u64 {
        self.main.last_end
    }

    /// The next records that are whole: the rest of the sub-buffer at hand, if it is closed and
    /// all of it committed, or of one that was left behind.
    pub fn next_packet(&mut self) -> Option<Packet<'_>> {
        let parts = self.next_parked().or_else(|| self.next_in_order())?;
        Some(Packet { lane: self, parts })
    }

    /// The published records at hand, in a sub-buffer that may still be written to.
    pub fn partial_packet(&mut self) -> Option<Packet<'_>> {
        let mut main = self.main.clone();
        let parts = self.next_piece(&mut main, false);
        self.main = main;
        parts.map(|parts| Packet { lane: self, parts })
    }

    /// The next published records, when all producers are dead: what they had
    /// reserved and not published is passed over and counted as unfinished.
    pub fn final_packet(&mut self) -> Option<Packet<'_>> {
        while let Some(mut parked) = self.parked.first().cloned() {
            if let Some(mut parts) = self.next_piece(&mut parked, true) {
                parts.parked = Some(0);
                self.parked[0] = parked;
                return Some(Packet { lane: self, parts });
            }
            self.release(parked.start, 0);
            self.parked.remove(0);
        }
        let mut main = self.main.clone();
        let parts = self.next_final(&mut main);
        self.main = main;
        parts.map(|parts| Packet { lane: self, parts })
    }

    /// Leaves out a packet that is on disk already, written by a reader that died before it could
    /// say so: `bytes` of records at `position`, the last of which had the clock `end`. For a
    /// reader that takes over, before it reads; of the packets on disk, in any order.
    pub fn skip(&mut self, position: u64, bytes: u64, end: u64) {
        if !lane::is_position(position) || !bytes.is_multiple_of(8) {
            return; // the disk says nonsense
        }
        let lane = self.memory.lane(self.index);
        let start = lane.sub_buffer_start(position);
        if start > self.main.start {
            self.main.go_to(start); // what lies between was passed over
        }
        let cursors = self.parked.iter_mut().chain([&mut self.main]);
        for cursor in cursors.filter(|cursor| cursor.start == start) {
            cursor.skip_to(lane, position.saturating_add(bytes), end);
        }
    }

    pub(crate) fn lane(&self) -> Lane<'_> {
        self.memory.lane(self.index)
    }

    pub(crate) fn memory_at(&self, position: u64) -> *const u8 {
        self.lane().at(position)
    }

    pub(crate) fn has_parked(&self) -> bool {
        !self.parked.is_empty() || !self.judged.is_empty()
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(
            self.main.look(self.lane(), &self.judged),
            Look::Whole { .. } | Look::PassedOver { .. }
        )
    }

    pub(crate) fn waits_for_straggler(&self) -> bool {
        matches!(
            self.main.look(self.lane(), &self.judged),
            Look::Lacking | Look::Judged
        )
    }

    /// What is whole in sub-buffers that were left behind.
    fn next_parked(&mut self) -> Option<Parts> {
        let mut at = 0;
        while let Some(mut parked) = self.parked.get(at).cloned() {
            match self.next_whole(&mut parked) {
                Next::Parts(mut parts) => {
                    parts.parked = Some(at);
                    return Some(parts);
                }
                Next::Done => {
                    self.release(parked.start, 0);
                    self.parked.remove(at);
                }
                Next::Lacking => {
                    self.parked[at] = parked;
                    at += 1;
                }
            }
        }
        None
    }

    fn next_in_order(&mut self) -> Option<Parts> {
        // One look for each place, and one for what was passed over before it.
        for _ in 0..2 * self.memory.geometry().sub_buffers() {
            let mut main = self.main.clone();
            match main.look(self.lane(), &self.judged) {
                Look::Open => return None,
                Look::PassedOver { next } => {
                    self.main.go_to(next);
                    continue;
                }
                _ => {}
            }
            let start = main.start;
            match self.next_whole(&mut main) {
                Next::Parts(parts) => return Some(parts),
                Next::Done => {
                    self.release(start, 0);
                    self.leave();
                }
                Next::Lacking => {
                    self.main = main;
                    if !self.is_impatient(start) {
                        return None;
                    }
                    if let Some(parts) = self.main.published(self.lane(), self.lost()) {
                        return Some(parts);
                    }
                    self.parked.push(self.main.clone());
                    self.leave();
                }
            }
        }
        None
    }

    /// What is whole at `cursor`, whose sub-buffer is closed.
    fn next_whole(&mut self, cursor: &mut Cursor) -> Next {
        match cursor.look(self.lane(), &self.judged) {
            Look::Whole { content } => {
                match cursor.whole(self.lane(), content, self.lost()) {
                    Some(Ok(parts)) => return Next::Parts(parts),
                    Some(Err(damaged)) => self.damaged_bytes += damaged,
                    None => {}
                }
                Next::Done
            }
            Look::Judged => match self.next_piece(cursor, false) {
                Some(parts) => Next::Parts(parts),
                None if cursor.has_left(self.lane()) => Next::Lacking,
                None => Next::Done,
            },
            Look::Lacking | Look::Open | Look::PassedOver { .. } => Next::Lacking,
        }
    }

    /// The next published records at `cursor`, behind tombstones; and, if all writers are dead,
    /// behind busy records.
    fn next_piece(&mut self, cursor: &mut Cursor, all_dead: bool) -> Option<Parts> {
        loop {
            if let Some(parts) = cursor.published(self.lane(), self.lost()) {
                return Some(parts);
            }
            let passed = cursor.pass_over(self.memory.lane(self.index), all_dead)?;
            self.passed_over += passed.unfinished;
            self.damaged_bytes += passed.damaged_bytes;
        }
    }

    fn next_final(&mut self, cursor: &mut Cursor) -> Option<Parts> {
        for _ in 0..2 * self.memory.geometry().sub_buffers() {
            if let Look::PassedOver { next } = cursor.look(self.lane(), &self.judged) {
                cursor.go_to(next);
            }
            if let Some(parts) = self.next_piece(cursor, true) {
                return Some(parts);
            }
            if !cursor.is_at_end(self.lane()) {
                return None;
            }
            cursor.go_to(cursor.boundary(self.lane()));
        }
        None
    }

    /// Whether the sub-buffer at `start`, closed and lacking something, has been so for too long.
    fn is_impatient(&mut self, start: u64) -> bool {
        let since = match self.straggling {
            Some((at, since)) if at == start => since,
            _ => {
                let now = Instant::now();
                self.straggling = Some((start, now));
                now
            }
        };
        let geometry = self.memory.geometry();
        let filled = self.main.reserved(self.lane()).saturating_sub(start);
        let nearly_full = filled + geometry.sub_buffer_bytes() >= geometry.lane_bytes();
        let patience = if nearly_full {
            LITTLE_PATIENCE
        } else {
            PATIENCE
        };
        since.elapsed() >= patience
    }

    pub(crate) fn advance(&mut self, parts: &Parts) {
        self.recorded += parts.records;
        let lane = self.memory.lane(self.index);
        match parts.parked {
            Some(at) => {
                if let Some(parked) = self.parked.get_mut(at) {
                    parked.advance(lane, parts);
                }
            }
            None => {
                self.main.advance(lane, parts);
                let read = self.main.read;
                // SYNC(take over): Release, for the word of the place.
                lane.control().delivered.store(read, Ordering::Release);
            }
        }
    }

    /// Goes on with the next sub-buffer.
    fn leave(&mut self) {
        let boundary = self.main.boundary(self.lane());
        self.main.go_to(boundary);
        self.straggling = None;
        let delivered = &self.lane().control().delivered;
        delivered.store(boundary, Ordering::Release);
    }

    /// Gives the place of the sub-buffer that begins at `start`, in which `records` were found, back
    /// to the producers.
    pub(crate) fn release(&mut self, start: u64, records: u64) {
        self.judged.retain(|&judged| judged != start);
        let lane = self.lane();
        let free = room::free_word(lane.lap(start), records);
        // SYNC(release): pairs with the Acquire load in `room::is_done`.
        lane.sub_buffer(start).free.store(free, Ordering::Release);
        self.memory.header().doorbell.announce_room();
    }

    /// Goes on where an earlier reader has stopped, as far as it said so in the memory.
    fn take_over(&mut self) {
        let lane = self.memory.lane(self.index);
        if self.reading == Reading::Snapshots {
            for place in 0..lane.geometry().sub_buffers() {
                let start = place * lane.geometry().sub_buffer_bytes();
                lane.sub_buffer(start).taken.store(0, Ordering::Relaxed);
            }
            return;
        }
        // SYNC(take over): pairs with the stores in `advance` and `leave`.
        let delivered = lane.control().delivered.load(Ordering::Acquire);
        let reserved = lane.reserved();
        let read = delivered.min(reserved) & !7;
        self.main = Cursor::taken_over(lane, lane.sub_buffer_start(read), read);
        let left_behind = |&start: &u64| start < self.main.start && !lane.is_done(start);
        let mut starts: Vec<u64> = lane.sub_buffers(reserved).filter(left_behind).collect();
        starts.sort_unstable();
        for start in starts {
            let read = start + Cursor::taken(lane, start);
            self.parked.push(Cursor::taken_over(lane, start, read));
        }
    }
}

/// What a closed sub-buffer has for us.
enum Next {
    Parts(Parts),
    /// Nothing more: it may be given back.
    Done,
    /// Not everything, yet.
    Lacking,
}
