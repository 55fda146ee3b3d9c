//! Readings of a clock as nanoseconds, many of them.
//!
//! ```text
//!  cycles ─÷ frequency─▶ seconds, rest ─× 10^9 ÷ frequency─▶ nanoseconds
//! ```
//! A division of 64 bits takes longer than all else that is done to pass an event. The divisor is always the same, so
//! its reciprocal is made once, and dividing is multiplying.
//!
//! Reference: T. Granlund, P. L. Montgomery, "Division by Invariant Integers using Multiplication", 1994.

const NS_PER_S: u64 = 1_000_000_000;

/// A clock's offset and frequency.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    offset_ns: i64,
    frequency: u64,
    /// The quotient of 2^64 and the frequency, rounded down (of a frequency of 1: 2^64 - 1).
    reciprocal: u64,
}

impl Timing {
    /// The times of a clock that read 0 at `offset_ns`; `None` for a frequency of 0.
    pub(super) fn new(offset_ns: i64, frequency: u64) -> Option<Self> {
        let reciprocal = (1u128 << 64).checked_div(u128::from(frequency))?;
        Some(Timing {
            offset_ns,
            frequency,
            reciprocal: u64::try_from(reciprocal).unwrap_or(u64::MAX),
        })
    }

    /// Nanoseconds from the origin to the instant when the clock read `cycles`, rounded down.
    #[inline]
    pub(crate) fn ns(self, cycles: u64) -> Option<i64> {
        let ns = match self.frequency {
            NS_PER_S => i64::try_from(cycles).ok()?,
            _ => self.cycles_to_ns(cycles)?,
        };
        self.offset_ns.checked_add(ns)
    }

    #[inline]
    fn cycles_to_ns(self, cycles: u64) -> Option<i64> {
        let (seconds, rest) = self.divide(cycles);
        let ns = match rest.checked_mul(NS_PER_S) {
            Some(product) => self.divide(product).0,
            None => (u128::from(rest) * u128::from(NS_PER_S) / u128::from(self.frequency)) as u64,
        };
        i64::try_from(seconds)
            .ok()?
            .checked_mul(NS_PER_S as i64)?
            .checked_add(ns as i64)
    }

    /// Quotient and remainder. The reciprocal is less than 1 too small, the product thus less than 1, and rounding it
    /// down takes less than 1 more: the quotient is right or one too small.
    #[inline]
    fn divide(self, value: u64) -> (u64, u64) {
        let quotient = ((u128::from(value) * u128::from(self.reciprocal)) >> 64) as u64;
        let rest = value - quotient * self.frequency;
        match rest >= self.frequency {
            true => (quotient + 1, rest - self.frequency),
            false => (quotient, rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplying_by_the_reciprocal_is_dividing() {
        let values = (0..64).flat_map(|i| [0, 1, 2].map(|d| (1u64 << i).wrapping_sub(d)));
        let divisors = values
            .clone()
            .chain([3, 7, 2_399_999_000, 24_000_000, 10_000_000_000]);
        for divisor in divisors.filter(|&divisor| divisor > 0) {
            let timing = Timing::new(0, divisor).unwrap();
            for value in values.clone() {
                let near = [
                    value,
                    value.wrapping_mul(divisor),
                    value.wrapping_mul(divisor).wrapping_sub(1),
                ];
                for value in near.into_iter().chain([u64::MAX - value]) {
                    let want = (value / divisor, value % divisor);
                    assert_eq!(timing.divide(value), want, "{value} / {divisor}");
                }
            }
        }
    }
}
