//! The ring that all processes of a session write into.
//!
//! ```text
//!   admit   schemas ─▶ numbers for its events ─▶ a sealed file of them      a thread of each application's own
//!   drain   to disk, or when a snapshot is asked for                        one thread for the ring
//!   bury    a process has died: what it left half written holds up nobody
//!   adopt   the ring of an earlier consumer, which an application brings    see `adoption`
//! ```
//!
//! Invariant: each round does a bounded amount of work whatever the shared memory claims.

mod adoption;
mod disk;
mod flight;
mod journal;

use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use laneway_control::{ChannelConfig, ClockChoice, ClockKind, EventIds, EventSchema, Mode};
use laneway_ctf::model::Uuid;
use laneway_ringbuf::{BufferReader, Geometry, SharedMemory, Waker};

pub(crate) use adoption::{Adopted, LeftRing};
pub(crate) use journal::{Life, Member, Past, living_rings};

use super::application::read_schemas;
use super::{SnapshotOrder, SnapshotPart};
use crate::Error;
use crate::clocks::{best_clock, ring_clock};
use crate::consumer::{Shared, spawn};
use crate::events::EventTable;
use crate::host::sealed_file;
use crate::summary::{Counts, LaneSummary, SharedSummary, memory_bytes};
use disk::Disk;
use flight::Flight;
use journal::{Journal, path_of};

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
    /// What came of a snapshot.
    Snapshot(SnapshotPart),
    /// All is written. The last report.
    Finished(Box<SharedSummary>),
}

/// The shared ring, as the front sees it.
#[derive(Clone, Debug)]
pub(crate) struct Handle(Arc<Buffer>);

#[derive(Debug)]
struct Buffer {
    ring: OwnedFd,
    id: [u8; 16],
    clock: ClockKind,
    table: Mutex<Table>,
    pending: Mutex<Work>,
    waker: OnceLock<Waker>,
}

/// Who and what has which number in the ring.
#[derive(Debug)]
struct Table {
    events: EventTable,
    journal: Journal,
}

/// What the thread of the ring is to do.
#[derive(Debug, Default)]
struct Work {
    dead: Vec<(u64, u16)>,
    snapshots: Vec<SnapshotOrder>,
    over: bool,
}

/// What becomes of the events.
enum Drain {
    /// They go to disk as they come.
    Disk(Box<Disk>),
    /// They stay in memory, the newest over the oldest.
    Flight(Flight),
}

impl Drain {
    fn prepare(buffer: &Buffer, memory: SharedMemory, shared: &Shared) -> Result<Drain, Error> {
        Ok(match shared.channel.mode {
            Mode::Overwrite => Drain::Flight(Flight::prepare(buffer, memory, shared)?),
            Mode::Discard | Mode::Block { .. } => {
                Drain::Disk(Box::new(Disk::prepare(buffer, memory, shared)?))
            }
        })
    }

    fn reader(&mut self) -> &mut BufferReader {
        match self {
            Drain::Disk(disk) => disk.reader(),
            Drain::Flight(flight) => &mut flight.reader,
        }
    }

    fn run(
        self,
        buffer: &Buffer,
        shared: &Shared,
        report: &impl Fn(SharedReport),
    ) -> SharedSummary {
        match self {
            Drain::Disk(disk) => disk.run(buffer, shared, report),
            Drain::Flight(flight) => flight.run(buffer, shared, report),
        }
    }
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
        let buffer = Buffer::new(ring, memory.id(), Past::default(), shared)?;
        let drain = Drain::prepare(&buffer, memory, shared);
        let drain = drain.inspect_err(|_| buffer.table().journal.remove())?;
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
        let _ = buffer.waker.set(drain.reader().waker());
        let (of_thread, shared) = (buffer.clone(), shared.clone());
        spawn("laneway-shared", move || {
            let work = || drain.run(&of_thread, &shared, &report);
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

    /// Asks for a snapshot.
    pub(crate) fn snapshot(&self, order: SnapshotOrder) {
        self.0.pending().snapshots.push(order);
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
    fn new(ring: OwnedFd, id: [u8; 16], past: Past, shared: &Shared) -> Result<Buffer, Error> {
        let path = path_of(shared.session.directory(), Uuid::from_random(id));
        let journal = Journal::begin(path, &past.events, past.members);
        Ok(Buffer {
            ring,
            id,
            clock: clock_of(&shared.channel),
            table: Mutex::new(Table {
                events: EventTable::restore(past.events)?,
                journal,
            }),
            pending: Mutex::default(),
            waker: OnceLock::new(),
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is to do now. Once it is over, it stays so.
    fn take_work(&self) -> Work {
        let mut pending = self.pending();
        let over = pending.over;
        let work = std::mem::take(&mut *pending);
        pending.over = over;
        work
    }

    /// All is written: what came of it, but for where it is. Nobody will need the journal.
    fn summarize(
        &self,
        reader: &BufferReader,
        lanes: Vec<LaneSummary>,
        mut problems: Vec<String>,
    ) -> SharedSummary {
        let mut table = self.table();
        problems.extend(table.journal.problem().map(str::to_owned));
        table.journal.remove();
        let mut counts = Counts::default();
        counts.lost.before_attach = reader.waited();
        counts.settle();
        lanes.iter().for_each(|lane| counts += lane.counts);
        SharedSummary {
            clock: ring_clock(self.clock).name(),
            event_kinds: table.events.events().len(),
            memory_bytes: memory_bytes(&self.ring),
            counts,
            lanes,
            problems,
            ..SharedSummary::default()
        }
    }

    /// Buries an application.
    fn bury(&self, reader: &mut BufferReader, id: u64, slot: u16) -> SharedReport {
        let unfinished = reader.bury(slot);
        self.table().journal.left(slot);
        SharedReport::Buried {
            id,
            slot,
            unfinished,
        }
    }

    fn pending(&self) -> MutexGuard<'_, Work> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The numbers of a process' events, written down before anybody is told.
    fn admit(&mut self, schemas: &[EventSchema], member: Member) -> Result<EventIds, Error> {
        let known = self.events.events().len();
        let ids = self.events.admit(schemas)?;
        self.journal.joined(self.events.events(), known, member);
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
