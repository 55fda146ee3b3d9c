//! The public face: start a consumer, ask how it goes, finish it.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use laneway_control::ChannelConfig;
use rustix::event::{EventfdFlags, eventfd};

use crate::Error;
use crate::clocks::best_clock;
use crate::front::Front;
use crate::listen::Listener;
use crate::session::Session;
use crate::storage::{Gain, TraceFormat};
use crate::summary::{SnapshotSummary, Summary};

/// What can be chosen about a consumer.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long events may wait in a partly filled sub-buffer before they are written.
    pub flush_period: Duration,
    /// How many applications can be attached at once.
    pub max_processes: usize,
    /// How long an application may take to say hello.
    pub hello_timeout: Duration,
    /// How long applications may take to stop when the consumer finishes.
    pub stop_timeout: Duration,
    /// What traces are written in.
    pub trace_format: TraceFormat,
    /// Whether the files of buffers stay where they are when all of them is in a trace.
    pub keep_buffers: bool,
    /// Whether this process is recorded, too, if it asks for that.
    pub record_self: bool,
}

impl Default for Options {
    /// A second, 1024 applications, ten seconds, two seconds, CTF 1.8, and this process as any other.
    fn default() -> Self {
        Options {
            flush_period: Duration::from_secs(1),
            max_processes: 1024,
            hello_timeout: Duration::from_secs(10),
            stop_timeout: Duration::from_secs(2),
            trace_format: TraceFormat::default(),
            keep_buffers: false,
            record_self: true,
        }
    }
}

/// A running consumer: it takes what applications send to its listener and writes it into its session.
#[derive(Debug)]
pub struct Consumer {
    shared: Arc<Shared>,
    front: JoinHandle<Summary>,
}

/// How a recording goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Applications attached now.
    pub attached: u64,
    /// Events in the trace so far.
    pub recorded: u64,
    /// Events lost so far.
    pub lost: u64,
    /// Bytes in the trace so far.
    pub bytes: u64,
}

/// What the threads of a consumer share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) session: Session,
    pub(crate) options: Options,
    /// When it was told to finish.
    pub(crate) finish: OnceLock<Instant>,
    pub(crate) progress: Counters,
    /// What applications are told to make.
    pub(crate) channel: ChannelConfig,
    /// How many snapshots were asked for.
    pub(crate) snapshots: AtomicU64,
    /// Those that are complete and not told yet.
    pub(crate) complete: Mutex<Vec<SnapshotSummary>>,
    alarm: OwnedFd,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) attached: AtomicU64,
    pub(crate) recorded: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

impl Consumer {
    /// Begins to take applications.
    ///
    /// # Errors
    /// The system refuses a descriptor or a thread.
    pub fn start(session: Session, listener: Listener, options: Options) -> Result<Self, Error> {
        raise_descriptor_limit();
        let channel = listener.channel().clone();
        let shared = Arc::new(Shared::new(session, options, channel)?);
        // The earlier the measurement begins, the better it gets; and lanes should not have to wait for it.
        shared.session.clocks().look(best_clock())?;
        let front = Front::new(shared.clone(), listener);
        let front = spawn("laneway-front", move || front.run())?;
        Ok(Consumer { shared, front })
    }

    /// The session it writes into.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.shared.session
    }

    /// How it goes.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let counters = &self.shared.progress;
        Progress {
            attached: counters.attached.load(Ordering::Relaxed),
            recorded: counters.recorded.load(Ordering::Relaxed),
            lost: counters.lost.load(Ordering::Relaxed),
            bytes: counters.bytes.load(Ordering::Relaxed),
        }
    }

    /// Asks all processes that are attached for a snapshot: those whose channel overwrites its oldest events have one.
    pub fn snapshot(&self) {
        self.shared.snapshots.fetch_add(1, Ordering::Relaxed);
        self.shared.alarm();
    }

    /// The snapshots that have been completed since this was last asked.
    #[must_use]
    pub fn complete_snapshots(&self) -> Vec<SnapshotSummary> {
        let complete = self.shared.complete.lock();
        std::mem::take(&mut *complete.unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes everything that applications have sent until now, asks those that still run to stop, and completes
    /// all traces.
    ///
    /// # Panics
    /// The consumer's own thread panicked, which is a bug.
    #[must_use]
    pub fn finish(self) -> Summary {
        let _ = self.shared.finish.set(Instant::now());
        self.shared.alarm();
        self.front.join().expect("the front does not panic")
    }
}

impl Shared {
    pub(crate) fn new(
        session: Session,
        options: Options,
        channel: ChannelConfig,
    ) -> Result<Shared, Error> {
        let alarm = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(Error::system("make an eventfd"))?;
        Ok(Shared {
            session,
            options,
            finish: OnceLock::new(),
            progress: Counters::default(),
            channel,
            snapshots: AtomicU64::new(0),
            complete: Mutex::default(),
            alarm,
        })
    }

    /// There is more in a trace.
    pub(crate) fn count(&self, gain: Gain) {
        self.progress.bytes.fetch_add(gain.bytes, Ordering::Relaxed);
        self.progress
            .recorded
            .fetch_add(gain.events, Ordering::Relaxed);
    }

    /// Makes the front look what there is to do.
    pub(crate) fn alarm(&self) {
        // Full already is as good.
        let _ = rustix::io::write(&self.alarm, &1_u64.to_ne_bytes());
    }

    pub(crate) fn alarm_fd(&self) -> &OwnedFd {
        &self.alarm
    }

    pub(crate) fn silence(&self) {
        let _ = rustix::io::read(&self.alarm, &mut [0; 8]);
    }
}

/// A thread with a name; the name shows in `top -H` and in panics.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Error> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(Error::system("start a thread"))
}

/// Every lane is a file and every application a few more; the usual soft limit of 1024 is for programs that use
/// select(2).
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
