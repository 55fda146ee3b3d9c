//! The shared ring, emptied into its trace as events come.
//!
//! ```text
//!   packet ─▶ events described that are new? ─▶ trace
//! ```
//! An application gets its numbers before it writes its first record, and the metadata is looked after between taking a
//! packet and writing it: so no packet is in the trace before there is metadata for all events in it.
//!
//! Invariant: each round does a bounded amount of work whatever the shared memory claims.

use std::time::{Duration, Instant};

use laneway_ctf::model::{ClockClass, TraceClass, Uuid};
use laneway_ringbuf::{BufferReader, Reading, SharedMemory, clock};

use super::{Buffer, SharedReport, Work};
use crate::Error;
use crate::clocks::ring_clock;
use crate::consumer::Shared;
use crate::drain::lanes::Lanes;
use crate::session::Place;
use crate::storage::{Origin, Trace, TraceWriter};
use crate::summary::{SharedSummary, memory_bytes};

pub(super) struct Disk {
    lanes: Lanes,
    /// Bytes of a lane, and one sub-buffer more: nobody leaves more than that behind.
    lap: u64,
    /// How many events the metadata describes.
    described: usize,
    clock: ClockClass,
    clock_settled: bool,
    resumed: bool,
    memory_bytes: u64,
}

impl Disk {
    pub(super) fn prepare(
        buffer: &Buffer,
        memory: SharedMemory,
        shared: &Shared,
    ) -> Result<Disk, Error> {
        let geometry = memory.geometry();
        let place = shared.session.shared_place(buffer.id)?;
        let clock = shared.session.clocks().look(buffer.clock)?;
        let (described, class) = describe(buffer, place.uuid(), &clock.class, shared);
        let resumed = matches!(place, Place::Resumed { .. });
        let trace = TraceWriter::at(place, &class, shared.options.trace_format)?;
        Ok(Disk {
            lanes: Lanes::new(BufferReader::of(memory, Reading::InOrder), trace),
            lap: geometry.sub_buffer_bytes() * (geometry.sub_buffers() + 1),
            described,
            clock: clock.class,
            clock_settled: clock.settled,
            resumed,
            memory_bytes: 0,
        })
    }

    pub(super) fn reader(&mut self) -> &mut BufferReader {
        &mut self.lanes.reader
    }

    pub(super) fn run(
        mut self,
        buffer: &Buffer,
        shared: &Shared,
        report: &impl Fn(SharedReport),
    ) -> SharedSummary {
        let period = shared.options.flush_period;
        let mut flush_at = Instant::now() + period;
        loop {
            let Work { dead, over, .. } = buffer.take_work();
            for (id, slot) in dead {
                report(buffer.bury(&mut self.lanes.reader, id, slot));
            }
            self.take(over, Instant::now() >= flush_at, buffer, shared);
            if over {
                self.settle_clock(buffer, shared, true);
                return self.summarize(buffer);
            }
            if Instant::now() >= flush_at {
                self.settle_clock(buffer, shared, false);
                self.memory_bytes = self.memory_bytes.max(memory_bytes(&buffer.ring));
                flush_at = Instant::now() + period;
            }
            let limit = flush_at.saturating_duration_since(Instant::now());
            self.lanes.reader.wait(limit.max(Duration::from_micros(1)));
        }
    }

    /// Takes what is whole, with `flush` what is published, and at the end all there is.
    fn take(&mut self, end: bool, flush: bool, buffer: &Buffer, shared: &Shared) {
        let (described, clock) = (&mut self.described, &self.clock);
        let mut describe = |trace: &mut TraceWriter| {
            if buffer.table().events.events().len() != *described {
                let (events, class) = describe(buffer, trace.uuid(), clock, shared);
                trace.describe(&class);
                *described = events;
            }
        };
        self.lanes.take_whole(shared, &mut describe);
        if end {
            self.lanes.take_rest(self.lap, shared, &mut describe);
        } else if flush {
            self.lanes.take_published(shared, &mut describe);
        }
    }

    /// Describes the clock for the last time, if it is settled by now, or at the `end` when it is.
    fn settle_clock(&mut self, buffer: &Buffer, shared: &Shared, end: bool) {
        if self.clock_settled {
            return;
        }
        let clocks = shared.session.clocks();
        let settled = match end {
            true => clocks.settle(buffer.clock).ok(),
            false => {
                let clock = clocks.look(buffer.clock).ok();
                clock.and_then(|clock| clock.settled.then_some(clock.class))
            }
        };
        if let Some(clock) = settled {
            let uuid = self.lanes.trace.uuid();
            let (_, class) = describe(buffer, uuid, &clock, shared);
            self.lanes.trace.describe_better(&class);
            self.clock = clock;
            self.clock_settled = true;
        }
    }

    fn summarize(mut self, buffer: &Buffer) -> SharedSummary {
        let now = clock::now(ring_clock(buffer.clock));
        let (lanes, problems) = self.lanes.close(now);
        let end = buffer.summarize(&self.lanes.reader, lanes, problems);
        SharedSummary {
            trace: self.lanes.trace.directory().to_owned(),
            resumed: self.resumed,
            memory_bytes: self.memory_bytes.max(end.memory_bytes),
            ..end
        }
    }
}

/// The metadata as it has to be now, and how many events are in it.
fn describe(
    buffer: &Buffer,
    uuid: Uuid,
    clock: &ClockClass,
    shared: &Shared,
) -> (usize, TraceClass) {
    let table = buffer.table();
    let events = table.events.events();
    let trace = Trace {
        uuid,
        origin: Origin::Shared(&shared.channel),
        host: shared.session.host(),
        created: shared.session.created(),
    };
    let class = trace.describe(events, clock.clone());
    (events.len(), class)
}
