//! Applications that write random bytes over the memory they share with their consumer.
//!
//! They may spoil what they have emitted. The consumer's memory, time and files stay bounded, it says what it found, and of
//! the others nothing is missing.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::Totals;
use crate::account::{Account, Found};
use crate::random::Random;
use crate::summary::Summary;
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
    let options = ["--mode=block", "--block-timeout=60s"];
    let mut met = Meeting::of(random, number, seconds, &options);
    let process = met.summary.of(met.honest);
    assert_eq!(process.problems, [""; 0]);
    assert_eq!(process.counts.lost.total(), 0, "{process:#?}");
    let found = Found::read(&process.trace);
    for (thread, finished) in met.finished.iter().enumerate() {
        let line = found.line(met.honest, thread);
        assert!(line.first == 0 && line.is_contiguous(), "{line:?}");
        assert_eq!((line.events, *finished), (EVENTS, EVENTS));
    }
    met.totals
        .add("events of honest ones checked", found.events);
    met.totals
}

/// The same where all of them share a buffer, so that nobody's events are safe: but the honest one runs on as if nothing
/// were wrong, and the consumer stays within its bounds.
///
/// # Panics
/// One of them does not.
#[track_caller]
pub fn round_in_shared_buffer(random: &mut Random, number: usize, seconds: f64) -> Totals {
    let options = ["--mode=discard", "--buffers=shared"];
    let met = Meeting::of(random, number, seconds, &options);
    assert_eq!(met.finished, [EVENTS; THREADS]);
    met.totals
}

/// What came of a daemon that hostile applications and an honest one have used.
struct Meeting {
    summary: Summary,
    totals: Totals,
    /// The process id of the honest one, and what its threads have finished.
    honest: u32,
    finished: Vec<u64>,
    /// Everything is removed with it.
    _place: Place,
}

impl Meeting {
    /// Lets them meet; the honest one must run to its end, and the consumer stay within its bounds.
    #[track_caller]
    fn of(random: &mut Random, number: usize, seconds: f64, options: &[&str]) -> Meeting {
        let place = Place::new();
        let daemon = place.daemon("trace", &[options, &["--sub-buffer-size=16K"]].concat());
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
            // It may have killed itself: it is its own memory.
            if output.status.success() {
                assert!(output.number("memory") > 0, "it tests nothing: {output:#?}");
                totals.add("words scribbled", output.number("written"));
            }
            totals.add("hostile applications", 1);
        }
        let peak = peak_kib(daemon.running.pid());
        assert!(peak < MEMORY_KIB, "the consumer took {peak} KiB");
        let began = Instant::now();
        let (_, summary) = daemon.finish();
        assert!(began.elapsed() < ENDING, "it took {:?}", began.elapsed());
        Meeting {
            summary,
            totals,
            honest: honest_pid,
            finished: account.finished(THREADS),
            _place: place,
        }
    }
}

/// The most memory that a process has had at once.
#[track_caller]
fn peak_kib(pid: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()));
    let status = status.expect("it lives");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|line| line.trim().strip_suffix(" kB"));
    peak.expect("a peak").trim().parse().expect("a number")
}
