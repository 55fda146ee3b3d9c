//! Going on with the ring of an earlier consumer: the processes that write into it outlived that one.
//!
//! ```text
//!   journal   events and their numbers, who has which slot
//!   disk      what of the ring is in the trace already
//!   ring      the rest, from an application that brings it ─▶ the dead are buried, the living awaited
//! ```
//! Who has a slot and lives may be in the middle of an event, whether he comes forward or not; so nobody is buried but who
//! is known to be dead, or never was let in.
//!
//! Invariant: an application goes on with the numbers that the journal says it has, or not at all.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use laneway_ctf::model::Uuid;
use laneway_ringbuf::SharedMemory;
use rustix::fs::fstat;

use super::{Buffer, Drain, Handle, Life, Member, Past, SharedReport};
use crate::Error;
use crate::consumer::Shared;
use crate::drain::application::{read_ids, read_schemas};
use crate::host::has_mapped;
use crate::summary::SharedProcess;

/// A ring that an earlier consumer left.
#[derive(Debug)]
pub(crate) struct LeftRing {
    /// Who and what has which number in it.
    pub(crate) journal: PathBuf,
    /// Its identity, and that of its trace.
    pub(crate) uuid: Uuid,
}

/// One that is ours now.
pub(crate) struct Adopted {
    /// The ring.
    pub(crate) handle: Handle,
    /// Who may still write into it, and a descriptor that tells his end.
    pub(crate) living: Vec<(Member, Option<OwnedFd>)>,
    /// Who is dead and buried.
    pub(crate) dead: Vec<SharedProcess>,
}

impl Handle {
    /// Goes on with the ring that an earlier consumer left, and an application has brought.
    ///
    /// # Errors
    /// It is another one, or cannot be used, or what is in its trace already cannot be read.
    pub(crate) fn adopt(
        left: LeftRing,
        ring: OwnedFd,
        shared: &Arc<Shared>,
        report: impl Fn(SharedReport) + Send + 'static,
    ) -> Result<Adopted, Error> {
        let memory = SharedMemory::open(&ring)?;
        if Uuid::from_random(memory.id()) != left.uuid {
            return Err(Error::NotThatRing);
        }
        let past = Past::read(&left.journal)?;
        let members = past.members.clone();
        let buffer = Buffer::new(ring, memory.id(), past, shared)?;
        let mut drain = Drain::prepare(&buffer, memory, shared)?;
        let (mut living, mut dead) = (Vec::new(), Vec::new());
        for (slot, member) in members {
            match member.life() {
                Life::Alive(pidfd) if has_mapped(member.pid, &buffer.ring) => {
                    living.push((member, pidfd));
                }
                // Or another program since.
                Life::Alive(_) | Life::Dead => {
                    let unfinished = drain.reader().bury(slot);
                    buffer.table().journal.left(slot);
                    dead.push(SharedProcess {
                        unfinished,
                        ..member.process
                    });
                }
            }
        }
        // The earlier consumer knew which sub-buffers it had to judge by their records, where somebody had died.
        let slots: Vec<u16> = living.iter().map(|(member, _)| member.slot).collect();
        drain.reader().bury_others(&slots);
        Ok(Adopted {
            handle: Handle::run(buffer, drain, shared, report)?,
            living,
            dead,
        })
    }

    /// Whether this descriptor is one of the ring's memory.
    pub(crate) fn is_of(&self, ring: &OwnedFd) -> bool {
        let identity = |fd| fstat(fd).map(|stat| (stat.st_dev, stat.st_ino));
        identity(ring).is_ok_and(|found| identity(&self.0.ring) == Ok(found))
    }

    /// Looks whether the numbers of an application's events are those it was given: how many there are.
    ///
    /// # Errors
    /// They are not.
    pub(crate) fn readmit(&self, schemas: OwnedFd, ids: OwnedFd) -> Result<usize, Error> {
        let schemas = read_schemas(schemas)?;
        let ids = read_ids(ids, schemas.len())?;
        match self.0.table().events.agrees(&schemas, &ids) {
            true => Ok(schemas.len()),
            false => Err(Error::OtherNumbers),
        }
    }
}
