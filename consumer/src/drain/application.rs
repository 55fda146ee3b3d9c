//! What an application sent, read and made harmless.
//!
//! Invariant: nothing here waits for the application, and no text of it is longer, and no file of it larger, than what
//! there is to say about a process.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use std::path::Path;

use laneway_control::schema::{MAX_EVENTS, MAX_SCHEMA_BYTES};
use laneway_control::{BufferFile, EventIds, EventSchema, Hello, Rseq, decode_schemas};
use laneway_ringbuf::SharedMemory;
use rustix::fs::{SealFlags, Stat, fcntl_get_seals, fstat, stat};

use crate::Error;
use crate::consumer::Shared;

/// Texts that go into every summary and every metadata are kept to a sensible length, and harmless to a terminal.
pub(crate) fn tidy_hello(hello: &mut Hello) {
    hello.name = tidy(&hello.name, 255);
    hello.exe = tidy(&hello.exe, 4096);
    hello.version = tidy(&hello.version, 64);
    hello.channel.name = tidy(&hello.channel.name, 64);
    if let Rseq::Off(reason) = &mut hello.rseq {
        *reason = tidy(reason, 1024);
    }
}

/// A text of an application, as far as it can be shown to people.
pub(crate) fn tidy(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].replace(char::is_control, "\u{fffd}")
}

/// Maps the ring of an application, which is a memory file that can neither shrink nor grow.
///
/// Where this consumer wants buffers in files it may be one of those: then whoever can write to the directory is trusted
/// not to cut it short.
pub(crate) fn map(hello: &Hello, ring: &OwnedFd, shared: &Shared) -> Result<SharedMemory, Error> {
    match (&hello.buffer_file, &shared.channel.directory) {
        (Some(_), Some(_)) => Ok(SharedMemory::open_unsealed(ring)?),
        _ => Ok(SharedMemory::open(ring)?),
    }
}

/// Removes the files of an application's buffer, of which everything is in the trace now.
///
/// # Errors
/// They are not what the application says, or cannot be removed.
pub(crate) fn remove_buffer(hello: &Hello, ring: &OwnedFd, shared: &Shared) -> Result<(), Error> {
    let (Some(path), Some(directory)) = (&hello.buffer_file, &shared.channel.directory) else {
        return Ok(());
    };
    let path = Path::new(path);
    if shared.options.keep_buffers {
        return Ok(());
    }
    // What an application says is the name of its ring might be that of anything.
    let identity = |stat: Stat| (stat.st_dev, stat.st_ino);
    let of_path = stat(path).map(identity);
    let same = of_path.is_ok_and(|found| fstat(ring).map(identity) == Ok(found));
    if !same || path.parent() != Some(Path::new(directory)) {
        return Err(Error::NotItsBuffer {
            path: path.to_owned(),
        });
    }
    Ok(BufferFile::of(path).remove()?)
}

/// Reads the event descriptions from a memory file that can change no more.
pub(crate) fn read_schemas(fd: OwnedFd) -> Result<Vec<EventSchema>, Error> {
    Ok(decode_schemas(&read_sealed(fd, MAX_SCHEMA_BYTES)?)?)
}

/// Reads the numbers of so many events in the shared ring from a memory file that can change no more.
pub(crate) fn read_ids(fd: OwnedFd, events: usize) -> Result<EventIds, Error> {
    let bytes = read_sealed(fd, MAX_EVENTS * size_of::<u16>())?;
    Ok(EventIds::decode(&bytes, events)?)
}

fn read_sealed(fd: OwnedFd, limit: usize) -> Result<Vec<u8>, Error> {
    // Only memory files have seals; reading from anything else might take for ever.
    let sealed = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW;
    if !fcntl_get_seals(&fd).is_ok_and(|seals| seals.contains(sealed)) {
        return Err(Error::SchemasNotSealed);
    }
    let stat = fstat(&fd).map_err(Error::system("look at the event descriptions"))?;
    let (bytes, limit) = (stat.st_size.cast_unsigned(), limit as u64);
    if bytes > limit {
        return Err(Error::SchemasTooLarge { bytes, limit });
    }
    let mut all = vec![0; bytes as usize];
    File::from(fd)
        .read_exact_at(&mut all, 0)
        .map_err(Error::system("read the event descriptions"))?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use laneway_control::encode_schemas;
    use rustix::fs::{MemfdFlags, fcntl_add_seals, memfd_create};
    use std::io::Write;

    fn memory(bytes: &[u8], seals: SealFlags) -> OwnedFd {
        let fd = memfd_create("schemas", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap();
        let mut file = File::from(fd);
        file.write_all(bytes).unwrap();
        fcntl_add_seals(&file, seals).unwrap();
        file.into()
    }

    #[test]
    fn descriptions_are_read_from_a_sealed_memory_file() {
        let bytes = encode_schemas(&[]).unwrap();
        let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW;
        assert_eq!(read_schemas(memory(&bytes, seals)).unwrap(), []);
    }

    #[test]
    fn descriptions_that_can_still_change_are_refused() {
        let bytes = encode_schemas(&[]).unwrap();
        let file = memory(&bytes, SealFlags::SHRINK | SealFlags::GROW);
        assert!(matches!(read_schemas(file), Err(Error::SchemasNotSealed)));
    }

    #[test]
    fn a_pipe_in_place_of_the_descriptions_is_refused_and_not_waited_for() {
        let (read_end, _write_end) = rustix::pipe::pipe().unwrap();
        assert!(matches!(
            read_schemas(read_end),
            Err(Error::SchemasNotSealed)
        ));
    }

    #[test]
    fn a_huge_file_of_nothing_is_not_read() {
        let file = File::from(memory(b"", SealFlags::empty()));
        file.set_len(MAX_SCHEMA_BYTES as u64 + 1).unwrap();
        let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW;
        fcntl_add_seals(&file, seals).unwrap();
        assert!(matches!(
            read_schemas(file.into()),
            Err(Error::SchemasTooLarge { .. })
        ));
    }
}
