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

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use laneway_ctf::model::Uuid;

use super::admission::Applicant;
use super::client::State;
use super::{Front, SHARED_RING};
use crate::drain::shared::{Handle, SharedReport, living_rings};
use crate::drain::{Report, SnapshotOrder};
use crate::host::has_mapped;
use crate::session::Session;
use crate::summary::SharedSummary;

/// The largest slot: those above mean something else in a record's header.
pub(super) const LAST_SLOT: u16 = 65533;

/// How long it is waited for somebody who brings the ring of an earlier consumer, if anybody lives who could: they look for
/// a new one four times a second.
const AWAIT: Duration = Duration::from_secs(2);

/// The shared ring, and who has which slot.
#[derive(Debug, Default)]
pub(super) struct SharedRing {
    pub(super) ring: Ring,
    /// The journals of rings that an earlier consumer left.
    pub(super) left: BTreeMap<Uuid, PathBuf>,
    /// Until when nobody gets a new ring, because somebody may bring one of those.
    pub(super) awaited: Option<Instant>,
    pub(super) applicants: Vec<Applicant>,
    pub(super) slots: Slots,
    /// Its processes, until the rest is known, too.
    pub(super) so_far: SharedSummary,
    ended: bool,
}

/// Where the ring is.
#[derive(Debug, Default)]
pub(super) enum Ring {
    /// Nobody has wanted one yet.
    #[default]
    None,
    /// That of an earlier consumer is being taken over.
    Coming,
    /// Here.
    There(Handle),
}

#[derive(Debug, Default)]
pub(super) struct Slots {
    last: u16,
    pub(super) taken: BTreeSet<u16>,
}

impl Slots {
    /// One that nobody has, and that was not had for as long as possible.
    pub(super) fn take(&mut self) -> Option<u16> {
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
    /// None yet, but perhaps one that an earlier consumer left in this session.
    pub(super) fn new(session: &Session) -> SharedRing {
        let left = living_rings(session);
        SharedRing {
            awaited: (!left.is_empty()).then(|| Instant::now() + AWAIT),
            left,
            ..SharedRing::default()
        }
    }

    /// The ring, if it is there.
    pub(super) fn ring(&self) -> Option<&Handle> {
        match &self.ring {
            Ring::There(ring) => Some(ring),
            Ring::None | Ring::Coming => None,
        }
    }

    /// Whether somebody may still bring an earlier consumer's.
    pub(super) fn is_awaited(&self) -> bool {
        self.awaited.is_some_and(|until| Instant::now() < until)
    }

    /// Asks for a snapshot; says whether there is anything to take it of.
    pub(super) fn snapshot(&self, order: SnapshotOrder) -> bool {
        let ring = self.ring().filter(|_| !self.ended);
        ring.map(|ring| ring.snapshot(order)).is_some()
    }

    /// Wakes its thread, in case it has begun to sleep just when there was something to do.
    pub(super) fn nudge(&self) {
        if let Some(ring) = self.ring() {
            ring.nudge();
        }
    }
}

impl Front {
    /// How the thread of the ring tells us something.
    pub(super) fn shared_reporter(&self) -> impl Fn(SharedReport) + Send + use<> {
        let (reporter, shared) = (self.reporter.clone(), self.shared.clone());
        move |report| {
            let _ = reporter.send((0, Report::Shared(report)));
            shared.alarm();
        }
    }

    /// A process with a slot is dead, or another program.
    pub(super) fn bury(&mut self, id: u64) {
        let client = self.clients.get_mut(&id);
        let (Some(client), Some(ring)) = (client, self.sharing.ring()) else {
            return;
        };
        if let State::Sharing(sharing) = &mut client.state {
            let sharing = std::mem::take(sharing);
            client.pidfd = None;
            ring.bury(id, sharing.slot);
            client.state = State::Burying(sharing);
        }
    }

    /// A process that shares the ring has nothing more to say. What it has begun is left until it is dead, or another program.
    pub(super) fn silent(&mut self, id: u64, fault: Option<String>) {
        let client = self.clients.get_mut(&id).expect("it was there");
        let dead = client.is_dead() || client.pidfd.is_none();
        let State::Sharing(sharing) = &mut client.state else {
            return;
        };
        sharing.process.problems.extend(fault);
        client.connection = None;
        if dead {
            self.bury(id);
        }
    }

    /// Looks after those of whom nothing is heard. One that is another program since (execve(2)) lives, but not in the ring.
    pub(super) fn look_after_the_silent(&mut self) {
        let Some(ring) = self.sharing.ring().cloned() else {
            return;
        };
        let now = Instant::now();
        let clients = self.clients.iter();
        let due = clients.filter(|(_, client)| client.is_silent() && now >= client.look_at);
        let due: Vec<u64> = due.map(|(id, _)| *id).collect();
        for id in due {
            let client = self.clients.get_mut(&id).expect("it was there");
            match has_mapped(client.peer, ring.ring()) {
                true => client.put_off(),
                false => self.bury(id),
            }
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
            SharedReport::Buried {
                id,
                slot,
                unfinished,
            } => {
                self.sharing.slots.taken.remove(&slot);
                let client = self.clients.get_mut(&id);
                if let Some(State::Burying(sharing)) = client.map(|client| &mut client.state) {
                    sharing.process.unfinished = unfinished;
                    self.left(id, None);
                }
            }
            SharedReport::Snapshot(part) => self.snapshots.add(SHARED_RING, part),
            SharedReport::Finished(ring) => {
                self.snapshots.forget(SHARED_RING);
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
        let ring = match &self.sharing.ring {
            Ring::None => return true,
            Ring::Coming => return false,
            Ring::There(ring) => ring,
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
