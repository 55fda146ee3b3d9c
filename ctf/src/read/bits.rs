//! Numbers out of a packet, at any bit.
//!
//! ```text
//!  little-endian fields fill a byte from its least significant bit, big-endian ones from the most significant:
//!
//!      byte 0              byte 1                     byte 0              byte 1
//!      7 6 5 4 3 2 1 0     7 6 5 4 3 2 1 0            7 6 5 4 3 2 1 0     7 6 5 4 3 2 1 0
//!      b b b a a a a a     . . . . b b b b            a a a a a b b b     b b b b . . . .
//! ```
//!
//! Reference: CTF 1.8.3, chapter 4.1.5 and 4.1.6.
//!
//! Invariant: a cursor never reads at or beyond its limit.

use crate::model::ByteOrder;

/// The bytes at hand end before the field does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Short;

/// A place in a packet. Positions are bits from the packet's begin.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    /// A part of the packet.
    bytes: &'a [u8],
    /// Where in the packet that part begins, in bytes.
    base: u64,
    /// The next bit.
    pub(crate) at: u64,
    /// The first bit that must not be read.
    limit: u64,
    /// How many more elements without a bit may be visited.
    idle: u32,
}

/// How many array elements without a bit are shown: a hostile length may claim any number of them.
const MAX_IDLE: u32 = 1 << 16;

impl<'a> Cursor<'a> {
    /// A cursor at bit `at`, in the part of a packet that begins at byte `base`, of whose content `limit` bits are left
    /// to be read.
    pub(crate) fn new(bytes: &'a [u8], base: u64, at: u64, limit: u64) -> Self {
        let there = base.saturating_add(bytes.len() as u64).saturating_mul(8);
        Cursor {
            bytes,
            base,
            at,
            limit: limit.min(there),
            idle: MAX_IDLE,
        }
    }

    /// Goes to the next multiple of `align`, a power of two.
    #[inline(always)]
    pub(crate) fn align(&mut self, align: u32) {
        let mask = u64::from(align) - 1;
        self.at = self.at.wrapping_add(mask) & !mask;
    }

    /// Goes past `bits` bits.
    #[inline(always)]
    pub(crate) fn skip(&mut self, bits: u64) -> Result<(), Short> {
        let end = self.at.saturating_add(bits);
        if end > self.limit {
            return Err(Short);
        }
        self.at = end;
        Ok(())
    }

    /// The index of the byte that the cursor is in.
    #[inline(always)]
    fn index(&self) -> usize {
        (self.at / 8).wrapping_sub(self.base) as usize
    }

    /// The number at bit `at`, if it lies in eight bytes that are at hand.
    #[inline(always)]
    pub(crate) fn peek(&self, at: u64, read: Read) -> Option<u64> {
        let index = (at / 8).wrapping_sub(self.base) as usize;
        let eight = self.bytes.get(index..index.wrapping_add(8))?;
        let eight: [u8; 8] = eight.try_into().ok()?;
        let offset = (at % 8) as u32;
        let bits = u32::from(read.bits);
        if offset + bits > 64 || read.reversed {
            return None;
        }
        Some(match read.order {
            ByteOrder::Little => (u64::from_le_bytes(eight) << (64 - bits - offset)) >> (64 - bits),
            ByteOrder::Big => (u64::from_be_bytes(eight) << offset) >> (64 - bits),
        })
    }

    /// The next number, if it is of whole bytes, the least significant first, and begins at one; its highest bit becomes
    /// that of the result. To be asked only of numbers that [`Read::is_whole`], where it costs half of
    /// [`number`](Self::number). `None` near the end of what is at hand.
    #[inline(always)]
    pub(crate) fn whole(&mut self, read: Read) -> Option<u64> {
        let bits = u32::from(read.bits);
        let eight = self.bytes.get(self.index()..)?.first_chunk()?;
        let end = self.at + u64::from(bits);
        if end > self.limit {
            return None;
        }
        self.at = end;
        Some(u64::from_le_bytes(*eight) << (64 - bits))
    }

    /// Notes an element without a bit; whether there may be more.
    pub(crate) fn may_idle(&mut self) -> bool {
        self.idle = self.idle.saturating_sub(1);
        self.idle > 0
    }

