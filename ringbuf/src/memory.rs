//! The sealed memfd and its mapping.
//!
//! The producer creates the file, sizes it, seals it against shrinking and growing
//! and maps it; the consumer gets the file descriptor, checks the seals and the
//! header, and maps the same bytes. With the seals on, neither side can make the
//! other fault (memfd_create(2), "File sealing").
//!
//! Invariant: a `SharedMemory` maps exactly `geometry.buffer_bytes()` bytes for as
//! long as it lives.

use crate::Error;
use crate::lane::Lane;
use crate::layout::{BufferHeader, Geometry, MAGIC};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;

const SEALS: i32 = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

/// One mapping of a buffer.
#[derive(Debug)]
pub struct SharedMemory {
    base: NonNull<u8>,
    geometry: Geometry,
}

// SAFETY: the mapping is plain memory of which only atomics and raw copies are
// used, from any thread.
unsafe impl Send for SharedMemory {}
// SAFETY: as above; no method hands out `&mut` or a reference to plain data.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// Makes a buffer: a sealed memfd, with its header written, and its mapping.
    ///
    /// Nothing but the header page is allocated.
    ///
    /// # Errors
    /// [`Error::Memory`] where the kernel refuses the file or the mapping.
    pub fn create(geometry: Geometry) -> Result<(OwnedFd, Self), Error> {
        let bytes = geometry.buffer_bytes();
        let fail = |what| {
            move |source| Error::Memory {
                what,
                bytes,
                source,
            }
        };
        let fd = memfd().map_err(fail("create a memory file"))?;
        let file = File::from(fd);
        file.set_len(bytes).map_err(fail("size a memory file"))?;
        let fd = OwnedFd::from(file);
        // SAFETY: fcntl on a descriptor we own, with an integer argument.
        if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, SEALS) } < 0 {
            return Err(fail("seal a memory file")(io::Error::last_os_error()));
        }
        let memory = Self::map(&fd, geometry)?;
        let header = memory.header();
        header.lanes.store(geometry.lanes, Ordering::Relaxed);
        header
            .sub_buffers
            .store(geometry.sub_buffers as u32, Ordering::Relaxed);
        header
            .sub_buffer_bytes
            .store(geometry.sub_buffer_bytes, Ordering::Relaxed);
        header.magic.store(MAGIC, Ordering::Release);
        Ok((fd, memory))
    }

    /// Maps a buffer that somebody else made, after checking all it claims.
    ///
    /// # Errors
    /// [`Error::NotSealed`], [`Error::NotABuffer`], [`Error::WrongSize`], a geometry
    /// error, or [`Error::Memory`] where the kernel refuses the mapping.
    pub fn open(fd: &OwnedFd) -> Result<Self, Error> {
        // SAFETY: fcntl on a descriptor we borrow, without an argument.
        let seals = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) };
        if seals < 0 || seals & SEALS != SEALS {
            return Err(Error::NotSealed(seals.max(0)));
        }
        let actual = file_bytes(fd)?;
        // The header is read with pread, so nothing is mapped on trust.
        let geometry = read_geometry(fd)?;
        let needed = geometry.buffer_bytes();
        if actual != needed {
            return Err(Error::WrongSize { actual, needed });
        }
        Self::map(fd, geometry)
    }

    fn map(fd: &OwnedFd, geometry: Geometry) -> Result<Self, Error> {
        let bytes = geometry.buffer_bytes();
        // SAFETY: a fresh mapping at an address the kernel chooses aliases nothing.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes as usize,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            let source = io::Error::last_os_error();
            return Err(Error::Memory {
                what: "map a memory file",
                bytes,
                source,
            });
        }
        let base = NonNull::new(base.cast()).expect("mmap never answers null");
        Ok(SharedMemory { base, geometry })
    }

    /// How this buffer is cut.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    pub(crate) fn header(&self) -> &BufferHeader {
        // SAFETY: the mapping begins with a page that holds a `BufferHeader`, which
        // is made of atomics only, and lives as long as `self`.
        unsafe { self.base.cast().as_ref() }
    }

    /// Lane `index`, which must be below twice the number of lanes.
    pub(crate) fn lane(&self, index: u32) -> Lane<'_> {
        assert!(
            index < self.geometry.lanes * 2,
            "lane {index} of a smaller buffer"
        );
        // SAFETY: the offset of an existing lane's data lies inside the mapping,
        // with its control block below it, for the lifetime of `self`.
        unsafe {
            let data = self.base.add(self.geometry.lane_offset(index) as usize);
            Lane::new(data, self.geometry)
        }
    }

    /// The data of lane 0, from which all lanes follow at the geometry's stride.
    pub(crate) fn first_lane(&self) -> *mut u8 {
        self.lane(0).data()
    }

    /// Replaces the mapping by private zeroes, so that a fork's child, which shares
    /// these pages with its parent, can neither write to them nor fault.
    pub(crate) fn forget_in_child(&self) {
        // SAFETY: MAP_FIXED over a range that this value owns; every access to it
        // is by atomics or raw copies, for which any bytes are valid.
        unsafe {
            libc::mmap(
                self.base.as_ptr().cast(),
                self.geometry.buffer_bytes() as usize,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE,
                -1,
                0,
            );
        }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `map` and nobody holds a reference into it
        // any more: they all borrow from `self`, and `Channel::detach` waits for the
        // writers, who hold raw pointers.
        unsafe {
            libc::munmap(
                self.base.as_ptr().cast(),
                self.geometry.buffer_bytes() as usize,
            )
        };
    }
}

