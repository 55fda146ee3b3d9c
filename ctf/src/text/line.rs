//! A line of text while it is being made.
//!
//! ```text
//!  bytes  ▕[08:40:03.025798749] (+0.000000450) vm shop:order: { a = 1·················▏
//!                                                                    at  whatever was there before
//! ```
//! Text is written in blocks of a fixed size, of which only a part may count: copying 32 bytes takes two instructions
//! each way, copying 17 takes a call. What is written too much is written over by what comes next. Numbers are made
//! eight digits at a time, in a register.
//!
//! Invariant: the bytes before `at` are the line.

use super::number::{escaped, is_special};

/// Bytes of a block of fixed text.
pub(super) const BLOCK: usize = 32;

/// Room that a line begins with.
const ROOM: usize = 256;

/// A line, at the end of what was written before.
pub(super) struct Line {
    bytes: Vec<u8>,
    at: usize,
}

/// Fixed text, ready to be copied in whole blocks.
#[derive(Clone, Debug, Default)]
pub(super) struct Blocks {
    blocks: Box<[[u8; BLOCK]]>,
    /// How many bytes of them count.
    length: usize,
}

impl Blocks {
    pub(super) fn new(text: &[u8]) -> Self {
        let blocks: Box<[_]> = text
            .chunks(BLOCK)
            .map(|chunk| {
                let mut block = [0; BLOCK];
                block[..chunk.len()].copy_from_slice(chunk);
                block
            })
            .collect();
        Blocks {
            blocks,
            length: text.len(),
        }
    }

    /// The text in pieces: a block, and how many bytes of it count.
    pub(super) fn pieces(&self) -> impl Iterator<Item = ([u8; BLOCK], u8)> {
        let length = self.length;
        self.blocks.iter().enumerate().map(move |(i, block)| {
            let rest = length - i * BLOCK;
            (*block, rest.min(BLOCK) as u8)
        })
    }
}

impl Line {
    /// A line behind `text`, with room for so many bytes of it; more is made when it is needed.
    #[inline(always)]
    pub(super) fn behind(mut text: Vec<u8>, room: usize) -> Self {
        let at = text.len();
        text.resize(at + room.max(ROOM), 0);
        Line { bytes: text, at }
    }

