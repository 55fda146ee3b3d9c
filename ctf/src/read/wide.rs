//! Numbers that no register holds.
//!
//! ```text
//!  little-endian   first 64 bits ─▶ lowest word … ─▶ highest word, what is left
//!  big-endian      what is left ─▶ highest word, then 64 bits each … ─▶ lowest word
//! ```
//! They are rare and shown exactly: integers of any width in their base, and binary128 as the nearest number of 64 bits.

use std::fmt;

use super::bits::{Cursor, Read, Short};
use crate::model::{Base, ByteOrder, Integer};

/// A class of wide numbers, made ready.
#[derive(Debug)]
pub(crate) struct WideNode {
    /// How it is to be shown.
    pub(crate) class: Integer,
    /// Whether it is a floating point number.
    pub(crate) float: bool,
}

/// An integer of more than 64 bits. It is displayed in the base of its class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wide {
    /// The lowest first; sign-extended in the highest.
    words: Vec<u64>,
    bits: u32,
    signed: bool,
    base: Base,
}

impl WideNode {
    /// The pieces in which such a number lies, the first in the packet first.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Read> {
        let Integer { bits, order, .. } = self.class;
        let (whole, left) = (bits / 64, bits % 64);
        let left = (left > 0).then_some(left);
        let (first, last) = match order {
            ByteOrder::Little => (None, left),
            ByteOrder::Big => (left, None),
        };
        let words = std::iter::repeat_n(64, whole as usize);
        let pieces = first.into_iter().chain(words).chain(last);
        pieces.map(move |bits| Read::of(bits, order, false))
    }

    /// The number at the cursor.
    pub(crate) fn read(&self, cursor: &mut Cursor<'_>) -> Result<Wide, Short> {
        let Integer {
            bits,
            order,
            reversed,
            signed,
            base,
            ..
        } = self.class;
        let mut words = Vec::with_capacity(bits.div_ceil(64) as usize);
        for piece in self.pieces() {
            words.push(cursor.number(piece)?);
        }
        if order == ByteOrder::Big {
            words.reverse();
        }
        if reversed {
            words = mirrored(&words, bits);
        }
        let mut wide = Wide {
            words,
            bits,
            signed,
            base,
        };
        wide.extend_sign();
        Ok(wide)
    }
}

/// The same bits, the first of them on the other end.
fn mirrored(words: &[u64], bits: u32) -> Vec<u64> {
    let mut mirrored = vec![0; words.len()];
    for from in 0..bits as usize {
        let to = bits as usize - 1 - from;
        mirrored[to / 64] |= (words[from / 64] >> (from % 64) & 1) << (to % 64);
    }
    mirrored
}

impl Wide {
    fn extend_sign(&mut self) {
        let used = self.bits % 64;
        if let (true, 1.., Some(last)) = (self.signed, used, self.words.last_mut()) {
            *last = (((*last << (64 - used)) as i64) >> (64 - used)) as u64;
        }
    }

    fn is_negative(&self) -> bool {
        self.signed && self.words.last().is_some_and(|word| *word >> 63 == 1)
    }

    /// Its magnitude in pieces of `digits` digits of a base each, the lowest first.
    fn split(mut words: Vec<u64>, piece: u64) -> Vec<u64> {
        let mut pieces = Vec::new();
        while !words.is_empty() {
            let mut rest = 0u128;
            for word in words.iter_mut().rev() {
                let value = rest << 64 | u128::from(*word);
                *word = (value / u128::from(piece)) as u64;
                rest = value % u128::from(piece);
            }
            pieces.push(rest as u64);
            while words.last() == Some(&0) {
                words.pop();
            }
        }
        pieces
    }

    /// The number that is as far from 0.
    fn magnitude(&self) -> Vec<u64> {
        let mut words = self.words.clone();
        if self.is_negative() {
            let mut carry = true;
            for word in &mut words {
                (*word, carry) = (!*word).overflowing_add(u64::from(carry));
            }
        }
        words
    }

    /// The bits that its width has, for bases that show those of negative numbers, too.
    fn unsigned_bits(&self) -> Vec<u64> {
        let mut words = self.words.clone();
        let used = self.bits % 64;
        if let (1.., Some(last)) = (used, words.last_mut()) {
            *last &= u64::MAX >> (64 - used);
        }
        words
    }

    /// The nearest floating point number of 64 bits, if this is one of 128.
    pub(crate) fn quad(&self) -> f64 {
        let (low, high) = match self.words.as_slice() {
            [low, high, ..] => (*low, *high),
            _ => return f64::NAN,
        };
        let exponent = (high >> 48 & 0x7fff) as i32;
        let fraction = (high << 16, low);
        let size = match exponent {
            0x7fff if fraction.0 | fraction.1 == 0 => f64::INFINITY,
            0x7fff => f64::NAN,
            // Subnormal: less than any of 64 bits.
            0 => 0.0,
            _ => {
                // 64 bits from the leading one on, the last of them set if any behind it is: that rounds as all would.
                let leading = 1 << 63 | fraction.0 >> 1 | low >> 49;
                let leading = leading | u64::from(low << 15 != 0);
                let power = exponent - 16_383 - 63;
                leading as f64 * 2f64.powi(power / 2) * 2f64.powi(power - power / 2)
            }
        };
        if high >> 63 == 1 { -size } else { size }
    }
}

