//! Who may write into the shared ring.
//!
//! ```text
//!            Hello           there is a ring              numbers and slot
//!   Greeting ─────▶ Admitting ─────────────▶ its schemas ────────────────▶ Sharing
//!                       │                    are read
//!                       └ until then everybody waits: an earlier consumer's ring may have to be taken over first
//! ```
//! An application that has the ring of an earlier consumer brings it along. The first who does so makes it ours, if it is
//! the one that the session's trace is of; all others go on with what they have.
//!
//! Invariant: there is one ring at most, and nobody gets a slot of it before it is known who has which.

use std::os::fd::{AsFd, OwnedFd};

use laneway_control::{Buffers, ChannelConfig, ContextFields, Hello, Mode, Rseq, ToApplication};
use laneway_ctf::model::Uuid;

use super::Front;
use super::client::{Client, Sharing, State};
use super::sharing::{LAST_SLOT, Ring};
use crate::Error;
use crate::consumer::spawn;
use crate::drain::shared::{Adopted, Handle, LeftRing, Member, clock_of};
use crate::drain::{Report, tidy_hello};
use crate::host::{has_mapped, start_time};
use crate::summary::SharedProcess;

/// An application that waits to be let in.
#[derive(Debug)]
pub(super) struct Applicant {
    pub(super) id: u64,
    schemas: OwnedFd,
    old: Option<OldRing>,
}

/// The ring of an earlier consumer, as an application has it.
#[derive(Debug)]
struct OldRing {
    uuid: Uuid,
    slot: u16,
    ring: OwnedFd,
    ids: OwnedFd,
}

/// What came of an application that wanted to be let in.
pub(crate) struct Admission {
    slot: u16,
    /// Whether it had the ring already.
    resumed: bool,
    outcome: Result<Admitted, Error>,
}

struct Admitted {
    event_kinds: usize,
    /// The numbers of its events, if it does not know them.
    ids: Option<OwnedFd>,
}

impl Front {
    /// An application wants to write into the shared ring.
    pub(super) fn admit(&mut self, id: u64, mut hello: Hello) -> Result<(), Error> {
        tidy_hello(&mut hello);
        let (pid, name) = (hello.pid, hello.name.clone());
        let channel = &self.shared.channel;
        let overwrites = |channel: &ChannelConfig| channel.mode == Mode::Overwrite;
        let same = ContextFields::of(&hello.channel) == ContextFields::of(channel)
            && overwrites(&hello.channel) == overwrites(channel);
        if channel.buffers != Buffers::Shared || !same {
            return Err(Error::OtherRing { pid, name });
        }
        if clock_of(channel) != hello.clock {
            return Err(Error::OtherClock { pid, name });
        }
        let client = self.clients.get_mut(&id).expect("it just spoke");
        let connection = client.connection.as_mut().expect("it just spoke");
        let mut fds = connection.take_fds();
        if fds.len() != hello.fds() {
            let (fds, wanted) = (fds.len(), hello.fds());
            return Err(Error::HelloFds { fds, wanted });
        }
        let old = hello.resumed.then(|| OldRing {
            uuid: Uuid::from_random(hello.ring),
            slot: hello.slot,
            ring: fds.remove(0),
            ids: fds.remove(1),
        });
        let schemas = fds.remove(0);
        client.state = State::Admitting(Box::new(SharedProcess {
            pid,
            name,
            exe: hello.exe,
            rseq_off: match hello.rseq {
                Rseq::Active => None,
                Rseq::Off(reason) => Some(reason),
            },
            ..SharedProcess::default()
        }));
        let applicant = Applicant { id, schemas, old };
        self.sharing.applicants.push(applicant);
        self.count_attached();
        self.admit_applicants();
        Ok(())
    }

