//! The ring that all processes of a session write into.
//!
//! ```text
//!   admit   schemas ─▶ numbers for its events ─▶ a sealed file of them      a thread of each application's own
//!   drain   packet ─▶ events described that are new? ─▶ trace               one thread for the ring
//!   bury    a process has died: what it left half written holds up nobody
//! ```
//! An application gets its numbers before it writes its first record, and the metadata is looked after between taking a
//! packet and writing it: so no packet is in the trace before there is metadata for all events in it.
//!
//! Invariant: each round does a bounded amount of work whatever the shared memory claims.

use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use laneway_control::{ChannelConfig, ClockChoice, ClockKind};
use laneway_ctf::model::{ClockClass, TraceClass, Uuid};
use laneway_ringbuf::{BufferReader, Geometry, SharedMemory, Waker, clock};

use super::application::read_schemas;
use super::lanes::{Lanes, lap};
use crate::Error;
use crate::clocks::{best_clock, ring_clock};
use crate::consumer::{Shared, spawn};
use crate::events::EventTable;
use crate::host::sealed_file;
use crate::storage::{Origin, Trace, TraceWriter};
use crate::summary::{Counts, SharedSummary, memory_bytes};

/// What the thread of the shared ring tells the front.
pub(crate) enum SharedReport {
    /// An application is dead, and had so many records half written.
    Buried {
        /// The application.
        id: u64,
        /// How many.
        unfinished: u64,
    },
    /// All is written. The last report.
    Finished(Box<SharedSummary>),
}

/// The shared ring, as the front sees it.
#[derive(Clone, Debug)]
pub(crate) struct Handle(Arc<Buffer>);

#[derive(Debug)]
struct Buffer {
    ring: OwnedFd,
    clock: ClockKind,
    events: Mutex<EventTable>,
    pending: Mutex<Pending>,
    waker: OnceLock<Waker>,
}

#[derive(Debug, Default)]
struct Pending {
    dead: Vec<(u64, u16)>,
    over: bool,
}

impl Handle {
    /// Makes the ring, and starts the thread that empties it.
    ///
    /// # Errors
    /// The system refuses memory, a directory or a thread.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        report: impl Fn(SharedReport) + Send + 'static,
    ) -> Result<Handle, Error> {
        let channel = &shared.channel;
        let lanes = laneway_rseq::possible_cpus();
        let geometry = Geometry::new(lanes, channel.sub_buffer_bytes, channel.sub_buffers.into())?;
        let (ring, memory) = SharedMemory::create(geometry)?;
        if channel.populate {
            memory.populate()?;
        }
        let uuid = Uuid::from_random(memory.id());
        drop(memory);
        let buffer = Arc::new(Buffer {
            ring,
            clock: clock_of(channel),
            events: Mutex::default(),
            pending: Mutex::default(),
            waker: OnceLock::new(),
        });
        let mut drain = Drain::prepare(&buffer, uuid, shared)?;
        let _ = buffer.waker.set(drain.lanes.reader.waker());
        let (of_thread, shared) = (buffer.clone(), shared.clone());
        spawn("laneway-shared", move || {
            let work = || {
                drain.run(&of_thread, &shared, &report);
                drain.summarize(&of_thread)
            };
            let summary = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| SharedSummary {
                problems: vec![Error::Bug.to_string()],
                ..SharedSummary::default()
            });
            report(SharedReport::Finished(Box::new(summary)));
        })?;
        Ok(Handle(buffer))
    }

    /// The ring.
    pub(crate) fn ring(&self) -> &OwnedFd {
        &self.0.ring
    }

    /// The clock that all records are stamped with.
    pub(crate) fn clock(&self) -> ClockKind {
        self.0.clock
    }

    /// Reads the descriptions of an application's events, and gives them numbers: how many there are, and a sealed memory
    /// file of the numbers. This may take a while.
    ///
    /// # Errors
    /// They cannot be used, or are too many.
    pub(crate) fn admit(&self, schemas: OwnedFd) -> Result<(usize, OwnedFd), Error> {
        let schemas = read_schemas(schemas)?;
        let ids = self.0.events().admit(&schemas)?;
        let file = sealed_file(&ids.encode()).map_err(Error::system("make a memory file"))?;
        Ok((schemas.len(), file))
    }

    /// The application with this slot is dead.
    pub(crate) fn bury(&self, id: u64, slot: u16) {
        self.0.pending().dead.push((id, slot));
        self.nudge();
    }

    /// All applications have left.
    pub(crate) fn end(&self) {
        self.0.pending().over = true;
        self.nudge();
    }

    /// Wakes the thread, in case it has begun to sleep just when there was something to do.
    pub(crate) fn nudge(&self) {
        if let Some(waker) = self.0.waker.get() {
            waker.wake();
        }
    }
}

