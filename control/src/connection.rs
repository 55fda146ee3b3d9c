//! One end of the socket between an application and a consumer. Nothing here ever waits.
//!
//! ```text
//!   connect ─▶ send(Hello, [ring, schemas]) ─▶ … poll the fd … ─▶ receive() ─▶ Some(Accepted)
//! ```
//!
//! An application may connect and send in a constructor, before its `main`: a Unix socket takes the connection
//! and the bytes without the consumer's help, as long as its backlog and buffer have room. If they have none, that
//! is an error at once.
//!
//! Invariant: a peer brings no more file descriptors than one message may, in all its life; all others are closed, and
//! the peer with them.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

use crate::Error;
use crate::message::{FrameDecoder, MAX_FDS, Message, encode_frame};
use crate::rendezvous::Rendezvous;

/// A connected socket, and what has arrived on it.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    arriving: FrameDecoder,
    fds: Vec<OwnedFd>,
    fds_seen: usize,
}

/// Who is at the other end, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The process that connected (or, for the one that connected, that listens), as this process sees it; 0 when it
    /// cannot be seen from here.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
}

impl Connection {
    /// Connects to the consumer at `meeting`, and makes sure that it is this user's or root's.
    ///
    /// # Errors
    /// [`Error::NobodyThere`] when nobody listens, [`Error::Busy`] when too many want to connect at once, and
    /// others.
    pub fn connect(meeting: &Rendezvous) -> Result<Connection, Error> {
        let path = meeting.socket();
        let fail = |e: Errno| match e {
            Errno::NOENT | Errno::CONNREFUSED | Errno::NOTDIR => Error::NobodyThere {
                path: path.to_owned(),
            },
            Errno::AGAIN => Error::Busy {
                path: path.to_owned(),
            },
            e => Error::Io {
                what: "connect to",
                path: path.to_owned(),
                source: e.into(),
            },
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(fail)?;
        let address = SocketAddrUnix::new(path).map_err(fail)?;
        rustix::net::connect(&socket, &address).map_err(fail)?;

        let connection = Connection::from_socket(socket);
        let me = rustix::process::geteuid().as_raw();
        match connection.peer()?.uid {
            uid if uid == me || uid == 0 => Ok(connection),
            uid => Err(Error::SomebodyElses {
                path: path.to_owned(),
                uid,
            }),
        }
    }

    /// A connection over a socket that was accepted.
    #[must_use]
    pub fn from_socket(socket: OwnedFd) -> Connection {
        Connection {
            socket,
            arriving: FrameDecoder::default(),
            fds: Vec::new(),
            fds_seen: 0,
        }
    }

    /// Who is at the other end (`SO_PEERCRED` of unix(7)).
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn peer(&self) -> Result<Peer, Error> {
        // Not rustix: its `Pid` cannot be the 0 that stands for a process of another PID namespace.
        let credentials = getsockopt(&self.socket, sockopt::PeerCredentials)
            .map_err(|e| Error::Socket(e.into()))?;
        Ok(Peer {
            pid: credentials.pid().unsigned_abs(),
            uid: credentials.uid(),
        })
    }

    /// Sends a message, and file descriptors with it.
    ///
    /// # Errors
    /// The peer is gone, or reads so slowly that its buffer is full; the connection is of no more use.
    pub fn send<M: Message>(&self, message: &M, fds: &[BorrowedFd<'_>]) -> Result<(), Error> {
        let frame = encode_frame(message)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(Error::TooManyFds);
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let mut rest = &frame[..];
        while !rest.is_empty() {
            let slices = [IoSlice::new(rest)];
            match rustix::net::sendmsg(&self.socket, &slices, &mut control, flags) {
                Ok(sent) => {
                    rest = &rest[sent..];
                    control.clear(); // they went with the first byte
                }
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(Error::Closed),
                Err(Errno::AGAIN) => return Err(Error::PeerDoesNotRead),
                Err(e) => return Err(Error::socket(e)),
            }
        }
        Ok(())
    }

    /// The next message, if it has arrived.
    ///
    /// # Errors
    /// [`Error::Closed`] after the last message of a peer that is gone; otherwise the peer does not speak the
    /// protocol. The connection is of no more use.
    pub fn receive<M: Message>(&mut self) -> Result<Option<M>, Error> {
        loop {
            if let Some(message) = self.arriving.take()? {
                return Ok(Some(message));
            }
            let mut chunk = [0; 4096];
            let wanted = self.arriving.wants().min(chunk.len());
            match self.read(&mut chunk[..wanted]) {
                Ok(0) if self.arriving.is_midway() => return Err(Error::HalfMessage),
                Ok(0) => return Err(Error::Closed),
                Ok(n) => self.arriving.push(&chunk[..n]),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET) => return Err(Error::Closed),
                Err(e) => return Err(Error::socket(e)),
            }
            if self.fds_seen > MAX_FDS {
                return Err(Error::TooManyFds);
            }
        }
    }

    /// The file descriptors that came with the messages so far.
    pub fn take_fds(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.fds)
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, Errno> {
        // Room for one more than is allowed, so that too many are noticed; the kernel closes what has no room.
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS + 1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(into)];
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = rustix::net::recvmsg(&self.socket, &mut slices, &mut control, flags)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                let before = self.fds.len();
                self.fds.extend(fds);
                self.fds_seen += self.fds.len() - before;
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) && self.fds_seen <= MAX_FDS {
            return Err(Errno::MFILE); // our own table of file descriptors is full
        }
        Ok(received.bytes)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Waits until one of these can be read (a peer that is gone can be read, too), and says which.
/// `None` waits for ever. A signal may end the wait with all of them `false`.
///
/// # Errors
/// The kernel refuses to poll.
pub fn wait_readable<const N: usize>(
    fds: [BorrowedFd<'_>; N],
    timeout: Option<Duration>,
) -> Result<[bool; N], Error> {
    let mut polled = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    let timeout = timeout.map(|t| {
        Timespec::try_from(t).unwrap_or(Timespec {
            tv_sec: i64::MAX,
            tv_nsec: 0,
        })
    });
    match poll(&mut polled, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(polled.map(|p| !p.revents().is_empty())),
        Err(e) => Err(Error::socket(e)),
    }
}
