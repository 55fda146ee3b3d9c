//! A place in a sub-buffer up to which it was read, and what can be read from there.
//!
//! ```text
//!   start            read            boundary
//!   ├────────────────┼───────────────┤
//!   │ taken          │ at hand       │
//! ```
//! Invariant: `start <= read <= boundary`, and every look at shared memory stays between them.

use crate::counter::{LAP_SHIFT, Lap};
use crate::lane::{Lane, Lost};
use crate::layout::SubBuffer;
use crate::packet::Parts;
use crate::records::{self, Found};
use std::ops::Range;
use std::sync::atomic::Ordering;

#[derive(Clone, Debug, Default)]
pub(crate) struct Cursor {
    /// Where the sub-buffer begins.
    pub(crate) start: u64,
    /// Position behind what was delivered or passed over.
    pub(crate) read: u64,
    /// Records of the sub-buffer that were delivered.
    delivered: u64,
    /// End clock of the last packet.
    pub(crate) last_end: u64,
}

/// How things stand with a sub-buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Still being filled, or to be opened.
    Open,
    /// Never opened, or done with: the lane goes on at `next`.
    PassedOver { next: u64 },
    /// Closed, and all of it is committed.
    Whole { content: u64 },
    /// Closed, and something is missing.
    Lacking,
    /// Closed, and to be judged by its headers.
    Judged,
}

/// What was passed over because it will never be read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Passed {
    pub(crate) unfinished: u64,
    pub(crate) damaged_bytes: u64,
}

impl Cursor {
    /// A cursor at `read` in the sub-buffer that begins at `start`, of which another reader
    /// delivered what lies before.
    pub(crate) fn taken_over(lane: Lane<'_>, start: u64, read: u64) -> Self {
        let mut cursor = Cursor {
            start,
            read: start,
            ..Cursor::default()
        };
        if lane.is_on_lap(start) {
            cursor.skip_to(lane, read, 0);
        }
        cursor.read = read.clamp(start, cursor.boundary(lane));
        cursor
    }

    /// Bytes that a reader said were taken from the sub-buffer that begins at `start`.
    pub(crate) fn taken(lane: Lane<'_>, start: u64) -> u64 {
        let word = lane.sub_buffer(start).taken.load(Ordering::Relaxed);
        if Lap::of_word(word) != lane.lap(start) {
            return 0;
        }
        let bytes = word & ((1 << LAP_SHIFT) - 1) & !7;
        bytes.min(lane.geometry().sub_buffer_bytes())
    }

    pub(crate) fn boundary(&self, lane: Lane<'_>) -> u64 {
        self.start + lane.geometry().sub_buffer_bytes()
    }

