//! Where an export goes.
//!
//! Invariant: what is there already is never touched, and what was made here disappears again unless it was finished.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::Out;
use crate::progress::is_file;

/// A file or directory that did not exist before, or standard output.
#[derive(Debug)]
pub(super) struct Target {
    path: PathBuf,
    kind: Kind,
    finished: bool,
}

#[derive(Debug)]
enum Kind {
    Stdout,
    File(File),
    Directory,
}

impl Target {
    pub(super) fn stdout() -> Target {
        Target {
            path: PathBuf::new(),
            kind: Kind::Stdout,
            finished: true,
        }
    }

    /// A new file.
    pub(super) fn file(path: &Path) -> Result<Target> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).open(path);
        let file = file.map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => exists(path),
            _ => anyhow::Error::new(e).context(cannot_write(path)),
        })?;
        Ok(Target {
            path: path.to_owned(),
            kind: Kind::File(file),
            finished: false,
        })
    }

    /// A new directory.
    pub(super) fn directory(path: &Path) -> Result<Target> {
        ensure!(!path.exists(), exists(path));
        fs::create_dir_all(path)
            .with_context(|| format!("cannot make the directory {}", path.display()))?;
        Ok(Target {
            path: path.to_owned(),
            kind: Kind::Directory,
            finished: false,
        })
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, to write to.
    pub(super) fn open(&self) -> Result<Out> {
        Ok(BufWriter::with_capacity(
            256 << 10,
            match &self.kind {
                Kind::File(file) => Box::new(file.try_clone()?),
                Kind::Stdout | Kind::Directory => Box::new(io::stdout()),
            },
        ))
    }

    /// An error with the name of the file that could not be written; those of files in a directory have it.
    pub(super) fn blamed_for(&self, error: anyhow::Error) -> anyhow::Error {
        match self.kind {
            Kind::Stdout => error.context("cannot write to standard output"),
            Kind::File(_) => error.context(cannot_write(&self.path)),
            Kind::Directory => error,
        }
    }

    /// Whether nobody looks at the output while it is written.
    pub(super) fn is_apart(&self) -> bool {
        match self.kind {
            Kind::Stdout => is_file(io::stdout()),
            Kind::File(_) | Kind::Directory => true,
        }
    }

    /// It is finished: it stays.
    pub(super) fn keep(mut self) {
        self.finished = true;
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let _ = match self.kind {
            Kind::Stdout => Ok(()),
            Kind::File(_) => fs::remove_file(&self.path),
            Kind::Directory => fs::remove_dir_all(&self.path),
        };
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

fn exists(path: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "{} exists already: choose another place, or remove it",
        path.display()
    )
}
