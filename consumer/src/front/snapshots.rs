//! Snapshots under way: who has still to come with his part.
//!
//! ```text
//!   asked for ─▶ an order to each process that is there now ─▶ parts ─▶ all there: told, and in the summary
//! ```
//!
//! Invariant: a snapshot is told once, when every process it was ordered from has come with its part or is gone.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::drain::SnapshotPart;
use crate::summary::SnapshotSummary;

/// All snapshots that are not complete.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    /// How many were asked for and begun.
    pub(super) begun: u64,
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    awaited: BTreeSet<u64>,
    summary: SnapshotSummary,
}

impl Snapshots {
    /// A snapshot of so many processes was ordered from these.
    pub(super) fn begin(
        &mut self,
        number: u64,
        directory: PathBuf,
        from: BTreeSet<u64>,
        processes: usize,
    ) {
        self.open.push(Open {
            summary: SnapshotSummary {
                number,
                directory,
                processes: processes as u64,
                ..SnapshotSummary::default()
            },
            awaited: from,
        });
    }

    /// An application comes with its part.
    pub(super) fn add(&mut self, id: u64, part: SnapshotPart) {
        let open = self.open.iter_mut();
        let Some(open) = open.into_iter().find(|o| o.summary.number == part.number) else {
            return;
        };
        open.awaited.remove(&id);
        open.summary.counts += part.counts;
        open.summary.problems.extend(part.problems);
    }

    /// An application comes with nothing more.
    pub(super) fn forget(&mut self, id: u64) {
        for open in &mut self.open {
            open.awaited.remove(&id);
        }
    }

    /// Those that are complete now.
    pub(super) fn take_complete(&mut self) -> Vec<SnapshotSummary> {
        let complete = self.open.extract_if(.., |open| open.awaited.is_empty());
        complete.map(|open| open.summary).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::Counts;

    fn part(number: u64, recorded: u64) -> SnapshotPart {
        SnapshotPart {
            number,
            counts: Counts {
                recorded,
                ..Counts::default()
            },
            problems: Vec::new(),
        }
    }

    #[test]
    fn a_snapshot_is_complete_when_all_have_come_or_gone() {
        let mut snapshots = Snapshots::default();
        snapshots.begin(1, "one".into(), BTreeSet::from([1, 2, 3]), 3);
        snapshots.begin(2, "two".into(), BTreeSet::from([2]), 1);
        snapshots.begin(3, "three".into(), BTreeSet::new(), 0);
        let numbers = |snapshots: &mut Snapshots| -> Vec<_> {
            let complete = snapshots.take_complete();
            complete
                .iter()
                .map(|s| (s.number, s.counts.recorded))
                .collect()
        };
        assert_eq!(numbers(&mut snapshots), [(3, 0)]);
        snapshots.add(1, part(1, 10));
        snapshots.add(2, part(2, 5));
        snapshots.add(2, part(1, 20));
        assert_eq!(numbers(&mut snapshots), [(2, 5)]);
        snapshots.forget(3);
        assert_eq!(numbers(&mut snapshots), [(1, 30)]);
        snapshots.add(3, part(1, 1));
        assert_eq!(numbers(&mut snapshots), []);
    }
}
