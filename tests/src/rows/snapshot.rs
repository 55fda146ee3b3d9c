//! Snapshots of a flight recorder, taken while all threads emit at full speed.
//!
//! ```text
//!   lane 0   … gone │ kept kept kept kept ▏           kept ▏
//!   lane 1     … gone … │ kept kept kept kept kept ▏  kept kept ▏
//!                        └────────────┘               └──┘   when all lanes were kept, every event of every thread is there
//! ```
//! The lanes are copied one after the other, and while they are, producers go on.

use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::time::Duration;

use laneway_ringbuf::clock::{self, ClockKind};
use rustix::process::Signal;

use super::{Buffers, Totals};
use crate::account::{Account, Found};
use crate::process::LIMIT;
use crate::random::Random;
use crate::{Place, Running, eventually, lanes};

const THREADS: usize = 4;

/// Bytes of a sub-buffer.
const SUB_BUFFER: u64 = 65536;

/// Takes `number` snapshots of an application whose events are in such a buffer, and one when it is killed.
///
/// # Panics
/// One of them is no valid trace, has a gap where there must be none, or not the newest events.
#[track_caller]
pub fn round(random: &mut Random, buffers: Buffers, number: u64) -> Totals {
    let place = Place::new();
    let options = [
        "--mode=overwrite",
        buffers.option(),
        "--sub-buffer-size=64K",
        "--sub-buffers=16",
    ];
    let mut daemon = place.daemon("trace", &options);
    let session = daemon.trace.clone();
    let account = Account::create(place.dir(), "account");
    let mut command = place.application("accountable");
    command
        .arg(account.path())
        .args([&THREADS.to_string(), "0"]);
    let application = Running::start(&mut command);
    let pid = application.pid().as_raw_nonzero().get().unsigned_abs();
    let full = || account.finished(THREADS).iter().all(|&n| n > 50_000);
    eventually("the lanes are full", LIMIT, full);
    let mut totals = Totals::default();
    for snapshot in 1..=number {
        std::thread::sleep(random.time(Duration::from_millis(50)));
        let finished = account.finished(THREADS);
        let by = clock::now(ClockKind::best());
        daemon.running.signal(Signal::USR1);
        let directory = session.join(format!("snapshot-{snapshot}"));
        // It is told when it is on disk.
        let told = format!("in {}", directory.display());
        daemon.running.await_text(&told);
        check(&directory, pid, (&finished, by), &mut totals);
    }
    application.signal(Signal::KILL);
    let _ = application.wait();
    let finished = account.finished(THREADS);
    let by = clock::now(ClockKind::best());
    let (_, summary) = daemon.finish();
    let (problems, lost) = match &summary.shared {
        Some(shared) => (&shared.problems, shared.counts.lost),
        None => (&summary.of(pid).problems, summary.of(pid).counts.lost),
    };
    assert_eq!(problems, &[""; 0]);
    assert!(lost.unfinished <= THREADS as u64, "{summary:#?}");
    check(&session.join("end"), pid, (&finished, by), &mut totals);
    totals
}

/// A snapshot of `pid`, taken when this was finished, and by then.
#[track_caller]
fn check(directory: &Path, pid: u32, (finished, by): (&[u64], u64), totals: &mut Totals) {
    let streams = lanes::check(directory);
    let found = Found::read(directory);
    let other: Vec<_> = found
        .warnings
        .lines()
        .filter(|line| !says_discarded(line))
        .collect();
    assert!(other.is_empty(), "babeltrace2 warns: {}", found.warnings);
    let complete = lanes::complete_times(directory, SUB_BUFFER);
    for (pid, line, times) in &found.gaps {
        let lacks = complete.iter().any(covers(times));
        assert!(
            !lacks,
            "line {line} of {pid} has a gap at {times:?}: {complete:?}"
        );
    }
    let whole = |run: &RangeInclusive<u64>| run.end() - run.start();
    totals.add("cycles without a gap", complete.iter().map(whole).sum());
    for (line, &finished) in finished.iter().enumerate() {
        let found = found.line(pid, line);
        let times = found.last_time..by;
        let lacks = found.events > 0 && found.end < finished && complete.iter().any(covers(&times));
        assert!(
            !lacks,
            "line {line}: {finished} finished by {by}: {found:?}"
        );
    }
    let records: u64 = streams.iter().map(|stream| stream.records).sum();
    assert_eq!(records, found.events);
    totals.add("snapshots", 1);
    totals.add("events checked", found.events);
}

/// Whether a time at which nothing is missing covers these.
fn covers(times: &Range<u64>) -> impl Fn(&RangeInclusive<u64>) -> bool {
    move |run| *run.start() <= times.start && times.end <= *run.end()
}

fn says_discarded(warning: &str) -> bool {
    warning.contains("discarded") || warning.trim().is_empty()
}
