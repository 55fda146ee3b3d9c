//! Small things that processes hand to each other: bytes in a memory file that can change no more.
//!
//! Invariant: what is read here was sealed against every change before it was looked at.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const SEALS: i32 = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

/// A sealed memory file that holds `bytes`.
pub(crate) fn sealed(name: &CStr, bytes: &[u8]) -> io::Result<OwnedFd> {
    // SAFETY: a C string and valid flags; the result is checked and, being fresh, ours.
    let mut file = unsafe {
        match libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) {
            fd if fd < 0 => return Err(io::Error::last_os_error()),
            fd => File::from_raw_fd(fd),
        }
    };
    file.write_all(bytes)?;
    // SAFETY: fcntl on a descriptor we own, with an integer argument.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, SEALS) } {
        0 => Ok(file.into()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The bytes of a sealed memory file, at most `limit` of them.
pub(crate) fn read(fd: &OwnedFd, limit: usize) -> io::Result<Vec<u8>> {
    const ENOUGH: i32 = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
    // SAFETY: fcntl on a descriptor we borrow, without an argument.
    let seals = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) };
    if seals < 0 || seals & ENOUGH != ENOUGH {
        return Err(io::Error::other("the memory file is not sealed"));
    }
    let mut file = File::from(fd.try_clone()?);
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_read_as_often_as_one_likes_and_never_changes() {
        let fd = sealed(c"test", b"some bytes").unwrap();
        assert_eq!(read(&fd, 100).unwrap(), b"some bytes");
        assert_eq!(read(&fd, 4).unwrap(), b"some");
        let mut file = File::from(fd.try_clone().unwrap());
        file.rewind().unwrap();
        assert!(file.write_all(b"other").is_err());
        assert!(file.set_len(0).is_err());
    }

    #[test]
    fn what_can_still_change_is_not_read() {
        let (reader, _writer) = io::pipe().unwrap();
        assert!(read(&reader.into(), 1).is_err());
    }
}
