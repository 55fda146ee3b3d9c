//! Numbers and strings as C's `printf` and babeltrace show them.

use std::io::Write as _;

use crate::model::{Base, Integer};

/// Appends a decimal number.
#[inline]
pub(crate) fn unsigned(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a decimal number.
#[inline]
pub(crate) fn signed(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends `value` with leading zeros to `N` digits, two at a time.
#[inline]
pub(crate) fn padded<const N: usize>(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [b'0'; N];
    let mut pairs = digits.rchunks_exact_mut(2);
    for pair in &mut pairs {
        let two = (value % 100) as u8;
        value /= 100;
        pair[0] = b'0' + two / 10;
        pair[1] = b'0' + two % 10;
    }
    if let [first] = pairs.into_remainder() {
        *first = b'0' + (value % 10) as u8;
    }
    out.extend_from_slice(&digits);
}

/// Appends an integer in the base of its class. `bits` holds it sign-extended.
#[inline]
pub(crate) fn integer(out: &mut Vec<u8>, bits: u64, class: &Integer) {
    match class.base {
        Base::Decimal if class.signed => signed(out, bits as i64),
        Base::Decimal => unsigned(out, bits),
        _ => in_base(out, bits, class),
    }
}

/// Appends an integer in another base than ten.
pub(crate) fn in_base(out: &mut Vec<u8>, bits: u64, class: &Integer) {
    let width = class.bits;
    // Negative numbers show the digits that their width fills.
    let masked = |step: u32| match width {
        64.. => bits,
        _ => {
            bits & u64::MAX
                .checked_shr(64 - width.div_ceil(step) * step)
                .unwrap_or(u64::MAX)
        }
    };
    // Writing to a vector cannot fail.
    let _ = match class.base {
        Base::Hexadecimal => write!(out, "0x{:X}", masked(4)),
        Base::Octal if class.signed => write!(out, "0{:o}", masked(3)),
        Base::Octal => write!(out, "0{bits:o}"),
        _ => write!(out, "0b{:0width$b}", masked(1), width = width as usize),
    };
}

/// Whether a byte of text is not shown as it is.
pub(crate) const fn is_special(c: u8) -> bool {
    matches!(c, ..0x20 | 0x7f | b'\\' | b'\'' | b'"' | b'?')
}

/// The escape sequence of a special byte, and how long it is.
pub(crate) fn escaped(c: u8) -> ([u8; 4], usize) {
    let letter = match c {
        b'\\' | b'\'' | b'"' | b'?' => c,
        0 => b'0',
        7 => b'a',
        8 => b'b',
        0x1b => b'e',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x0b => b'v',
        c => {
            let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
            return ([b'\\', b'x', digit(c >> 4), digit(c & 15)], 4);
        }
    };
    ([b'\\', letter, 0, 0], 2)
}

/// Appends text in quotes, with C's escape sequences.
pub(crate) fn quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&c| is_special(c)) {
        out.extend_from_slice(&rest[..at]);
        let (sequence, length) = escaped(rest[at]);
        out.extend_from_slice(&sequence[..length]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(f: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        f(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn integers_are_shown_in_their_base_with_the_digits_of_their_width() {
        let mut class = Integer::signed(13).hex();
        assert_eq!(text(|out| integer(out, -1i64 as u64, &class)), "0xFFFF");
        class.base = Base::Binary;
        assert_eq!(text(|out| integer(out, 5, &class)), "0b0000000000101");
        assert_eq!(
            text(|out| integer(out, -1i64 as u64, &class)),
            "0b1111111111111"
        );
        class.base = Base::Octal;
        assert_eq!(text(|out| integer(out, -1i64 as u64, &class)), "077777");
        class.base = Base::Decimal;
        assert_eq!(text(|out| integer(out, -1i64 as u64, &class)), "-1");
        let class = Integer::unsigned(64).hex();
        assert_eq!(
            text(|out| integer(out, u64::MAX, &class)),
            "0xFFFFFFFFFFFFFFFF"
        );
    }

    #[test]
    fn text_is_escaped_as_in_c() {
        let shown = text(|out| quoted(out, b"a\"b\\c\n\x01?\x7f'\x1b"));
        assert_eq!(shown, r#""a\"b\\c\n\x01\?\x7f\'\e""#);
    }

    #[test]
    fn padding_is_zeros() {
        assert_eq!(text(|out| padded::<9>(out, 1_234)), "000001234");
    }
}
