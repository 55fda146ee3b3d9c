//! One process whose events stay in memory, the newest over the oldest, until somebody wants to see them.
//!
//! ```text
//!   snapshot  ─▶ all lanes copied ─▶ DIR/snapshot-N/NAME-PID     the process goes on
//!   the end   ─▶ all lanes copied ─▶ DIR/end/NAME-PID            it has ended, or crashed
//! ```
//! All lanes are copied before anything is written, one after the other: so what is in the trace is of nearly one moment,
//! however slow the disk is.
//!
//! Invariant: a snapshot that was asked for is taken before the end is.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use laneway_control::{EventSchema, Hello};
use laneway_ringbuf::{BufferReader, Lost, Reading, Snapshot, clock};

use super::application::{map, read_schemas, remove_buffer, tidy_hello};
use super::{Application, Orders, Report, SnapshotOrder, SnapshotPart};
use crate::Error;
use crate::clocks::ring_clock;
use crate::consumer::Shared;
use crate::host::random_uuid;
use crate::session::END;
use crate::storage::{Batch, Origin, Trace, TraceWriter, discarded};
use crate::summary::{Counts, LaneSummary, ProcessSummary, memory_bytes};

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
            report(Report::Snapshot(flight.snapshot(&order, shared)));
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

/// What came of writing a copy of all lanes.
#[derive(Default)]
struct Written {
    trace: PathBuf,
    lanes: Vec<LaneSummary>,
    problems: Vec<String>,
}

impl Written {
    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.lanes.iter().for_each(|lane| counts += lane.counts);
        counts
    }
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

    fn snapshot(&mut self, order: &SnapshotOrder, shared: &Shared) -> SnapshotPart {
        let written = self.write(&order.directory, shared, false);
        SnapshotPart {
            number: order.number,
            counts: written.counts(),
            problems: written.problems,
        }
    }

    fn end(mut self, shared: &Shared, orders: &Orders) -> ProcessSummary {
        let directory = shared.session.directory().join(END);
        let Written {
            trace,
            mut lanes,
            mut problems,
        } = self.write(&directory, shared, true);
        let mut counts = Counts::default();
        counts.lost.before_attach = self.hello.lost_before_attach;
        counts.settle();
        lanes.iter().for_each(|lane| counts += lane.counts);
        let lost = counts.lost.total();
        shared.progress.lost.fetch_add(lost, Ordering::Relaxed);
        lanes.sort_by_key(|lane| (lane.atomic, lane.cpu));
        problems.extend(orders.take_fault());
        let removed = remove_buffer(&self.hello, &self.ring, shared);
        problems.extend(removed.err().map(|e| e.to_string()));
        ProcessSummary {
            trace,
            event_kinds: self.events.len(),
            memory_bytes: self.memory_bytes.max(memory_bytes(&self.ring)),
            counts,
            lanes,
            problems,
            ..ProcessSummary::of(self.hello)
        }
    }

    /// Writes what is in the lanes now into a trace below `parent`. At the end nobody finishes what he has begun.
    fn write(&mut self, parent: &Path, shared: &Shared, end: bool) -> Written {
        let copies = self.reader.snapshot();
        let lanes = self.reader.lanes().iter();
        let copies: Vec<(Snapshot, Lost)> = lanes
            .zip(copies)
            .map(|(lane, copy)| {
                let last = copy.packets.iter().map(|packet| packet.lost);
                let mut lost = last.max_by_key(Lost::total).unwrap_or_else(|| lane.lost());
                if end {
                    lost.unfinished += copy.unfinished;
                }
                (copy, lost)
            })
            .collect();
        let mut written = Written::default();
        let overwritten = copies.iter().map(|(_, lost)| lost.overwritten);
        let overwritten = overwritten.fold(0, u64::saturating_add);
        let mut trace = match self.begin_trace(parent, overwritten, shared) {
            Ok(trace) => Some(trace),
            Err(e) => {
                written.problems.push(e.to_string());
                None
            }
        };
        let now = clock::now(ring_clock(self.hello.clock));
        for (lane, (copy, lost)) in self.reader.lanes().iter().zip(copies) {
            let Some(trace) = &mut trace else {
                let records = copy.packets.iter().map(|packet| packet.records).sum();
                written
                    .lanes
                    .push(LaneSummary::unstored(lane, lost, records));
                continue;
            };
            for packet in &copy.packets {
                let batch = Batch {
                    position: packet.position,
                    begin: packet.begin,
                    end: packet.end,
                    records: packet.records,
                    bytes: packet.bytes.len() as u64,
                    padding: packet.padding,
                    lost: discarded(lost),
                };
                shared.count(trace.put(lane, &batch, &packet.bytes));
            }
            written.lanes.push(trace.close(lane, lost, now));
        }
        if let Some(trace) = trace {
            written.trace = trace.directory().to_owned();
            written.problems.extend_from_slice(trace.problems());
        }
        written
    }

    fn begin_trace(
        &self,
        parent: &Path,
        overwritten: u64,
        shared: &Shared,
    ) -> Result<TraceWriter, Error> {
        let session = &shared.session;
        let clock = session.clocks().settle(self.hello.clock)?;
        // Not that of the ring: several snapshots have the same events, and are different traces.
        let uuid = random_uuid()?;
        let mut class = Trace {
            uuid,
            origin: Origin::Process(&self.hello),
            host: session.host(),
            created: session.created(),
        }
        .describe(&self.events, clock);
        let overwritten = i64::try_from(overwritten).unwrap_or(i64::MAX);
        class.set_env("events_overwritten", overwritten);
        let directory = session.make_trace(parent, &self.hello.name, self.hello.pid)?;
        let format = shared.options.trace_format;
        Ok(TraceWriter::new(directory, uuid, &class, format))
    }
}
