//! The machine, as a trace describes it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

use laneway_ctf::model::Uuid;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, major, memfd_create, minor};

use crate::Error;

/// What is known about the machine.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// Its name.
    pub(crate) name: String,
}

impl Host {
    /// Asks the system.
    pub(crate) fn look() -> Host {
        let names = rustix::system::uname();
        Host {
            name: names.nodename().to_string_lossy().into_owned(),
        }
    }
}

/// The identity of the machine since it was started (proc_sys_kernel(5), `random/boot_id`).
pub(crate) fn boot_id() -> Option<Uuid> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    text.trim().parse().ok()
}

/// When a process was started, in ticks since the machine was (proc_pid_stat(5), field 22).
pub(crate) fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may have anything in it.
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(22 - 3)?.parse().ok()
}

/// Whether a process has the memory of this descriptor mapped. What cannot be looked at, has.
pub(crate) fn has_mapped(pid: u32, memory: impl AsFd) -> bool {
    if pid == 0 {
        return true; // of another PID namespace
    }
    let Ok(stat) = fstat(memory) else { return true };
    let device = format!("{:02x}:{:02x}", major(stat.st_dev), minor(stat.st_dev));
    let inode = stat.st_ino.to_string();
    // A thread that has ended shows no memory, and the first one may end before the others.
    let threads = match std::fs::read_dir(format!("/proc/{pid}/task")) {
        Err(e) => return e.kind() != io::ErrorKind::NotFound,
        Ok(threads) => threads,
    };
    for thread in threads.flatten() {
        match std::fs::read(thread.path().join("maps")) {
            Ok(maps) if maps.is_empty() => {}
            // FROM-TO PERMISSIONS OFFSET DEVICE INODE PATH, see proc_pid_maps(5).
            Ok(maps) => {
                return maps.split(|&byte| byte == b'\n').any(|line| {
                    let mut columns = line.split(|&byte| byte == b' ');
                    columns.nth(3) == Some(device.as_bytes())
                        && columns.next() == Some(inode.as_bytes())
                });
            }
            // ESRCH: it ended while we looked.
            Err(e) if e.kind() == io::ErrorKind::NotFound || e.raw_os_error() == Some(3) => {}
            Err(_) => return true,
        }
    }
    false
}

/// An identity that nobody else has.
pub(crate) fn random_uuid() -> Result<Uuid, Error> {
    let mut bytes = [0; 16];
    let flags = rustix::rand::GetRandomFlags::empty();
    rustix::rand::getrandom(&mut bytes, flags).map_err(Error::system("get random bytes"))?;
    Ok(Uuid::from_random(bytes))
}

/// A memory file with these bytes, which nobody can change any more.
pub(crate) fn sealed_file(bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC;
    let mut file = File::from(memfd_create("laneway", flags)?);
    file.write_all(bytes)?;
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_mapped_as_long_as_it_is() {
        use laneway_ringbuf::{Geometry, SharedMemory};
        let own = std::process::id();
        let geometry = Geometry::new(1, 4096, 2).unwrap();
        let (fd, memory) = SharedMemory::create(geometry).unwrap();
        assert!(has_mapped(own, &fd));
        assert!(!has_mapped(1, &fd) || std::fs::read("/proc/1/maps").is_err());
        assert!(has_mapped(0, &fd), "nobody can look");
        drop(memory);
        assert!(!has_mapped(own, &fd));
        assert!(!has_mapped(u32::MAX, &fd), "there is no such process");
    }

    #[test]
    fn a_process_started_later_says_so() {
        let own = start_time(std::process::id()).unwrap();
        assert!(start_time(1).unwrap() <= own);
        assert_eq!(start_time(u32::MAX), None);
    }
}
