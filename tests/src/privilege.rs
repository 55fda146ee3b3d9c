//! What only root can do, or only somebody who is not.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

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
#[must_use]
pub fn copy_for_everybody(program: &Path, directory: &Path) -> PathBuf {
    let name = program.file_name().expect("a file");
    let copy = directory.join(name);
    fs::copy(program, &copy).expect("a file can be copied");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("it is ours");
    copy
}
