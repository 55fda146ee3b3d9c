//! Processes that have children in every way there is, while their other threads emit.
//!
//! Each child is a process of its own in the trace, with all of its events; none of them is under another's number, and none
//! of its parent's is missing.

use std::collections::BTreeSet;

use super::Totals;
use crate::account::{Account, Found};
use crate::{Place, lanes, run};

/// The ways: see `src/bin/families.rs`.
pub const WAYS: [&str; 5] = ["fork", "fork-exec", "vfork-exec", "posix-spawn", "daemon"];

/// Lines of the parent, the last one of which is that of the thread that has the children.
const PARENT: usize = 3;

/// What each child emits.
const EVENTS: u64 = 50;

/// Has a process have `children` children in one way, from its first thread or from another one.
///
/// # Panics
/// An event is missing, or under the wrong number; or somebody is in a deadlock.
#[track_caller]
pub fn round(way: &str, who: &str, children: usize) -> Totals {
    let place = Place::new();
    let options = [
        "--mode=block",
        "--block-timeout=60s",
        "--sub-buffer-size=16K",
    ];
    let daemon = place.daemon("trace", &options);
    let trace = daemon.trace.clone();
    let account = Account::create(place.dir(), "account");
    let _ = run(place.application("families").arg(account.path()).args([
        way,
        who,
        &children.to_string(),
    ]))
    .succeeded();
    let (_, summary) = daemon.finish();
    let _ = lanes::check(&trace);
    let found = Found::read(&trace);

    let lines = PARENT + children;
    let (owners, finished) = (account.owners(lines), account.finished(lines));
    for (line, (&owner, &finished)) in owners.iter().zip(&finished).enumerate() {
        let of_line = found.line(owner, line);
        assert!(
            of_line.first == 0 && of_line.is_contiguous() && of_line.events == finished,
            "{way} from {who}, line {line}: {finished} finished by {owner}, {of_line:?}, {:#?}, {:#?}",
            summary
                .processes
                .iter()
                .find(|process| process.pid == owner),
            summary.refused,
        );
        assert!(line < PARENT || finished == EVENTS, "{way}: line {line}");
    }
    let processes: BTreeSet<_> = owners.iter().copied().collect();
    assert_eq!(processes.len(), 1 + children, "{way}: {owners:?}");
    let with_events: BTreeSet<_> = found.lines.keys().map(|(pid, _)| *pid).collect();
    assert_eq!(with_events, processes, "{way}: events of somebody else");
    assert_eq!(found.lines.len(), lines, "{way}: events in another's line");
    for process in &summary.processes {
        assert_eq!(process.problems, [""; 0]);
    }
    assert_eq!(summary.total.lost.total(), 0, "{way}: {summary:#?}");
    let mut totals = Totals::default();
    totals.add("children", children as u64);
    totals.add("events checked", found.events);
    totals
}
