//! One process whose events stay in memory, the newest over the oldest, until somebody wants to see them.
//!
//! ```text
//!   snapshot  ─▶ all lanes copied ─▶ DIR/snapshot-N/NAME-PID     the process goes on
//!   the end   ─▶ all lanes copied ─▶ DIR/end/NAME-PID            it has ended, or crashed
//! ```
//!
//! Invariant: a snapshot that was asked for is taken before the end is.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::Ordering;

use laneway_control::{EventSchema, Hello};
use laneway_ringbuf::{BufferReader, Reading};

use super::application::{map, read_schemas, remove_buffer, tidy_hello};
use super::copies::{About, Copies, Written};
use super::{Application, Orders, Report};
use crate::Error;
use crate::consumer::Shared;
use crate::session::{END, trace_name};
use crate::storage::Origin;
use crate::summary::{ProcessSummary, memory_bytes};

/// Records a process from its hello to its end.
pub(super) fn record(
    application: Application,
    shared: &Shared,
    orders: &Orders,
    report: &impl Fn(Report),
) -> Result<ProcessSummary, Error> {
    let mut flight = Flight::prepare(application, shared, orders)?;
    report(Report::Ready);
    loop {
        // Looked at first: what was ordered before the end is done before it.
        let over = orders.is_over();
        for order in orders.take_snapshots() {
            let written = flight.write(&order.directory, shared, false);
            report(Report::Snapshot(written.part(order.number)));
        }
        if over {
            return Ok(flight.end(shared, orders));
        }
        flight.reader.wait(shared.options.flush_period);
        flight.memory_bytes = flight.memory_bytes.max(memory_bytes(&flight.ring));
    }
}

struct Flight {
    hello: Hello,
    events: Vec<EventSchema>,
    ring: OwnedFd,
    reader: BufferReader,
    memory_bytes: u64,
}

impl Flight {
    fn prepare(
        application: Application,
        shared: &Shared,
        orders: &Orders,
    ) -> Result<Flight, Error> {
        let Application {
            mut hello,
            ring,
            schemas,
        } = application;
        tidy_hello(&mut hello);
        let memory = map(&hello, &ring, shared)?;
        let reader = BufferReader::of(memory, Reading::Snapshots);
        let _ = orders.waker.set(reader.waker());
        // Begins to measure it, so that it is known well when there is something to write.
        shared.session.clocks().look(hello.clock)?;
        Ok(Flight {
            events: read_schemas(schemas)?,
            memory_bytes: 0,
            hello,
            ring,
            reader,
        })
    }

    fn end(mut self, shared: &Shared, orders: &Orders) -> ProcessSummary {
        let directory = shared.session.directory().join(END);
        let written = self.write(&directory, shared, true);
        let counts = written.counts();
        let lost = counts.lost.total();
        shared.progress.lost.fetch_add(lost, Ordering::Relaxed);
        let mut problems = written.problems;
        problems.extend(orders.take_fault());
        let removed = remove_buffer(&self.hello, &self.ring, shared);
        problems.extend(removed.err().map(|e| e.to_string()));
        ProcessSummary {
            trace: written.trace,
            event_kinds: self.events.len(),
            memory_bytes: self.memory_bytes.max(memory_bytes(&self.ring)),
            counts,
            lanes: written.lanes,
            problems,
            ..ProcessSummary::of(self.hello)
        }
    }

    /// Writes what is in the lanes now into a trace below `parent`.
    fn write(&mut self, parent: &Path, shared: &Shared, ended: bool) -> Written {
        let copies = Copies::take(&mut self.reader, ended);
        let about = About {
            parent,
            name: trace_name(&self.hello),
            origin: Origin::Process(&self.hello),
            events: &self.events,
            clock: self.hello.clock,
        };
        copies.write(self.reader.lanes(), &about, shared)
    }
}
