//! The machine, as a trace describes it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use laneway_ctf::model::Uuid;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

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
