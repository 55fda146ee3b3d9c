//! Buffers that nobody writes to and nobody reads any more: their files outlived both.
//!
//! ```text
//!   shop-4711.ring, .about ─▶ is the process dead? ─▶ the trace that its consumer began, or a new one ─▶ removed
//! ```
//! What is read is what a consumer would have read when the process died; see `drain::process`.
//!
//! Invariant: the buffer of a process that lives is left alone, and no file is removed before all of it is in the trace.

use std::fs::{File, OpenOptions};

use laneway_control::{BufferFile, ChannelConfig, encode_schemas};

use crate::Error;
use crate::consumer::{Options, Shared};
use crate::drain::shared::living_rings;
use crate::drain::{self, Application};
use crate::host::{has_mapped, sealed_file};
use crate::session::Session;
use crate::storage::repair;
use crate::summary::Summary;

/// Recovers buffers into a session.
#[derive(Debug)]
pub struct Recovery {
    shared: Shared,
    summary: Summary,
}

impl Recovery {
    /// Begins to recover into `session`: one that was resumed goes on with its traces.
    ///
    /// # Errors
    /// The system refuses a descriptor.
    pub fn new(session: Session, options: Options) -> Result<Recovery, Error> {
        let summary = Summary {
            directory: session.directory().to_owned(),
            ..Summary::default()
        };
        Ok(Recovery {
            shared: Shared::new(session, options, ChannelConfig::default())?,
            summary,
        })
    }

    /// Reads a buffer into the trace of its process, and removes its files, unless they are to be kept.
    ///
    /// # Errors
    /// [`Error::StillAlive`], or the buffer is none.
    pub fn recover(&mut self, buffer: &BufferFile) -> Result<(), Error> {
        let ring = buffer.ring();
        let ring = ring.canonicalize().map_err(Error::io("open", ring))?;
        let buffer = BufferFile::of(&ring);
        let (mut hello, events) = buffer.read_about()?;
        let file = OpenOptions::new().read(true).write(true).open(&ring);
        let file: File = file.map_err(Error::io("open", &ring))?;
        if has_mapped(hello.pid, &file) {
            let (pid, name) = (hello.pid, hello.name);
            return Err(Error::StillAlive {
                path: ring,
                pid,
                name,
            });
        }
        hello.resumed = true;
        hello.buffer_file = Some(ring.to_string_lossy().into_owned());
        let directory = ring
            .parent()
            .map(|path| path.to_string_lossy().into_owned());
        self.shared.channel.directory = directory;
        let schemas = encode_schemas(&events)?;
        let application = Application {
            hello,
            ring: file.into(),
            schemas: sealed_file(&schemas).map_err(Error::system("make a memory file"))?,
        };
        let process = drain::recover(application, &self.shared)?;
        self.summary.add(process);
        Ok(())
    }

    /// Says that a buffer could not be recovered, and why.
    pub fn refuse(&mut self, why: &Error) {
        self.summary.refuse(why.to_string());
    }

    /// Makes whole what else an earlier consumer left half written in the session, and says what was recovered.
    #[must_use]
    pub fn finish(mut self) -> Summary {
        living_rings(&self.shared.session); // removes what speaks of rings that are gone
        for (uuid, directory) in self.shared.session.take_left() {
            if let Err(e) = repair(&directory, uuid) {
                self.summary.refuse(e.to_string());
            }
        }
        self.summary.duration_s = self.shared.session.began().elapsed().as_secs_f64();
        self.summary
    }
}
