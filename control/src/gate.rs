//! Where applications wait for a consumer: a FIFO beside the socket.
//!
//! ```text
//!   application: open to read ── waits in the kernel ──▶ open: a consumer is there ─▶ connect
//!                                       ▲
//!   consumer:    listen, then open to write, and keep it open
//! ```
//! Opening a FIFO for reading waits until somebody has it open for writing (fifo(7)). So any number of applications
//! wait without polling and without taking anything that a user has few of: an inotify instance each would be gone after
//! 128 processes, and missed by programs that are none of ours.
//!
//! Invariant: a consumer holds the gate only while it listens, so whoever gets through and finds nobody has met one that
//! is just leaving.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags, RawMode};
use rustix::io::Errno;

use crate::connection::wait_readable;
use crate::rendezvous::Rendezvous;
use crate::{Error, channel};

/// One end of the gate, held open.
#[derive(Debug)]
pub struct Gate(OwnedFd);

impl Gate {
    /// Waits until a consumer holds the gate at `meeting`.
    ///
    /// # Errors
    /// There can be none: the directory is gone, or something else is in the gate's place.
    pub fn wait(meeting: &Rendezvous) -> Result<Gate, Error> {
        Gate::open(meeting, OFlags::RDONLY)
    }

    /// Lets applications through, and keeps on doing so until it is dropped.
    ///
    /// # Errors
    /// As for [`wait`](Self::wait).
    pub fn hold(meeting: &Rendezvous) -> Result<Gate, Error> {
        // Open for both, it waits for nobody.
        Gate::open(meeting, OFlags::RDWR)
    }

    /// For an application that got through: waits until no consumer holds the gate, or `limit` has passed.
    ///
    /// # Errors
    /// The kernel refuses to poll.
    pub fn wait_until_left(&self, limit: Duration) -> Result<(), Error> {
        wait_readable([self.as_fd()], Some(limit)).map(drop)
    }

    fn open(meeting: &Rendezvous, access: OFlags) -> Result<Gate, Error> {
        meeting.prepare()?;
        let path = meeting.gate_file();
        let fail = |e: Errno| Error::Io {
            what: "open",
            path: path.clone(),
            source: e.into(),
        };
        make(&path).map_err(fail)?;
        let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = loop {
            match rustix::fs::open(&path, flags, Mode::empty()) {
                Err(Errno::INTR) => {}
                other => break other.map_err(fail)?,
            }
        };
        channel::check_owner(&fd, &path)?;
        let mode: RawMode = rustix::fs::fstat(&fd).map_err(fail)?.st_mode;
        if FileType::from_raw_mode(mode) != FileType::Fifo {
            return Err(Error::Io {
                what: "use as a gate",
                path,
                source: io::Error::from(io::ErrorKind::InvalidInput),
            });
        }
        Ok(Gate(fd))
    }
}

impl AsFd for Gate {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Makes the FIFO if nothing has its name. The sticky bit keeps those who tidy up `/tmp` away from it (tmpfiles.d(5)).
fn make(path: &Path) -> Result<(), Errno> {
    let mode = Mode::RUSR | Mode::WUSR | Mode::SVTX;
    match rustix::fs::mknodat(CWD, path, FileType::Fifo, mode, 0) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::mpsc;
    use std::thread;

    const SOON: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_secs(10);

    fn place() -> (tempfile::TempDir, Rendezvous) {
        let dir = tempfile::tempdir().unwrap();
        let meeting = Rendezvous::at(dir.path().join("socket")).unwrap();
        (dir, meeting)
    }

    #[test]
    fn applications_wait_until_a_consumer_holds_the_gate() {
        let (_dir, meeting) = place();
        let (through, waiting) = mpsc::channel();
        for _ in 0..5 {
            let (meeting, through) = (meeting.clone(), through.clone());
            thread::spawn(move || through.send(Gate::wait(&meeting).is_ok()));
        }
        assert!(waiting.recv_timeout(SOON).is_err(), "nobody is there yet");
        let _held = Gate::hold(&meeting).unwrap();
        for _ in 0..5 {
            assert_eq!(waiting.recv_timeout(LONG), Ok(true));
        }
        assert!(
            Gate::wait(&meeting).is_ok(),
            "and whoever comes later gets through at once"
        );
    }

    #[test]
    fn whoever_got_through_learns_that_the_consumer_left() {
        let (_dir, meeting) = place();
        let held = Gate::hold(&meeting).unwrap();
        let application = Gate::wait(&meeting).unwrap();
        let start = std::time::Instant::now();
        application.wait_until_left(SOON).unwrap();
        assert!(start.elapsed() >= SOON, "the consumer is still there");
        drop(held);
        let start = std::time::Instant::now();
        application.wait_until_left(LONG).unwrap();
        assert!(start.elapsed() < LONG);
    }

    #[test]
    fn a_place_that_is_gone_is_an_error_and_not_waited_for() {
        let (dir, meeting) = place();
        drop(dir);
        assert!(Gate::wait(&meeting).is_err());
    }

    #[test]
    fn a_file_in_place_of_the_gate_is_refused() {
        let (_dir, meeting) = place();
        fs::write(meeting.gate_file(), "").unwrap();
        assert!(Gate::wait(&meeting).is_err());
        assert!(Gate::hold(&meeting).is_err());
    }
}