/// A floating point number of 16 bits.
pub(crate) fn half(bits: u64) -> f64 {
    let fraction = (bits & 0x3ff) as f64;
    let size = match bits >> 10 & 0x1f {
        0 => fraction * 2f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        exponent => (1024.0 + fraction) * 2f64.powi(exponent as i32 - 25),
    };
    if bits >> 15 & 1 == 1 { -size } else { size }
}

impl fmt::Display for Wide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.base {
            Base::Decimal => {
                let mut pieces = Wide::split(self.magnitude(), 10_000_000_000_000_000_000)
                    .into_iter()
                    .rev();
                let sign = if self.is_negative() { "-" } else { "" };
                write!(f, "{sign}{}", pieces.next().unwrap_or(0))?;
                pieces.try_for_each(|piece| write!(f, "{piece:019}"))
            }
            Base::Hexadecimal => {
                let mut pieces = Wide::split(self.unsigned_bits(), 1 << 60).into_iter().rev();
                write!(f, "0x{:X}", pieces.next().unwrap_or(0))?;
                pieces.try_for_each(|piece| write!(f, "{piece:015X}"))
            }
            Base::Octal => {
                let mut pieces = Wide::split(self.unsigned_bits(), 1 << 63).into_iter().rev();
                write!(f, "0{:o}", pieces.next().unwrap_or(0))?;
                pieces.try_for_each(|piece| write!(f, "{piece:021o}"))
            }
            Base::Binary => {
                f.write_str("0b")?;
                let bit = |i: u32| self.words[i as usize / 64] >> (i % 64) & 1;
                let mut bits = (0..self.bits).rev();
                bits.try_for_each(|i| write!(f, "{}", bit(i)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(class: Integer) -> WideNode {
        WideNode {
            class,
            float: false,
        }
    }

    /// 128 bits as the class lays them out behind `shift` bits, read and shown.
    fn shown(class: &Integer, value: u128) -> String {
        let bytes = match class.order {
            ByteOrder::Little => value.to_le_bytes(),
            ByteOrder::Big => (value << (128 - class.bits)).to_be_bytes(),
        };
        let mut cursor = Cursor::new(&bytes, 0, 0, 128);
        let wide = node(class.clone()).read(&mut cursor).unwrap();
        assert_eq!(cursor.at, u64::from(class.bits));
        wide.to_string()
    }

    #[test]
    fn integers_are_exact_in_every_base_order_and_width() {
        let values = [
            0,
            1,
            9,
            u128::from(u64::MAX),
            1 << 64,
            10u128.pow(38),
            u128::MAX,
            1 << 127,
        ];
        for order in [ByteOrder::Little, ByteOrder::Big] {
            for bits in 65..=128 {
                for value in values.map(|value| value & u128::MAX >> (128 - bits)) {
                    let mut class = Integer::unsigned(bits);
                    class.order = order;
                    assert_eq!(shown(&class, value), value.to_string(), "{bits} bits");
                    assert_eq!(shown(&class.clone().hex(), value), format!("0x{value:X}"));
                    class.base = Base::Octal;
                    assert_eq!(shown(&class, value), format!("0{value:o}"));
                    class.base = Base::Binary;
                    let width = bits as usize;
                    assert_eq!(shown(&class, value), format!("0b{value:0width$b}"));
                    let signed = (value << (128 - bits)) as i128 >> (128 - bits);
                    class = Integer::signed(bits);
                    class.order = order;
                    assert_eq!(shown(&class, value), signed.to_string(), "{bits} bits");
                    class.reversed = true;
                    let mirrored = (value.reverse_bits() >> (128 - bits)) << (128 - bits);
                    let signed = mirrored as i128 >> (128 - bits);
                    assert_eq!(shown(&class, value), signed.to_string(), "{bits} mirrored");
                }
            }
        }
    }

    #[test]
    fn floats_of_16_and_128_bits_are_those_of_ieee_754() {
        for (bits, want) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_477_539_063e-8),
            (0x3555, 0.333_251_953_125),
            (0xfc00, f64::NEG_INFINITY),
        ] {
            assert_eq!(half(bits), want);
        }
        assert!(half(0x7e00).is_nan());
        let quad = |value: u128| {
            let bytes = value.to_le_bytes();
            let mut cursor = Cursor::new(&bytes, 0, 0, 128);
            let wide = node(Integer::unsigned(128)).read(&mut cursor);
            wide.unwrap().quad()
        };
        for (bits, want) in [
            (0x3fff_0000_0000_0000_0000_0000_0000_0000, 1.0),
            (0xc000_8000_0000_0000_0000_0000_0000_0000, -3.0),
            (0x3ffd_5555_5555_5555_5555_5555_5555_5555, 1.0 / 3.0),
            (
                0x4000_921f_b544_42d1_8469_898c_c517_01b8,
                std::f64::consts::PI,
            ),
            (0x7fff_0000_0000_0000_0000_0000_0000_0000, f64::INFINITY),
            (0x43fe_ffff_ffff_ffff_f800_0000_0000_0000, f64::INFINITY),
            (0x43fe_ffff_ffff_ffff_f000_0000_0000_0000, f64::MAX),
        ] {
            assert_eq!(quad(bits), want, "{bits:x}");
        }
        assert!(quad(0x7fff_8000_0000_0000_0000_0000_0000_0000).is_nan());
    }
}
