//! Applications that write into one ring.
//!
//! ```text
//!            Hello                 numbers and slot               dead                        told
//!   Greeting ─────▶ Admitting ───────────────────▶ Sharing ──────────────▶ Burying ────────────────▶ in the summary
//!                                                     │ Stopped: it has left by itself                   ▲
//!                                                     └──────────────────────────────────────────────────┘
//! ```
//! Only death ends the right to a slot: who has hung up may still be in the middle of an event.
//!
//! Invariant: no two processes have the same slot while anything of one of them may be in the ring.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};

use laneway_control::{Buffers, Hello, Rseq, ToApplication};

use super::Front;
use super::client::{Sharing, State};
use crate::Error;
use crate::consumer::spawn;
use crate::drain::shared::{Handle, SharedReport};
use crate::drain::{Report, tidy_hello};
use crate::summary::{SharedProcess, SharedSummary};

/// The largest slot: those above mean something else in a record's header.
const LAST_SLOT: u16 = 65533;

/// The shared ring, and who has which slot.
#[derive(Debug, Default)]
pub(super) struct SharedRing {
    ring: Option<Handle>,
    slots: Slots,
    /// Its processes, until the rest is known, too.
    so_far: SharedSummary,
    ended: bool,
}

#[derive(Debug, Default)]
struct Slots {
    last: u16,
    taken: BTreeSet<u16>,
}

impl Slots {
    /// One that nobody has, and that was not had for as long as possible.
    fn take(&mut self) -> Option<u16> {
        for _ in 0..LAST_SLOT {
            self.last = self.last % LAST_SLOT + 1;
            if self.taken.insert(self.last) {
                return Some(self.last);
            }
        }
        None
    }
}

impl SharedRing {
    /// Wakes its thread, in case it has begun to sleep just when there was something to do.
    pub(super) fn nudge(&self) {
        if let Some(ring) = &self.ring {
            ring.nudge();
        }
    }
}

impl Front {
    /// An application wants to write into the shared ring.
    pub(super) fn admit(&mut self, id: u64, mut hello: Hello) -> Result<(), Error> {
        tidy_hello(&mut hello);
        let (pid, name) = (hello.pid, hello.name.clone());
        if hello.resumed || self.shared.channel.buffers != Buffers::Shared {
            return Err(Error::OtherRing { pid, name });
        }
        let client = self.clients.get_mut(&id).expect("it just spoke");
        let connection = client.connection.as_mut().expect("it just spoke");
        let [schemas]: [OwnedFd; 1] =
            connection
                .take_fds()
                .try_into()
                .map_err(|fds: Vec<OwnedFd>| Error::HelloFds {
                    fds: fds.len(),
                    wanted: 1,
                })?;
        let ring = self.shared_ring()?;
        if ring.clock() != hello.clock {
            return Err(Error::OtherClock { pid, name });
        }
        let (reporter, shared) = (self.reporter.clone(), self.shared.clone());
        spawn("laneway-admit", move || {
            let report = match ring.admit(schemas) {
                Ok((event_kinds, ids)) => Report::Admitted { event_kinds, ids },
                Err(e) => Report::Refused(e),
            };
            let _ = reporter.send((id, report));
            shared.alarm();
        })?;
        let client = self.clients.get_mut(&id).expect("it just spoke");
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
        self.count_attached();
        Ok(())
    }

    fn shared_ring(&mut self) -> Result<Handle, Error> {
        if let Some(ring) = &self.sharing.ring {
            return Ok(ring.clone());
        }
        let (reporter, alarm) = (self.reporter.clone(), self.shared.clone());
        let ring = Handle::start(&self.shared, move |report| {
            let _ = reporter.send((0, Report::Shared(report)));
            alarm.alarm();
        })?;
        self.sharing.ring = Some(ring.clone());
        Ok(ring)
    }

    /// Its events have numbers now: it may write.
    pub(super) fn admitted(&mut self, id: u64, event_kinds: usize, ids: &OwnedFd) {
        let stopping = self.stop_by.is_some();
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let State::Admitting(process) = &mut client.state else {
            return;
        };
        let mut process = std::mem::take(process);
        process.event_kinds = event_kinds;
        let (Some(slot), Some(ring)) = (self.sharing.slots.take(), &self.sharing.ring) else {
            let limit = usize::from(LAST_SLOT);
            return self.refuse(id, &Error::TooManyProcesses { limit });
        };
        client.state = State::Sharing(Sharing { slot, process });
        if let Some(connection) = &client.connection {
            let fds = [ring.ring().as_fd(), ids.as_fd()];
            // If it cannot be told, it is gone, and that is seen elsewhere.
            let _ = connection.send(&ToApplication::AcceptedShared { slot }, &fds);
            if stopping {
                let _ = connection.send(&ToApplication::Stop, &[]);
            }
        }
    }

    /// A process that shares the ring has nothing more to say. What it has begun is left until it is dead.
    pub(super) fn silent(&mut self, id: u64, fault: Option<String>) {
        let client = self.clients.get_mut(&id).expect("it was there");
        let dead = client.is_dead() || client.pidfd.is_none();
        let State::Sharing(sharing) = &mut client.state else {
            return;
        };
        sharing.process.problems.extend(fault);
        client.connection = None;
        if dead {
            let sharing = std::mem::take(sharing);
            client.pidfd = None;
            if let Some(ring) = &self.sharing.ring {
                ring.bury(id, sharing.slot);
            }
            client.state = State::Burying(sharing);
        }
    }

    /// A process has left the shared ring by itself, or is left behind.
    pub(super) fn left(&mut self, id: u64, fault: Option<String>) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        if let State::Sharing(sharing) | State::Burying(sharing) = &mut client.state {
            let mut sharing = std::mem::take(sharing);
            sharing.process.problems.extend(fault);
            self.sharing.so_far.add(*sharing.process);
        }
        // Its slot stays taken: it lives, and nobody can say what it does.
        self.remove(id);
    }

    pub(super) fn heed_shared(&mut self, report: SharedReport) {
        match report {
            SharedReport::Buried { id, unfinished } => {
                let client = self.clients.get_mut(&id);
                if let Some(State::Burying(sharing)) = client.map(|client| &mut client.state) {
                    sharing.process.unfinished = unfinished;
                    self.sharing.slots.taken.remove(&sharing.slot);
                    self.left(id, None);
                }
            }
            SharedReport::Finished(ring) => {
                let so_far = std::mem::take(&mut self.sharing.so_far);
                let ring = SharedSummary {
                    processes: so_far.processes,
                    processes_not_listed: so_far.processes_not_listed,
                    ..*ring
                };
                self.summary.total += ring.counts;
                self.summary.shared = Some(ring);
                self.sharing.ended = true;
            }
        }
    }

    /// Ends the shared ring, when nobody is left who writes to it; says whether it is over.
    pub(super) fn end_sharing(&mut self) -> bool {
        let Some(ring) = &self.sharing.ring else {
            return true;
        };
        if self.clients.is_empty() && !self.sharing.ended {
            ring.end();
        }
        self.sharing.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_given_again_only_when_it_is_free_and_all_others_were_given() {
        let mut slots = Slots::default();
        let all: Vec<_> = std::iter::from_fn(|| slots.take()).collect();
        assert!(all.iter().copied().eq(1..=LAST_SLOT));
        assert_eq!(slots.take(), None);
        for slot in [500, 7] {
            slots.taken.remove(&slot);
        }
        assert_eq!((slots.take(), slots.take()), (Some(7), Some(500)));
        assert_eq!(slots.take(), None);
    }
}
