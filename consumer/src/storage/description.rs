//! The metadata file of a trace.
//!
//! ```text
//!   .metadata.draft ── rename ──▶ metadata          readers see the old text or the new one, never half of either
//!          │
//!          └ no room: the new text goes over the old one, if it is no longer
//! ```
//!
//! Invariant: no packet is written before there is metadata that describes its events.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use laneway_ctf::model::TraceClass;
use laneway_ctf::{ctf2, tsdl};

/// The formats that traces are written in. They differ in their metadata; streams are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceFormat {
    /// CTF 1.8, which every reader knows.
    #[default]
    Ctf1_8,
    /// CTF 2, which babeltrace2 reads from version 2.1 on.
    Ctf2,
}

impl TraceFormat {
    fn describe(self, class: &TraceClass) -> Vec<u8> {
        match self {
            TraceFormat::Ctf1_8 => tsdl::write(class).into_bytes(),
            TraceFormat::Ctf2 => ctf2::write(class),
        }
    }
}

/// The metadata of one trace, written or about to be.
#[derive(Debug)]
pub(super) struct Description {
    path: PathBuf,
    format: TraceFormat,
    /// What packets have to wait for.
    needed: Option<Vec<u8>>,
}

impl Description {
    /// That of the trace in `directory`.
    pub(super) fn new(directory: &Path, format: TraceFormat) -> Description {
        Description {
            path: directory.join("metadata"),
            format,
            needed: None,
        }
    }

    /// Packets from now on need this description.
    pub(super) fn need(&mut self, class: &TraceClass) {
        self.needed = Some(self.format.describe(class));
    }

    /// This description is better than the one there is, but not needed.
    ///
    /// # Errors
    /// It could not be written.
    pub(super) fn improve(&mut self, class: &TraceClass) -> io::Result<()> {
        let text = self.format.describe(class);
        match &mut self.needed {
            Some(needed) => *needed = text,
            None => self.put(&text)?,
        }
        Ok(())
    }

    /// Writes what is needed, unless it is written.
    ///
    /// # Errors
    /// It could not be written.
    pub(super) fn write(&mut self) -> io::Result<()> {
        if let Some(text) = self.needed.take()
            && let Err(e) = self.put(&text)
        {
            self.needed = Some(text);
            return Err(e);
        }
        Ok(())
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn put(&self, text: &[u8]) -> io::Result<()> {
        let draft = self.path.with_file_name(".metadata.draft");
        let written = File::create(&draft)
            .and_then(|mut file| file.write_all(text))
            .and_then(|()| fs::rename(&draft, &self.path));
        let Err(e) = written else {
            return Ok(());
        };
        let _ = fs::remove_file(&draft);
        // A full disk has room for what is there already.
        let file = OpenOptions::new().write(true).open(&self.path);
        match file.and_then(|file| Ok((file.metadata()?.len(), file))) {
            Ok((length, file)) if length >= text.len() as u64 => {
                file.write_all_at(text, 0)?;
                file.set_len(text.len() as u64)
            }
            _ => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use laneway_ctf::metadata;
    use laneway_ctf::model::Uuid;

    fn class(n: u8) -> TraceClass {
        let mut class = TraceClass::new(Uuid::from_random([n; 16]));
        class.set_env("n", i64::from(n));
        class
    }

    #[test]
    fn both_formats_read_back_as_the_same_trace() {
        for format in [TraceFormat::Ctf1_8, TraceFormat::Ctf2] {
            let dir = tempfile::tempdir().unwrap();
            let mut description = Description::new(dir.path(), format);
            description.need(&class(1));
            description.write().unwrap();
            let found = metadata::read_file(description.path()).unwrap();
            assert_eq!(found.uuid, class(1).uuid);
            assert_eq!(found.env("n"), class(1).env("n"));
            description.improve(&class(2)).unwrap();
            let found = metadata::read_file(description.path()).unwrap();
            assert_eq!(found.env("n"), class(2).env("n"), "{format:?}");
            let files = fs::read_dir(dir.path()).unwrap().count();
            assert_eq!(files, 1, "no draft stays behind");
        }
    }

    #[test]
    fn what_could_not_be_written_is_written_later() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("below");
        let mut description = Description::new(&below, TraceFormat::Ctf1_8);
        description.need(&class(1));
        assert!(description.write().is_err());
        assert!(
            description.improve(&class(2)).is_ok(),
            "it is not there yet"
        );
        fs::create_dir(&below).unwrap();
        description.write().unwrap();
        let found = metadata::read_file(description.path()).unwrap();
        assert_eq!(found.env("n"), class(2).env("n"));
    }

    #[test]
    fn without_room_for_a_draft_a_text_that_is_not_longer_goes_over_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut description = Description::new(dir.path(), TraceFormat::Ctf1_8);
        description.need(&class(1));
        description.write().unwrap();
        // A directory in the draft's place: as little use as a full disk.
        fs::create_dir(dir.path().join(".metadata.draft")).unwrap();
        description.improve(&class(2)).unwrap();
        let found = metadata::read_file(description.path()).unwrap();
        assert_eq!(found.env("n"), class(2).env("n"));
        let mut longer = class(3);
        longer.set_env("more", "text");
        assert!(description.improve(&longer).is_err());
        let found = metadata::read_file(description.path()).unwrap();
        assert_eq!(found.env("n"), class(2).env("n"), "the old one stays whole");
    }
}
