//! Ranges of values as one comparison each.
//!
//! ```text
//!  -1 ..= 5, of a signed selector   ─▶   value - 0xffff_ffff_ffff_ffff <= 6
//! ```

use crate::model::Range;

/// Values from `low` on, `more` of them behind it; in the two's complement that a signed selector is kept in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(super) low: u64,
    pub(super) more: u64,
}

impl Span {
    /// What of `range` a selector of 64 bits can be.
    fn of(range: Range, signed: bool) -> Option<Self> {
        let (least, most) = match signed {
            true => (i128::from(i64::MIN), i128::from(i64::MAX)),
            false => (0, i128::from(u64::MAX)),
        };
        let (low, high) = (range.low.max(least), range.high.min(most));
        (low <= high).then(|| Span {
            low: low as u64,
            more: (high - low) as u64,
        })
    }

    /// What of these ranges it can be.
    pub(crate) fn all_of(ranges: &[Range], signed: bool) -> Box<[Self]> {
        let spans = ranges.iter().filter_map(|range| Span::of(*range, signed));
        spans.collect()
    }

    #[inline(always)]
    fn contains(self, value: u64) -> bool {
        value.wrapping_sub(self.low) <= self.more
    }
}

/// Whether a value is in one of them.
#[inline(always)]
pub(crate) fn contains(spans: &[Span], value: u64) -> bool {
    spans.iter().any(|span| span.contains(value))
}
