//! Everything that can keep a consumer from starting, or from recording an application.

use std::io;
use std::path::PathBuf;

/// Why a session, a listener or the recording of one application failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The output directory is there already.
    #[error("{} exists already; choose another directory, or remove it", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },

    /// Another consumer records into the same directory.
    #[error("another consumer records into {}; stop it first", path.display())]
    SessionInUse {
        /// The directory.
        path: PathBuf,
    },

    /// Another consumer listens at the same place.
    #[error(
        "another consumer listens on {} already; stop it, or choose another socket",
        path.display()
    )]
    InUse {
        /// The socket.
        path: PathBuf,
    },

    /// Something that is not a socket has the socket's name.
    #[error("{} is not a socket; remove it, or choose another path", path.display())]
    NotASocket {
        /// What is there.
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

    /// The operating system refused a thread, a descriptor or a wait.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },

    /// What a peer sent, or the meeting point, cannot be used.
    #[error(transparent)]
    Control(#[from] laneway_control::Error),

    /// What an application shares is not a usable ring.
    #[error(transparent)]
    Ring(#[from] laneway_ringbuf::Error),

    /// A hello without its two file descriptors.
    #[error(
        "a hello came with {fds} file descriptors, not with {wanted}: the ring, unless it is shared, and the event descriptions"
    )]
    HelloFds {
        /// How many.
        fds: usize,
        /// How many there should be.
        wanted: usize,
    },

    /// The event descriptions can still change, or are no memory file at all.
    #[error("the event descriptions are not in a memory file sealed against change")]
    SchemasNotSealed,

    /// More descriptions than are read.
    #[error("the event descriptions have {bytes} bytes, more than the {limit} that are read")]
    SchemasTooLarge {
        /// How many bytes they have.
        bytes: u64,
        /// How many are read.
        limit: u64,
    },

    /// An application of a user whose events are none of this one's business.
    #[error("an application of user {uid} connected; only those of user {own} are recorded")]
    OtherUser {
        /// Its user.
        uid: u32,
        /// The user of this consumer.
        own: u32,
    },

    /// As many applications as this consumer takes at once.
    #[error("{limit} applications are attached already, which is the limit")]
    TooManyProcesses {
        /// The limit.
        limit: usize,
    },

    /// An application that connected and said nothing.
    #[error("an application connected and did not say hello within {seconds} s")]
    Silent {
        /// How long it had.
        seconds: u64,
    },

    /// A panic while an application was recorded.
    #[error("laneway itself failed while it recorded an application: please report this as a bug")]
    Bug,

    /// An application that would like to be recorded and cannot.
    #[error("{name} ({pid}) cannot be recorded: {reason}")]
    Unable {
        /// Its process id as it sees it itself.
        pid: u32,
        /// Its short name.
        name: String,
        /// Why, in its own words.
        reason: String,
    },

    /// More events than a shared session has numbers for.
    #[error(
        "{new} new events are too many for a shared session that has {known} already; record it with buffers per process"
    )]
    TooManySharedEvents {
        /// How many there are of them.
        new: usize,
        /// How many the session has.
        known: usize,
    },

    /// An application that brings the shared ring of an earlier consumer.
    #[error(
        "{name} ({pid}) brought a shared ring of an earlier consumer that is not this session's; it gets this one's, and \
         what was in the other is in no trace"
    )]
    OtherRing {
        /// Its process id.
        pid: u32,
        /// Its name.
        name: String,
    },

    /// A ring that does not belong to the trace it should continue.
    #[error("an application brought a shared ring that is not the one it says")]
    NotThatRing,

    /// An application that has other numbers for its events than it was given.
    #[error(
        "an application's events do not have the numbers that they were given in the shared ring"
    )]
    OtherNumbers,

    /// An application whose records have other times than those of the shared ring.
    #[error("{name} ({pid}) does not use the clock of the shared ring")]
    OtherClock {
        /// Its process id.
        pid: u32,
        /// Its name.
        name: String,
    },

    /// A buffer whose process can still write into it.
    #[error("{} is in use by {name} ({pid}), which is alive; end it first", path.display())]
    StillAlive {
        /// The buffer.
        path: PathBuf,
        /// The process.
        pid: u32,
        /// Its name.
        name: String,
    },

    /// An application says that a file is its buffer, and it is not.
    #[error("{} is not the buffer of the application that says so; it is left alone", path.display())]
    NotItsBuffer {
        /// The file.
        path: PathBuf,
    },

    /// A message that does not belong where it came.
    #[error("an application sent a message out of turn: {message}")]
    OutOfTurn {
        /// Which.
        message: &'static str,
    },
}

impl Error {
    /// For `map_err`: this was tried at `path`.
    pub(crate) fn io<E: Into<io::Error>>(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(E) -> Error {
        let path = path.into();
        move |source| Error::Io {
            what,
            path,
            source: source.into(),
        }
    }

    /// For `map_err`: this was tried, at no path in particular.
    pub(crate) fn system<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Error {
        move |source| Error::System {
            what,
            source: source.into(),
        }
    }
}
