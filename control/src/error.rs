//! Everything that can go wrong between an application and a consumer.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::message::PROTOCOL;
use crate::rendezvous::MAX_SOCKET_PATH;
use crate::schema::MAX_EVENTS;

/// Why a message, a description or a meeting point could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value could not be turned into bytes.
    #[error("cannot encode: {0}")]
    Encode(String),

    /// The bytes are not what was expected.
    #[error("cannot decode: {0}")]
    Decode(String),

    /// More bytes than a value may have.
    #[error("{bytes} bytes are more than the {limit} that fit here")]
    TooLong {
        /// How many there are, or are claimed to be.
        bytes: u64,
        /// How many are allowed.
        limit: usize,
    },

    /// Something follows a value that should be the last.
    #[error("{bytes} unexpected bytes behind the end")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },

    /// A process describes more events than there are event ids.
    #[error("{events} events are more than the {MAX_EVENTS} a process can have")]
    TooManyEvents {
        /// How many.
        events: u64,
    },

    /// The description of an event cannot be right.
    #[error("event {id} is described wrongly: {reason}")]
    BadEvent {
        /// Its number.
        id: usize,
        /// What is wrong.
        reason: String,
    },

    /// Lanes that threads of one process share, in a buffer of many processes.
    #[error("concurrency ids mean nothing to another process; use lanes by CPU in shared buffers")]
    SharedConcurrency,

    /// Files of one process each, for a buffer of many processes.
    #[error(
        "a shared buffer is not kept in files; use buffers per process with a buffer directory"
    )]
    SharedDirectory,

    /// A directory for buffers that applications would look for elsewhere, or that is too long.
    #[error("the buffer directory {path:?} has to be a short absolute path, such as /dev/shm")]
    BufferDirectory {
        /// The path.
        path: String,
    },

    /// The event ids of a shared buffer cannot be right.
    #[error("the event ids of a shared buffer are given wrongly: {reason}")]
    BadIds {
        /// What is wrong.
        reason: String,
    },

    /// The peer is not Laneway at all.
    #[error("the other side does not speak Laneway's protocol")]
    NotLaneway,

    /// The peer is another Laneway.
    #[error(
        "the other side speaks version {theirs} of Laneway's protocol, this one version {PROTOCOL}; \
         build both with the same version of laneway"
    )]
    OtherProtocol {
        /// Its version.
        theirs: u32,
    },

    /// The peer went away in the middle of a message.
    #[error("the other side stopped in the middle of a message")]
    HalfMessage,

    /// The peer went away.
    #[error("the other side has closed the connection")]
    Closed,

    /// The peer leaves its messages lying.
    #[error("the other side does not read its messages")]
    PeerDoesNotRead,

    /// More file descriptors came, or should go, than belong to a message.
    #[error("more file descriptors than belong to a message")]
    TooManyFds,

    /// Nobody listens there now; it may come.
    #[error("no consumer listens on {}", path.display())]
    NobodyThere {
        /// The socket.
        path: PathBuf,
    },

    /// Too many connections wait to be accepted; try again later.
    #[error("the consumer at {} is too busy to take another connection", path.display())]
    Busy {
        /// The socket.
        path: PathBuf,
    },

    /// A socket's path that the kernel would not take.
    #[error(
        "the socket path {} has {bytes} bytes and the system takes {MAX_SOCKET_PATH} (and no NUL); choose a shorter one",
        path.display()
    )]
    SocketPath {
        /// The path.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },

    /// Something that must be this user's own is not.
    #[error("{} belongs to user {uid}, not to this one; it is not used", path.display())]
    SomebodyElses {
        /// What.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },

    /// A file or a link where a directory should be.
    #[error("{} is not a directory; remove it", path.display())]
    NotADirectory {
        /// What.
        path: PathBuf,
    },

    /// A directory that must be private is not.
    #[error("{} can be written to by others; run `chmod 700` on it", path.display())]
    OpenToOthers {
        /// The directory.
        path: PathBuf,
    },

    /// The operating system refused something at a path.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried: a verb.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },

    /// The operating system refused something with a socket.
    #[error("socket: {0}")]
    Socket(io::Error),
}

impl Error {
    pub(crate) fn socket(e: Errno) -> Error {
        Error::Socket(e.into())
    }
}
