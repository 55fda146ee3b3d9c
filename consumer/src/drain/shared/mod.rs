//! The ring that all processes of a session write into.
//!
//! ```text
//!   admit   schemas ─▶ numbers for its events ─▶ a sealed file of them      a thread of each application's own
//!   drain   packet ─▶ events described that are new? ─▶ trace               one thread for the ring
//!   bury    a process has died: what it left half written holds up nobody
//!   adopt   the ring of an earlier consumer, which an application brings    see `adoption`
//! ```
//! An application gets its numbers before it writes its first record, and the metadata is looked after between taking a
//! packet and writing it: so no packet is in the trace before there is metadata for all events in it.
//!
//! Invariant: each round does a bounded amount of work whatever the shared memory claims.

mod adoption;
mod drain;
mod journal;

use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use laneway_control::{ChannelConfig, ClockChoice, ClockKind, EventIds};
use laneway_ctf::model::Uuid;
use laneway_ringbuf::{Geometry, SharedMemory, Waker};

pub(crate) use adoption::{Adopted, LeftRing};
pub(crate) use journal::{Life, Member, Past};

use super::application::read_schemas;
use crate::Error;
use crate::clocks::best_clock;
use crate::consumer::{Shared, spawn};
use crate::events::EventTable;
use crate::host::sealed_file;
use crate::session::Place;
use crate::summary::SharedSummary;
use drain::Drain;
use journal::Journal;

/// What the thread of the shared ring tells the front.
pub(crate) enum SharedReport {
    /// An application is dead, and had so many records half written.
    Buried {
        /// The application.
        id: u64,
        /// Its slot, which can be given again.
        slot: u16,
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
    table: Mutex<Table>,
    pending: Mutex<Pending>,
    waker: OnceLock<Waker>,
}

/// Who and what has which number in the ring.
#[derive(Debug)]
struct Table {
    events: EventTable,
    journal: Journal,
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
        let place = Place::New {
            directory: shared.session.make_shared_trace()?,
            uuid: Uuid::from_random(memory.id()),
        };
        let buffer = Buffer::new(ring, &shared.channel, EventTable::default(), &place);
        let drain = Drain::prepare(&buffer, memory, place, shared)?;
        Handle::run(buffer, drain, shared, report)
    }

    /// Starts the thread that empties a ring.
    fn run(
        buffer: Buffer,
        mut drain: Drain,
        shared: &Arc<Shared>,
        report: impl Fn(SharedReport) + Send + 'static,
    ) -> Result<Handle, Error> {
        let buffer = Arc::new(buffer);
        let _ = buffer.waker.set(drain.waker());
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

    /// Reads the descriptions of an application's events, and gives them numbers: how many there are, and a sealed memory
    /// file of the numbers. This may take a while.
    ///
    /// # Errors
    /// They cannot be used, or are too many.
    pub(crate) fn admit(
        &self,
        schemas: OwnedFd,
        mut member: Member,
    ) -> Result<(usize, OwnedFd), Error> {
        let schemas = read_schemas(schemas)?;
        member.process.event_kinds = schemas.len();
        let ids = self.0.table().admit(&schemas, member)?;
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
    fn new(ring: OwnedFd, channel: &ChannelConfig, events: EventTable, place: &Place) -> Buffer {
        Buffer {
            ring,
            clock: clock_of(channel),
            table: Mutex::new(Table {
                events,
                journal: Journal::open(place.directory()),
            }),
            pending: Mutex::default(),
            waker: OnceLock::new(),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The numbers of a process' events, written down before anybody is told.
    fn admit(
        &mut self,
        schemas: &[laneway_control::EventSchema],
        member: Member,
    ) -> Result<EventIds, Error> {
        let known = self.events.events().len();
        let ids = self.events.admit(schemas)?;
        self.journal.joined(&self.events.events()[known..], member);
        Ok(ids)
    }
}

/// The clock that all records of a channel's ring are stamped with.
pub(crate) fn clock_of(channel: &ChannelConfig) -> ClockKind {
    match channel.clock {
        ClockChoice::Auto => best_clock(),
        ClockChoice::Tsc => ClockKind::Tsc,
        ClockChoice::Monotonic => ClockKind::Monotonic,
    }
}
