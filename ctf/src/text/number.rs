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

/// Appends a number as `%g` shows it.
pub(crate) fn general(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        let sign: &[u8] = if value.is_sign_negative() { b"-" } else { b"" };
        out.extend_from_slice(sign);
        return out.extend_from_slice(b"nan");
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    }
    if value.trunc() == value && value.abs() < 1e6 && (value != 0.0 || value.is_sign_positive()) {
        return signed(out, value as i64);
    }
    // Six significant digits, correctly rounded: the exponent is known only then.
    let mut scientific = [0u8; 32];
    let mut rest = scientific.as_mut_slice();
    let _ = write!(rest, "{value:.5e}");
    let left = rest.len();
    let text = &scientific[..32 - left];
    let e = text.iter().position(|&c| c == b'e').unwrap_or(text.len());
    let exponent: i32 = std::str::from_utf8(&text[(e + 1).min(text.len())..])
        .ok()
        .and_then(|t| t.parse().ok())
        .unwrap_or(0);
    if (-4..6).contains(&exponent) {
        let from = out.len();
        let _ = write!(out, "{value:.*}", (5 - exponent) as usize);
        strip_zeros(out, from);
    } else {
        let from = out.len();
        out.extend_from_slice(&text[..e]);
        strip_zeros(out, from);
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "e{sign}{:02}", exponent.abs());
    }
}

/// Takes the zeros at the end of a fraction away, and the point if nothing is left of it.
fn strip_zeros(out: &mut Vec<u8>, from: usize) {
    if !out[from..].contains(&b'.') {
        return;
    }
    while out.last() == Some(&b'0') {
        out.pop();
    }
    if out.last() == Some(&b'.') {
        out.pop();
    }
}

/// Bytes that are not shown as they are.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut c = 0;
    while c < 0x20 {
        special[c] = true;
        c += 1;
    }
    special[0x7f] = true;
    special[b'\\' as usize] = true;
    special[b'\'' as usize] = true;
    special[b'"' as usize] = true;
    special[b'?' as usize] = true;
    special
};

/// Appends text in quotes, with C's escape sequences.
pub(crate) fn quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&c| SPECIAL[usize::from(c)]) {
        out.extend_from_slice(&rest[..at]);
        let escape = match rest[at] {
            c @ (b'\\' | b'\'' | b'"' | b'?') => c,
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
                let _ = write!(out, "\\x{c:02x}");
                rest = &rest[at + 1..];
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', escape]);
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
    fn floats_are_those_of_printf_g() {
        for (value, want) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (100_000.0, "100000"),
            (1e6, "1e+06"),
            (999_999.5, "1e+06"),
            (123_456.7, "123457"),
            (0.000_1, "0.0001"),
            (0.000_012_345_67, "1.23457e-05"),
            (-1e300, "-1e+300"),
            (5e-324, "4.94066e-324"),
            (f64::MAX, "1.79769e+308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (0.1 + 0.2, "0.3"),
            (99_999.951, "100000"),
        ] {
            assert_eq!(text(|out| general(out, value)), want);
        }
        assert_eq!(text(|out| general(out, f64::NAN)), "nan");
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
