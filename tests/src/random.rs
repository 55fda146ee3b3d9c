//! Random numbers that can be repeated, and how long the tests run.

use std::ops::Range;
use std::time::Duration;

/// A small fast generator (xorshift64).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// One that gives the same numbers for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Random {
        // A few steps, for seeds that are alike; never 0, from which there is no way out.
        let mut random = Random(seed ^ 0x9e37_79b9_7f4a_7c15 | 1);
        for _ in 0..8 {
            random.next();
        }
        random
    }

    /// The next one.
    #[expect(clippy::should_implement_trait, reason = "it has no end")]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// One in that range.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    /// A time below that limit.
    pub fn time(&mut self, below: Duration) -> Duration {
        let below = u64::try_from(below.as_nanos()).expect("less than five centuries");
        Duration::from_nanos(self.within(0..below))
    }

    /// One of them.
    pub fn choose<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[self.within(0..choices.len() as u64) as usize]
    }
}

/// How many times as long as usual a test shall run: `LANEWAY_STRESS`.
///
/// # Panics
/// It is no number.
#[must_use]
pub fn stress_factor() -> u64 {
    std::env::var("LANEWAY_STRESS").map_or(1, |n| n.parse().expect("LANEWAY_STRESS is a number"))
}