    /// The bytes at hand from bit `at` on, the first bit of a byte.
    #[inline(always)]
    pub(crate) fn rest_from(&self, at: u64) -> Option<&'a [u8]> {
        self.bytes.get((at / 8).wrapping_sub(self.base) as usize..)
    }

    /// Goes to bit `at`, if that is not beyond the limit.
    #[inline(always)]
    pub(crate) fn go_to(&mut self, at: u64) -> Option<()> {
        if at > self.limit {
            return None;
        }
        self.at = at;
        Some(())
    }

    /// The next number, its highest bits 0.
    #[inline(always)]
    pub(crate) fn number(&mut self, read: Read) -> Result<u64, Short> {
        // Eight bytes at once, whatever of them the number fills: one load, where there are eight and they hold it.
        match self.peek(self.at, read) {
            Some(value) => {
                self.skip(u64::from(read.bits))?;
                Ok(value)
            }
            None => self.lend(|cursor| cursor.number_slow(read)),
        }
    }

    /// Has something done with a copy, which then takes this one's place. For calls out of a loop: a cursor that only
    /// copies of are lent stays in registers, where going on takes one cycle. In memory it would take five.
    #[inline(always)]
    pub(crate) fn lend<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> T {
        let mut copy = *self;
        let result = f(&mut copy);
        *self = copy;
        result
    }

    #[cold]
    #[inline(never)]
    fn number_slow(&mut self, read: Read) -> Result<u64, Short> {
        let Read {
            bits,
            order,
            reversed,
        } = read;
        let begin = self.at;
        self.skip(u64::from(bits))?;
        let first = (begin / 8).wrapping_sub(self.base) as usize;
        let offset = (begin % 8) as u32;
        let count = (offset as usize + usize::from(bits)).div_ceil(8);
        let bytes = self
            .bytes
            .get(first..first.wrapping_add(count))
            .ok_or(Short)?;
        // At most 9 bytes: 64 bits that begin in the middle of one.
        let mut whole = 0u128;
        let mask = u128::MAX >> (128 - u32::from(bits));
        let value = if order == ByteOrder::Little {
            for (i, &byte) in bytes.iter().enumerate() {
                whole |= u128::from(byte) << (8 * i);
            }
            whole >> offset & mask
        } else {
            for &byte in bytes {
                whole = whole << 8 | u128::from(byte);
            }
            whole >> (8 * count as u32 - offset - u32::from(bits)) & mask
        };
        let value = value as u64;
        // The same bits, the first of them on the other end.
        Ok(match reversed {
            true => value.reverse_bits() >> (64 - u32::from(bits)),
            false => value,
        })
    }

    /// The next `count` bytes, from the begin of a byte.
    #[inline(always)]
    pub(crate) fn bytes(&mut self, count: u64) -> Result<&'a [u8], Short> {
        let index = self.index();
        self.skip(count.saturating_mul(8))?;
        let end = index.checked_add(count as usize).ok_or(Short)?;
        self.bytes.get(index..end).ok_or(Short)
    }

    /// The bytes up to the next NUL of `width` bytes, from the begin of a byte; the cursor goes past the NUL.
    #[inline(always)]
    pub(crate) fn string(&mut self, width: usize) -> Result<&'a [u8], Short> {
        let index = self.index();
        let rest = self.bytes.get(index..).ok_or(Short)?;
        let length = match width {
            1 => first_nul(rest),
            _ => first_nul_unit(rest, width),
        };
        let length = length.ok_or(Short)?;
        self.skip((length + width) as u64 * 8)?;
        Ok(&rest[..length])
    }

    /// An integer in LEB128, from the begin of a byte.
    pub(crate) fn leb128(&mut self, signed: bool) -> Result<u64, Leb128> {
        let mut value = 0u64;
        let mut shift = 0;
        loop {
            let byte = self.number(Read::U8).map_err(|Short| Leb128::Short)?;
            let low = byte & 0x7f;
            if shift >= 64 || shift == 63 && low > 1 && !(signed && low == 0x7f) {
                return Err(Leb128::TooLarge);
            }
            value |= low << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                if signed && shift < 64 && byte & 0x40 != 0 {
                    value |= u64::MAX << shift;
                }
                return Ok(value);
            }
        }
    }
}

/// Where the first NUL is. Most text is short: it is found in a few words, before a call would have returned.
#[inline(always)]
fn first_nul(bytes: &[u8]) -> Option<usize> {
    const LOWEST: u64 = 0x0101_0101_0101_0101;
    const HIGHEST: u64 = 0x8080_8080_8080_8080;
    let mut rest = bytes;
    for i in 0..4 {
        let Some((word, behind)) = rest.split_first_chunk() else {
            break;
        };
        // The lowest of the highest bits that are set here is that of the first byte that is 0.
        let word = u64::from_le_bytes(*word);
        let zeros = word.wrapping_sub(LOWEST) & !word & HIGHEST;
        if zeros != 0 {
            return Some(8 * i + zeros.trailing_zeros() as usize / 8);
        }
        rest = behind;
    }
    Some(bytes.len() - rest.len() + memchr::memchr(0, rest)?)
}

/// Where the first NUL is, of units of several bytes.
fn first_nul_unit(bytes: &[u8], width: usize) -> Option<usize> {
    let mut units = bytes.chunks_exact(width);
    let unit = units.position(|unit| unit.iter().all(|&b| b == 0))?;
    Some(unit * width)
}

/// Why an integer in LEB128 cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leb128 {
    Short,
    /// It needs more than 64 bits.
    TooLarge,
}

/// How a number is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    bits: u8,
    order: ByteOrder,
    reversed: bool,
}

impl Read {
    /// A byte.
    pub(crate) const U8: Read = Read {
        bits: 8,
        order: ByteOrder::Little,
        reversed: false,
    };

    /// How to read `bits` bits, 1 to 64.
    pub(crate) fn of(bits: u32, order: ByteOrder, reversed: bool) -> Self {
        debug_assert!((1..=64).contains(&bits));
        Read {
            bits: bits as u8,
            order,
            reversed,
        }
    }

