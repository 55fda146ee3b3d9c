//! A consumer whose system calls go wrong now and then.
//!
//! Short writes and interruptions cost nothing. Where the disk fails, the trace up to there can be read, and the rest is
//! counted.

use std::fs;

use rustix::process::Signal;

use super::Totals;
use crate::account::{Account, Found};
use crate::random::Random;
use crate::summary::Summary;
use crate::{Place, Running, lanes, process, program, run};

const THREADS: usize = 3;
const EVENTS: u64 = 20_000;

/// What goes wrong: see `src/bin/meddler.rs`.
pub const FAILURES: [&str; 5] = ["short", "eintr", "eio", "enospc", "erofs"];

/// Records a program while one in `one_in` calls of the consumer fails.
///
/// # Panics
/// More is missing than the consumer says, or the trace cannot be read.
#[track_caller]
pub fn round(random: &mut Random, failure: &str, one_in: u64) -> Totals {
    let place = Place::new();
    let trace = place.dir().join("trace");
    let options = [
        "--mode=block",
        "--block-timeout=60s",
        "--sub-buffer-size=16K",
        "--flush-period=5ms",
    ];
    let daemon = place.daemon_command(&trace, &options);
    let mut meddled = process::command(program("meddler"));
    meddled
        .args([
            failure,
            &one_in.to_string(),
            &(random.next() >> 8).to_string(),
        ])
        .arg(daemon.get_program())
        .args(daemon.get_args());
    let mut daemon = Running::start(&mut meddled);
    daemon.await_text("listening on");
    let account = Account::create(place.dir(), "account");
    let _ = run(place
        .application("accountable")
        .arg(account.path())
        .args([THREADS.to_string(), EVENTS.to_string()]))
    .succeeded();
    daemon.signal(Signal::TERM);
    let output = daemon.wait().succeeded();
    let json = fs::read_to_string(trace.with_extension("json")).expect("a summary");
    let summary = Summary::parse(&json);
    let process = summary.process();
    let counts = process.counts;
    assert_eq!(counts.emitted, THREADS as u64 * EVENTS, "{process:#?}");
    assert_eq!(counts.lost.total(), counts.lost.storage, "{process:#?}");
    let whole = matches!(failure, "short" | "eintr");
    assert!(
        !whole || counts.lost.storage == 0,
        "{failure}: {process:#?}"
    );
    assert_eq!(process.problems.is_empty(), counts.lost.storage == 0);

    let found = match counts.recorded {
        0 => Found::default(),
        _ => {
            let streams = lanes::check(&trace);
            let records: u64 = streams.iter().map(|stream| stream.records).sum();
            assert_eq!(records, counts.recorded);
            Found::read(&trace)
        }
    };
    assert_eq!(found.events, counts.recorded);
    let mut totals = Totals::default();
    totals.add("calls that went wrong", output.number("meddled"));
    totals.add("events checked", found.events);
    totals.add("events lost and counted", counts.lost.storage);
    totals
}
