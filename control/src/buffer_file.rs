//! A buffer that outlives both sides: a file on a tmpfs, and one next to it that says whose it is.
//!
//! ```text
//!   DIR/shop-4711.ring     what the application writes its records into
//!   DIR/shop-4711.about    its Hello, as on the socket | its schemas, as in their memory file
//! ```
//! With both, `laneway recover` can read a buffer when neither the application nor the consumer is left. A second buffer of
//! the same name gets a number: `shop-4711.2.ring`.
//!
//! Invariant: whatever an about file holds, reading it ends in time, takes bounded memory, and at worst is an [`Error`].

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::message::{FrameDecoder, MAX_FRAME_BYTES, encode_frame};
use crate::schema::{EventSchema, MAX_SCHEMA_BYTES, decode_schemas};
use crate::{Error, Hello, ToConsumer, channel};

/// How many names are tried before a directory counts as full of leftovers.
const NAMES: u32 = 10_000;

/// Bytes of a process's name in a file's name.
const NAME_BYTES: usize = 32;

const RING: &str = "ring";
const ABOUT: &str = "about";

/// The two files of one buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferFile {
    ring: PathBuf,
}

impl BufferFile {
    /// The buffer whose ring is this file.
    #[must_use]
    pub fn of(ring: impl Into<PathBuf>) -> Self {
        BufferFile { ring: ring.into() }
    }

    /// Names that the buffer of a process can have, the best one first: to be tried until there is one that no file has.
    pub fn names(directory: &Path, process: &str, pid: u32) -> impl Iterator<Item = BufferFile> {
        let directory = directory.to_owned();
        let stem = format!("{}-{pid}", plain(process));
        (1..=NAMES).map(move |number| {
            let name = match number {
                1 => format!("{stem}.{RING}"),
                _ => format!("{stem}.{number}.{RING}"),
            };
            BufferFile::of(directory.join(name))
        })
    }

