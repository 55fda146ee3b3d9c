//! A trace on disk: a directory with a metadata file and the files of its streams.
//!
//! ```text
//!  session/           any directory: all traces below it are found
//!    app-4711/
//!      metadata       TSDL, plain or in packets, or JSON
//!      lane_0         one stream; several files may make one
//!      lane_1
//!      index/         LTTng's: where the packets are
//! ```
//! Which stream a file belongs to is said by its first packet. The files of one stream are read in the order of time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::packet::probe;
use super::plan::TracePlan;
use super::source::FileSource;
use super::stream::Shared;
use crate::error::{Damage, Error, MetadataError};
use crate::metadata;
use crate::model::TraceClass;

/// A trace that can be read.
#[derive(Clone, Debug)]
pub struct Trace {
    pub(crate) shared: Arc<Shared>,
    streams: Vec<StreamFiles>,
    refused: Vec<Damage>,
}

/// The files of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamFiles {
    /// The index of its class in the trace class.
    pub class: usize,
    /// Its id within the class.
    pub id: Option<u64>,
    /// The same, or, if the trace gives none, its number among the streams of the class.
    pub id_or_number: u64,
    /// The files, in the order of time.
    pub files: Vec<PathBuf>,
}

impl Trace {
    /// Opens the trace in `directory`: reads its metadata and the first packet of every stream file.
    ///
    /// # Errors
    /// If there is no trace, its metadata cannot be understood, or the operating system says no. Files whose first
    /// packet makes no sense are left out, and told of by [`refused`](Self::refused).
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, Error> {
        Trace::open_below(directory.as_ref(), None)
    }

    /// Opens all traces in `path` and below it.
    ///
    /// # Errors
    /// If there is none, or one cannot be opened.
    pub fn open_all(path: impl AsRef<Path>) -> Result<Vec<Self>, Error> {
        let path = path.as_ref();
        let below = |found: &Path| {
            let below = found
                .strip_prefix(path)
                .ok()?
                .to_string_lossy()
                .into_owned();
            (!below.is_empty()).then_some(below)
        };
        find_traces(path)?
            .iter()
            .map(|found| Trace::open_below(found, below(found)))
            .collect()
    }

    fn open_below(directory: &Path, below: Option<String>) -> Result<Self, Error> {
        let path = directory.join("metadata");
        if !path.is_file() {
            return Err(Error::NotATrace(directory.to_owned()));
        }
        let class = metadata::read_file(&path)?;
        let mut trace =
            Trace::from_class(directory, class, below).map_err(|message| Error::Metadata {
                path,
                source: MetadataError::Class(message),
            })?;
        trace.find_streams()?;
        Ok(trace)
    }

    /// A trace of this class without streams yet.
    pub(crate) fn from_class(
        path: &Path,
        class: TraceClass,
        below: Option<String>,
    ) -> Result<Self, String> {
        let plan = TracePlan::new(&class)?;
        let shared = Shared {
            path: path.to_owned(),
            below,
            class,
            plan,
        };
        Ok(Trace {
            shared: Arc::new(shared),
            streams: Vec::new(),
            refused: Vec::new(),
        })
    }

    fn find_streams(&mut self) -> Result<(), Error> {
        let directory = self.shared.path.clone();
        let io = |source| Error::Io {
            path: directory.clone(),
            source,
        };
        let mut files = Vec::new();
        for entry in fs::read_dir(&directory).map_err(io)? {
            let entry = entry.map_err(io)?;
            let name = entry.file_name();
            let hidden = name.as_encoded_bytes().first() == Some(&b'.');
            let path = entry.path();
            if !hidden
                && name != "metadata"
                && path.metadata().is_ok_and(|m| m.is_file() && m.len() > 0)
            {
                files.push(path);
            }
        }
        files.sort();
        // Of every file: when it begins, and which stream it is of.
        let mut found = Vec::new();
        for path in files {
            let mut source = FileSource::new(path.clone(), true);
            match probe(&self.shared, &mut source) {
                Ok(None) => {}
                Ok(Some((class, packet))) => found.push((class, packet.stream, packet.begin, path)),
                Err(reason) => self.refused.push(Damage {
                    skipped: fs::metadata(&path).map_or(0, |m| m.len()),
                    file: path,
                    packet: 0,
                    bit: 0,
                    field: None,
                    reason,
                }),
            }
        }
        // Without a time there is no order: such a file is a stream of its own.
        found.sort_by_key(|(_, _, begin, _)| *begin);
        for (class, id, begin, path) in found {
            let same = |stream: &&mut StreamFiles| stream.class == class && stream.id == id;
            let known = match (id, begin) {
                (Some(_), Some(_)) => self.streams.iter_mut().find(same),
                _ => None,
            };
            match known {
                Some(stream) => stream.files.push(path),
                None => self.streams.push(StreamFiles {
                    class,
                    id,
                    id_or_number: id.unwrap_or(0),
                    files: vec![path],
                }),
            }
        }
        self.streams.sort_by(|a, b| a.files.cmp(&b.files));
        let mut numbers = vec![0; self.shared.class.streams.len()];
        for stream in self.streams.iter_mut().filter(|stream| stream.id.is_none()) {
            stream.id_or_number = numbers[stream.class];
            numbers[stream.class] += 1;
        }
        Ok(())
    }

    /// The directory it is in.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// What its metadata says.
    #[must_use]
    pub fn class(&self) -> &TraceClass {
        &self.shared.class
    }

    /// Its streams.
    #[must_use]
    pub fn streams(&self) -> &[StreamFiles] {
        &self.streams
    }

    /// The files that look like none of its streams.
    #[must_use]
    pub fn refused(&self) -> &[Damage] {
        &self.refused
    }
}

/// The directories of all traces in `path` and below it, in the order of their names.
///
/// # Errors
/// If there is none, or the operating system says no.
pub fn find_traces(path: impl AsRef<Path>) -> Result<Vec<PathBuf>, Error> {
    let path = path.as_ref();
    let mut found = Vec::new();
    // A stack of directories and not a recursion: a tree may be deep.
    let mut left = vec![path.to_owned()];
    while let Some(directory) = left.pop() {
        let io = |source| Error::Io {
            path: directory.clone(),
            source,
        };
        let mut below = Vec::new();
        for entry in fs::read_dir(&directory).map_err(io)? {
            let entry = entry.map_err(io)?;
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => below.push(entry.path()),
                Ok(_) if entry.file_name() == "metadata" => found.push(directory.clone()),
                _ => {}
            }
        }
        below.sort();
        left.extend(below.into_iter().rev());
    }
    match found.is_empty() {
        true => Err(Error::NotATrace(path.to_owned())),
        false => {
            found.sort();
            Ok(found)
        }
    }
}
