//! Text in a record: NUL-terminated, and formatted without a heap.
//!
//! ```text
//!   "a\0b"           ──▶  61 e2 90 80 62 00          a NUL would end the text, so `␀` stands for it
//!   %value, ?value   ──▶  512 bytes on the stack     what does not fit ends in `…` and is counted
//! ```
//! Invariant: [`size`] bytes are exactly what [`write`] writes.

use std::fmt::{self, Write as _};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::writer::Writer;

/// Bytes that a `%` or `?` field may have: what [`trace!`](crate::trace) formats is cut to this.
pub const FORMATTED_BYTES: usize = 512;

/// What cut text ends with.
const MARK: &str = "…";

/// What stands for a NUL: `␀`.
const NUL: &str = "\u{2400}";

static CUT: AtomicU64 = AtomicU64::new(0);

/// How many `%` and `?` fields of this process were cut to [`FORMATTED_BYTES`].
#[must_use]
pub fn texts_cut() -> u64 {
    CUT.load(Ordering::Relaxed)
}

/// The bytes `text` takes in a record.
#[inline(always)]
pub(crate) fn size(text: &[u8]) -> usize {
    let has_nul = match (text.first_chunk(), text.last_chunk()) {
        // Most names are this long; the words may overlap.
        (Some(first), Some(last)) if text.len() <= 16 => (zeros(first) | zeros(last)) != 0,
        _ => has_nul(text),
    };
    match has_nul {
        true => size_slow(text),
        false => text.len() + 1,
    }
}

/// Appends `text`, which takes `size` bytes.
#[inline(always)]
pub(crate) fn write(text: &[u8], size: usize, writer: &mut Writer<'_>) {
    match size == text.len() + 1 {
        true => writer.put_terminated(text),
        false => write_slow(text, writer),
    }
}

#[cold]
#[inline(never)]
fn size_slow(text: &[u8]) -> usize {
    let nuls = text.iter().filter(|&&b| b == 0).count();
    text.len() + nuls * (NUL.len() - 1) + 1
}

#[cold]
#[inline(never)]
fn write_slow(text: &[u8], writer: &mut Writer<'_>) {
    for &byte in text {
        if byte == 0 {
            writer.put(NUL.as_bytes());
        } else {
            writer.put_u8(byte);
        }
    }
    writer.put_u8(0);
}

/// Whether a byte is 0, eight at a time; the last eight may overlap the others.
#[inline(never)]
fn has_nul(bytes: &[u8]) -> bool {
    let words = bytes.as_chunks().0.iter();
    match bytes.last_chunk() {
        Some(last) => words.fold(zeros(last), |found, word| found | zeros(word)) != 0,
        None => bytes.contains(&0),
    }
}

/// Not 0 if a byte of `word` is.
#[inline(always)]
fn zeros(word: &[u8; 8]) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = LOW << 7;
    // A byte borrows from its high bit only if it was 0, or if one below it was.
    let word = u64::from_le_bytes(*word);
    word.wrapping_sub(LOW) & !word & HIGH
}

/// Text being formatted, on the stack.
pub struct Text {
    bytes: [MaybeUninit<u8>; FORMATTED_BYTES],
    len: usize,
    /// Nothing comes behind the mark.
    is_cut: bool,
    /// What the text takes in a record, once it is finished.
    pub(crate) size: usize,
}

impl Default for Text {
    #[inline(always)]
    fn default() -> Self {
        Text {
            bytes: [const { MaybeUninit::uninit() }; FORMATTED_BYTES],
            len: 0,
            is_cut: false,
            size: 0,
        }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(self.as_bytes()), f)
    }
}

