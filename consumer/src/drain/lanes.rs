//! The lanes of one ring, and the trace they are emptied into.
//!
//! Invariant: each call does a bounded amount of work whatever the shared memory claims.

use std::sync::atomic::Ordering;

use laneway_ringbuf::BufferReader;

use super::damage;
use crate::consumer::Shared;
use crate::storage::{LaneName, TraceWriter};
use crate::summary::LaneSummary;

/// Packets taken from one lane before the next lane gets its turn.
const PACKETS_PER_TURN: usize = 64;

/// A ring that is read in order.
pub(super) struct Lanes {
    pub(super) reader: BufferReader,
    pub(super) trace: TraceWriter,
    /// What was added to the progress as lost.
    told_lost: u64,
}

impl Lanes {
    /// Goes on behind what is in the trace already: an earlier consumer may have died between writing a packet and saying
    /// so in the ring.
    pub(super) fn new(mut reader: BufferReader, trace: TraceWriter) -> Lanes {
        for lane in reader.lanes() {
            for extent in trace.extents(lane) {
                lane.skip(extent.position, extent.bytes, extent.end);
            }
        }
        Lanes {
            reader,
            trace,
            told_lost: 0,
        }
    }

    /// Whole sub-buffers, of each lane in its turn. `describe` is called between taking a packet and writing it.
    pub(super) fn take_whole(
        &mut self,
        shared: &Shared,
        mut describe: impl FnMut(&mut TraceWriter),
    ) {
        for lane in self.reader.lanes() {
            let name = LaneName::of(lane);
            for _ in 0..PACKETS_PER_TURN {
                let Some(packet) = lane.next_packet() else {
                    break;
                };
                describe(&mut self.trace);
                shared.count(self.trace.take(packet, name));
            }
        }
        self.count_lost(shared);
    }

    /// What is published in sub-buffers that are still being filled.
    pub(super) fn take_published(
        &mut self,
        shared: &Shared,
        mut describe: impl FnMut(&mut TraceWriter),
    ) {
        for lane in self.reader.lanes() {
            let name = LaneName::of(lane);
            if let Some(packet) = lane.partial_packet() {
                describe(&mut self.trace);
                shared.count(self.trace.take(packet, name));
            }
        }
    }

    /// Everything there is. Nobody writes any more; should somebody do so all the same, he is left behind after a lap.
    pub(super) fn take_rest(
        &mut self,
        lane_bytes: u64,
        shared: &Shared,
        mut describe: impl FnMut(&mut TraceWriter),
    ) {
        for lane in self.reader.lanes() {
            let name = LaneName::of(lane);
            let mut taken = 0_u64;
            while taken <= lane_bytes {
                let Some(packet) = lane.final_packet() else {
                    break;
                };
                describe(&mut self.trace);
                taken = taken.saturating_add(packet.record_bytes());
                shared.count(self.trace.take(packet, name));
            }
        }
        self.count_lost(shared);
    }

    /// Events that were taken.
    pub(super) fn recorded(&mut self) -> u64 {
        let lanes = self.reader.lanes().iter();
        lanes.fold(0, |sum, lane| sum.wrapping_add(lane.recorded()))
    }

    /// Completes all lanes, at the time `now`: what came of each, and what was wrong.
    pub(super) fn close(&mut self, now: u64) -> (Vec<LaneSummary>, Vec<String>) {
        let mut summaries = Vec::new();
        let mut problems = Vec::new();
        for lane in self.reader.lanes() {
            summaries.push(self.trace.close(lane, lane.lost(), now));
            problems.extend(damage(lane));
        }
        summaries.sort_by_key(|lane| (lane.atomic, lane.cpu));
        problems.extend_from_slice(self.trace.problems());
        (summaries, problems)
    }

    fn count_lost(&mut self, shared: &Shared) {
        let lanes = self.reader.lanes().iter();
        let lost = lanes.fold(0_u64, |sum, lane| sum.saturating_add(lane.lost().total()));
        let more = lost.saturating_sub(self.told_lost);
        shared.progress.lost.fetch_add(more, Ordering::Relaxed);
        self.told_lost += more;
    }
}

/// Bytes of a lane, and one sub-buffer more: nobody leaves more than that behind.
pub(super) fn lap(channel: &laneway_control::ChannelConfig) -> u64 {
    let sub_buffers = u64::from(channel.sub_buffers).saturating_add(1);
    channel.sub_buffer_bytes.saturating_mul(sub_buffers)
}
