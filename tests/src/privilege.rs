//! What only root can do, or only somebody who is not.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::run;

/// The user `nobody` of every Linux: somebody else.
pub const NOBODY: u32 = 65534;

/// Whether this runs as root; if not, says that `what` is not tested, where it is seen.
#[must_use]
pub fn is_root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skipped(what, "it takes root");
    }
    root
}

/// Says that something is not tested. Not by `eprintln!`, which the test runner keeps to itself.
fn skipped(what: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "NOT TESTED, {why}: {what}");
}

/// A file system in memory, mounted while this lives.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// One of `bytes` at `directory`, which is there and empty; `None` where it cannot be had.
    #[must_use]
    pub fn mount(directory: &Path, bytes: u64, what: &str) -> Option<SmallDisk> {
        if !is_root(what) {
            return None;
        }
        let size = std::ffi::CString::new(format!("size={bytes}")).expect("no NUL");
        match mount(
            "laneway-test",
            directory,
            "tmpfs",
            MountFlags::empty(),
            size.as_c_str(),
        ) {
            Ok(()) => Some(SmallDisk(directory.to_owned())),
            Err(e) => {
                skipped(what, &format!("mounting is refused ({e})"));
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// A copy of `program` in `directory` that everybody may run.
///
/// Made by install(1), not here: another test's child would inherit the descriptor that writes it, and nobody can
/// execute a file that is open for writing.
#[must_use]
pub fn copy_for_everybody(program: &Path, directory: &Path) -> PathBuf {
    let copy = directory.join(program.file_name().expect("a file"));
    let installed = run(Command::new("install")
        .args(["-m", "755"])
        .args([program, &copy]));
    assert!(installed.status.success(), "{installed:?}");
    copy
}
