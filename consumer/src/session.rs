//! One recording on disk: a directory with a trace for every process in it.
//!
//! ```text
//!   DIR/                     made by the session, refused if it is there
//!     shop-4711/             one CTF trace for each process
//!       metadata
//!       lane_0  lane_1 …     one stream for each lane that was used
//!     shop-4711-2/           another process of that name and number
//!     snapshot-1/shop-4711/  what was in memory when somebody asked for it: overwrite mode only
//!     end/shop-4711/         the same, when the process ended
//!     shared/                one trace for all processes: shared buffers only
//! ```
//!
//! A session can be [resumed](Session::resume): the rings of processes that outlived their consumer are told from each
//! other by an id, which is their trace's UUID, too.
//!
//! Invariant: no name that an application sends leads out of the session's directory, and no two of them write into the
//! same trace.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use laneway_control::Hello;
use laneway_ctf::metadata;
use laneway_ctf::model::Uuid;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::Error;
use crate::clocks::Clocks;
use crate::host::{Host, random_uuid};
use crate::storage::uuid_of;

/// The directory for what was in memory when processes ended.
pub(crate) const END: &str = "end";

/// The directory for the trace of a ring that all processes share.
pub(crate) const SHARED: &str = "shared";

/// A directory that is being recorded into.
#[derive(Debug)]
pub struct Session {
    directory: PathBuf,
    host: Host,
    created: SystemTime,
    began: Instant,
    clocks: Clocks,
    traces: Mutex<Traces>,
    /// The number of the last snapshot.
    snapshots: Mutex<u64>,
    /// Held as long as somebody records into the directory.
    _lock: File,
}

/// The traces of a session by their identity.
#[derive(Debug, Default)]
struct Traces {
    /// Those that an earlier consumer left and nobody has gone on with.
    left: BTreeMap<Uuid, PathBuf>,
    /// Those that are being written, or were.
    used: BTreeSet<Uuid>,
}

/// Where the trace of a process goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Into a directory that was made for it.
    New {
        /// The directory.
        directory: PathBuf,
        /// The identity that the trace gets.
        uuid: Uuid,
    },
    /// Behind what is there.
    Resumed {
        /// The directory.
        directory: PathBuf,
        /// The identity that the trace has.
        uuid: Uuid,
    },
}

impl Place {
    /// The identity of the trace.
    pub(crate) fn uuid(&self) -> Uuid {
        match self {
            Place::New { uuid, .. } | Place::Resumed { uuid, .. } => *uuid,
        }
    }
}

impl Session {
    /// Makes the directory; the ones above it, too, if they are missing.
    ///
    /// # Errors
    /// [`Error::Exists`], or it cannot be made.
    pub fn create(directory: impl Into<PathBuf>) -> Result<Session, Error> {
        let directory = directory.into();
        if let Some(above) = directory.parent() {
            fs::create_dir_all(above).map_err(Error::io("make", above))?;
        }
        make_directory(&directory)?;
        Session::open(directory)
    }

