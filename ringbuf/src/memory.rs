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
use crate::layout::{BufferHeader, Geometry, MAGIC, PAGE};
use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

const SEALS: i32 = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

/// One mapping of a buffer.
#[derive(Debug)]
pub struct SharedMemory {
    base: NonNull<u8>,
    geometry: Geometry,
    /// Copies of what the header said when it was checked.
    id: [u8; 16],
    key: u64,
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
        let fail = Error::memory("create a memory file", bytes);
        let (fd, memory) = Self::create_in(memfd().map_err(fail)?, geometry)?;
        // SAFETY: fcntl on a descriptor we own, with an integer argument.
        if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, SEALS) } < 0 {
            let fail = Error::memory("seal a memory file", bytes);
            return Err(fail(io::Error::last_os_error()));
        }
        Ok((fd, memory))
    }

    /// Makes a buffer in a file at `path`, which must not exist: on a tmpfs, or every event
    /// costs the disk. What is in it survives all processes that use it.
    ///
    /// Such a file cannot be sealed: whoever may write to it can make it shorter, and thereby
    /// end every process that has it mapped.
    ///
    /// # Errors
    /// [`Error::Memory`] where the kernel refuses the file or the mapping.
    pub fn create_file(path: &Path, geometry: Geometry) -> Result<(OwnedFd, Self), Error> {
        let fail = Error::memory("create a buffer file", geometry.buffer_bytes());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(fail)?;
        Self::create_in(file.into(), geometry)
    }

    fn create_in(fd: OwnedFd, geometry: Geometry) -> Result<(OwnedFd, Self), Error> {
        let file = File::from(fd);
        file.set_len(geometry.buffer_bytes())
            .map_err(Error::memory("size a memory file", geometry.buffer_bytes()))?;
        let fd = OwnedFd::from(file);
        let [id, key] = [random(), random()];
        let key = key as u64;
        let memory = Self::map(&fd, geometry, id.to_ne_bytes(), key)?;
        let header = memory.header();
        header.lanes.store(geometry.lanes, Ordering::Relaxed);
        header
            .sub_buffers
            .store(geometry.sub_buffers as u32, Ordering::Relaxed);
        header
            .sub_buffer_bytes
            .store(geometry.sub_buffer_bytes, Ordering::Relaxed);
        for (word, half) in header.id.iter().zip(memory.id.chunks_exact(8)) {
            let half = u64::from_ne_bytes(half.try_into().expect("8 bytes"));
            word.store(half, Ordering::Relaxed);
        }
        header.key.store(key, Ordering::Relaxed);
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
        Self::open_unsealed(fd)
    }

    /// The same for a buffer in a file: see [`SharedMemory::create_file`] for what that trusts
    /// whoever may write to the file with.
    ///
    /// # Errors
    /// As [`SharedMemory::open`], but for the seals.
    pub fn open_unsealed(fd: &OwnedFd) -> Result<Self, Error> {
        let actual = file_bytes(fd)?;
        // The header is read with pread, so nothing is mapped on trust.
        let header = ReadHeader::read(fd)?;
        let needed = header.geometry.buffer_bytes();
        if actual != needed {
            return Err(Error::WrongSize { actual, needed });
        }
        Self::map(fd, header.geometry, header.id, header.key)
    }

    /// Who this buffer is: a random number that it got when it was made.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    pub(crate) fn key(&self) -> u64 {
        self.key
    }

    /// Allocates the memory of all rseq lanes now, so that no event has to wait for the kernel.
    ///
    /// # Errors
    /// [`Error::Memory`] where there is not that much.
    pub fn populate(&self) -> Result<(), Error> {
        let bytes = self.geometry.stride() * u64::from(self.geometry.lanes);
        let all = bytes + PAGE;
        // SAFETY: the range lies in the mapping, and its contents stay what they are.
        let done = unsafe {
            libc::madvise(
                self.base.as_ptr().cast(),
                all as usize,
                libc::MADV_POPULATE_WRITE,
            )
        };
        if done == 0 {
            return Ok(());
        }
        let source = io::Error::last_os_error();
        if source.raw_os_error() != Some(libc::EINVAL) {
            return Err(Error::memory("populate a memory file", all)(source));
        }
        // Before Linux 5.14: touch every page, without changing it.
        for at in (0..all).step_by(PAGE as usize) {
            // SAFETY: a word in the mapping, which is accessed by atomics.
            let word: &AtomicU64 = unsafe { self.base.add(at as usize).cast().as_ref() };
            word.fetch_or(0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Gives the pages of a range inside a lane back to the kernel; it reads as zeroes then.
    /// Returns its length, or 0 where the kernel cannot.
    pub(crate) fn give_back(&self, at: *mut u8, bytes: u64) -> u64 {
        // SAFETY: the caller's range lies in the mapping, where any bytes are valid.
        let done = unsafe { libc::madvise(at.cast(), bytes as usize, libc::MADV_REMOVE) };
        if done == 0 { bytes } else { 0 }
    }

    fn map(fd: &OwnedFd, geometry: Geometry, id: [u8; 16], key: u64) -> Result<Self, Error> {
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
            let fail = Error::memory("map a memory file", bytes);
            return Err(fail(io::Error::last_os_error()));
        }
        let base = NonNull::new(base.cast()).expect("mmap never answers null");
        Ok(SharedMemory {
            base,
            geometry,
            id,
            key,
        })
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

    /// Replaces the mapping by private zeroes, so that whoever still has a place in it can
    /// neither write to what others share nor fault.
    pub(crate) fn forget(&self) {
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

/// Random bits, for names and keys: good ones where the kernel has them.
fn random() -> u128 {
    let mut bytes = [0_u8; 16];
    // SAFETY: the kernel writes at most as many bytes as there are.
    let got =
        unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), libc::GRND_NONBLOCK) };
    if got == 16 {
        return u128::from_ne_bytes(bytes);
    }
    // Early at boot: what no two buffers of one machine have in common.
    let mut hasher = DefaultHasher::new();
    (
        SystemTime::now(),
        std::process::id(),
        &raw const hasher as usize,
    )
        .hash(&mut hasher);
    u128::from(hasher.finish()) << 64 | u128::from(std::process::id())
}

fn file_bytes(fd: &OwnedFd) -> Result<u64, Error> {
    let fail = Error::memory("look at a memory file", 0);
    let file = fd.try_clone().map(File::from);
    let metadata = file.and_then(|file| file.metadata()).map_err(fail)?;
    Ok(metadata.len())
}

/// What a buffer's header claims, as far as it can be true.
struct ReadHeader {
    geometry: Geometry,
    id: [u8; 16],
    key: u64,
}

impl ReadHeader {
    fn read(fd: &OwnedFd) -> Result<Self, Error> {
        let mut bytes = [0; 48];
        fd.try_clone()
            .map(File::from)
            .and_then(|file| file.read_exact_at(&mut bytes, 0))
            .map_err(Error::memory("read the header of a memory file", 0))?;
        let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let half = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        if word(offset_of!(BufferHeader, magic)) != MAGIC {
            return Err(Error::NotABuffer(
                "its first bytes are not the magic number",
            ));
        }
        let lanes = half(offset_of!(BufferHeader, lanes));
        let sub_buffers = half(offset_of!(BufferHeader, sub_buffers)).into();
        let sub_buffer_bytes = word(offset_of!(BufferHeader, sub_buffer_bytes));
        let id = offset_of!(BufferHeader, id);
        Ok(ReadHeader {
            geometry: Geometry::new(lanes, sub_buffer_bytes, sub_buffers)?,
            id: bytes[id..id + 16].try_into().expect("16 bytes"),
            key: word(offset_of!(BufferHeader, key)),
        })
    }
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
