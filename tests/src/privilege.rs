//! What only root can do, or only somebody who is not.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use crate::{process, run};

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

impl SmallDisk {
    /// From now on nobody can write to it.
    ///
    /// # Panics
    /// It is refused, as while somebody has a file on it open for writing.
    pub fn make_read_only(&self) {
        mount_remount(&self.0, MountFlags::RDONLY, c"").expect("nobody writes");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// A group of processes that get a part of a CPU's time only, all together (cgroups(7)).
#[derive(Debug)]
pub struct CpuLimit(PathBuf);

impl CpuLimit {
    /// One of so many milliseconds out of each hundred; `None` where it cannot be had.
    #[must_use]
    pub fn make(millis: u64, name: &str, what: &str) -> Option<CpuLimit> {
        if !is_root(what) {
            return None;
        }
        let first = Path::new("/sys/fs/cgroup/cpu");
        let (above, file, quota) = match first.join("cpu.cfs_quota_us").exists() {
            true => (first, "cpu.cfs_quota_us", format!("{}", millis * 1000)),
            false => {
                let above = Path::new("/sys/fs/cgroup");
                let _ = fs::write(above.join("cgroup.subtree_control"), "+cpu");
                (above, "cpu.max", format!("{} 100000", millis * 1000))
            }
        };
        let group = CpuLimit(above.join(format!("laneway-{name}-{}", std::process::id())));
        let made = fs::create_dir(&group.0).and_then(|()| fs::write(group.0.join(file), quota));
        match made {
            Ok(()) => Some(group),
            Err(e) => {
                skipped(what, &format!("there are no control groups ({e})"));
                None
            }
        }
    }

    /// The same command, run in the group.
    #[must_use]
    pub fn on(&self, command: &Command) -> Command {
        let mut shell = process::command("sh");
        shell
            .args(["-c", "echo $$ >\"$0\" && exec \"$@\""])
            .arg(self.0.join("cgroup.procs"));
        process::becoming(shell, command)
    }

    /// How often its processes had to stand still.
    ///
    /// # Panics
    /// The kernel does not say.
    #[must_use]
    pub fn throttled(&self) -> u64 {
        let stat = fs::read_to_string(self.0.join("cpu.stat")).expect("it is there");
        let mut lines = stat.lines();
        let times = lines.find_map(|line| line.strip_prefix("nr_throttled "));
        times.and_then(|n| n.parse().ok()).expect("a number")
    }
}

impl Drop for CpuLimit {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
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
