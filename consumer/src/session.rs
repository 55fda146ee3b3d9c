//! One recording on disk: a directory with a trace for every process in it.
//!
//! ```text
//!   DIR/                     made by the session, refused if it is there
//!     shop-4711/             one CTF trace for each process
//!       metadata
//!       lane_0  lane_1 …     one stream for each lane that was used
//!     shop-4711-2/           another process of that name and number
//! ```
//!
//! Invariant: no name that an application sends leads out of the session's directory.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use crate::Error;
use crate::clocks::Clocks;
use crate::host::Host;

/// A directory that is being recorded into.
#[derive(Debug)]
pub struct Session {
    directory: PathBuf,
    host: Host,
    created: SystemTime,
    began: Instant,
    clocks: Clocks,
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
        Ok(Session {
            directory,
            host: Host::look(),
            created: SystemTime::now(),
            began: Instant::now(),
            clocks: Clocks::default(),
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

    /// Makes the directory for a process' trace.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn make_trace(&self, name: &str, pid: u32) -> Result<PathBuf, Error> {
        let stem = format!("{}-{pid}", file_name(name));
        let mut path = self.directory.join(&stem);
        for again in 2_u32.. {
            match make_directory(&path) {
                Err(Error::Exists { .. }) => path = self.directory.join(format!("{stem}-{again}")),
                other => return other.map(|()| path),
            }
        }
        unreachable!("4 billion traces of one process id")
    }
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
            .map(|_| session.make_trace("shop", 7).unwrap())
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
            let path = session.make_trace(name, 1).unwrap();
            assert_eq!(path.parent(), Some(session.directory()), "{name:?}");
            assert!(
                path.canonicalize()
                    .unwrap()
                    .starts_with(session.directory())
            );
        }
    }
}