    /// The byte order.
    pub(crate) fn order(self) -> ByteOrder {
        self.order
    }

    /// Whether bits are to be reversed.
    pub(crate) fn is_reversed(self) -> bool {
        self.reversed
    }

    /// The byte order, unless bits are to be reversed.
    pub(crate) fn natural_order(self) -> Option<ByteOrder> {
        (!self.reversed).then_some(self.order)
    }

    /// Whether it reads whole bytes, the least significant first, if it begins with one.
    pub(crate) fn is_whole(self) -> bool {
        !self.reversed && self.order == ByteOrder::Little && self.bits.is_multiple_of(8)
    }

    /// How many bits it reads.
    pub(crate) fn bits(self) -> u64 {
        u64::from(self.bits)
    }
}

/// `value`, of `bits` bits, as a two's complement number.
#[inline(always)]
pub(crate) fn sign_extend(value: u64, bits: u32) -> i64 {
    let shift = 64 - bits;
    (value << shift) as i64 >> shift
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(bytes: &[u8]) -> Cursor<'_> {
        Cursor::new(bytes, 0, 0, bytes.len() as u64 * 8)
    }

    /// The value of `bits` bits at `at`, one by one, as the picture has them.
    fn slowly(bytes: &[u8], at: usize, bits: usize, order: ByteOrder) -> u64 {
        let bit = |i: usize| {
            let (byte, within) = (bytes[i / 8], i % 8);
            let within = if order == ByteOrder::Little {
                within
            } else {
                7 - within
            };
            u64::from(byte >> within & 1)
        };
        (0..bits).fold(0, |value, i| match order {
            ByteOrder::Little => value | bit(at + i) << i,
            ByteOrder::Big => value << 1 | bit(at + i),
        })
    }

    #[test]
    fn numbers_of_every_width_at_every_bit_in_either_order() {
        let bytes: Vec<u8> = (0..20u8).map(|i| i.wrapping_mul(151) ^ 0x5a).collect();
        for order in [ByteOrder::Little, ByteOrder::Big] {
            for at in 0..32 {
                for bits in 1..=64 {
                    let mut cursor = cursor(&bytes);
                    cursor.at = at as u64;
                    let read = Read::of(bits as u32, order, false);
                    assert_eq!(
                        cursor.number(read),
                        Ok(slowly(&bytes, at, bits, order)),
                        "{bits} bits at {at}"
                    );
                    assert_eq!(cursor.at, (at + bits) as u64);
                }
            }
        }
    }

    #[test]
    fn nothing_is_read_beyond_the_limit() {
        let bytes = [0xff; 16];
        for bits in 1..=64 {
            for order in [ByteOrder::Little, ByteOrder::Big] {
                let mut cursor = Cursor::new(&bytes, 0, 65 - u64::from(bits), 64);
                assert_eq!(cursor.number(Read::of(bits, order, false)), Err(Short));
            }
        }
        assert_eq!(Cursor::new(&bytes, 0, 0, 64).bytes(9), Err(Short));
        assert_eq!(Cursor::new(&[1, 2, 3, 0], 0, 0, 24).string(1), Err(Short));
        assert_eq!(
            Cursor::new(&bytes, 0, 0, u64::MAX).bytes(u64::MAX),
            Err(Short)
        );
    }

    #[test]
    fn a_cursor_may_see_a_part_of_the_packet_only() {
        let mut cursor = Cursor::new(&[1, 2, 3, 4], 100, 101 * 8, 1 << 20);
        assert_eq!(
            cursor.number(Read::of(16, ByteOrder::Little, false)),
            Ok(0x0302)
        );
        assert_eq!(
            cursor.number(Read::of(16, ByteOrder::Little, false)),
            Err(Short)
        );
    }

    #[test]
    fn leb128_is_that_of_dwarf() {
        assert_eq!(cursor(&[0xe5, 0x8e, 0x26]).leb128(false), Ok(624_485));
        assert_eq!(
            cursor(&[0xc0, 0xbb, 0x78]).leb128(true),
            Ok(-123_456i64 as u64)
        );
        let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(cursor(&most).leb128(false), Ok(u64::MAX));
        let least = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f];
        assert_eq!(cursor(&least).leb128(true), Ok(i64::MIN as u64));
        assert_eq!(cursor(&[0xff; 11]).leb128(false), Err(Leb128::TooLarge));
        assert_eq!(cursor(&[0xff; 3]).leb128(false), Err(Leb128::Short));
    }

    #[test]
    fn text_ends_at_its_first_nul_wherever_that_is() {
        for length in 0..80 {
            let mut bytes = vec![0x81; length];
            bytes.extend([0, 1, 0]);
            assert_eq!(cursor(&bytes).string(1), Ok(&bytes[..length]));
            assert_eq!(cursor(&bytes[..length]).string(1), Err(Short));
        }
    }

    #[test]
    fn reversed_bits_mirror_the_number() {
        let mut cursor = cursor(&[0b0000_0001]);
        let read = Read::of(8, ByteOrder::Little, true);
        assert_eq!(cursor.number(read), Ok(0b1000_0000));
    }
}