    /// All buffers in a directory, in the order of their names.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn all(directory: &Path) -> Result<Vec<BufferFile>, Error> {
        let fail = |source| Error::Io {
            what: "read",
            path: directory.to_owned(),
            source,
        };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            if path.extension().is_some_and(|ext| ext == RING) {
                found.push(BufferFile::of(path));
            }
        }
        found.sort_by(|a, b| a.ring.cmp(&b.ring));
        Ok(found)
    }

    /// The file that holds the records.
    #[must_use]
    pub fn ring(&self) -> &Path {
        &self.ring
    }

    /// The file that says whose they are.
    #[must_use]
    pub fn about(&self) -> PathBuf {
        self.ring.with_extension(ABOUT)
    }

    /// Writes the about file; `schemas` are [encoded](crate::encode_schemas).
    ///
    /// # Errors
    /// It cannot be written, or there is one.
    pub fn describe(&self, hello: &Hello, schemas: &[u8]) -> Result<(), Error> {
        let frame = encode_frame(&ToConsumer::Hello(hello.clone()))?;
        let write = || -> io::Result<()> {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let fd = rustix::fs::open(self.about(), flags, Mode::RUSR | Mode::WUSR)?;
            let mut file = File::from(fd);
            file.write_all(&frame)?;
            file.write_all(schemas)
        };
        write().map_err(|source| self.about_error("write", source))
    }

    /// Reads the about file: who wrote to the ring, and what its events are.
    ///
    /// # Errors
    /// There is none, it belongs to somebody else, it is not whole, or comes from another version.
    pub fn read_about(&self) -> Result<(Hello, Vec<EventSchema>), Error> {
        let fail = |source| self.about_error("read", source);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let about = self.about();
        let fd = rustix::fs::open(&about, flags, Mode::empty()).map_err(|e| fail(e.into()))?;
        channel::check_owner(&fd, &about)?;
        let mut bytes = Vec::new();
        File::from(fd)
            .take((4 + MAX_FRAME_BYTES + MAX_SCHEMA_BYTES) as u64)
            .read_to_end(&mut bytes)
            .map_err(fail)?;

        let mut rest = &bytes[..];
        let mut decoder = FrameDecoder::default();
        let message = loop {
            if let Some(message) = decoder.take()? {
                break message;
            }
            match rest.split_off(..decoder.wants()) {
                Some(piece) => decoder.push(piece),
                None => return Err(Error::HalfMessage),
            }
        };
        match message {
            ToConsumer::Hello(hello) => Ok((hello, decode_schemas(rest)?)),
            ToConsumer::Stopped | ToConsumer::Unable { .. } => Err(Error::NotLaneway),
        }
    }

    /// Removes both files, the ring last: what is found without an about file is of no use, but is no harm either.
    ///
    /// # Errors
    /// One of them is there and cannot be removed.
    pub fn remove(&self) -> Result<(), Error> {
        for path in [&self.about(), &self.ring] {
            match std::fs::remove_file(path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::Io {
                        what: "remove",
                        path: path.clone(),
                        source,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn about_error(&self, what: &'static str, source: io::Error) -> Error {
        Error::Io {
            what,
            path: self.about(),
            source,
        }
    }
}

/// A process's name as a part of a file's name.
fn plain(name: &str) -> String {
    let plain: String = name
        .chars()
        .take(NAME_BYTES)
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') => c,
            _ => '_',
        })
        .collect();
    match plain.is_empty() {
        true => "process".to_owned(),
        false => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::hello;
    use crate::{EventSchema, Level, encode_schemas};

    fn events() -> Vec<EventSchema> {
        vec![EventSchema {
            provider: "shop".into(),
            name: "order".into(),
            level: Level::Info,
            file: "shop.rs".into(),
            line: 7,
            module: "shop".into(),
            fields: vec![],
        }]
    }

    fn described(dir: &tempfile::TempDir) -> BufferFile {
        let buffer = BufferFile::names(dir.path(), "shop", 4711).next().unwrap();
        let schemas = encode_schemas(&events()).unwrap();
        buffer.describe(&hello(), &schemas).unwrap();
        buffer
    }

    #[test]
    fn an_about_file_tells_what_was_said_on_the_socket() {
        let dir = tempfile::tempdir().unwrap();
        let buffer = described(&dir);
        assert_eq!(buffer.read_about().unwrap(), (hello(), events()));
        assert!(
            buffer.describe(&hello(), b"").is_err(),
            "that of another buffer stays"
        );
        assert_eq!(buffer.read_about().unwrap(), (hello(), events()));
    }

    #[test]
    fn an_about_file_that_is_not_whole_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let buffer = described(&dir);
        let whole = std::fs::read(buffer.about()).unwrap();
        for len in 0..whole.len() {
            std::fs::write(buffer.about(), &whole[..len]).unwrap();
            assert!(buffer.read_about().is_err(), "cut to {len} bytes");
        }
    }

    #[test]
    fn names_stay_in_the_directory_and_never_run_into_each_other() {
        let dir = Path::new("/dev/shm");
        let names: Vec<_> = BufferFile::names(dir, "../../sh op", 1).take(3).collect();
        let paths: Vec<_> = names.iter().map(BufferFile::ring).collect();
        assert_eq!(
            paths,
            [
                Path::new("/dev/shm/______sh_op-1.ring"),
                Path::new("/dev/shm/______sh_op-1.2.ring"),
                Path::new("/dev/shm/______sh_op-1.3.ring"),
            ]
        );
        assert_eq!(
            names[1].about(),
            Path::new("/dev/shm/______sh_op-1.2.about")
        );
        let nameless = BufferFile::names(dir, "", 1).next().unwrap();
        assert_eq!(nameless.ring(), Path::new("/dev/shm/process-1.ring"));
    }

    #[test]
    fn all_buffers_of_a_directory_are_found_and_can_be_removed() {
        let dir = tempfile::tempdir().unwrap();
        let buffer = described(&dir);
        assert_eq!(BufferFile::all(dir.path()).unwrap(), [], "no ring yet");
        std::fs::write(buffer.ring(), "").unwrap();
        let found = BufferFile::all(dir.path()).unwrap();
        assert_eq!(found, std::slice::from_ref(&buffer));
        buffer.remove().unwrap();
        buffer.remove().unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
