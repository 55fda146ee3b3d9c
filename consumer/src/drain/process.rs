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
use std::time::{Duration, Instant};

use laneway_control::{EventSchema, Hello};
use laneway_ctf::model::ClockClass;
use laneway_ringbuf::{BufferReader, Reading, clock};

use super::application::{map, read_schemas, remove_buffer, tidy_hello};
use super::idle::Silence;
use super::lanes::{Lanes, lap};
use super::{Application, Orders, Report};
use crate::Error;
use crate::clocks::ring_clock;
use crate::consumer::Shared;
use crate::session::Place;
use crate::storage::{Origin, Trace, TraceWriter};
use crate::summary::{Counts, ProcessSummary, memory_bytes};

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

struct Drain {
    hello: Hello,
    /// The events, until the clock is settled and they are described for the last time.
    unsettled: Option<Vec<EventSchema>>,
    event_kinds: usize,
    ring: OwnedFd,
    lanes: Lanes,
    resumed: bool,
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
        let reader = BufferReader::of(map(&hello, &ring, shared)?, Reading::InOrder);
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
        let resumed = matches!(place, Place::Resumed { .. });
        let trace = TraceWriter::at(place, &class, shared.options.trace_format)?;
        Ok(Drain {
            event_kinds: events.len(),
            unsettled: (!clock.settled).then_some(events),
            lanes: Lanes::new(reader, trace),
            hello,
            ring,
            resumed,
            memory_bytes: 0,
        })
    }

    fn run(&mut self, shared: &Shared, orders: &Orders, report: &impl Fn(Report)) {
        let period = shared.options.flush_period;
        let mut flush_at = Instant::now() + period;
        let mut silence = Silence::default();
        loop {
            let over = orders.is_over();
            self.lanes.take_whole(shared, |_| {});
            if over {
                self.lanes
                    .take_rest(lap(&self.hello.channel), shared, |_| {});
                return self.settle_clock_now(shared);
            }
            if Instant::now() >= flush_at {
                self.settle_clock(shared);
                self.lanes.take_published(shared, |_| {});
                self.memory_bytes = self.memory_bytes.max(memory_bytes(&self.ring));
                if silence.look(self.lanes.recorded()) {
                    report(Report::Idle);
                }
                flush_at = Instant::now() + period;
            }
            let limit = flush_at.saturating_duration_since(Instant::now());
            self.lanes.reader.wait(limit.max(Duration::from_micros(1)));
        }
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
                uuid: self.lanes.trace.uuid(),
                origin: Origin::Process(&self.hello),
                host: shared.session.host(),
                created: shared.session.created(),
            };
            let class = trace.describe(&events, clock);
            self.lanes.trace.describe_better(&class);
        }
    }

    fn summarize(mut self, shared: &Shared, orders: &Orders) -> ProcessSummary {
        let now = clock::now(ring_clock(self.hello.clock));
        let mut counts = Counts::default();
        let (lanes, mut problems) = self.lanes.close(now);
        lanes.iter().for_each(|lane| counts += lane.counts);
        problems.extend(orders.take_fault());
        let removed = remove_buffer(&self.hello, &self.ring, shared);
        problems.extend(removed.err().map(|e| e.to_string()));
        ProcessSummary {
            trace: self.lanes.trace.directory().to_owned(),
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