    /// Lets in who waits, if it can be known by now into which ring.
    pub(super) fn admit_applicants(&mut self) {
        while !self.sharing.applicants.is_empty() {
            match &self.sharing.ring {
                Ring::Coming => return,
                Ring::There(ring) => {
                    let ring = ring.clone();
                    for applicant in std::mem::take(&mut self.sharing.applicants) {
                        let id = applicant.id;
                        if let Err(e) = self.begin_admission(applicant, ring.clone()) {
                            self.refuse(id, &e);
                        }
                    }
                    return;
                }
                Ring::None => {}
            }
            let mut applicants = self.sharing.applicants.iter_mut();
            if let Some(bringer) = applicants.find(|applicant| applicant.old.is_some()) {
                let (id, old) = (bringer.id, bringer.old.take().expect("it has one"));
                if let Err(e) = self.adopt(id, old) {
                    self.refuse(id, &e);
                }
                continue;
            }
            if self.sharing.is_awaited() {
                return;
            }
            let reporter = self.shared_reporter();
            match Handle::start(&self.shared, reporter) {
                Ok(ring) => self.sharing.ring = Ring::There(ring),
                Err(e) => {
                    for applicant in std::mem::take(&mut self.sharing.applicants) {
                        self.refuse(applicant.id, &e);
                    }
                }
            }
        }
    }

    /// Begins to take over the ring of an earlier consumer.
    fn adopt(&mut self, id: u64, old: OldRing) -> Result<(), Error> {
        let Some(journal) = self.sharing.left.get(&old.uuid).cloned() else {
            return Err(self.other_ring(id));
        };
        let (uuid, ring) = (old.uuid, old.ring.try_clone());
        let ring = ring.map_err(Error::system("duplicate a descriptor"))?;
        let (reporter, shared) = (self.reporter.clone(), self.shared.clone());
        let of_ring = self.shared_reporter();
        spawn("laneway-adopt", move || {
            let adopted = Handle::adopt(LeftRing { journal, uuid }, ring, &shared, of_ring);
            let _ = reporter.send((id, Report::Adopted(adopted.map(Box::new))));
            shared.alarm();
        })?;
        self.sharing.ring = Ring::Coming;
        let mut applicants = self.sharing.applicants.iter_mut();
        if let Some(bringer) = applicants.find(|applicant| applicant.id == id) {
            bringer.old = Some(old);
        }
        Ok(())
    }

    /// The ring that this application has brought is ours now, or cannot be.
    pub(super) fn adopted(&mut self, id: u64, outcome: Result<Box<Adopted>, Error>) {
        match outcome {
            Ok(adopted) => {
                self.sharing.ring = Ring::There(adopted.handle);
                let dead = adopted.dead.into_iter();
                dead.for_each(|process| self.sharing.so_far.add(process));
                for (member, pidfd) in adopted.living {
                    self.sharing.slots.taken.insert(member.slot);
                    let absent = Client::absent(member, pidfd);
                    self.clients.insert(self.next_client, absent);
                    self.next_client += 1;
                }
                self.count_attached();
            }
            Err(e) => {
                self.sharing.ring = Ring::None;
                self.refuse(id, &e);
            }
        }
        self.admit_applicants();
    }

    /// Has an application's descriptions looked at by a thread of their own.
    fn begin_admission(&mut self, applicant: Applicant, ring: Handle) -> Result<(), Error> {
        let Applicant { id, schemas, old } = applicant;
        let Some(client) = self.clients.get(&id) else {
            return Ok(());
        };
        let State::Admitting(process) = &client.state else {
            return Ok(());
        };
        let pid = client.peer;
        let resumed = old.is_some();
        let (slot, look): (u16, Box<dyn FnOnce() -> _ + Send>) = match old {
            Some(old) => {
                if !ring.is_of(&old.ring) {
                    return Err(self.other_ring(id));
                }
                if has_left(client, &ring) {
                    self.remove(id);
                    return Ok(());
                }
                if self.absent(pid, old.slot).is_none() {
                    return Err(self.other_ring(id));
                }
                let look = move || Ok((ring.readmit(schemas, old.ids)?, None));
                (old.slot, Box::new(look))
            }
            None => {
                let process = SharedProcess::clone(process);
                let limit = usize::from(LAST_SLOT);
                let slot = self.sharing.slots.take();
                let slot = slot.ok_or(Error::TooManyProcesses { limit })?;
                let member = Member {
                    slot,
                    pid,
                    started: start_time(pid).unwrap_or_default(),
                    process,
                };
                let look = move || {
                    let (event_kinds, ids) = ring.admit(schemas, member)?;
                    Ok((event_kinds, Some(ids)))
                };
                (slot, Box::new(look))
            }
        };
        let (reporter, shared) = (self.reporter.clone(), self.shared.clone());
        spawn("laneway-admit", move || {
            let outcome = look().map(|(event_kinds, ids)| Admitted { event_kinds, ids });
            let admission = Admission {
                slot,
                resumed,
                outcome,
            };
            let _ = reporter.send((id, Report::Admission(admission)));
            shared.alarm();
        })
        .inspect_err(|_| {
            if !resumed {
                self.sharing.slots.taken.remove(&slot);
            }
        })?;
        Ok(())
    }

