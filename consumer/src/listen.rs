//! The consumer's end of the meeting point.
//!
//! ```text
//!   take the lock ── a stale socket? remove it ── publish the channel ── bind ── listen ── hold the gate
//!        │                                                                                    │
//!        └ the kernel lets go of it when this                    applications that wait are ──┘
//!          process dies, however it dies                         let through by this last step
//! ```
//!
//! Invariant: a socket is removed only by whoever holds the lock, and only when nobody answers behind it.

use std::fs::{self, File, Permissions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use laneway_control::{ChannelConfig, Connection, Gate, Rendezvous};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::Error;

/// Connections the kernel keeps until they are accepted; it may have a lower limit of its own (`somaxconn`).
const BACKLOG: i32 = 4096;

/// A socket that applications connect to. Dropping it removes what it put into the file system.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    meeting: Rendezvous,
    channel: ChannelConfig,
    gate: Option<Gate>,
    _lock: File,
}

impl Listener {
    /// Listens at `meeting`, where applications find `channel`.
    ///
    /// # Errors
    /// [`Error::InUse`] when another consumer listens there, [`Error::NotASocket`] and
    /// [`SomebodyElses`](laneway_control::Error::SomebodyElses) when the place is taken by something else.
    pub fn bind(meeting: &Rendezvous, channel: &ChannelConfig) -> Result<Listener, Error> {
        meeting.prepare()?;
        let lock = take_lock(meeting)?;
        remove_stale(meeting.socket())?;
        channel.publish(meeting)?;

        let path = meeting.socket();
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(Error::system("make a socket"))?;
        let address = SocketAddrUnix::new(path).map_err(Error::io("use the path", path))?;
        rustix::net::bind(&socket, &address).map_err(Error::io("listen on", path))?;
        let mut listener = Listener {
            socket,
            meeting: meeting.clone(),
            channel: channel.clone(),
            gate: None,
            _lock: lock,
        };
        rustix::net::listen(&listener.socket, BACKLOG).map_err(Error::io("listen on", path))?;
        fs::set_permissions(path, Permissions::from_mode(0o600))
            .map_err(Error::io("set the permissions of", path))?;
        listener.gate = Some(Gate::hold(meeting)?);
        Ok(listener)
    }

    /// Where it listens.
    #[must_use]
    pub fn meeting(&self) -> &Rendezvous {
        &self.meeting
    }

    /// What applications find there.
    pub(crate) fn channel(&self) -> &ChannelConfig {
        &self.channel
    }

    /// The next application that wants to connect, if there is one.
    ///
    /// # Errors
    /// The kernel has no descriptor left.
    pub(crate) fn accept(&self) -> Result<Option<Connection>, Error> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        loop {
            match rustix::net::accept_with(&self.socket, flags) {
                Ok(socket) => return Ok(Some(Connection::from_socket(socket))),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(e) => return Err(Error::system("accept a connection")(e)),
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // First, so that nobody comes through to find the socket gone.
        self.gate = None;
        // What cannot be removed is found stale by the next consumer.
        let _ = fs::remove_file(self.meeting.socket());
        let _ = fs::remove_file(self.meeting.channel_file());
    }
}

fn take_lock(meeting: &Rendezvous) -> Result<File, Error> {
    let path = meeting.lock_file();
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)
        .map(File::from)
        .map_err(Error::io("make", &path))?;
    let uid = lock.metadata().map_err(Error::io("look at", &path))?.uid();
    refuse_others(&path, uid)?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(Errno::AGAIN) => Err(Error::InUse {
            path: meeting.socket().to_owned(),
        }),
        Err(e) => Err(Error::io("lock", path)(e)),
    }
}

/// Removes the socket of a consumer that died. The caller holds the lock.
fn remove_stale(path: &Path) -> Result<(), Error> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(Error::NotASocket {
            path: path.to_owned(),
        });
    }
    refuse_others(path, found.uid())?;
    // Somebody who does not know the lock may live behind it.
    match UnixStream::connect(path) {
        Err(e) if e.raw_os_error() == Some(Errno::CONNREFUSED.raw_os_error()) => {
            fs::remove_file(path).map_err(Error::io("remove the stale socket", path))
        }
        _ => Err(Error::InUse {
            path: path.to_owned(),
        }),
    }
}

