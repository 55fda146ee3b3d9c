//! What a dead process left in a buffer that others still write to.
//!
//! ```text
//!   reserved, not published    busy header with his slot ──▶ tombstone
//!   published, not counted     the count will never be full ──▶ judged by headers from now on
//!   filling a place            (atomic lanes) given up
//!   in the middle of a switch  nothing: the next one does it again
//! ```
//! The headers are the truth: a closed sub-buffer in which no header is busy is complete, whatever
//! its counters lack. Then it is declared done with the same word that releases it; a living
//! thread that counts only now is dropped by its lap.
//!
//! Invariant: only headers with the dead process' slot are touched, and only after its end.

use crate::atomic_lane;
use crate::header::{self, Header, PADDING_ID, TOMBSTONE_ID};
use crate::lane::Lane;
use crate::lane_reader::LaneReader;
use crate::reader::Reading;
use std::ops::Range;
use std::sync::atomic::{Ordering, fence};

impl LaneReader {
    /// Buries what the processes left whose slots `is_dead` says so of; says how many records
    /// they had not published.
    pub(crate) fn bury(&mut self, is_dead: &dyn Fn(u16) -> bool) -> u64 {
        let mut unfinished = 0;
        let lane = self.memory.lane(self.index());
        let size = lane.geometry().sub_buffer_bytes();
        if self.is_atomic() {
            atomic_lane::help_the_dead(lane, self.memory.key());
        }
        // Read before places are given up: what the living open in them from then on is not his.
        let reserved = lane.reserved();
        if self.is_atomic() {
            for place in 0..lane.geometry().sub_buffers() {
                lane.sub_buffer(place * size).give_up_place(is_dead);
            }
        }
        for start in lane.sub_buffers(reserved) {
            let sub_buffer = lane.sub_buffer(start);
            let overwrites = self.reading == Reading::Snapshots;
            if overwrites {
                // Who looks for room later finds it pinned; who has looked found it whole, and
                // so do we.
                sub_buffer.taken.store(1, Ordering::Relaxed);
                fence(Ordering::SeqCst);
            }
            if is_lacking(lane, start) {
                unfinished += bury_in(lane, start..reserved.min(start + size), is_dead);
                if !self.judged.contains(&start) {
                    self.judged.push(start);
                }
            }
            if overwrites {
                sub_buffer.taken.store(0, Ordering::Relaxed);
            }
        }
        self.tend();
        unfinished
    }

    /// In overwrite mode, where nobody reads them: declares judged sub-buffers done that are.
    pub(crate) fn tend(&mut self) {
        if self.reading == Reading::InOrder || self.judged.is_empty() {
            return;
        }
        let lane = self.memory.lane(self.index());
        let reserved = lane.reserved();
        let boundary = |start: u64| start + lane.geometry().sub_buffer_bytes();
        let judged = self.judged.iter().copied();
        let (closed, open): (Vec<u64>, Vec<u64>) = judged
            .filter(|&start| lane.is_on_lap(start))
            .partition(|&start| reserved >= boundary(start));
        self.judged = open;
        let found: Vec<(u64, Option<u64>)> = closed
            .into_iter()
            .map(|start| (start, complete_records(lane, start..boundary(start))))
            .collect();
        for (start, records) in found {
            match records {
                Some(records) => self.release(start, records),
                None => self.judged.push(start),
            }
        }
    }
}

/// Whether something is reserved in the sub-buffer at `start`, and not all of it counted.
fn is_lacking(lane: Lane<'_>, start: u64) -> bool {
    let size = lane.geometry().sub_buffer_bytes();
    let whole = lane.committed(start).is_some_and(|c| c.bytes == size);
    lane.is_on_lap(start) && !whole && !lane.is_done(start)
}

/// Makes the busy records of the dead in a range tombstones; says how many.
fn bury_in(lane: Lane<'_>, range: Range<u64>, is_dead: &dyn Fn(u16) -> bool) -> u64 {
    let mut buried = 0;
    for (position, header) in headers(lane, range) {
        if header.is_busy() && is_dead(header.id()) {
            let counts = u64::from(header.record_bytes() > 0);
            // First, so that it is not forgotten should we be killed between the two.
            lane.control()
                .lost
                .buried
                .fetch_add(counts, Ordering::Relaxed);
            header::bury(lane.upper_half(position), header);
            buried += counts;
        }
    }
    buried
}

/// How many records are published in a closed range, if no header in it is busy.
fn complete_records(lane: Lane<'_>, range: Range<u64>) -> Option<u64> {
    let mut records = 0;
    for (_, header) in headers(lane, range) {
        if header.is_busy() {
            return None;
        }
        records += u64::from(header.record_bytes() > 0 && header.id() != TOMBSTONE_ID);
    }
    Some(records)
}

/// The headers in a range that begins with one, as far as they make sense.
fn headers(lane: Lane<'_>, range: Range<u64>) -> impl Iterator<Item = (u64, Header)> {
    let mut position = range.start;
    std::iter::from_fn(move || {
        if position >= range.end {
            return None;
        }
        let (at, header) = (position, lane.header(position));
        let padding = header.record_bytes() == 0;
        let sound = padding && (header.is_busy() || header.id() == PADDING_ID)
            || header.record_bytes() as u64 > 8;
        position = match padding || !sound {
            true => range.end,
            false => at + header.record_bytes() as u64,
        };
        sound.then_some((at, header))
    })
}
