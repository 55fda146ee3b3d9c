//! One application, as the front sees it.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use laneway_control::{Connection, ToApplication};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::Error;
use crate::drain;
use crate::drain::shared::Member;
use crate::summary::{SharedProcess, Summary};

/// An application, from its connection to its last report.
pub(crate) struct Client {
    /// `None` when it is gone, or not listened to any more.
    pub(crate) connection: Option<Connection>,
    /// Readable when the process is dead, even if a child of it still holds the socket.
    pub(crate) pidfd: Option<OwnedFd>,
    /// Whether it was dead already when its connection was accepted.
    died: bool,
    /// Its process id; 0 where it is in another PID namespace.
    pub(crate) peer: u32,
    pub(crate) since: Instant,
    /// When one that has hung up and shares the ring is looked at again, and how long after that.
    pub(crate) look_at: Instant,
    pub(crate) pause: Duration,
    pub(crate) state: State,
    /// Whether its events stay in memory until they are asked for.
    pub(crate) in_flight: bool,
}

pub(crate) enum State {
    /// It has said nothing yet.
    Greeting,
    /// Its own thread drains it.
    Recording(drain::Handle),
    /// Its own thread drains it for the last time.
    Ending(drain::Handle),
    /// Its events get the numbers that they have in the shared ring.
    Admitting(Box<SharedProcess>),
    /// It writes into the shared ring.
    Sharing(Sharing),
    /// It is dead, and what it left in the shared ring is being looked after.
    Burying(Sharing),
}

/// A process that writes into the shared ring, or did.
#[derive(Debug, Default)]
pub(crate) struct Sharing {
    /// What it writes into busy headers.
    pub(crate) slot: u16,
    pub(crate) process: Box<SharedProcess>,
}

/// How often it is looked whether one that has hung up still has the ring: at first, and in the end.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Client {
    /// Whether it shares the ring, lives, and nothing is heard of it.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self.state, State::Sharing(_)) && self.connection.is_none()
    }

    /// It was looked at; the next time is later.
    pub(crate) fn put_off(&mut self) {
        self.look_at = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// A process that an earlier consumer let into the shared ring, and of which nothing has been heard yet.
    pub(crate) fn absent(member: Member, pidfd: Option<OwnedFd>) -> Client {
        Client {
            connection: None,
            pidfd,
            died: false,
            peer: member.pid,
            since: Instant::now(),
            look_at: Instant::now(),
            pause: SHORTEST_PAUSE,
            state: State::Sharing(Sharing {
                slot: member.slot,
                process: Box::new(member.process),
            }),
            in_flight: false,
        }
    }

    pub(crate) fn is_greeting(&self) -> bool {
        matches!(self.state, State::Greeting)
    }

    /// The thread to ask for a snapshot, if there can be one.
    pub(crate) fn flight(&self) -> Option<&drain::Handle> {
        match &self.state {
            State::Recording(handle) | State::Ending(handle) if self.in_flight => Some(handle),
            _ => None,
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        let Some(pidfd) = &self.pidfd else {
            return self.died;
        };
        let mut polled = [PollFd::new(pidfd, PollFlags::IN)];
        poll(&mut polled, Some(&Timespec::default())).is_ok() && !polled[0].revents().is_empty()
    }
}

/// Looks at who connected.
pub(crate) fn admit(
    connection: Connection,
    record_self: bool,
    summary: &mut Summary,
) -> Option<Client> {
    let peer = match connection.peer() {
        Ok(peer) => peer,
        Err(e) => {
            summary.refuse(e.to_string());
            return None;
        }
    };
    let own = rustix::process::geteuid().as_raw();
    if peer.uid != own && own != 0 {
        let reason = Error::OtherUser { uid: peer.uid, own }.to_string();
        summary.refuse(reason.clone());
        let _ = connection.send(&ToApplication::Rejected { reason }, &[]);
        return None;
    }
    if peer.pid == std::process::id() && !record_self {
        let reason = "this is the consumer itself".to_owned();
        let _ = connection.send(&ToApplication::Rejected { reason }, &[]);
        return None;
    }
    // Of a process of another PID namespace there is none; then the socket alone tells its end.
    let pid = Pid::from_raw(peer.pid.cast_signed());
    let pidfd = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty()));
    let died = matches!(pidfd, Some(Err(Errno::SRCH)));
    Some(Client {
        connection: Some(connection),
        pidfd: pidfd.and_then(Result::ok),
        died,
        peer: peer.pid,
        since: Instant::now(),
        look_at: Instant::now(),
        pause: SHORTEST_PAUSE,
        state: State::Greeting,
        in_flight: false,
    })
}