    /// Its descriptions have been looked at: it may write, or not.
    pub(super) fn admission(&mut self, id: u64, admission: Admission) {
        let Admission {
            slot,
            resumed,
            outcome,
        } = admission;
        let client = self.clients.get(&id).map(|client| &client.state);
        let waits = matches!(client, Some(State::Admitting(_)));
        let refused = match outcome {
            Ok(admitted) if waits => self.let_in(id, slot, resumed, admitted).err(),
            Ok(_) => None,
            Err(e) => Some(e),
        };
        if waits && refused.is_none() {
            return;
        }
        if let (false, Some(ring)) = (resumed, self.sharing.ring()) {
            ring.bury(id, slot); // which nobody was told
        }
        if let Some(e) = refused.filter(|_| waits) {
            self.refuse(id, &e);
        }
    }

    fn let_in(
        &mut self,
        id: u64,
        slot: u16,
        resumed: bool,
        admitted: Admitted,
    ) -> Result<(), Error> {
        let mut problems = Vec::new();
        if resumed {
            let client = &self.clients[&id];
            if self
                .sharing
                .ring()
                .is_none_or(|ring| has_left(client, ring))
            {
                self.remove(id);
                return Ok(());
            }
            let pid = client.peer;
            let absent = self.absent(pid, slot);
            let absent = absent.and_then(|absent| self.clients.remove(&absent));
            let Some(State::Sharing(before)) = absent.map(|client| client.state) else {
                return Err(self.other_ring(id));
            };
            problems = before.process.problems;
        }
        let stops = self.stop_by.is_some();
        let client = self.clients.get_mut(&id).expect("it waits");
        let State::Admitting(process) = &mut client.state else {
            return Err(Error::NotThatRing);
        };
        let mut process = std::mem::take(process);
        process.event_kinds = admitted.event_kinds;
        process.problems = problems;
        client.state = State::Sharing(Sharing { slot, process });
        if let (Some(connection), Some(ring)) = (&client.connection, self.sharing.ring()) {
            // If it cannot be told, it is gone, and that is seen elsewhere.
            let _ = match admitted.ids {
                Some(ids) => {
                    let fds = [ring.ring().as_fd(), ids.as_fd()];
                    connection.send(&ToApplication::AcceptedShared { slot }, &fds)
                }
                None => connection.send(&ToApplication::Accepted, &[]),
            };
            if stops {
                let _ = connection.send(&ToApplication::Stop, &[]);
            }
        }
        self.count_attached();
        Ok(())
    }

    /// The process that has this slot, and of which nothing is heard.
    fn absent(&self, pid: u32, slot: u16) -> Option<u64> {
        let mut clients = self.clients.iter();
        let found = clients.find(|(_, client)| match &client.state {
            State::Sharing(sharing) => {
                client.connection.is_none() && client.peer == pid && sharing.slot == slot
            }
            _ => false,
        });
        found.map(|(id, _)| *id)
    }

    fn other_ring(&self, id: u64) -> Error {
        match self.clients.get(&id).map(|client| &client.state) {
            Some(State::Admitting(process)) => Error::OtherRing {
                pid: process.pid,
                name: process.name.clone(),
            },
            _ => Error::NotThatRing,
        }
    }
}

/// Whether an application that has brought the ring is dead since, or about to be: it is buried as the one who was absent.
fn has_left(client: &Client, ring: &Handle) -> bool {
    client.is_dead() || !has_mapped(client.peer, ring.ring())
}
