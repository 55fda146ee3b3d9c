//! What can go wrong, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::ctf2;
use crate::model::Scope;
use crate::tsdl;

/// Why a trace cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system says no.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// What was to be read.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// There is no trace there.
    #[error("{} holds no CTF trace: there is no file named `metadata` in it or below it", .0.display())]
    NotATrace(PathBuf),
    /// The metadata says what it cannot say.
    #[error("{}: {source}", path.display())]
    Metadata {
        /// The metadata file.
        path: PathBuf,
        /// What is wrong with it.
        source: MetadataError,
    },
    /// A part of a stream cannot be decoded.
    #[error(transparent)]
    Damage(#[from] Box<Damage>),
}

/// What is wrong with metadata.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// TSDL that is none.
    #[error(transparent)]
    Tsdl(#[from] tsdl::Error),
    /// JSON that is no CTF 2.
    #[error(transparent)]
    Ctf2(#[from] ctf2::Error),
    /// A packet of packetized metadata is broken.
    #[error("metadata packet at byte {offset}: {message}")]
    Packet {
        /// Where in the file it begins.
        offset: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The file is larger than any metadata should be.
    #[error("the metadata is larger than {limit} bytes")]
    TooLarge {
        /// What is allowed.
        limit: u64,
    },
    /// The metadata reads, but describes what cannot be decoded.
    #[error("{0}")]
    Class(String),
}

/// A part of a stream that cannot be decoded, and what reading goes on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where its packet begins, in bytes from the begin of the file.
    pub packet: u64,
    /// Where in the packet it is, in bits.
    pub bit: u64,
    /// The scope and field that was being decoded.
    pub field: Option<(Scope, String)>,
    /// What is wrong.
    pub reason: Reason,
    /// How many bytes from there on are not read.
    pub skipped: u64,
}

impl std::error::Error for Damage {}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: packet at byte {}, bit {} of it",
            self.file.display(),
            self.packet,
            self.bit
        )?;
        if let Some((scope, field)) = &self.field {
            write!(f, ", {}", scope_name(*scope))?;
            if !field.is_empty() {
                write!(f, " field `{field}`")?;
            }
        }
        write!(f, ": {}", self.reason)?;
        match self.skipped {
            0 => Ok(()),
            skipped => write!(f, "; {skipped} bytes skipped"),
        }
    }
}

fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::PacketHeader => "packet header",
        Scope::PacketContext => "packet context",
        Scope::EventHeader => "event header",
        Scope::EventContext => "event context",
        Scope::OwnContext => "own context",
        Scope::Payload => "payload",
    }
}

/// What is wrong with a part of a stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The file ends too early.
    #[error("the file ends {missing} bytes before the packet does")]
    CutShort {
        /// How many bytes are missing.
        missing: u64,
    },
    /// The content of the packet ends too early.
    #[error("the packet's content ends before the field does")]
    BeyondContent,
    /// An event is too large to be looked at.
    #[error("the event is larger than {limit} bytes")]
    TooLarge {
        /// What is allowed.
        limit: u64,
    },
    /// The packet does not begin as packets do.
    #[error("the magic number is {found:#x}, not 0xc1fc1fc1")]
    Magic {
        /// What was found.
        found: u64,
    },
    /// The packet is of an unknown stream class.
    #[error("there is no stream class {id}")]
    StreamClass {
        /// Its id in the packet.
        id: u64,
    },
    /// The packet is of another stream than the first one of its file.
    #[error("the packet belongs to another stream than the one before it")]
    OtherStream,
    /// The sizes in the packet's context cannot be.
    #[error(
        "content size {content} and packet size {packet} bits cannot be, {header} bits were read already"
    )]
    Sizes {
        /// The content size.
        content: u64,
        /// The packet size.
        packet: u64,
        /// How many bits of the packet have been read when they were known.
        header: u64,
    },
    /// The event is of an unknown class.
    #[error("there is no event class {id} in the stream class")]
    EventClass {
        /// Its id in the event's header.
        id: u64,
    },
    /// No option of a variant is for the value of its selector.
    #[error("no option is selected by {value}")]
    NoOption {
        /// The selector's value.
        value: i128,
    },
    /// A variable-length integer is longer than 64 bits.
    #[error("the variable-length integer needs more than 64 bits")]
    VarInteger,
    /// Events that take no room would never end.
    #[error("the event takes no bits")]
    NoProgress,
}
