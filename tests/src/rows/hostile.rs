//! Applications that write random bytes over the memory they share with their consumer.
//!
//! They may spoil what they have emitted. The consumer's memory, time and files stay bounded, it says what it found, and of
//! the others nothing is missing.

use std::fs;
use std::time::{Duration, Instant};

use super::Totals;
use crate::account::{Account, Found};
use crate::random::Random;
use crate::{Place, Running};

/// Bytes that the consumer may hold, more than it needs for what it maps.
const MEMORY_KIB: u64 = 200 << 10;

/// What it may take it to end. It drains for each of them what is left.
const ENDING: Duration = Duration::from_secs(60);

/// Threads of the honest one, and events of each.
const THREADS: usize = 2;
const EVENTS: u64 = 100_000;

/// Lets `number` hostile applications do so for `seconds`, beside an honest one.
///
/// # Panics
/// The consumer fails, or the honest one has lost an event.
#[track_caller]
pub fn round(random: &mut Random, number: usize, seconds: f64) -> Totals {
    let place = Place::new();
    let options = [
        "--mode=block",
        "--block-timeout=60s",
        "--sub-buffer-size=16K",
    ];
    let daemon = place.daemon("trace", &options);
    let trace = daemon.trace.clone();
    let pid = daemon.running.pid().as_raw_nonzero();
    let hostile: Vec<_> = (0..number)
        .map(|_| {
            let seed = (random.next() | 1).to_string();
            let what = *random.choose(&["everything", "control"]);
            let mut command = place.application("hostile");
            Running::start(command.args([&seconds.to_string(), &seed, what]))
        })
        .collect();
    let account = Account::create(place.dir(), "account");
    let mut command = place.application("accountable");
    let honest = Running::start(
        command
            .arg(account.path())
            .args([THREADS.to_string(), EVENTS.to_string()]),
    );
    let honest_pid = honest.pid().as_raw_nonzero().get().unsigned_abs();
    let _ = honest.wait().succeeded();
    let mut totals = Totals::default();
    for hostile in hostile {
        let output = hostile.wait();
        // It may have killed itself: its own threads trust nobody, but it is its own memory.
        if output.status.success() {
            assert!(output.number("memory") > 0, "it tests nothing: {output:#?}");
            totals.add("words scribbled", output.number("written"));
        }
        totals.add("hostile applications", 1);
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|line| line.trim().strip_suffix(" kB"));
    let peak: u64 = peak.expect("a peak").trim().parse().expect("a number");
    assert!(peak < MEMORY_KIB, "the consumer took {peak} KiB");

    let began = Instant::now();
    let (_, summary) = daemon.finish();
    assert!(began.elapsed() < ENDING, "it took {:?}", began.elapsed());
    let process = summary.of(honest_pid);
    assert_eq!(process.problems, [""; 0]);
    assert_eq!(process.counts.lost.total(), 0, "{process:#?}");
    let found = Found::read(&process.trace);
    for (thread, finished) in account.finished(THREADS).into_iter().enumerate() {
        let line = found.line(honest_pid, thread);
        assert!(line.first == 0 && line.is_contiguous(), "{line:?}");
        assert_eq!((line.events, finished), (EVENTS, EVENTS));
    }
    assert!(
        trace.starts_with(place.dir()),
        "nothing is written elsewhere"
    );
    totals.add("events of honest ones checked", found.events);
    totals
}
