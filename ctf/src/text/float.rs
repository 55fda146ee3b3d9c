//! Floating point numbers as `%g` of C's `printf` shows them: six significant digits, no zeros at the end.
//!
//! ```text
//!  0.37 ─▶ × 10^6 ─▶ 370000.00000000006 ─▶ 370000 ─▶ "0.37"
//! ```
//! A number is scaled to six digits before the point and rounded. Scaling by a power of ten that is itself exact is
//! off by less than 10^-9 there, so rounding is certain unless the fraction is that near to a half; then, and for
//! numbers that are very large or small, the exact digits are asked of the standard library.
//!
//! Reference: C11, 7.21.6.1, conversion `g` with a precision of 6.

use std::io::Write as _;

use super::line::{Line, eight_digits};

/// The powers of ten that are exact.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// How near to a half the fraction may not be: many times the error of scaling.
const DOUBT: f64 = 1e-8;

/// Appends a number as `%g` shows it.
#[inline(never)]
pub(super) fn general(line: &mut Line, value: f64) {
    let size = value.abs();
    if size < 1e6 && size as u32 as f64 == size && (value != 0.0 || value.is_sign_positive()) {
        return line.signed(value as i64);
    }
    if !value.is_finite() {
        return not_finite(line, value);
    }
    let (digits, exponent) = match scaled(size) {
        Some(found) => found,
        None => exact(size),
    };
    if value.is_sign_negative() {
        line.byte(b'-');
    }
    decimal(line, digits, exponent);
}

fn not_finite(line: &mut Line, value: f64) {
    let text = match (value.is_nan(), value.is_sign_negative()) {
        (true, false) => "nan",
        (true, true) => "-nan",
        (false, false) => "inf",
        (false, true) => "-inf",
    };
    line.text(text.as_bytes());
}

/// The first six digits of a positive number, rounded, and the exponent of the first; `None` if that is not certain.
#[inline]
fn scaled(value: f64) -> Option<(u32, i32)> {
    // The binary exponent times log10(2): the decimal one, or one less.
    let binary = (value.to_bits() >> 52) as i32 - 1023;
    let mut exponent = (binary * 1233) >> 12;
    let mut six = scale(value, 5 - exponent)?;
    if six >= 999_999.5 {
        exponent += 1;
        six = scale(value, 5 - exponent)?;
    }
    let whole = six as u32;
    let fraction = six - f64::from(whole);
    let certain = (fraction - 0.5).abs() > DOUBT && (100_000..1_000_000).contains(&whole);
    // 999999.4999… rounds down, so the sum has six digits: what would round up was scaled anew above.
    certain.then_some((whole + u32::from(fraction > 0.5), exponent))
}

#[inline]
fn scale(value: f64, power: i32) -> Option<f64> {
    match power {
        0.. => Some(value * POWERS.get(power as usize)?),
        _ => Some(value / POWERS.get(power.unsigned_abs() as usize)?),
    }
}

/// The same, exactly, by the standard library.
#[cold]
fn exact(value: f64) -> (u32, i32) {
    let mut text = [0u8; 32];
    let mut rest = text.as_mut_slice();
    // `d.ddddde-ddd`: 32 bytes are enough.
    let _ = write!(rest, "{value:.5e}");
    let left = rest.len();
    let text = std::str::from_utf8(&text[..32 - left]).unwrap_or_default();
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let digits = digits
        .bytes()
        .filter(u8::is_ascii_digit)
        .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    (digits, exponent.parse().unwrap_or(0))
}

/// Appends six digits with the point where the exponent of the first puts it.
pub(super) fn decimal(line: &mut Line, six: u32, exponent: i32) {
    let all = eight_digits(six).to_le_bytes().map(|digit| digit | b'0');
    let mut digits = [0; 6];
    digits.copy_from_slice(&all[2..]);
    // 0 has no other digit than its first.
    let count = digits
        .iter()
        .rposition(|&digit| digit != b'0')
        .map_or(1, |last| last + 1);
    match exponent {
        -4..=-1 => {
            line.block(b"0.000", 1 + exponent.unsigned_abs() as usize);
            line.block(&digits, count);
        }
        0..6 => {
            let whole = exponent as usize + 1;
            line.block(&digits, whole);
            if count > whole {
                line.byte(b'.');
                line.text(&digits[whole..count]);
            }
        }
        _ => {
            line.block(&digits, 1);
            if count > 1 {
                line.byte(b'.');
                line.text(&digits[1..count]);
            }
            line.text(if exponent < 0 { b"e-" } else { b"e+" });
            if exponent.unsigned_abs() < 10 {
                line.byte(b'0');
            }
            line.unsigned(u64::from(exponent.unsigned_abs()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: f64) -> String {
        let mut line = Line::behind(Vec::new(), 0);
        general(&mut line, value);
        String::from_utf8(line.finish()).unwrap()
    }

    #[test]
    fn floats_are_those_of_printf_g() {
        for (value, want) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (-42.0, "-42"),
            (100_000.0, "100000"),
            (1e6, "1e+06"),
            (999_999.5, "1e+06"),
            (999_999.4, "999999"),
            (-999_999.5, "-1e+06"),
            (123_456.7, "123457"),
            (123_456.5, "123456"),
            (123_455.5, "123456"),
            (0.000_1, "0.0001"),
            (0.000_099_999_99, "0.0001"),
            (0.000_099_999_94, "9.99999e-05"),
            (0.000_012_345_67, "1.23457e-05"),
            (-1e300, "-1e+300"),
            (5e-324, "4.94066e-324"),
            (f64::MAX, "1.79769e+308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (0.1 + 0.2, "0.3"),
            (99_999.951, "100000"),
            (1e22, "1e+22"),
            (1e23, "1e+23"),
        ] {
            assert_eq!(text(value), want);
        }
        assert_eq!(text(f64::NAN), "nan");
    }

    #[test]
    fn the_quick_way_comes_to_what_the_exact_one_comes_to() {
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        let mut quick = 0;
        for i in 0..200_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // Any number, numbers people use, and numbers just at a half.
            let value = match i % 3 {
                0 => f64::from_bits(random & (u64::MAX >> 1)),
                1 => (random % 1_000_000_007) as f64 / 1e5,
                _ => (random % 1_000_000) as f64 + 0.5 + (random >> 60) as f64 * 1e-9,
            };
            if let Some(found) = scaled(value) {
                assert_eq!(found, exact(value), "{value:e}");
                quick += 1;
            }
        }
        assert!(quick > 100_000, "{quick}");
    }
}
