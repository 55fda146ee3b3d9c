//! The thread that deals with consumers, so that nobody else has to.
//!
//! ```text
//!            ┌──────────────── stopped us, or did not want us ────────────────┐
//!            ▼                                                                │
//!   try to connect ── nobody ─▶ wait at the gate ─▶ try ─▶ session ───────────┤
//!                                                   ▲         │ consumer dies │
//!                                  the next one     │         ▼               │ nobody for a minute
//!                                                   └── alone, with the ring ─┘
//! ```
//! Alone, the program traces on into the ring, so that the next consumer finds what happened meanwhile. A ring that
//! nobody drains fills up soon and then only costs memory, so it is given up after a minute; but not a flight recorder's.
//!
//! Invariant: this thread never touches the application's file descriptors, nor blocks
//! anybody else.

use std::os::unix::fs::MetadataExt;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};
use std::{fs, panic, thread};

use laneway_control::{Gate, Rendezvous};

use crate::attachment::Attachment;
use crate::session::{Ended, NoSession, Session};
use crate::{fd_table, report};

/// How long we leave a consumer alone that is there and did not take us, or had enough of
/// us; longer after each failure.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The same where it was told why it cannot have us: its summary says so once, not again and again.
const UNABLE_PAUSE: Duration = Duration::from_secs(3600);

/// How long a program may be held up at its start for the ring of a shared session.
const RING_PATIENCE: Duration = Duration::from_millis(50);

/// How long a ring is kept that nobody drains. Tests have less time.
pub(crate) const ALONE: Duration = Duration::from_secs(if cfg!(test) { 3 } else { 60 });

/// How often somebody who is alone looks for a consumer: at first, and in the end.
const SHORTEST_LOOK: Duration = Duration::from_millis(5);
const LONGEST_LOOK: Duration = Duration::from_millis(250);

/// The body of the agent thread; it tells `tried` when its first attempt is over.
pub(crate) fn run(meeting: &Rendezvous, tried: &SyncSender<()>) {
    fd_table::make_private(report::is_asked());
    // A panic here is a defect of ours; it ends the agent and nothing else.
    let outcome = panic::catch_unwind(|| {
        let agent = Agent {
            meeting,
            root: root_directory(),
        };
        let mut first = Session::begin(meeting);
        if let Ok(session) = &mut first {
            session.await_ring(RING_PATIENCE);
        }
        let _ = tried.try_send(());
        agent.live(first)
    });
    if outcome.is_err() {
        report::say("the agent has failed; nothing is recorded any more");
    }
}

struct Agent<'m> {
    meeting: &'m Rendezvous,
    /// The root directory in which `meeting` is meant, as device and inode.
    root: Option<(u64, u64)>,
}

impl Agent<'_> {
    /// Serves one consumer after the other, until there can be none any more.
    fn live(&self, first: Result<Session, NoSession>) {
        let mut pause = match first {
            Ok(session) => self.see_through(session).pause(),
            Err(NoSession::Nobody) => None,
            Err(NoSession::Unable) => Parted::Unable.pause(),
        };
        let mut failures = SHORTEST_PAUSE;
        while self.is_at_home() {
            let gate = match Gate::wait(self.meeting) {
                Ok(gate) => gate,
                Err(e) => return report::say(format_args!("no consumer can come: {e}")),
            };
            if let Some(pause) = pause.take() {
                // The last one may still be there.
                if gate.wait_until_left(pause).is_err() {
                    return;
                }
                continue;
            }
            let parted = match Session::begin(self.meeting) {
                Ok(session) => self.see_through(session),
                Err(NoSession::Nobody) => Parted::Unwanted,
                Err(NoSession::Unable) => Parted::Unable,
            };
            failures = match parted {
                Parted::Unwanted => (failures * 2).min(LONGEST_PAUSE),
                Parted::Well | Parted::Renewed | Parted::Unable => SHORTEST_PAUSE,
            };
            pause = parted.pause().map(|pause| pause.max(failures));
        }
        report::say("the process has another root directory now; no consumer can be found there");
    }

    /// Serves a consumer, and whoever comes after it when it dies.
    fn see_through(&self, mut session: Session) -> Parted {
        let mut resumed = false;
        loop {
            match session.serve() {
                Ended::Stopped => return Parted::Well,
                Ended::Rejected if resumed => return Parted::Renewed,
                Ended::Rejected => return Parted::Unwanted,
                Ended::Alone(attachment) => match self.find_next(attachment) {
                    Some(next) => (session, resumed) = (next, true),
                    None => return Parted::Well,
                },
            }
        }
    }

    /// Looks for a consumer that goes on where one has died. If there is none, the ring is left.
    fn find_next(&self, mut alone: Attachment) -> Option<Session> {
        let deadline = Instant::now() + ALONE;
        let mut pause = SHORTEST_LOOK;
        while self.is_at_home() {
            // At first, too: one that dies as soon as it is spoken to would keep us busy.
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_LOOK);
            match Session::resume(self.meeting, alone) {
                Ok(session) => return Some(session),
                Err(attachment) => alone = attachment,
            }
            if Instant::now() >= deadline {
                // Waiting at the gate costs nothing, but has no limit.
                if !alone.is_flight_recorder() || Gate::wait(self.meeting).is_err() {
                    break;
                }
            }
        }
        report::say("no consumer has come; the ring is given up");
        alone.leave();
        None
    }

    /// Whether a path still leads where it led when this thread began: chroot(2) is for all threads.
    fn is_at_home(&self) -> bool {
        root_directory() == self.root
    }
}

/// How we and a consumer have parted.
enum Parted {
    /// It stopped us, or is gone.
    Well,
    /// It did not want the ring that another one left: it may want us with a new one.
    Renewed,
    /// It did not want us.
    Unwanted,
    /// It was told why it cannot have us.
    Unable,
}

impl Parted {
    /// How long to leave it alone at least, if at all.
    fn pause(self) -> Option<Duration> {
        match self {
            Parted::Renewed => None,
            Parted::Well | Parted::Unwanted => Some(SHORTEST_PAUSE),
            Parted::Unable => Some(UNABLE_PAUSE),
        }
    }
}

fn root_directory() -> Option<(u64, u64)> {
    let root = fs::metadata("/").ok()?;
    Some((root.dev(), root.ino()))
}