    /// What was written before, with the line behind it.
    #[inline(always)]
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.truncate(self.at);
        self.bytes
    }

    /// Appends the first `length` bytes of a block.
    #[inline(always)]
    pub(super) fn block<const N: usize>(&mut self, block: &[u8; N], length: usize) {
        debug_assert!(length <= N);
        let behind = self.bytes.get_mut(self.at..);
        match behind.and_then(|behind| behind.first_chunk_mut()) {
            Some(place) => *place = *block,
            None => self.block_slow(block),
        }
        self.at += length;
    }

    #[cold]
    #[inline(never)]
    fn block_slow(&mut self, block: &[u8]) {
        self.room(block.len());
        self.bytes[self.at..self.at + block.len()].copy_from_slice(block);
    }

    /// Makes room for so many bytes more.
    #[cold]
    fn room(&mut self, bytes: usize) {
        let least = self.at + bytes;
        if self.bytes.len() < least {
            self.bytes.resize(least + ROOM, 0);
        }
    }

    /// Puts nine digits over the ones at a place. Over the copy of a block and not in the block
    /// itself: what has just been written in small pieces cannot be loaded as a large one before it has left the
    /// processor's store buffer.
    #[inline(always)]
    pub(super) fn nine_digits(&mut self, from: usize, value: u32) {
        if let Some([first, rest @ ..]) = self.bytes.get_mut(from..from + 9)
            && let Ok(rest) = <&mut [u8; 8]>::try_from(rest)
        {
            *first = b'0' + (value / 100_000_000) as u8;
            *rest = padded_8(value % 100_000_000);
        }
    }

    /// How long everything is, what was written before included.
    #[inline(always)]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Appends fixed text.
    #[inline(always)]
    pub(super) fn blocks(&mut self, text: &Blocks) {
        let behind = self.bytes.get_mut(self.at..).unwrap_or_default();
        match behind.as_chunks_mut().0.get_mut(..text.blocks.len()) {
            Some(place) => place.copy_from_slice(&text.blocks),
            None => self.block_slow(text.blocks.as_flattened()),
        }
        self.at += text.length;
    }

    /// Appends text.
    pub(super) fn text(&mut self, text: &[u8]) {
        let end = self.at + text.len();
        if self.bytes.len() < end {
            self.room(text.len());
        }
        self.bytes[self.at..end].copy_from_slice(text);
        self.at = end;
    }

    /// Appends a character of one byte.
    #[inline(always)]
    pub(super) fn byte(&mut self, byte: u8) {
        self.block(&[byte], 1);
    }

    /// Appends a decimal number.
    #[inline(always)]
    pub(super) fn unsigned(&mut self, value: u64) {
        if value < 100_000_000 {
            let (digits, count) = significant(eight_digits(value as u32));
            return self.block(&digits, count);
        }
        let (high, low) = (value / 100_000_000, (value % 100_000_000) as u32);
        if high < 100_000_000 {
            let (digits, count) = significant(eight_digits(high as u32));
            self.block(&digits, count);
        } else {
            let (digits, count) = significant(eight_digits((high / 100_000_000) as u32));
            self.block(&digits, count);
            self.block(&padded_8((high % 100_000_000) as u32), 8);
        }
        self.block(&padded_8(low), 8);
    }

    /// Appends a decimal number.
    #[inline(always)]
    pub(super) fn signed(&mut self, value: i64) {
        if value < 0 {
            self.byte(b'-');
        }
        self.unsigned(value.unsigned_abs());
    }

    /// Appends a number as `0xF00`.
    #[inline(always)]
    pub(super) fn hexadecimal(&mut self, value: u64) {
        self.block(b"0x", 2);
        let [high, low] = [(value >> 32) as u32, value as u32].map(eight_nibbles);
        if high == 0 {
            let (digits, count) = significant(low);
            return self.block(&hexadecimal_digits(digits), count);
        }
        let (digits, count) = significant(high);
        self.block(&hexadecimal_digits(digits), count);
        self.block(&hexadecimal_digits((low | ZEROS).to_le_bytes()), 8);
    }

    /// Appends text with C's escape sequences.
    #[inline(always)]
    pub(super) fn escaped(&mut self, text: &[u8]) {
        const STEP: usize = 8;
        let from = self.at;
        // Behind the text there has to be something that is not special, as it is looked at in whole steps.
        let end = from + text.len();
        let Some(place) = self.bytes.get_mut(from..end + STEP) else {
            return self.escaped_slow(text);
        };
        let (body, behind) = place.split_at_mut(text.len());
        body.copy_from_slice(text);
        behind.copy_from_slice(&[b' '; STEP]);
        // One answer for all: whatever is found, nobody asks where.
        let mut special = false;
        for step in place.as_chunks::<STEP>().0 {
            for &c in step {
                special |= SPECIAL[usize::from(c)];
            }
        }
        if special {
            return self.escaped_slow(text);
        }
        self.at = end;
    }

    /// The same for text that has to be escaped or is long.
    #[cold]
    #[inline(never)]
    fn escaped_slow(&mut self, text: &[u8]) {
        let mut rest = text;
        while let Some(at) = rest.iter().position(|&c| is_special(c)) {
            self.text(&rest[..at]);
            let (sequence, length) = escaped(rest[at]);
            self.text(&sequence[..length]);
            rest = &rest[at + 1..];
        }
        self.text(rest);
    }
}

/// What [`is_special`] says of every byte: looking it up takes two instructions.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut c = 0;
    while c < 256 {
        special[c] = is_special(c as u8);
        c += 1;
    }
    special
};

/// Eight times the character 0.
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The eight decimal digits of a number below 10^8, one per byte, the first in the lowest. Each step splits every lane
/// in two: by 10,000, then 100, then 10; division is multiplication by a reciprocal that is exact in these ranges.
#[inline(always)]
pub(super) fn eight_digits(value: u32) -> u64 {
    let value = u64::from(value);
    let high = value / 10_000;
    let fours = high | (value - high * 10_000) << 32;
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let twos = hundreds | (fours - hundreds * 100) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (twos - tens * 10) << 8
}