fn refuse_others(path: &Path, uid: u32) -> Result<(), Error> {
    if uid == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(Error::Control(laneway_control::Error::SomebodyElses {
        path: path.to_owned(),
        uid,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn place(dir: &tempfile::TempDir) -> Rendezvous {
        Rendezvous::at(dir.path().join("socket")).unwrap()
    }

    fn bind(meeting: &Rendezvous) -> Result<Listener, Error> {
        Listener::bind(meeting, &ChannelConfig::default())
    }

    #[test]
    fn an_application_finds_the_channel_and_connects() {
        let dir = tempfile::tempdir().unwrap();
        let meeting = place(&dir);
        let listener = bind(&meeting).unwrap();
        assert!(listener.accept().unwrap().is_none());
        let config = ChannelConfig::find(&meeting).unwrap();
        assert_eq!(config, ChannelConfig::default());
        let _application = Connection::connect(&meeting).unwrap();
        assert!(listener.accept().unwrap().is_some());
    }

    #[test]
    fn a_second_consumer_is_told_that_the_place_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let meeting = place(&dir);
        let first = bind(&meeting).unwrap();
        assert!(matches!(bind(&meeting), Err(Error::InUse { .. })));
        drop(first);
        assert!(bind(&meeting).is_ok());
    }

    #[test]
    fn the_socket_of_a_dead_consumer_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let meeting = place(&dir);
        drop(UnixListener::bind(meeting.socket()).unwrap());
        assert!(meeting.socket().exists());
        let _listener = bind(&meeting).unwrap();
        assert!(Connection::connect(&meeting).is_ok());
    }

    #[test]
    fn a_living_stranger_behind_the_socket_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        let meeting = place(&dir);
        let _stranger = UnixListener::bind(meeting.socket()).unwrap();
        assert!(matches!(bind(&meeting), Err(Error::InUse { .. })));
        assert!(UnixStream::connect(meeting.socket()).is_ok());
    }

    #[test]
    fn what_belongs_to_somebody_else_is_not_used() {
        let own = rustix::process::geteuid().as_raw();
        let error = refuse_others(Path::new("/x/socket"), own + 1).unwrap_err();
        let told = format!("/x/socket belongs to user {}", own + 1);
        assert!(error.to_string().contains(&told), "{error}");

        let dir = tempfile::tempdir().unwrap();
        let meeting = place(&dir);
        drop(UnixListener::bind(meeting.socket()).unwrap());
        // Only root can give a file away.
        if std::os::unix::fs::chown(meeting.socket(), Some(own + 1), None).is_ok() {
            assert!(bind(&meeting).is_err());
            assert!(meeting.socket().exists());
        }
    }

    #[test]
    fn a_file_in_place_of_the_socket_is_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let meeting = place(&dir);
        fs::write(meeting.socket(), "precious").unwrap();
        assert!(matches!(bind(&meeting), Err(Error::NotASocket { .. })));
        assert_eq!(fs::read_to_string(meeting.socket()).unwrap(), "precious");
    }

    #[test]
    fn nothing_but_the_lock_and_the_gate_is_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let meeting = place(&dir);
        drop(bind(&meeting).unwrap());
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["socket.gate", "socket.lock"]);
    }

    #[test]
    fn an_application_that_waits_is_let_through_when_there_is_somebody_to_connect_to() {
        let dir = tempfile::tempdir().unwrap();
        let meeting = place(&dir);
        let application = std::thread::spawn({
            let meeting = meeting.clone();
            move || {
                let _gate = Gate::wait(&meeting).unwrap();
                Connection::connect(&meeting).is_ok()
            }
        });
        let _listener = bind(&meeting).unwrap();
        assert!(application.join().unwrap());
    }
}
