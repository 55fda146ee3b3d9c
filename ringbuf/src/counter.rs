//! Commit counters that carry their lap.
//!
//! ```text
//!  0        20          40       64
//!  ├─ words ─┼─ records ─┼─ lap ──┤
//! ```
//! Each sub-buffer has two: *local*, added to by the lane's CPU in a restartable
//! sequence, and *remote*, added to atomically by whoever has migrated since it
//! reserved. Their sum says how much of the sub-buffer is committed.
//!
//! Invariant: while a sub-buffer is on lap `n`, both counters carry lap `n`, each
//! committed record is in exactly one of them, and an add meant for another lap
//! changes nothing.

use std::sync::atomic::{AtomicU64, Ordering};

/// The largest sub-buffer, so that its words fit their field.
pub const MAX_SUB_BUFFER_BYTES: u64 = (1 << (WORDS_BITS - 1)) * 8;

/// Bits below the lap.
pub(crate) const LAP_SHIFT: u32 = laneway_rseq::ring::LAP_SHIFT;

const _: () = assert!(LAP_SHIFT == 2 * WORDS_BITS);

const WORDS_BITS: u32 = 20;
const FIELD: u64 = (1 << WORDS_BITS) - 1;
const LAP_MASK: u64 = (1 << (64 - LAP_SHIFT)) - 1;

/// Which lap a sub-buffer is on: the low 24 bits of its number, counted from 1 since the lane
/// was made. One place in memory has another number on each lap; zeroes are on none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lap(u64);

impl Lap {
    /// The lap of the sub-buffer number `number`.
    #[inline(always)]
    pub(crate) fn of(number: u64) -> Self {
        Lap(number.wrapping_add(1) & LAP_MASK)
    }

    /// Whether this is what a place says that was never opened, before its number `number`.
    pub(crate) fn is_none(self, number: u64) -> bool {
        self.0 == 0 && number < LAP_MASK
    }

    /// The lap that a counter's word carries.
    pub(crate) fn of_word(word: u64) -> Self {
        Lap(word >> LAP_SHIFT)
    }

    /// Whether this lap lies before `other`, and not half of all laps before.
    pub(crate) fn is_before(self, other: Lap) -> bool {
        let ahead = other.0.wrapping_sub(self.0) & LAP_MASK;
        ahead != 0 && ahead <= LAP_MASK / 2
    }

    /// The number whose lap this is, of those that are at most `most`.
    pub(crate) fn number(self, most: u64) -> Option<u64> {
        let low = self.0.wrapping_sub(1);
        most.checked_sub(most.wrapping_sub(low) & LAP_MASK)
    }

    #[inline(always)]
    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    /// A counter that stands at the start of this lap.
    pub(crate) fn fresh(self) -> u64 {
        self.0 << LAP_SHIFT
    }
}

/// What one commit adds: `bytes` of `records` records.
#[inline(always)]
pub(crate) const fn delta(bytes: usize, records: u64) -> u64 {
    (bytes as u64 / 8) | records << WORDS_BITS
}

/// What is committed in a sub-buffer on one lap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) bytes: u64,
    pub(crate) records: u64,
}

/// The sum of both counters, for `lap`: `None` where either is on another lap.
pub(crate) fn sum(local: &AtomicU64, remote: &AtomicU64, lap: Lap) -> Option<Committed> {
    // SYNC(count): Acquire pairs with the counting stores, so that a reader who
    // sees the sum full sees what every writer did before it counted.
    let words = [
        local.load(Ordering::Acquire),
        remote.load(Ordering::Acquire),
    ];
    let mut sum = Committed::default();
    for word in words {
        if word >> LAP_SHIFT != lap.0 {
            return None;
        }
        sum.bytes += (word & FIELD) * 8;
        sum.records += records(word);
    }
    Some(sum)
}

/// Records in a counter, whatever its lap.
pub(crate) fn records(word: u64) -> u64 {
    word >> WORDS_BITS & FIELD
}

/// Adds `delta` to `counter` if it is still on `lap`; says whether it was.
#[cold]
pub(crate) fn add_remote(counter: &AtomicU64, lap: Lap, delta: u64) -> bool {
    let add = |word: u64| (word >> LAP_SHIFT == lap.0).then(|| word.wrapping_add(delta));
    // SYNC(count): Release, for the bytes of the record and its header.
    counter
        .fetch_update(Ordering::Release, Ordering::Relaxed, add)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_make_the_sum() {
        let lap = Lap::of(5);
        let local = AtomicU64::new(lap.fresh() + delta(32, 1));
        let remote = AtomicU64::new(lap.fresh());
        assert!(add_remote(&remote, lap, delta(64, 1)));
        let both = sum(&local, &remote, lap).unwrap();
        assert_eq!((both.bytes, both.records), (96, 2));
    }

    #[test]
    fn an_add_for_a_lap_that_is_over_is_dropped() {
        let now = Lap::of(18);
        let remote = AtomicU64::new(now.fresh());
        assert!(!add_remote(&remote, Lap::of(10), delta(64, 1)));
        assert_eq!(remote.into_inner(), now.fresh());
    }

    #[test]
    fn a_lap_tells_its_number_to_whoever_knows_roughly_where_the_lane_is() {
        assert_eq!(Lap::of(7).number(9), Some(7));
        assert_eq!(Lap::of(9).number(9), Some(9));
        assert_eq!(Lap::of(11).number(9), None);
        assert_eq!(Lap::of_word(0).number(9), None, "never opened");
        let far = (5 << 24) + 3;
        assert_eq!(Lap::of(far - 100).number(far), Some(far - 100));
    }

    #[test]
    fn laps_have_an_order_also_where_they_wrap() {
        assert!(Lap::of(7).is_before(Lap::of(8)));
        assert!(!Lap::of(8).is_before(Lap::of(8)));
        assert!(!Lap::of(9).is_before(Lap::of(8)));
        assert!(Lap::of(LAP_MASK - 1).is_before(Lap::of(LAP_MASK)));
    }

    #[test]
    fn a_full_sub_buffer_of_the_largest_size_does_not_spill_into_the_next_field() {
        let lap = Lap::of(0);
        let smallest = 16;
        let mut word = lap.fresh();
        for _ in 0..MAX_SUB_BUFFER_BYTES / smallest {
            word += delta(smallest as usize, 1);
        }
        let full = sum(&AtomicU64::new(word), &AtomicU64::new(lap.fresh()), lap).unwrap();
        assert_eq!(full.bytes, MAX_SUB_BUFFER_BYTES);
        assert_eq!(full.records, MAX_SUB_BUFFER_BYTES / smallest);
    }
}
