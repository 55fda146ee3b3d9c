//! Threads that are interrupted all the time, by handlers that emit and are interrupted in turn.
//!
//! Every event of the threads and of all handlers is in the trace, in its order, or is counted as lost.

use super::Totals;
use crate::account::{Account, Found};
use crate::{Place, lanes, run};

const THREADS: usize = 3;
const LINES: usize = 4 * THREADS;

/// Interrupts each thread by each of its timers `signals` times.
///
/// # Panics
/// An event is missing, or there twice; or the program does not end, since it is in a deadlock.
#[track_caller]
pub fn round(signals: u64, environment: &[(&str, &str)]) -> Totals {
    let place = Place::new();
    let daemon = place.daemon("trace", &["--sub-buffers=32", "--flush-period=5ms"]);
    let trace = daemon.trace.clone();
    let account = Account::create(place.dir(), "account");
    let output = run(place
        .application("interrupted")
        .envs(environment.iter().copied())
        .arg(account.path())
        .args([THREADS.to_string(), signals.to_string()]))
    .succeeded();
    let (_, summary) = daemon.finish();
    let _ = lanes::check(&trace);
    let found = Found::read(&trace);
    let process = summary.process();
    assert_eq!(process.problems, [""; 0]);
    let finished = account.finished(LINES);
    let counts = process.counts;
    assert_eq!(counts.emitted, finished.iter().sum::<u64>(), "{process:#?}");
    assert_eq!(counts.lost.total(), counts.lost.full, "{process:#?}");
    assert_eq!(found.events, counts.recorded);
    if counts.lost.full == 0 {
        for (line, &finished) in finished.iter().enumerate() {
            assert_eq!(
                found.line(process.pid, line).events,
                finished,
                "line {line}"
            );
        }
    }
    let handled: u64 = (0..LINES).filter(|l| l % 4 != 0).map(|l| finished[l]).sum();
    let mut totals = Totals::default();
    totals.add("events checked", found.events);
    totals.add("events lost and counted", counts.lost.full);
    totals.add("events of handlers", handled);
    totals.add(
        "rounds in which handlers nested",
        u64::from(output.number("deepest") > 1),
    );
    totals
}