impl Buffer {
    fn events(&self) -> MutexGuard<'_, EventTable> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Drain {
    lanes: Lanes,
    /// How many events the metadata describes.
    described: usize,
    clock: ClockClass,
    clock_settled: bool,
    memory_bytes: u64,
}

impl Drain {
    fn prepare(buffer: &Buffer, uuid: Uuid, shared: &Shared) -> Result<Drain, Error> {
        let reader = BufferReader::map(&buffer.ring)?;
        let session = &shared.session;
        let clock = session.clocks().look(buffer.clock)?;
        let directory = session.make_shared_trace()?;
        let class = describe(buffer, uuid, &clock.class, shared).1;
        let trace = TraceWriter::new(directory, uuid, &class, shared.options.trace_format);
        Ok(Drain {
            lanes: Lanes::new(reader, trace),
            described: 0,
            clock: clock.class,
            clock_settled: clock.settled,
            memory_bytes: 0,
        })
    }

    fn run(&mut self, buffer: &Buffer, shared: &Shared, report: &impl Fn(SharedReport)) {
        let period = shared.options.flush_period;
        let mut flush_at = Instant::now() + period;
        loop {
            let (dead, over) = {
                let mut pending = buffer.pending();
                (std::mem::take(&mut pending.dead), pending.over)
            };
            for (id, slot) in dead {
                let unfinished = self.lanes.reader.bury(slot);
                report(SharedReport::Buried { id, unfinished });
            }
            self.take(over, Instant::now() >= flush_at, buffer, shared);
            if over {
                return self.settle_clock(buffer, shared, true);
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
            if buffer.events().events().len() != *described {
                let (events, class) = describe(buffer, trace.uuid(), clock, shared);
                trace.describe(&class);
                *described = events;
            }
        };
        self.lanes.take_whole(shared, &mut describe);
        if end {
            let lap = lap(&shared.channel);
            self.lanes.take_rest(lap, shared, &mut describe);
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

    fn summarize(&mut self, buffer: &Buffer) -> SharedSummary {
        let now = clock::now(ring_clock(buffer.clock));
        let (lanes, problems) = self.lanes.close(now);
        let mut counts = Counts::default();
        lanes.iter().for_each(|lane| counts += lane.counts);
        SharedSummary {
            trace: self.lanes.trace.directory().to_owned(),
            clock: ring_clock(buffer.clock).name(),
            event_kinds: buffer.events().events().len(),
            memory_bytes: self.memory_bytes.max(memory_bytes(&buffer.ring)),
            counts,
            lanes,
            problems,
            ..SharedSummary::default()
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
    let table = buffer.events();
    let trace = Trace {
        uuid,
        origin: Origin::Shared(&shared.channel),
        host: shared.session.host(),
        created: shared.session.created(),
    };
    let class = trace.describe(table.events(), clock.clone());
    (table.events().len(), class)
}

fn clock_of(channel: &ChannelConfig) -> ClockKind {
    match channel.clock {
        ClockChoice::Auto => best_clock(),
        ClockChoice::Tsc => ClockKind::Tsc,
        ClockChoice::Monotonic => ClockKind::Monotonic,
    }
}
