//! Buffers that processes share: the death of one costs the others nothing.

use std::io::Write;

use laneway_tests::account::{Account, Found};
use laneway_tests::process::LIMIT;
use laneway_tests::random::{Random, stress_factor};
use laneway_tests::rows::{Totals, shared};
use laneway_tests::{Place, Running, eventually};
use rustix::process::Signal;

#[test]
fn a_process_killed_at_any_moment_costs_the_others_in_its_buffer_nothing() {
    let mut random = Random::new(10);
    let mut totals = Totals::default();
    for _ in 0..2 * stress_factor() {
        totals.merge(&shared::kill(&mut random, 15));
    }
    totals.tell("killed in a shared buffer");
}

#[test]
fn a_lane_flows_again_soon_after_somebody_died_in_it() {
    let mut random = Random::new(11);
    let mut totals = Totals::default();
    for _ in 0..2 * stress_factor() {
        let (more, took) = shared::flow(&mut random);
        let _ = writeln!(
            std::io::stderr(),
            "the lane flows again {took:?} after the death"
        );
        totals.merge(&more);
    }
    totals.tell("died in the middle of an event in a shared buffer");
}

/// The consumer stands still when the program asks for the buffer, and the program does not wait for long.
#[test]
fn what_is_emitted_before_the_buffer_is_there_is_counted() {
    const THREADS: usize = 2;
    let place = Place::new();
    let daemon = place.daemon("trace", &["--buffers=shared", "--sub-buffer-size=1M"]);
    daemon.running.signal(Signal::STOP);
    let account = Account::create(place.dir(), "account");
    let mut command = place.application("accountable");
    command
        .arg(account.path())
        .args([THREADS as u64, 0, 0, 3000].map(|n| n.to_string()));
    let application = Running::start(&mut command);
    let emitted = |events| {
        let finished = account.finished(THREADS);
        finished.iter().all(|&n| n > events)
    };
    eventually("it emits", LIMIT, || emitted(1000));
    daemon.running.signal(Signal::CONT);
    let _ = daemon.await_events();
    application.signal(Signal::KILL);
    let _ = application.wait();
    let finished: u64 = account.finished(THREADS).iter().sum();
    let trace = daemon.trace.clone();
    let (_, summary) = daemon.finish();
    let lost = summary.total.lost;
    assert_eq!(lost.total(), lost.before_attach + lost.unfinished);
    assert!(lost.before_attach > 2000, "{summary:#?}");
    // Each thread may have one more in the trace than it has noted, and one that hit the moment when the buffer came.
    let counted = summary.total.emitted.abs_diff(finished);
    assert!(
        counted <= THREADS as u64,
        "{finished} finished: {summary:#?}"
    );
    let found = Found::read(&trace);
    assert_eq!(found.events, summary.total.recorded);
    let first: u64 = found.lines.values().map(|line| line.first).sum();
    assert!(
        first.abs_diff(lost.before_attach) <= THREADS as u64,
        "{found:#?}"
    );
}