    fn sub_buffer<'m>(&self, lane: Lane<'m>) -> &'m SubBuffer {
        lane.sub_buffer(self.start)
    }

    /// The lane's position, as far as it can be true.
    pub(crate) fn reserved(&self, lane: Lane<'_>) -> u64 {
        lane.reserved().max(self.read)
    }

    /// How things stand with the sub-buffer, if those in `judged` are judged by headers.
    pub(crate) fn look(&self, lane: Lane<'_>, judged: &[u64]) -> Look {
        let reserved = self.reserved(lane);
        if reserved < self.boundary(lane) {
            return Look::Open;
        }
        // Done with already: by a reader that died before it could go on.
        if !lane.is_on_lap(self.start) || lane.is_done(self.start) {
            return Look::PassedOver {
                next: self.next_opened(lane, reserved),
            };
        }
        if judged.contains(&self.start) {
            return Look::Judged;
        }
        let Some(content) = lane.closed_content(self.start) else {
            return Look::Open; // nobody has stood on its boundary yet
        };
        let size = lane.geometry().sub_buffer_bytes();
        match lane.committed(self.start) {
            Some(committed) if committed.bytes == size => Look::Whole { content },
            _ => Look::Lacking,
        }
    }

    /// Where the lane goes on behind a sub-buffer that was never opened.
    fn next_opened(&self, lane: Lane<'_>, reserved: u64) -> u64 {
        let boundary = self.boundary(lane);
        lane.sub_buffers(reserved)
            .filter(|&start| start >= boundary)
            .min()
            .unwrap_or_else(|| lane.sub_buffer_start(reserved).max(boundary))
    }

    /// What was reserved in the sub-buffer and not read.
    fn filled(&self, lane: Lane<'_>) -> Range<u64> {
        let end = self.reserved(lane).min(self.boundary(lane));
        self.read..end.max(self.read)
    }

    /// Whether something is left that was reserved.
    pub(crate) fn has_left(&self, lane: Lane<'_>) -> bool {
        !self.filled(lane).is_empty()
    }

    pub(crate) fn is_at_end(&self, lane: Lane<'_>) -> bool {
        self.read == self.boundary(lane)
    }

    /// The rest of the sub-buffer, whose records end at `content`: `None` if there is none, an
    /// error with its bytes if it is not what a producer writes.
    pub(crate) fn whole(
        &self,
        lane: Lane<'_>,
        content: u64,
        lost: Lost,
    ) -> Option<Result<Parts, u64>> {
        let end = self.start + content;
        let bytes = end.checked_sub(self.read).filter(|&bytes| bytes > 0)?;
        if !(1..=8).contains(&lane.trailer(end)) {
            return Some(Err(bytes));
        }
        let committed = lane.committed(self.start)?.records;
        let records = committed.saturating_sub(self.delivered);
        let clock = self.sub_buffer(lane).end.load(Ordering::Relaxed);
        let next = self.boundary(lane);
        Some(Ok(self.parts(lane, bytes, records, clock, next, lost)))
    }

    /// The published records at hand.
    pub(crate) fn published(&self, lane: Lane<'_>, lost: Lost) -> Option<Parts> {
        let range = self.filled(lane);
        if range.is_empty() || !lane.is_on_lap(self.start) {
            return None;
        }
        let (run, _) = records::run(lane, range.clone(), self.clock_before(lane));
        let end = range.start + run.bytes;
        let sound = run.records > 0 && (1..=8).contains(&lane.trailer(end));
        sound.then(|| self.parts(lane, run.bytes, run.records, run.last, end, lost))
    }

    /// Passes over what stands at hand and will never be published; `None` where nothing does.
    pub(crate) fn pass_over(&mut self, lane: Lane<'_>, all_dead: bool) -> Option<Passed> {
        let range = self.filled(lane);
        if range.is_empty() || !lane.is_on_lap(self.start) {
            return None;
        }
        let mut passed = Passed::default();
        match records::look(lane, self.read, &range, self.clock_before(lane)) {
            Found::Busy { bytes, told } if all_dead => {
                passed.unfinished = 1;
                self.go_behind(bytes, told);
            }
            Found::Padding { busy } if all_dead || !busy => self.read = range.end,
            Found::Busy { .. } | Found::Padding { .. } => return None,
            Found::Tombstone { bytes, told } => self.go_behind(bytes, told),
            Found::Record { bytes, .. } => {
                if (1..=8).contains(&lane.trailer(self.read + bytes)) {
                    return None; // published just now
                }
                passed.damaged_bytes = bytes;
                self.read += bytes;
            }
            Found::Nonsense => {
                passed.damaged_bytes = range.end - range.start;
                self.read = range.end;
            }
        }
        Some(passed)
    }

    /// Goes on behind a record that is passed over, and may have told its clock.
    fn go_behind(&mut self, bytes: u64, told: Option<u64>) {
        self.read += bytes;
        self.last_end = self.last_end.max(told.unwrap_or(0));
    }

    /// Clock of the last record before what is at hand, or of its sub-buffer's begin.
    pub(crate) fn clock_before(&self, lane: Lane<'_>) -> u64 {
        let begin = self.sub_buffer(lane).begin.load(Ordering::Relaxed);
        begin.max(self.last_end)
    }

    fn parts(
        &self,
        lane: Lane<'_>,
        bytes: u64,
        records: u64,
        end: u64,
        next: u64,
        lost: Lost,
    ) -> Parts {
        let begin = self.clock_before(lane);
        Parts {
            position: self.read,
            bytes,
            padding: lane.trailer(self.read + bytes),
            records,
            begin,
            end: end.max(begin),
            lost,
            next,
            parked: None,
        }
    }

    /// Goes on behind a packet.
    pub(crate) fn follow(&mut self, parts: &Parts) {
        self.last_end = parts.end;
        self.delivered += parts.records;
        self.read = parts.next;
    }

    /// The packet is delivered: goes on behind it, and says so to a successor.
    pub(crate) fn advance(&mut self, lane: Lane<'_>, parts: &Parts) {
        self.follow(parts);
        let taken = lane.lap(self.start).bits() << LAP_SHIFT | (self.read - self.start);
        self.sub_buffer(lane).taken.store(taken, Ordering::Relaxed);
    }

    /// Goes on with the sub-buffer that begins at `start`.
    pub(crate) fn go_to(&mut self, start: u64) {
        self.start = start;
        self.read = start;
        self.delivered = 0;
    }

    /// Goes on behind records up to `position`, which were delivered by somebody else in packets
    /// that ended at the clock `end`, if that is known.
    pub(crate) fn skip_to(&mut self, lane: Lane<'_>, position: u64, end: u64) {
        let range = self.read..position.min(self.boundary(lane));
        if !range.is_empty() {
            let all = records::all(lane, range.clone(), self.clock_before(lane));
            self.delivered += all.records;
            self.last_end = self.last_end.max(all.last);
            self.read = range.end;
        }
        self.last_end = self.last_end.max(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::{self, Header, TOMBSTONE_ID};
    use crate::layout::Geometry;
    use crate::memory::SharedMemory;

    const ERA: u64 = 1 << 32;
    const BYTES: u64 = 32;

    /// A record as it stands in a lane: its clock, whether it tells the whole of it, and what became of it.
    struct Written(u64, bool, Fate);

    enum Fate {
        Published,
        Buried,
        Busy,
    }

    /// The first sub-buffer of a lane, opened at the clock 100, with these records.
    fn memory(records: &[Written]) -> SharedMemory {
        let geometry = Geometry::new(1, 4096, 2).unwrap();
        let (_fd, memory) = SharedMemory::create(geometry).unwrap();
        let lane = memory.lane(0);
        let sub_buffer = lane.sub_buffer(0);
        sub_buffer
            .local
            .store(lane.lap(0).fresh(), Ordering::Relaxed);
        sub_buffer
            .remote
            .store(lane.lap(0).fresh(), Ordering::Relaxed);
        sub_buffer.begin.store(100, Ordering::Relaxed);
        let mut position = 0;
        for Written(clock, whole, fate) in records {
            let busy = Header::busy(BYTES as usize, 1, *whole).at(*clock);
            lane.header_word(position)
                .store(busy.bits(), Ordering::Relaxed);
            let word = if *whole { *clock } else { 0 };
            lane.header_word(position + 8)
                .store(word, Ordering::Relaxed);
            // One byte of padding.
            let last = lane.header_word(position + 24);
            last.store(u64::from_ne_bytes([1; 8]), Ordering::Relaxed);
            let event = match fate {
                Fate::Published => Some(7),
                Fate::Buried => Some(TOMBSTONE_ID),
                Fate::Busy => None,
            };
            if let Some(event) = event {
                header::publish(lane.upper_half(position), BYTES as usize, event, *whole);
            }
            position += BYTES;
        }
        lane.control().reserved.store(position, Ordering::Relaxed);
        memory
    }

    /// The begin and the end of each run of published records from `cursor` on, as a packet has them.
    fn packets(lane: Lane<'_>, mut cursor: Cursor) -> Vec<(u64, u64)> {
        let mut packets = Vec::new();
        loop {
            if let Some(parts) = cursor.published(lane, Lost::default()) {
                packets.push((parts.begin, parts.end));
                cursor.follow(&parts);
            } else if cursor.pass_over(lane, true).is_none() {
                return packets;
            }
        }
    }

    #[test]
    fn what_follows_a_record_that_was_passed_over_knows_the_clock_it_told() {
        use Fate::{Buried, Busy, Published};
        for lost in [Buried, Busy] {
            let memory = memory(&[
                Written(200, false, Published),
                // A long silence: who comes next tells the whole clock, and dies.
                Written(7 * ERA + 50, true, lost),
                Written(7 * ERA + 60, false, Published),
                Written(8 * ERA + 10, true, Published),
            ]);
            let expected = [(100, 200), (7 * ERA + 50, 8 * ERA + 10)];
            assert_eq!(packets(memory.lane(0), Cursor::default()), expected);
        }
    }

    #[test]
    fn what_a_dead_writer_has_not_told_is_not_believed() {
        let memory = memory(&[
            Written(200, false, Fate::Published),
            Written(7 * ERA + 50, true, Fate::Buried),
            Written(7 * ERA + 60, true, Fate::Published),
        ]);
        let lane = memory.lane(0);
        // He did not get so far.
        lane.header_word(BYTES + 8)
            .store(u64::MAX, Ordering::Relaxed);
        let expected = [(100, 200), (200, 7 * ERA + 60)];
        assert_eq!(packets(lane, Cursor::default()), expected);
    }

    #[test]
    fn who_takes_over_behind_a_tombstone_knows_what_was_read_and_when() {
        let memory = memory(&[
            Written(200, false, Fate::Published),
            Written(210, false, Fate::Buried),
            Written(5 * ERA + 1, true, Fate::Published),
            Written(5 * ERA + 9, false, Fate::Published),
            Written(5 * ERA + 20, false, Fate::Published),
        ]);
        let lane = memory.lane(0);
        let cursor = Cursor::taken_over(lane, 0, 4 * BYTES);
        assert_eq!((cursor.delivered, cursor.last_end), (3, 5 * ERA + 9));
        assert_eq!(packets(lane, cursor.clone()), [(5 * ERA + 9, 5 * ERA + 20)]);
        // The disk may know of a later one, in front of what the ring says was read.
        let mut told = cursor;
        told.skip_to(lane, 2 * BYTES, 5 * ERA + 15);
        assert_eq!(packets(lane, told), [(5 * ERA + 15, 5 * ERA + 20)]);
    }
}
