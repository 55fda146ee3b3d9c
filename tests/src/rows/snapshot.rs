//! Snapshots of a flight recorder, taken while all threads emit at full speed.
//!
//! ```text
//!   lane 0   … gone │ kept kept kept kept ▏      T = when the youngest of the oldest kept events happened:
//!   lane 1     … gone … │ kept kept kept ▏       from T on every event of every thread is there
//!                       T
//! ```

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use super::Totals;
use crate::account::{Account, Found};
use crate::process::LIMIT;
use crate::random::Random;
use crate::{Place, Running, eventually, lanes};

const THREADS: usize = 4;

/// Bytes of a sub-buffer.
const SUB_BUFFER: u64 = 65536;

/// Takes `number` snapshots of an application, and one when it is killed.
///
/// # Panics
/// One of them is no valid trace, has a gap where there must be none, or not the newest events.
#[track_caller]
pub fn round(random: &mut Random, number: u64) -> Totals {
    let place = Place::new();
    let options = [
        "--mode=overwrite",
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
        daemon.running.signal(Signal::USR1);
        let directory = session.join(format!("snapshot-{snapshot}"));
        // It is told when it is on disk.
        let told = format!("in {}", directory.display());
        daemon.running.await_text(&told);
        check(&directory, pid, &finished, &mut totals);
    }
    application.signal(Signal::KILL);
    let _ = application.wait();
    let finished = account.finished(THREADS);
    let (_, summary) = daemon.finish();
    let process = summary.of(pid);
    assert_eq!(process.problems, [""; 0]);
    assert!(
        process.counts.lost.unfinished <= THREADS as u64,
        "{process:#?}"
    );
    check(&session.join("end"), pid, &finished, &mut totals);
    totals
}

/// A snapshot of `pid`, taken when this was finished.
#[track_caller]
fn check(directory: &Path, pid: u32, finished: &[u64], totals: &mut Totals) {
    let streams = lanes::check(directory);
    let found = Found::read(directory);
    let other: Vec<_> = found
        .warnings
        .lines()
        .filter(|line| !says_discarded(line))
        .collect();
    assert!(other.is_empty(), "babeltrace2 warns: {}", found.warnings);
    let since = lanes::complete_since(directory, SUB_BUFFER);
    let mut newest = 0;
    for (line, &finished) in finished.iter().enumerate() {
        let found = found.line(pid, line);
        if found.events == 0 || found.last_time < since {
            // It did not run for so long that all of it is gone.
            continue;
        }
        assert!(
            found.gap_after < since,
            "line {line}: a gap after {since}: {found:?}"
        );
        assert!(
            found.end >= finished,
            "line {line}: {finished} finished before: {found:?}"
        );
        newest += found.run;
    }
    assert!(newest > 0, "nothing new: {found:#?}");
    let records: u64 = streams.iter().map(|stream| stream.records).sum();
    assert_eq!(records, found.events);
    totals.add("snapshots", 1);
    totals.add("events checked", found.events);
    totals.add("events without a gap", newest);
}

fn says_discarded(warning: &str) -> bool {
    warning.contains("discarded") || warning.trim().is_empty()
}
