//! The threads that empty rings, each as its channel's mode and buffers ask for.
//!
//! ```text
//!   front ── end, snapshot ──▶ Handle ──▶ process   one process, whose events go to disk as they come
//!     ▲                                └▶ flight    one process, whose events stay in memory until they are asked for
//!     │                                └▶ shared    all processes of the session, in one ring
//!     └─────────────── Report ──────────────┘
//! ```
//! Everything that trusts, maps, reads or decodes what a process sent happens here, so that a process can hold up
//! nobody but itself.
//!
//! Invariant: the last report of a thread says that it is the last, whatever happens to it.

mod application;
mod copies;
mod flight;
mod idle;
mod lanes;
mod process;
pub(crate) mod shared;

use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use laneway_control::{Hello, Mode};
use laneway_ringbuf::{LaneReader, Waker};

pub(crate) use application::{tidy, tidy_hello};
use shared::{Adopted, SharedReport};

use crate::Error;
use crate::consumer::{Shared, spawn};
use crate::front::Admission;
use crate::summary::{Counts, ProcessSummary};

/// What a process sent when it said hello.
pub(crate) struct Application {
    pub(crate) hello: Hello,
    pub(crate) ring: OwnedFd,
    pub(crate) schemas: OwnedFd,
}

/// What a drain thread tells the front.
pub(crate) enum Report {
    /// The process is being recorded.
    Ready,
    /// It has recorded something and does so no more: it may give memory back.
    Idle,
    /// What came of its part of a snapshot.
    Snapshot(SnapshotPart),
    /// It never will be recorded. The last report.
    Refused(Error),
    /// It has ended, and this is what came of it. The last report.
    Finished(Box<ProcessSummary>),
    /// What came of its wish to write into the shared ring.
    Admission(Admission),
    /// What came of the ring of an earlier consumer.
    Adopted(Result<Box<Adopted>, Error>),
    /// Something about the shared ring.
    Shared(SharedReport),
}

/// A snapshot that a process is asked for.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotOrder {
    pub(crate) number: u64,
    /// Where the process' trace goes, into a directory of its own.
    pub(crate) directory: PathBuf,
}

/// A process' part of a snapshot.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotPart {
    pub(crate) number: u64,
    pub(crate) counts: Counts,
    pub(crate) problems: Vec<String>,
}

/// How the front controls a drain thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handle(Arc<Orders>);

#[derive(Debug, Default)]
struct Orders {
    pending: Mutex<Pending>,
    waker: OnceLock<Waker>,
}

/// What a drain thread is to do.
#[derive(Debug, Default)]
struct Pending {
    over: bool,
    snapshots: Vec<SnapshotOrder>,
    fault: Option<String>,
}

impl Handle {
    /// The process has ended; `fault` is what it did wrong, if anything.
    pub(crate) fn end(&self, fault: Option<String>) {
        {
            let mut pending = self.0.pending();
            pending.over = true;
            if let Some(fault) = fault {
                pending.fault.get_or_insert(fault);
            }
        }
        self.nudge();
    }

    /// Asks for a snapshot.
    pub(crate) fn snapshot(&self, order: SnapshotOrder) {
        self.0.pending().snapshots.push(order);
        self.nudge();
    }

    /// Wakes the thread, in case it has begun to sleep just when there was something to do.
    pub(crate) fn nudge(&self) {
        if let Some(waker) = self.0.waker.get() {
            waker.wake();
        }
    }
}

impl Orders {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the process has ended.
    fn is_over(&self) -> bool {
        self.pending().over
    }

    fn take_snapshots(&self) -> Vec<SnapshotOrder> {
        std::mem::take(&mut self.pending().snapshots)
    }

    fn take_fault(&self) -> Option<String> {
        self.pending().fault.take()
    }
}

/// Records what is left in the ring of an application that is dead.
///
/// # Errors
/// What it left cannot be used.
pub(crate) fn recover(application: Application, shared: &Shared) -> Result<ProcessSummary, Error> {
    let handle = Handle::default();
    handle.end(None);
    record(application, shared, &handle.0, &|_| {})
}

fn record(
    application: Application,
    shared: &Shared,
    orders: &Orders,
    report: &impl Fn(Report),
) -> Result<ProcessSummary, Error> {
    match application.hello.channel.mode {
        Mode::Overwrite => flight::record(application, shared, orders, report),
        Mode::Discard | Mode::Block { .. } => process::record(application, shared, orders, report),
    }
}

/// Starts the thread for `application`.
pub(crate) fn start(
    application: Application,
    shared: Arc<Shared>,
    report: impl Fn(Report) + Send + 'static,
) -> Result<Handle, Error> {
    let handle = Handle::default();
    let orders = handle.0.clone();
    spawn("laneway-drain", move || {
        let work = || record(application, &shared, &orders, &report);
        // A bug here must not cost the other processes their traces.
        report(match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(process)) => Report::Finished(Box::new(process)),
            Ok(Err(e)) => Report::Refused(e),
            Err(_) => Report::Refused(Error::Bug),
        });
    })?;
    Ok(handle)
}

/// What a lane's reader passed over because it made no sense.
fn damage(lane: &LaneReader) -> Option<String> {
    (lane.damaged_bytes() > 0).then(|| {
        format!(
            "{} bytes in the lane of CPU {} were no records and are not in the trace",
            lane.damaged_bytes(),
            lane.cpu()
        )
    })
}
