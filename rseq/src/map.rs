//! A mapping of zeroed words: anonymous, or a sealed memfd.
//!
//! ```text
//!   private   mmap(MAP_PRIVATE | MAP_ANONYMOUS)
//!   shared    memfd_create → ftruncate → seal SHRINK and GROW → mmap(MAP_SHARED)
//!   attach    seals? size? → mmap(MAP_SHARED)
//! ```
//!
//! Invariant: `base` is the start of `length` words that stay mapped, readable and writable, until
//! the drop; all access to them, by whatever process, is atomic or by sequences.
//!
//! Miri and loom, which do not know memfds, get words from the heap.

use std::os::fd::OwnedFd;

use crate::memory::Error;
use crate::sync::AtomicU64;

#[cfg(not(any(miri, loom)))]
pub(crate) use system::Map;

#[cfg(any(miri, loom))]
pub(crate) use heap::Map;

/// Bytes of a page.
pub(crate) fn page_bytes() -> usize {
    if cfg!(any(miri, loom)) {
        return 256; // every word is work for them
    }
    // SAFETY: no memory.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096)
}

#[cfg(not(any(miri, loom)))]
mod system {
    use std::io;
    use std::os::fd::{AsRawFd, FromRawFd};
    use std::ptr::{self, NonNull};

    use super::*;

    #[derive(Debug)]
    pub(crate) struct Map {
        base: NonNull<AtomicU64>,
        length: usize,
        fd: Option<OwnedFd>,
    }

    // SAFETY: it owns the mapping, which is not tied to a thread, and gives out atomics only.
    unsafe impl Send for Map {}
    // SAFETY: as above.
    unsafe impl Sync for Map {}

    impl Map {
        pub(crate) fn private(length: usize) -> Result<Self, Error> {
            Self::mmap(length, None)
        }

        pub(crate) fn shared(length: usize) -> Result<Self, Error> {
            // SAFETY: a C string.
            let raw = unsafe {
                libc::memfd_create(
                    c"per-cpu".as_ptr(),
                    libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING,
                )
            };
            if raw < 0 {
                return Err(failed("memfd_create"));
            }
            // SAFETY: just made, and nobody else's.
            let fd = unsafe { OwnedFd::from_raw_fd(raw) };
            let bytes = (length * size_of::<AtomicU64>()) as libc::off_t;
            // SAFETY: our own descriptor.
            if unsafe { libc::ftruncate(raw, bytes) } < 0 {
                return Err(failed("ftruncate"));
            }
            let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
            // SAFETY: our own descriptor.
            if unsafe { libc::fcntl(raw, libc::F_ADD_SEALS, seals) } < 0 {
                return Err(failed("fcntl(F_ADD_SEALS)"));
            }
            Self::mmap(length, Some(fd))
        }

        /// Maps all of `fd` if it cannot shrink and is at least `least` words long.
        pub(crate) fn attach(fd: OwnedFd, least: usize) -> Result<Self, Error> {
            // SAFETY: a descriptor we own.
            let seals = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) };
            if seals < 0 {
                return Err(failed("fcntl(F_GET_SEALS)"));
            }
            if seals & libc::F_SEAL_SHRINK == 0 {
                let (reason, found) = ("it could still shrink; its seals are", seals as u64);
                return Err(Error::NotOurs { reason, found });
            }
            // SAFETY: plain data, for which zero is a value.
            let mut stat: libc::stat = unsafe { std::mem::zeroed() };
            // SAFETY: a descriptor we own and a writable struct.
            if unsafe { libc::fstat(fd.as_raw_fd(), &raw mut stat) } < 0 {
                return Err(failed("fstat"));
            }
            let length = stat.st_size as usize / size_of::<AtomicU64>();
            if length < least {
                let (reason, found) = ("it is too short; its bytes are", stat.st_size as u64);
                return Err(Error::NotOurs { reason, found });
            }
            Self::mmap(length, Some(fd))
        }

        fn mmap(length: usize, fd: Option<OwnedFd>) -> Result<Self, Error> {
            let (kind, raw) = match &fd {
                Some(fd) => (libc::MAP_SHARED, fd.as_raw_fd()),
                None => (
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                    -1,
                ),
            };
            let bytes = length * size_of::<AtomicU64>();
            let access = libc::PROT_READ | libc::PROT_WRITE;
            // SAFETY: a new mapping at an address of the kernel's choice.
            let base = unsafe { libc::mmap(ptr::null_mut(), bytes, access, kind, raw, 0) };
            if base == libc::MAP_FAILED {
                return Err(failed("mmap"));
            }
            let base = NonNull::new(base.cast()).expect("mmap places nothing at address 0");
            Ok(Self { base, length, fd })
        }

        #[inline(always)]
        pub(crate) fn words(&self, start: usize, count: usize) -> &[AtomicU64] {
            debug_assert!(start + count <= self.length);
            // SAFETY: the callers, all in `memory.rs`, ask for words of a layout that was checked
            // to lie within the mapping (`Layout::total() <= length`), for CPUs the layout has. Any
            // bytes are a valid atomic, and every access to them is one.
            unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(start), count) }
        }

        pub(crate) fn len(&self) -> usize {
            self.length
        }

        pub(crate) fn fd(&self) -> Option<&OwnedFd> {
            self.fd.as_ref()
        }
    }

    impl Drop for Map {
        fn drop(&mut self) {
            let bytes = self.length * size_of::<AtomicU64>();
            // SAFETY: our own mapping, to which nothing borrowed from `self` is left.
            unsafe { libc::munmap(self.base.as_ptr().cast(), bytes) };
        }
    }

    fn failed(call: &'static str) -> Error {
        Error::System {
            call,
            error: io::Error::last_os_error(),
        }
    }
}

#[cfg(any(miri, loom))]
mod heap {
    use super::*;

    #[derive(Debug)]
    pub(crate) struct Map {
        words: Vec<AtomicU64>,
    }

    impl Map {
        pub(crate) fn private(length: usize) -> Result<Self, Error> {
            Ok(Self {
                words: (0..length).map(|_| AtomicU64::new(0)).collect(),
            })
        }

        pub(crate) fn shared(length: usize) -> Result<Self, Error> {
            Self::private(length)
        }

        pub(crate) fn attach(_: OwnedFd, _: usize) -> Result<Self, Error> {
            Err(Error::System {
                call: "mmap",
                error: std::io::ErrorKind::Unsupported.into(),
            })
        }

        pub(crate) fn words(&self, start: usize, count: usize) -> &[AtomicU64] {
            &self.words[start..start + count]
        }

        pub(crate) fn len(&self) -> usize {
            self.words.len()
        }

        pub(crate) fn fd(&self) -> Option<&OwnedFd> {
            None
        }
    }
}