impl Text {
    /// Formats `arguments`. An error of a `Display` or `Debug` ends the text where it stands.
    #[inline(never)]
    pub(crate) fn format(&mut self, arguments: fmt::Arguments<'_>) {
        let _ = self.write_fmt(arguments);
        self.size = size(self.as_bytes());
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        // SAFETY: the first `len` bytes are initialised: `push` is all that adds to
        // `len`, and only `cut` takes away.
        unsafe { self.bytes[..self.len].assume_init_ref() }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..][..bytes.len()].write_copy_of_slice(bytes);
        self.len += bytes.len();
    }

    /// Makes room for the mark, at a character's boundary, and sets it.
    fn cut(&mut self) {
        CUT.fetch_add(1, Ordering::Relaxed);
        self.is_cut = true;
        let room = self.len.min(FORMATTED_BYTES - MARK.len());
        // Only whole pieces of `str` came in, and the last at a boundary, so this ends
        // after three steps at most.
        let continues = |byte: &MaybeUninit<u8>| {
            // SAFETY: below `len`, as in `as_bytes`.
            let byte = unsafe { byte.assume_init() };
            byte & 0xc0 == 0x80
        };
        let mut end = room;
        while end < self.len && end > 0 && continues(&self.bytes[end]) {
            end -= 1;
        }
        self.len = end;
        self.push(MARK.as_bytes());
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.is_cut {
            return Err(fmt::Error);
        }
        let room = FORMATTED_BYTES - self.len;
        if text.len() <= room {
            self.push(text.as_bytes());
            return Ok(());
        }
        self.push(&text.as_bytes()[..text.floor_char_boundary(room)]);
        self.cut();
        // What else the value would print does not matter any more.
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &[u8]) -> Vec<u8> {
        let size = size(text);
        let mut record = vec![0xaa; size];
        // SAFETY: the vector outlives the writer and is not used meanwhile.
        let mut writer = unsafe { Writer::new(record.as_mut_ptr(), size) };
        write(text, size, &mut writer);
        assert_eq!(writer.left(), 0);
        record
    }

    fn formatted(value: &str) -> String {
        let mut text = Text::default();
        text.format(format_args!("{value}"));
        String::from_utf8(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn text_ends_with_a_nul() {
        assert_eq!(written(b""), b"\0");
        assert_eq!(written(b"order \xff"), b"order \xff\0");
    }

    #[test]
    fn a_nul_anywhere_is_found_and_replaced() {
        for len in 1..40 {
            for at in 0..len {
                let mut text = vec![0x80; len];
                text[at] = 0;
                let record = written(&text);
                assert_eq!(record.len(), len + 3);
                assert_eq!(&record[at..at + 3], NUL.as_bytes());
                assert_eq!(record.iter().position(|&b| b == 0), Some(len + 2));
            }
            assert_eq!(size(&vec![1; len]), len + 1);
        }
    }

    #[test]
    fn formatted_text_that_fits_is_whole() {
        let long = "x".repeat(FORMATTED_BYTES);
        assert_eq!(formatted(&long), long);
        assert_eq!(formatted(""), "");
    }

    #[test]
    fn formatted_text_that_does_not_fit_is_cut_at_a_character_marked_and_counted() {
        let before = texts_cut();
        for filler in ["x", "é", "…", "🦀"] {
            for shift in 0..4 {
                let long = "-".repeat(shift) + &filler.repeat(FORMATTED_BYTES + 1);
                let text = formatted(&long);
                let kept = text.strip_suffix(MARK).unwrap();
                assert!(long.starts_with(kept));
                assert!(
                    text.len() > FORMATTED_BYTES - 4 && text.len() <= FORMATTED_BYTES,
                    "{}",
                    text.len()
                );
            }
        }
        assert!(texts_cut() >= before + 16);
    }

    #[test]
    fn formatting_stops_where_the_text_is_cut() {
        struct Endless;
        impl fmt::Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("again and ")?;
                }
            }
        }
        let mut text = Text::default();
        text.format(format_args!("{Endless}"));
        assert!(text.as_bytes().ends_with(MARK.as_bytes()));
    }

    #[test]
    fn a_value_that_ignores_errors_cannot_write_behind_the_mark() {
        struct Stubborn;
        impl fmt::Display for Stubborn {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for _ in 0..1000 {
                    let _ = f.write_str("🦀🦀");
                }
                Ok(())
            }
        }
        let mut text = Text::default();
        text.format(format_args!("{Stubborn}"));
        let text = std::str::from_utf8(text.as_bytes()).unwrap();
        assert_eq!(text.matches(MARK).count(), 1);
        assert!(text.ends_with(MARK));
    }
}
