//! One process whose events go to disk as they come.
//!
//! ```text
//!   whole sub-buffers ─▶ disk        as they come, woken by the producers
//!   published records ─▶ disk        every flush period
//!   all that is left  ─▶ disk        once, when the process has ended
//! ```
//!
//! Invariant: each round does a bounded amount of work whatever the shared memory claims, and the last round is one
//! that began after the process had ended.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use laneway_control::{EventSchema, Hello};
use laneway_ctf::model::ClockClass;
use laneway_ringbuf::{BufferReader, Reading, clock};

use super::application::{map, read_schemas, remove_buffer, tidy_hello};
use super::idle::Silence;
use super::{Application, Orders, Report, damage};
use crate::Error;
use crate::clocks::ring_clock;
use crate::consumer::Shared;
use crate::session::Place;
use crate::storage::{LaneName, Origin, Trace, TraceWriter};
use crate::summary::{Counts, ProcessSummary, memory_bytes};

/// Packets taken from one lane before the next lane gets its turn.
const PACKETS_PER_TURN: usize = 64;

/// Records a process from its hello to its end.
pub(super) fn record(
    application: Application,
    shared: &Shared,
    orders: &Orders,
    report: &impl Fn(Report),
) -> Result<ProcessSummary, Error> {
    let mut drain = Drain::prepare(application, shared, orders)?;
    report(Report::Ready);
    drain.run(shared, orders, report);
    Ok(drain.summarize(shared, orders))
}

/// An earlier consumer may have died between writing a packet and saying so in the ring.
fn skip_what_is_on_disk(reader: &mut BufferReader, trace: &TraceWriter) {
    for lane in reader.lanes() {
        for extent in trace.extents(lane) {
            lane.skip(extent.position, extent.bytes, extent.end);
        }
    }
}

struct Drain {
    hello: Hello,
    /// The events, until the clock is settled and they are described for the last time.
    unsettled: Option<Vec<EventSchema>>,
    event_kinds: usize,
    ring: OwnedFd,
    reader: BufferReader,
    trace: TraceWriter,
    resumed: bool,
    /// What was added to the progress as lost.
    told_lost: u64,
    memory_bytes: u64,
}

impl Drain {
    fn prepare(application: Application, shared: &Shared, orders: &Orders) -> Result<Drain, Error> {
        let Application {
            mut hello,
            ring,
            schemas,
        } = application;
        tidy_hello(&mut hello);
        let events = read_schemas(schemas)?;
        let mut reader = BufferReader::of(map(&hello, &ring, shared)?, Reading::InOrder);
        let _ = orders.waker.set(reader.waker());

        let session = &shared.session;
        let clock = session.clocks().look(hello.clock)?;
        let place = session.place(&hello)?;
        let class = Trace {
            uuid: place.uuid(),
            origin: Origin::Process(&hello),
            host: session.host(),
            created: session.created(),
        }
        .describe(&events, clock.class);
        let format = shared.options.trace_format;
        let resumed = matches!(place, Place::Resumed { .. });
        let trace = match place {
            Place::New { directory, uuid } => TraceWriter::new(directory, uuid, &class, format),
            Place::Resumed { directory, uuid } => {
                TraceWriter::resume(directory, uuid, &class, format)?
            }
        };
        skip_what_is_on_disk(&mut reader, &trace);
        Ok(Drain {
            event_kinds: events.len(),
            unsettled: (!clock.settled).then_some(events),
            trace,
            hello,
            ring,
            reader,
            resumed,
            told_lost: 0,
            memory_bytes: 0,
        })
    }

    fn run(&mut self, shared: &Shared, orders: &Orders, report: &impl Fn(Report)) {
        let period = shared.options.flush_period;
        let mut flush_at = Instant::now() + period;
        let mut silence = Silence::default();
        loop {
            let over = orders.is_over();
            self.take_whole(shared);
            if over {
                self.take_rest(shared);
                return self.settle_clock_now(shared);
            }
            if Instant::now() >= flush_at {
                self.settle_clock(shared);
                self.take_published(shared);
                self.memory_bytes = self.memory_bytes.max(memory_bytes(&self.ring));
                if silence.look(self.recorded()) {
                    report(Report::Idle);
                }
                flush_at = Instant::now() + period;
            }
            let limit = flush_at.saturating_duration_since(Instant::now());
            self.reader.wait(limit.max(Duration::from_micros(1)));
        }
    }