fn memfd() -> io::Result<OwnedFd> {
    // SAFETY: a NUL-terminated name and valid flags; the result is checked and,
    // being fresh, owned by nobody else.
    unsafe {
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        match libc::memfd_create(c"laneway".as_ptr(), flags) {
            fd if fd < 0 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

fn file_bytes(fd: &OwnedFd) -> Result<u64, Error> {
    let fail = |source| Error::Memory {
        what: "look at a memory file",
        bytes: 0,
        source,
    };
    let file = File::from(fd.try_clone().map_err(fail)?);
    Ok(file.metadata().map_err(fail)?.len())
}

fn read_geometry(fd: &OwnedFd) -> Result<Geometry, Error> {
    use std::os::unix::fs::FileExt;
    let fail = |source| Error::Memory {
        what: "read the header of a memory file",
        bytes: 0,
        source,
    };
    let file = File::from(fd.try_clone().map_err(fail)?);
    let mut bytes = [0; 24];
    file.read_exact_at(&mut bytes, 0).map_err(fail)?;
    let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    if word(0) != MAGIC {
        return Err(Error::NotABuffer(
            "its first bytes are not the magic number",
        ));
    }
    let (lanes, sub_buffers) = (word(8) as u32, word(8) >> 32);
    let (lanes, sub_buffers) = if cfg!(target_endian = "little") {
        (lanes, sub_buffers)
    } else {
        (sub_buffers as u32, u64::from(lanes))
    };
    Geometry::new(lanes, word(16), sub_buffers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_side_maps_the_same_bytes() {
        let geometry = Geometry::new(2, 4096, 4).unwrap();
        let (fd, ours) = SharedMemory::create(geometry).unwrap();
        let theirs = SharedMemory::open(&fd).unwrap();
        assert_eq!(theirs.geometry(), geometry);
        ours.lane(3)
            .control()
            .lost
            .full
            .store(42, Ordering::Relaxed);
        assert_eq!(
            theirs.lane(3).control().lost.full.load(Ordering::Relaxed),
            42
        );
    }

    #[test]
    fn an_unsealed_file_is_refused() {
        let fd = memfd().unwrap();
        assert!(matches!(SharedMemory::open(&fd), Err(Error::NotSealed(0))));
    }

    #[test]
    fn a_header_that_claims_too_much_is_refused() {
        let geometry = Geometry::new(1, 4096, 2).unwrap();
        let (fd, ours) = SharedMemory::create(geometry).unwrap();
        ours.header().lanes.store(2, Ordering::Relaxed);
        assert!(matches!(
            SharedMemory::open(&fd),
            Err(Error::WrongSize { .. })
        ));
        ours.header().sub_buffer_bytes.store(5, Ordering::Relaxed);
        assert!(matches!(
            SharedMemory::open(&fd),
            Err(Error::SubBufferBytes(5))
        ));
        ours.header().magic.store(5, Ordering::Relaxed);
        assert!(matches!(SharedMemory::open(&fd), Err(Error::NotABuffer(_))));
    }

    #[test]
    fn a_sealed_buffer_cannot_be_shrunk_or_grown() {
        let (fd, _ours) = SharedMemory::create(Geometry::new(1, 4096, 2).unwrap()).unwrap();
        let file = File::from(fd);
        assert!(file.set_len(10).is_err());
        assert!(file.set_len(1 << 30).is_err());
    }
}
