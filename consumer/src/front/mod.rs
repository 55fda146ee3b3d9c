//! The thread that speaks with applications.
//!
//! ```text
//!            accept             Hello                 hang-up, or death, or Stopped
//!   listener ──────▶ Greeting ─────────▶ Recording ──────────────────────────────────▶ Ending
//!                       │                    │ its own thread drains it                   │ the last drain
//!                       ▼                    ▼                                            ▼
//!                    refused              refused                                 in the summary
//! ```
//! It never reads shared memory or files of an application, so nothing an application does can hold it up; that is
//! the business of the application's own drain thread, which reports here.
//!
//! Invariant: an application that died is handled like one that lives, only that its end is known at once: what it
//! has sent is read before its hang-up is believed.

mod admission;
mod client;
mod sharing;
mod snapshots;

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use laneway_control::{Buffers, Hello, Mode, ToApplication, ToConsumer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub(crate) use admission::Admission;

use crate::Error;
use crate::consumer::Shared;
use crate::drain::{self, Application, Report, SnapshotOrder, tidy};
use crate::listen::Listener;
use crate::summary::Summary;
use client::{Client, State, admit};
use sharing::SharedRing;
use snapshots::Snapshots;

/// How long to leave the listener alone when there are no descriptors left.
const BREATHER: Duration = Duration::from_millis(500);

/// How often to look after drain threads that should end now.
const NUDGE: Duration = Duration::from_millis(10);

/// Who the shared ring is where applications are meant.
const SHARED_RING: u64 = u64::MAX;

/// Messages an application may have ready at once before the others get their turn.
const MESSAGES_PER_TURN: usize = 16;

pub(crate) struct Front {
    shared: Arc<Shared>,
    listener: Option<Listener>,
    accept_again: Instant,
    clients: BTreeMap<u64, Client>,
    next_client: u64,
    reports: Receiver<(u64, Report)>,
    reporter: Sender<(u64, Report)>,
    snapshots: Snapshots,
    sharing: SharedRing,
    summary: Summary,
    stop_by: Option<Instant>,
}

impl Front {
    pub(crate) fn new(shared: Arc<Shared>, listener: Listener) -> Front {
        let (reporter, reports) = channel();
        let summary = Summary {
            directory: shared.session.directory().to_owned(),
            ..Summary::default()
        };
        Front {
            sharing: SharedRing::new(&shared.session),
            shared,
            listener: Some(listener),
            accept_again: Instant::now(),
            clients: BTreeMap::new(),
            next_client: 0,
            reports,
            reporter,
            snapshots: Snapshots::default(),
            summary,
            stop_by: None,
        }
    }

    /// Serves until it is told to finish and everybody has ended.
    pub(crate) fn run(mut self) -> Summary {
        loop {
            let ready = self.wait();
            self.take_reports();
            self.accept();
            for id in ready {
                self.serve(id);
            }
            self.look_at_the_time();
            self.take_snapshots();
            let told = self.shared.finish.get().copied();
            if let Some(told) = told
                && self.finish()
            {
                let duration = told.duration_since(self.shared.session.began());
                self.summary.duration_s = duration.as_secs_f64();
                return self.summary;
            }
        }
    }

    /// Sleeps until something happens; says which applications have something to say.
    fn wait(&self) -> Vec<u64> {
        let mut polled = vec![PollFd::new(self.shared.alarm_fd(), PollFlags::IN)];
        if let Some(listener) = &self.listener
            && Instant::now() >= self.accept_again
        {
            polled.push(PollFd::new(listener, PollFlags::IN));
        }
        let first = polled.len();
        let mut ids = Vec::new();
        for (id, client) in &self.clients {
            let connection = client.connection.as_ref().map(AsFd::as_fd);
            let pidfd = client.pidfd.as_ref().map(AsFd::as_fd);
            for fd in [connection, pidfd].into_iter().flatten() {
                polled.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
                ids.push(*id);
            }
        }
        let timeout = Timespec::try_from(self.patience()).expect("a few seconds");
        // An error here is EINTR or a want of memory: in both cases go round again.
        let _ = poll(&mut polled, Some(&timeout));
        self.shared.silence();
        let mut ready: Vec<u64> = polled[first..]
            .iter()
            .zip(ids)
            .filter(|(polled, _)| !polled.revents().is_empty())
            .map(|(_, id)| id)
            .collect();
        ready.dedup();
        ready
    }

    /// How long nothing needs to be done if nothing happens.
    fn patience(&self) -> Duration {
        let now = Instant::now();
        let mut until = now + Duration::from_secs(5);
        for client in self.clients.values() {
            until = until.min(match &client.state {
                State::Sharing(_) if client.is_silent() => client.look_at,
                State::Greeting => client.since + self.shared.options.hello_timeout,
                State::Recording(_) | State::Admitting(_) | State::Sharing(_) => continue,
                State::Ending(_) | State::Burying(_) => now + NUDGE,
            });
        }
        if self.stop_by.is_some() && self.clients.is_empty() {
            until = now + NUDGE; // the shared ring is still being written
        }
        let awaited = self.sharing.awaited;
        for time in [Some(self.accept_again), self.stop_by, awaited]
            .into_iter()
            .flatten()
        {
            if time > now {
                until = until.min(time);
            }
        }
        until.saturating_duration_since(now)
    }

    fn accept(&mut self) {
        let Some(listener) = &self.listener else {
            return;
        };
        if Instant::now() < self.accept_again {
            return;
        }
        loop {
            match listener.accept() {
                Ok(Some(connection)) => {
                    let record_self = self.shared.options.record_self;
                    if let Some(client) = admit(connection, record_self, &mut self.summary) {
                        self.clients.insert(self.next_client, client);
                        self.next_client += 1;
                    }
                }
                Ok(None) => return,
                Err(e) => {
                    self.summary.refuse(e.to_string());
                    self.accept_again = Instant::now() + BREATHER;
                    return;
                }
            }
            if self.clients.len() >= 2 * self.shared.options.max_processes {
                self.accept_again = Instant::now() + BREATHER; // the rest wait in the backlog
                return;
            }
        }
    }

    /// Hears what an application has to say.
    fn serve(&mut self, id: u64) {
        // Looked at first: what it sent before it died is there when this says that it is dead.
        let dead = self.clients.get(&id).is_some_and(Client::is_dead);
        for _ in 0..MESSAGES_PER_TURN {
            let Some(client) = self.clients.get_mut(&id) else {
                return;
            };
            let Some(connection) = &mut client.connection else {
                // One that has hung up and shares the ring is waited for.
                return if dead {
                    self.silent(id, None)
                };
            };
            match connection.receive::<ToConsumer>() {
                Ok(Some(message)) => self.heed(id, message),
                Ok(None) if dead => return self.gone(id, None),
                Ok(None) => return,
                Err(laneway_control::Error::Closed) => return self.gone(id, None),
                Err(e) => return self.gone(id, Some(e.into())),
            }
        }
    }

    fn heed(&mut self, id: u64, message: ToConsumer) {
        let client = self.clients.get_mut(&id).expect("it just spoke");
        match (message, &client.state) {
            (ToConsumer::Hello(hello), State::Greeting) => {
                if let Err(e) = self.attach(id, hello) {
                    self.refuse(id, &e);
                }
            }
            (ToConsumer::Unable { pid, name, reason }, State::Greeting) => {
                let (name, reason) = (tidy(&name, 255), tidy(&reason, 1024));
                self.refuse(id, &Error::Unable { pid, name, reason });
            }
            (ToConsumer::Stopped, State::Recording(_)) => self.gone(id, None),
            (ToConsumer::Stopped, State::Sharing(_)) => self.left(id, None),
            (ToConsumer::Hello(_), _) => {
                self.gone(id, Some(Error::OutOfTurn { message: "Hello" }));
            }
            (ToConsumer::Stopped, _) => {
                self.gone(id, Some(Error::OutOfTurn { message: "Stopped" }));
            }
            (ToConsumer::Unable { .. }, _) => {
                self.gone(id, Some(Error::OutOfTurn { message: "Unable" }));
            }
        }
    }

    fn attach(&mut self, id: u64, hello: Hello) -> Result<(), Error> {
        let limit = self.shared.options.max_processes;
        let attached = self.clients.values().filter(|c| !c.is_greeting()).count();
        if attached >= limit {
            return Err(Error::TooManyProcesses { limit });
        }
        if hello.channel.buffers == Buffers::Shared {
            return self.admit(id, hello);
        }
        let client = self.clients.get_mut(&id).expect("it just spoke");
        let connection = client.connection.as_mut().expect("it just spoke");
        let fds: [OwnedFd; 2] = connection
            .take_fds()
            .try_into()
            .map_err(|fds: Vec<OwnedFd>| Error::HelloFds {
                fds: fds.len(),
                wanted: 2,
            })?;
        let [ring, schemas] = fds;
        client.in_flight = hello.channel.mode == Mode::Overwrite;
        let application = Application {
            hello,
            ring,
            schemas,
        };
        let reporter = self.reporter.clone();
        let shared = self.shared.clone();
        let handle = drain::start(application, shared.clone(), move |report| {
            // The front outlives its reporters, but for a panic.
            let _ = reporter.send((id, report));
            shared.alarm();
        })?;
        client.state = State::Recording(handle);
        if self.stop_by.is_some() {
            let _ = connection.send(&ToApplication::Stop, &[]);
        }
        self.count_attached();
        Ok(())
    }

    /// If it cannot be told, it is gone, and that is seen elsewhere.
    fn tell(&self, id: u64, message: &ToApplication) {
        let client = self.clients.get(&id);
        if let Some(connection) = client.and_then(|client| client.connection.as_ref()) {
            let _ = connection.send(message, &[]);
        }
    }

    fn take_reports(&mut self) {
        while let Ok((id, report)) = self.reports.try_recv() {
            match report {
                Report::Idle => self.tell(id, &ToApplication::Trim),
                Report::Ready => self.tell(id, &ToApplication::Accepted),
                Report::Snapshot(part) => self.snapshots.add(id, part),
                Report::Admission(admission) => self.admission(id, admission),
                Report::Adopted(outcome) => self.adopted(id, outcome),
                Report::Shared(report) => self.heed_shared(report),
                Report::Refused(e) => self.refuse(id, &e),
                Report::Finished(process) => {
                    self.summary.add(*process);
                    self.remove(id);
                }
            }
        }
    }

    /// Begins the snapshots that were asked for, and tells those that are complete.
    fn take_snapshots(&mut self) {
        while self.snapshots.begun < self.shared.snapshots.load(Ordering::Relaxed) {
            self.snapshots.begun += 1;
            let (number, directory) = self.shared.session.next_snapshot();
            let flights = self.clients.iter().filter_map(|(id, client)| {
                let handle = client.flight()?;
                handle.snapshot(SnapshotOrder {
                    number,
                    directory: directory.clone(),
                });
                Some(*id)
            });
            let mut from: BTreeSet<u64> = flights.collect();
            let mut processes = from.len();
            let order = SnapshotOrder {
                number,
                directory: directory.clone(),
            };
            if self.shared.channel.mode == Mode::Overwrite && self.sharing.snapshot(order) {
                from.insert(SHARED_RING);
                processes = self.clients.values().filter(|c| !c.is_greeting()).count();
            }
            self.snapshots.begin(number, directory, from, processes);
        }
        for snapshot in self.snapshots.take_complete() {
            let complete = self.shared.complete.lock();
            let mut complete = complete.unwrap_or_else(PoisonError::into_inner);
            complete.push(snapshot.clone());
            self.summary.add_snapshot(snapshot);
        }
    }

    /// An application has nothing more to say: it is gone, has stopped, or is not to be listened to any longer.
    fn gone(&mut self, id: u64, fault: Option<Error>) {
        let client = self.clients.get_mut(&id).expect("it was there");
        if matches!(client.state, State::Sharing(_) | State::Burying(_)) {
            return self.silent(id, fault.map(|e| e.to_string()));
        }
        match std::mem::replace(&mut client.state, State::Greeting) {
            State::Greeting | State::Admitting(_) | State::Sharing(_) | State::Burying(_) => {
                if let Some(e) = fault {
                    return self.refuse(id, &e);
                }
                self.remove(id);
            }
            State::Recording(handle) | State::Ending(handle) => {
                handle.end(fault.map(|e| e.to_string()));
                client.connection = None;
                client.pidfd = None;
                client.state = State::Ending(handle);
            }
        }
    }

    fn refuse(&mut self, id: u64, why: &Error) {
        let reason = why.to_string();
        if let Some(connection) = self.clients.get(&id).and_then(|c| c.connection.as_ref()) {
            let rejected = ToApplication::Rejected {
                reason: reason.clone(),
            };
            let _ = connection.send(&rejected, &[]);
        }
        self.summary.refuse(reason);
        self.remove(id);
    }

    fn remove(&mut self, id: u64) {
        self.clients.remove(&id);
        self.sharing
            .applicants
            .retain(|applicant| applicant.id != id);
        self.snapshots.forget(id);
        self.count_attached();
    }

    fn count_attached(&self) {
        let attached = self.clients.values().filter(|c| !c.is_greeting()).count();
        let counter = &self.shared.progress.attached;
        counter.store(attached as u64, Ordering::Relaxed);
    }

    fn look_at_the_time(&mut self) {
        let now = Instant::now();
        let limit = self.shared.options.hello_timeout;
        let mut silent = Vec::new();
        for (id, client) in &self.clients {
            match &client.state {
                State::Greeting if now >= client.since + limit => silent.push(*id),
                State::Ending(handle) => handle.nudge(),
                State::Burying(_) => self.sharing.nudge(),
                _ => {}
            }
        }
        self.look_after_the_silent();
        if self.sharing.awaited.is_some_and(|until| now >= until) {
            self.sharing.awaited = None;
            self.admit_applicants();
        }
        for id in silent {
            let seconds = limit.as_secs();
            self.refuse(id, &Error::Silent { seconds });
        }
    }

    /// One step towards the end; says whether it is reached.
    fn finish(&mut self) -> bool {
        let Some(stop_by) = self.stop_by else {
            // Whoever connected until now is heard, all others come too late.
            self.accept_again = Instant::now();
            self.accept();
            self.listener = None;
            let everybody: Vec<u64> = self.clients.keys().copied().collect();
            for id in everybody {
                self.serve(id);
            }
            for client in self.clients.values() {
                let writes = matches!(client.state, State::Recording(_) | State::Sharing(_));
                if let Some(connection) = client.connection.as_ref().filter(|_| writes) {
                    let _ = connection.send(&ToApplication::Stop, &[]);
                }
            }
            self.stop_by = Some(Instant::now() + self.shared.options.stop_timeout);
            return self.clients.is_empty() && self.end_sharing();
        };
        if Instant::now() >= stop_by {
            let seconds = self.shared.options.stop_timeout.as_secs_f64();
            let fault = format!(
                "it did not stop within {seconds} s; what it emitted later is not recorded"
            );
            let late: Vec<u64> = self.clients.keys().copied().collect();
            for id in late {
                match &self.clients[&id].state {
                    State::Greeting | State::Admitting(_) => self.remove(id),
                    State::Recording(handle) => {
                        handle.end(Some(fault.clone()));
                        self.gone(id, None);
                    }
                    State::Sharing(_) => self.left(id, Some(fault.clone())),
                    State::Ending(_) | State::Burying(_) => {}
                }
            }
        }
        self.clients.is_empty() && self.end_sharing()
    }
}