    /// Whole sub-buffers, of each lane in its turn.
    fn take_whole(&mut self, shared: &Shared) {
        for lane in self.reader.lanes() {
            let name = LaneName::of(lane);
            for _ in 0..PACKETS_PER_TURN {
                let Some(packet) = lane.next_packet() else {
                    break;
                };
                shared.count(self.trace.take(packet, name));
            }
        }
        self.count_lost(shared);
    }

    /// What is published in sub-buffers that are still being filled.
    fn take_published(&mut self, shared: &Shared) {
        for lane in self.reader.lanes() {
            let name = LaneName::of(lane);
            if let Some(packet) = lane.partial_packet() {
                shared.count(self.trace.take(packet, name));
            }
        }
    }

    /// Everything there is. Nobody writes any more; should somebody do so all the same, he is left behind after a lap.
    fn take_rest(&mut self, shared: &Shared) {
        let channel = &self.hello.channel;
        let lap = channel
            .sub_buffer_bytes
            .saturating_mul(u64::from(channel.sub_buffers).saturating_add(1));
        for lane in self.reader.lanes() {
            let name = LaneName::of(lane);
            let mut taken = 0_u64;
            while taken <= lap {
                let Some(packet) = lane.final_packet() else {
                    break;
                };
                taken = taken.saturating_add(packet.record_bytes());
                shared.count(self.trace.take(packet, name));
            }
        }
        self.count_lost(shared);
    }

    fn recorded(&mut self) -> u64 {
        let lanes = self.reader.lanes().iter();
        lanes.fold(0, |sum, lane| sum.wrapping_add(lane.recorded()))
    }

    /// Writes the metadata for the last time, if the clock is settled by now.
    fn settle_clock(&mut self, shared: &Shared) {
        if self.unsettled.is_some()
            && let Ok(clock) = shared.session.clocks().look(self.hello.clock)
            && clock.settled
        {
            self.describe_better(clock.class, shared);
        }
    }

    /// The same, but waits until it is.
    fn settle_clock_now(&mut self, shared: &Shared) {
        if self.unsettled.is_some()
            && let Ok(clock) = shared.session.clocks().settle(self.hello.clock)
        {
            self.describe_better(clock, shared);
        }
    }

    fn describe_better(&mut self, clock: ClockClass, shared: &Shared) {
        if let Some(events) = self.unsettled.take() {
            let trace = Trace {
                uuid: self.trace.uuid(),
                origin: Origin::Process(&self.hello),
                host: shared.session.host(),
                created: shared.session.created(),
            };
            self.trace.describe_better(&trace.describe(&events, clock));
        }
    }

    fn count_lost(&mut self, shared: &Shared) {
        let lanes = self.reader.lanes().iter();
        let lost = lanes.fold(0_u64, |sum, lane| sum.saturating_add(lane.lost().total()));
        let more = lost.saturating_sub(self.told_lost);
        shared.progress.lost.fetch_add(more, Ordering::Relaxed);
        self.told_lost += more;
    }

    fn summarize(mut self, shared: &Shared, orders: &Orders) -> ProcessSummary {
        let now = clock::now(ring_clock(self.hello.clock));
        let mut counts = Counts::default();
        counts.lost.before_attach = self.hello.lost_before_attach;
        counts.settle();
        let mut lanes = Vec::new();
        let mut problems = Vec::new();
        for lane in self.reader.lanes() {
            let summary = self.trace.close(lane, lane.lost(), now);
            counts += summary.counts;
            problems.extend(damage(lane));
            lanes.push(summary);
        }
        lanes.sort_by_key(|lane| (lane.atomic, lane.cpu));
        problems.extend_from_slice(self.trace.problems());
        problems.extend(orders.take_fault());
        let removed = remove_buffer(&self.hello, &self.ring, shared);
        problems.extend(removed.err().map(|e| e.to_string()));
        ProcessSummary {
            trace: self.trace.directory().to_owned(),
            resumed: self.resumed,
            event_kinds: self.event_kinds,
            memory_bytes: self.memory_bytes.max(memory_bytes(&self.ring)),
            counts,
            lanes,
            problems,
            ..ProcessSummary::of(self.hello)
        }
    }
}
