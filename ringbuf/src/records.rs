//! Walking over the headers of a sub-buffer.
//!
//! Needed only where the counters cannot answer: for the published part of a
//! sub-buffer that is still being filled, for what dead writers left behind, and in snapshots.
//!
//! Invariant: a walk never leaves the range it was given, whatever bytes it meets.

use crate::header::{HEADER_BYTES, Header, TOMBSTONE_ID};
use crate::lane::Lane;
use std::ops::Range;
use std::sync::atomic::Ordering;

/// What stands at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A published record of this many bytes, with its clock.
    Record { bytes: u64, clock: u64 },
    /// A record of this many bytes that its writer has not published, and its clock if it tells
    /// the whole of it: those behind it may rely on that.
    Busy { bytes: u64, told: Option<u64> },
    /// Padding up to the end of the sub-buffer; `busy` while it is not published.
    Padding { busy: bool },
    /// A record of this many bytes whose process died before it published; the same.
    Tombstone { bytes: u64, told: Option<u64> },
    /// Nothing that a producer of ours writes.
    Nonsense,
}

/// Looks at `position`, which lies in `range`; `before` is the clock of the record before
/// it, or of the sub-buffer's begin.
pub(crate) fn look(lane: Lane<'_>, position: u64, range: &Range<u64>, before: u64) -> Found {
    let header = lane.header(position);
    let bytes = header.record_bytes() as u64;
    if header.bits() == 0 || bytes > range.end - position {
        return Found::Nonsense;
    }
    match (bytes, header.is_busy()) {
        (0, busy) => Found::Padding { busy },
        (_, true) => Found::Busy {
            bytes,
            told: told_clock(lane, position, header),
        },
        (8, false) => Found::Nonsense,
        (_, false) if header.id() == TOMBSTONE_ID => Found::Tombstone {
            bytes,
            told: told_clock(lane, position, header),
        },
        (_, false) => Found::Record {
            bytes,
            clock: clock_of(lane, position, header, before),
        },
    }
}

fn clock_of(lane: Lane<'_>, position: u64, header: Header, before: u64) -> u64 {
    if header.is_extended() {
        let word = lane.header_word(position + HEADER_BYTES as u64);
        return word.load(Ordering::Relaxed);
    }
    let clock = before & !0xffff_ffff | u64::from(header.clock_low());
    match clock < before {
        true => clock.wrapping_add(1 << 32),
        false => clock,
    }
}

/// The whole clock of a record that was begun, if its writer has got so far: then its epoch may be
/// known to the writers of what follows, who do not tell it again.
fn told_clock(lane: Lane<'_>, position: u64, header: Header) -> Option<u64> {
    if !header.is_extended() || header.record_bytes() <= 2 * HEADER_BYTES {
        return None;
    }
    let word = lane.header_word(position + HEADER_BYTES as u64);
    let clock = word.load(Ordering::Relaxed);
    // Else it is what stood there before.
    (clock as u32 == header.clock_low()).then_some(clock)
}

/// The published records at the beginning of a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) bytes: u64,
    pub(crate) records: u64,
    /// Clock of the last one; before the first, that of the begin.
    pub(crate) last: u64,
}

/// Collects the published records from the start of `range` on, and says what
/// stopped it; `None` where the range ended. `begin` is the clock before the first one.
pub(crate) fn run(lane: Lane<'_>, range: Range<u64>, begin: u64) -> (Run, Option<Found>) {
    let mut run = Run {
        last: begin,
        ..Run::default()
    };
    while range.start + run.bytes < range.end {
        match look(lane, range.start + run.bytes, &range, run.last) {
            Found::Record { bytes, clock } => {
                run.bytes += bytes;
                run.records += 1;
                run.last = clock;
            }
            other => return (run, Some(other)),
        }
    }
    (run, None)
}

/// The published records in a range that somebody else has read, whatever stands between them.
pub(crate) fn all(lane: Lane<'_>, range: Range<u64>, begin: u64) -> Run {
    let mut all = Run {
        last: begin,
        ..Run::default()
    };
    while range.start + all.bytes < range.end {
        let (bytes, records, clock) = match look(lane, range.start + all.bytes, &range, all.last) {
            Found::Record { bytes, clock } => (bytes, 1, Some(clock)),
            Found::Busy { bytes, told } | Found::Tombstone { bytes, told } => (bytes, 0, told),
            Found::Padding { .. } | Found::Nonsense => break,
        };
        all.bytes += bytes;
        all.records += records;
        all.last = clock.unwrap_or(all.last);
    }
    all
}