    /// Goes on with a session whose consumer died: processes that still run go on with their traces.
    ///
    /// # Errors
    /// There is none at `directory`, or somebody records into it.
    pub fn resume(directory: impl Into<PathBuf>) -> Result<Session, Error> {
        let mut session = Session::open(directory.into())?;
        let traces = session.traces.get_mut();
        let left = &mut traces.unwrap_or_else(PoisonError::into_inner).left;
        let fail = |e| Error::io("read", &session.directory)(e);
        for entry in fs::read_dir(&session.directory).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            left.extend(identity(&path).map(|uuid| (uuid, path)));
        }
        Ok(session)
    }

    fn open(directory: PathBuf) -> Result<Session, Error> {
        let lock = File::open(&directory).map_err(Error::io("open", &directory))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::AGAIN) => return Err(Error::SessionInUse { path: directory }),
            Err(e) => return Err(Error::io("lock", directory)(e)),
        }
        Ok(Session {
            directory,
            host: Host::look(),
            created: SystemTime::now(),
            began: Instant::now(),
            clocks: Clocks::default(),
            traces: Mutex::default(),
            snapshots: Mutex::default(),
            _lock: lock,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    pub(crate) fn created(&self) -> SystemTime {
        self.created
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    pub(crate) fn clocks(&self) -> &Clocks {
        &self.clocks
    }

    /// Where the trace of a process goes that says this of itself: behind what an earlier consumer wrote of its ring, or
    /// into a new directory.
    ///
    /// # Errors
    /// A directory cannot be made.
    pub(crate) fn place(&self, hello: &Hello) -> Result<Place, Error> {
        let uuid = Uuid::from_random(hello.ring);
        let left = {
            let mut traces = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
            let first = hello.ring != [0; 16] && traces.used.insert(uuid);
            first.then(|| traces.left.remove(&uuid).filter(|_| hello.resumed))
        };
        Ok(match left {
            Some(Some(directory)) => Place::Resumed { directory, uuid },
            Some(None) => Place::New {
                directory: self.make_trace(&self.directory, &trace_name(hello))?,
                uuid,
            },
            None => Place::New {
                directory: self.make_trace(&self.directory, &trace_name(hello))?,
                uuid: random_uuid()?,
            },
        })
    }

    /// The same for the trace of a ring that all processes share.
    ///
    /// # Errors
    /// A directory cannot be made.
    pub(crate) fn shared_place(&self, ring: [u8; 16]) -> Result<Place, Error> {
        let uuid = Uuid::from_random(ring);
        let left = {
            let mut traces = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
            traces.used.insert(uuid);
            traces.left.remove(&uuid)
        };
        Ok(match left {
            Some(directory) => Place::Resumed { directory, uuid },
            None => Place::New {
                directory: self.make_trace(&self.directory, SHARED)?,
                uuid,
            },
        })
    }

    /// The traces that an earlier consumer left and nobody has gone on with; they are nobody's now.
    pub(crate) fn take_left(&self) -> BTreeMap<Uuid, PathBuf> {
        let mut traces = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut traces.left)
    }

    /// Where the next snapshot goes, and its number.
    pub(crate) fn next_snapshot(&self) -> (u64, PathBuf) {
        let mut last = self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        loop {
            *last += 1;
            let path = self.directory.join(format!("snapshot-{last}"));
            // Those of an earlier consumer stay.
            if !path.exists() {
                return (*last, path);
            }
        }
    }

    /// Makes the directory for a trace, in the session's or in one of those in it: of this name if it is free.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn make_trace(&self, parent: &Path, name: &str) -> Result<PathBuf, Error> {
        match make_directory(parent) {
            Ok(()) | Err(Error::Exists { .. }) => {}
            Err(e) => return Err(e),
        }
        let mut path = parent.join(name);
        for again in 2_u32.. {
            match make_directory(&path) {
                Err(Error::Exists { .. }) => path = parent.join(format!("{name}-{again}")),
                other => return other.map(|()| path),
            }
        }
        unreachable!("4 billion traces of one name")
    }
}

/// The name of the directory for a process' trace.
pub(crate) fn trace_name(hello: &Hello) -> String {
    format!("{}-{}", file_name(&hello.name), hello.pid)
}

/// The identity of the trace in a directory, if there is one: as its streams have it, which outlive the metadata.
fn identity(directory: &Path) -> Option<Uuid> {
    let files = fs::read_dir(directory).ok()?.flatten();
    let lanes = files.filter(|file| file.file_name().as_encoded_bytes().starts_with(b"lane_"));
    let uuids = lanes.filter_map(|file| uuid_of(&file.path()));
    let described = || metadata::read_file(&directory.join("metadata")).ok()?.uuid;
    uuids.into_iter().next().or_else(described)
}

fn make_directory(path: &Path) -> Result<(), Error> {
    match DirBuilder::new().create(path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Err(Error::Exists {
            path: path.to_owned(),
        }),
        other => other.map_err(Error::io("make", path)),
    }
}

/// `name` as part of a file name: letters, digits and a few signs, not too long, never empty or hidden.
#[must_use]
pub fn file_name(name: &str) -> String {
    let cleaned: String = name
        .chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '+' | '.' => c,
            _ => '_',
        })
        .take(64)
        .collect();
    match cleaned.trim_start_matches('.') {
        "" => "process".to_owned(),
        visible => visible.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_exists_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = Session::create(dir.path()).unwrap_err();
        assert!(matches!(error, Error::Exists { .. }), "{error}");
    }

    #[test]
    fn processes_of_one_name_and_number_get_a_trace_each() {
        let dir = tempfile::tempdir().unwrap();
        let session = Session::create(dir.path().join("deep/down")).unwrap();
        let names: Vec<_> = (0..3)
            .map(|_| session.make_trace(session.directory(), "shop-7").unwrap())
            .map(|path| path.file_name().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["shop-7", "shop-7-2", "shop-7-3"]);
    }

    #[test]
    fn no_name_leads_out_of_the_session() {
        let dir = tempfile::tempdir().unwrap();
        let session = Session::create(dir.path().join("session")).unwrap();
        for name in [
            "../../etc",
            "/",
            "..",
            "",
            ".hidden",
            "a/b\0c",
            &"x".repeat(999),
        ] {
            let name = format!("{}-1", file_name(name));
            let path = session.make_trace(session.directory(), &name).unwrap();
            assert_eq!(path.parent(), Some(session.directory()), "{name:?}");
            assert!(
                path.canonicalize()
                    .unwrap()
                    .starts_with(session.directory())
            );
        }
    }
}