/// A number below 10^8 as eight characters.
#[inline(always)]
fn padded_8(value: u32) -> [u8; 8] {
    (eight_digits(value) | ZEROS).to_le_bytes()
}

/// The eight hexadecimal digits of a number, one per byte, the first in the lowest.
#[inline(always)]
fn eight_nibbles(value: u32) -> u64 {
    let value = u64::from(value);
    let value = (value | value << 16) & 0x0000_ffff_0000_ffff;
    let value = (value | value << 8) & 0x00ff_00ff_00ff_00ff;
    let value = (value | value << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    value.swap_bytes()
}

/// Digits as characters, without the zeros in front, and how many they are: at least one.
#[inline(always)]
fn significant(digits: u64) -> ([u8; 8], usize) {
    let zeros = (digits | 1 << 56).trailing_zeros() & !7;
    let text = (digits | ZEROS) >> zeros;
    (text.to_le_bytes(), 8 - zeros as usize / 8)
}

/// Makes letters of the digits behind 9, which follow it: `0x3a` is to be `A`.
#[inline(always)]
fn hexadecimal_digits(text: [u8; 8]) -> [u8; 8] {
    let text = u64::from_le_bytes(text);
    let letters = (text & !ZEROS).wrapping_add(0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    (text + letters * 7).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(f: impl FnOnce(&mut Line)) -> String {
        let mut line = Line::behind(Vec::new(), 0);
        f(&mut line);
        String::from_utf8(line.finish()).unwrap()
    }

    /// Numbers of every length, and those around them.
    fn numbers() -> impl Iterator<Item = u64> {
        let powers = (0..20).map(|i| 10u64.pow(i)).chain((0..64).map(|i| 1 << i));
        powers.flat_map(|n: u64| [n - 1, n, n + 1, n.wrapping_mul(7), n / 3, u64::MAX - n])
    }

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        for value in numbers() {
            assert_eq!(text(|line| line.unsigned(value)), value.to_string());
            assert_eq!(text(|line| line.hexadecimal(value)), format!("0x{value:X}"));
            let value = value as i64;
            assert_eq!(text(|line| line.signed(value)), value.to_string());
        }
    }

    #[test]
    fn every_four_digits_come_out_right() {
        for n in 0..10_000 {
            let want = format!("{n:04}{:04}", 9_999 - n);
            let digits = eight_digits(n * 10_000 + 9_999 - n) | ZEROS;
            assert_eq!(digits.to_le_bytes(), want.as_bytes());
        }
    }

    #[test]
    fn a_line_grows_with_what_is_written() {
        let long = "0123456789".repeat(1000);
        let blocks = Blocks::new(long.as_bytes());
        let got = text(|line| {
            line.text(b"<");
            line.blocks(&blocks);
            line.escaped(long.as_bytes());
            line.text(long.as_bytes());
            line.unsigned(7);
        });
        assert_eq!(got, format!("<{long}{long}{long}7"));
    }

    #[test]
    fn blocks_hold_text_of_any_length() {
        for length in 0..100 {
            let long = "abcdefghij".repeat(10);
            let part = &long[..length];
            let blocks = Blocks::new(part.as_bytes());
            assert_eq!(text(|line| line.blocks(&blocks)), part);
            let pieces: Vec<u8> = blocks
                .pieces()
                .flat_map(|(block, length)| block[..usize::from(length)].to_owned())
                .collect();
            assert_eq!(pieces, part.as_bytes());
        }
    }

    #[test]
    fn text_is_escaped_wherever_the_special_character_stands() {
        assert_eq!(
            text(|line| line.escaped(b"a\"b\\c\n\x01?\x7f'\x1b")),
            r#"a\"b\\c\n\x01\?\x7f\'\e"#
        );
        for length in 0..70 {
            let plain = "x".repeat(length);
            let got = text(|line| line.escaped(plain.as_bytes()));
            assert_eq!(got, plain);
            for at in 0..length {
                let mut special = plain.clone().into_bytes();
                special[at] = b'\t';
                let got = text(|line| line.escaped(&special));
                let (before, behind) = (&plain[..at], &plain[at + 1..]);
                assert_eq!(got, format!("{before}\\t{behind}"));
            }
        }
    }
}
