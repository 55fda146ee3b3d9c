//! Where the bytes of a stream come from, and the part of them that is at hand.
//!
//! ```text
//!  file   ▕······▕■■■■■■■■■■■■■▏···········▏
//!                 begin   window
//! ```
//! Files are read with `pread` into a window and not mapped: a mapped file that somebody cuts short while it is read
//! kills the process with SIGBUS, and mapping cannot be done without `unsafe`, for that reason. Copying 128 KiB at a time out of the
//! page cache costs less than a tenth of decoding them.
//!
//! Invariant: a window grows only for a single event that does not fit, and never beyond [`MAX_WINDOW`].

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

/// The largest window: no single event or packet header may be larger.
pub(crate) const MAX_WINDOW: usize = 64 << 20;

/// Bytes that can be read at any offset.
pub trait Source: Send {
    /// Reads bytes from `offset` on into `buffer`; fewer than fit only at the end.
    ///
    /// # Errors
    /// What the operating system says.
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// How many bytes there are now: more later, if somebody still writes.
    ///
    /// # Errors
    /// What the operating system says.
    fn len(&mut self) -> io::Result<u64>;

    /// Whether there are none now.
    ///
    /// # Errors
    /// What the operating system says.
    fn is_empty(&mut self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }
}

/// A file of a trace.
#[derive(Debug)]
pub(crate) struct FileSource {
    path: PathBuf,
    file: Option<File>,
    /// Whether to keep it open between reads. A trace of thousands of streams would run out of descriptors.
    keep: bool,
}

impl FileSource {
    pub(crate) fn new(path: PathBuf, keep: bool) -> Self {
        FileSource {
            path,
            file: None,
            keep,
        }
    }

    fn with<T>(&mut self, f: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        let file = match self.file.take() {
            Some(file) => file,
            None => File::open(&self.path)?,
        };
        let result = f(&file);
        if self.keep {
            self.file = Some(file);
        }
        result
    }
}

impl Source for FileSource {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|file| {
            let mut done = 0;
            while done < buffer.len() {
                match file.read_at(&mut buffer[done..], offset + done as u64) {
                    Ok(0) => break,
                    Ok(read) => done += read,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                }
            }
            Ok(done)
        })
    }

    fn len(&mut self) -> io::Result<u64> {
        self.with(|file| Ok(file.metadata()?.len()))
    }
}

/// Bytes in memory, for tests and for who has them there anyway.
impl Source for Arc<[u8]> {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(<[u8]>::len(self));
        let count = buffer.len().min(<[u8]>::len(self) - from);
        buffer[..count].copy_from_slice(&self[from..from + count]);
        Ok(count)
    }

    fn len(&mut self) -> io::Result<u64> {
        Ok(<[u8]>::len(self) as u64)
    }
}

/// The part of a source that is at hand.
pub(crate) struct Window {
    buffer: Vec<u8>,
    /// Where in the source it begins.
    begin: u64,
    /// How many bytes of the buffer are filled.
    filled: usize,
    /// How large it is to be as a rule.
    size: usize,
}

impl Window {
    pub(crate) fn new(size: usize) -> Self {
        Window {
            buffer: Vec::new(),
            begin: 0,
            filled: 0,
            size,
        }
    }

    /// Forgets what is at hand: it is of another source.
    pub(crate) fn clear(&mut self) {
        self.filled = 0;
        self.begin = 0;
    }

    /// Where in the source the bytes at hand end.
    pub(crate) fn end(&self) -> u64 {
        self.begin + self.filled as u64
    }

    /// The bytes at hand from `offset` of the source on: none, if that is not in the window.
    #[inline(always)]
    pub(crate) fn from(&self, offset: u64) -> &[u8] {
        let from = offset.wrapping_sub(self.begin);
        match from < self.filled as u64 {
            true => &self.buffer[from as usize..self.filled],
            false => &[],
        }
    }

    /// Reads on, so that the window begins at `offset` and there are more bytes behind it than before. Says whether
    /// there are.
    pub(crate) fn advance(&mut self, source: &mut dyn Source, offset: u64) -> io::Result<Grown> {
        let keep = match offset >= self.begin && offset < self.end() {
            true => (self.end() - offset) as usize,
            false => 0,
        };
        let want = self.size.max(keep.saturating_mul(2));
        if want > MAX_WINDOW && keep >= MAX_WINDOW {
            return Ok(Grown::Full);
        }
        let want = want.min(MAX_WINDOW);
        if keep > 0 {
            let from = (offset - self.begin) as usize;
            self.buffer.copy_within(from..from + keep, 0);
        }
        if self.buffer.len() < want {
            self.buffer.resize(want, 0);
        }
        self.begin = offset;
        self.filled = keep;
        let read = source.read_at(&mut self.buffer[keep..want], offset + keep as u64)?;
        self.filled += read;
        Ok(if read > 0 { Grown::Yes } else { Grown::AtEnd })
    }
}

/// What came of [`Window::advance`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grown {
    Yes,
    /// There are no more bytes.
    AtEnd,
    /// There are, but they would not fit.
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_moves_and_grows_only_when_it_must() {
        let mut source: Arc<[u8]> = (0..=255u8).cycle().take(1000).collect();
        let mut window = Window::new(64);
        assert_eq!(window.advance(&mut source, 0).unwrap(), Grown::Yes);
        assert_eq!(window.from(10)[..2], [10, 11]);
        assert_eq!(window.end(), 64);
        window.advance(&mut source, 60).unwrap();
        assert_eq!((window.from(60)[0], window.end()), (60, 124), "moved");
        window.advance(&mut source, 60).unwrap();
        assert_eq!(
            window.end(),
            188,
            "grown, as what was at hand was not enough"
        );
        window.advance(&mut source, 990).unwrap();
        assert_eq!(window.from(990).len(), 10);
        assert_eq!(window.advance(&mut source, 990).unwrap(), Grown::AtEnd);
    }
}
