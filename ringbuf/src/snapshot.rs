//! What is in a lane now, copied while its producers overwrite it.
//!
//! ```text
//!   1 pin every place but the newest two       producers pass over what is pinned, and have two
//!     … of all lanes, then of each:
//!   2 copy, from the newest to the oldest
//!   3 still on the lap that it was on? keep    (a pin may have come too late)
//!   4 unless the newest is kept: look again what is the newest now, and copy that
//!   5 unpin
//! ```
//! Pins make it likely that all of the lane is kept; the second look makes sure that nothing is
//! that a producer had begun to overwrite.
//!
//! Invariant: what is kept are published records only, each as its writer left it.

use crate::cursor::{Cursor, Look};
use crate::lane::{Lane, Lost};
use crate::lane_reader::LaneReader;
use crate::packet::Parts;
use crate::reader::BufferReader;
use std::collections::BTreeMap;
use std::sync::atomic::{Ordering, fence};

/// How often the newest sub-buffer may have been overwritten before its copy was made, until what
/// there is has to do.
const ATTEMPTS: u32 = 16;

/// A copy of what was in a lane.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Runs of published records, in the order in which they lie in the lane.
    pub packets: Vec<Saved>,
    /// Records among them that were reserved and not published: lost, if their process is dead.
    pub unfinished: u64,
}

/// A copied run of published records.
#[derive(Clone, Debug)]
pub struct Saved {
    /// Position of the first byte in its lane.
    pub position: u64,
    /// Trace clock, not later than the first record.
    pub begin: u64,
    /// Trace clock, not earlier than the last record.
    pub end: u64,
    /// Number of records.
    pub records: u64,
    /// The records; the last [`Saved::padding`] bytes are no content.
    pub bytes: Vec<u8>,
    /// Bytes of padding behind the last record's content: 1 to 8.
    pub padding: u8,
    /// Events the lane had lost by then, those that were overwritten among them.
    pub lost: Lost,
}

impl BufferReader {
    /// Copies all published records that are in the lanes, and leaves them there: a copy for each
    /// of [`lanes`](BufferReader::lanes), in their order.
    ///
    /// Takes at most the buffer's size in memory.
    pub fn snapshot(&mut self) -> Vec<Snapshot> {
        let lanes = self.lanes();
        // All of them first: the last lane is copied much later than the first, and would hold
        // none of the same time any more.
        let pinned: Vec<_> = lanes.iter().map(LaneReader::pin).collect();
        fence(Ordering::SeqCst); // the sooner they are seen, the better
        let pinned = lanes.iter().zip(pinned);
        pinned.map(|(lane, pinned)| lane.copy_all(pinned)).collect()
    }
}

impl LaneReader {
    /// Pins all sub-buffers but the newest two; says which.
    fn pin(&self) -> Vec<u64> {
        let lane = self.lane();
        let mut pinned = sub_buffers_of(lane);
        pinned.truncate(pinned.len().saturating_sub(2));
        for &start in &pinned {
            lane.sub_buffer(start).taken.store(1, Ordering::Relaxed);
        }
        pinned
    }

    /// Copies what is there, and unpins what is pinned.
    fn copy_all(&self, pinned: Vec<u64>) -> Snapshot {
        let lane = self.lane();
        let mut starts = sub_buffers_of(lane);
        let mut kept = BTreeMap::new();
        for _ in 0..ATTEMPTS {
            for &start in starts.iter().rev() {
                if !kept.contains_key(&start)
                    && let Some(copy) = self.copy(lane, start)
                {
                    kept.insert(start, copy);
                }
            }
            if starts.last().is_none_or(|newest| kept.contains_key(newest)) {
                break;
            }
            // The newest are not pinned: while we were busy, newer ones have taken their place.
            starts = sub_buffers_of(lane);
        }
        for start in pinned {
            lane.sub_buffer(start).taken.store(0, Ordering::Relaxed);
        }
        let mut all = Snapshot::default();
        for copy in kept.into_values() {
            all.packets.extend(copy.packets);
            all.unfinished += copy.unfinished;
        }
        all
    }

    /// Copies what is published in the sub-buffer that begins at `start`; `None` if it was
    /// overwritten meanwhile.
    fn copy(&self, lane: Lane<'_>, start: u64) -> Option<Snapshot> {
        if !is_there(lane, start) {
            return None;
        }
        let mut cursor = Cursor::default();
        cursor.go_to(start);
        let mut copy = Snapshot::default();
        while let Some(parts) = self.next_copy(lane, &mut cursor, &mut copy.unfinished) {
            copy.packets.push(self.save(lane, &parts));
            cursor.follow(&parts);
        }
        // SYNC(open): keeps the copy before the second look; pairs with the stores that take a
        // place off its lap, which come before anything is written on the new one.
        fence(Ordering::Acquire);
        is_there(lane, start).then_some(copy)
    }

    fn next_copy(
        &self,
        lane: Lane<'_>,
        cursor: &mut Cursor,
        unfinished: &mut u64,
    ) -> Option<Parts> {
        if let Look::Whole { content } = cursor.look(lane, &self.judged) {
            return cursor.whole(lane, content, self.lost())?.ok();
        }
        loop {
            if let Some(parts) = cursor.published(lane, self.lost()) {
                return Some(parts);
            }
            *unfinished += cursor.pass_over(lane, true)?.unfinished;
        }
    }

    fn save(&self, lane: Lane<'_>, parts: &Parts) -> Saved {
        let len = parts.bytes as usize;
        let mut bytes = Vec::with_capacity(len);
        // SAFETY: `parts` lies inside a sub-buffer, so in the mapping, and `len` bytes were
        // reserved. A producer may write there meanwhile: the copy is thrown away then, and
        // nothing depends on its bytes before that is known.
        unsafe {
            lane.at(parts.position)
                .copy_to_nonoverlapping(bytes.as_mut_ptr(), len);
            bytes.set_len(len);
        }
        Saved {
            position: parts.position,
            begin: parts.begin,
            end: parts.end,
            records: parts.records,
            bytes,
            padding: parts.padding,
            lost: parts.lost,
        }
    }
}

/// Where the sub-buffers begin that are in the lane now, oldest first.
fn sub_buffers_of(lane: Lane<'_>) -> Vec<u64> {
    let mut starts: Vec<u64> = lane.sub_buffers(lane.reserved()).collect();
    starts.sort_unstable();
    starts
}

/// Whether the records of the sub-buffer at `start` are there, and not counted as overwritten.
fn is_there(lane: Lane<'_>, start: u64) -> bool {
    let (places, number) = (lane.geometry().sub_buffers(), lane.number(start));
    let counted = lane.control().lost.counted.load(Ordering::Acquire) >> 1;
    let overwritten = counted > number && counted % places == number % places;
    lane.is_on_lap(start) && !overwritten
}
