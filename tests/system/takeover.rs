//! Consumers that are killed: the next one continues the trace, and no event is missing or doubled.

use std::fs;
use std::time::Duration;

use laneway_tests::account::{Account, Found};
use laneway_tests::process::LIMIT;
use laneway_tests::random::{Random, stress_factor};
use laneway_tests::rows::{Totals, takeover};
use laneway_tests::summary::Summary;
use laneway_tests::{Place, Running, eventually, lanes};
use rustix::process::Signal;

#[test]
fn a_consumer_takes_over_from_one_that_was_killed_at_any_moment() {
    let mut random = Random::new(7);
    let mut totals = Totals::default();
    for _ in 0..2 * stress_factor() {
        totals.merge(&takeover::round(&mut random, 10));
    }
    totals.tell("consumers killed");
    assert!(
        totals.of("events checked") > 10_000,
        "it tests nothing: {totals}"
    );
}

#[test]
fn a_consumer_takes_over_the_buffer_that_all_processes_share() {
    let mut random = Random::new(8);
    let mut totals = Totals::default();
    for _ in 0..2 * stress_factor() {
        totals.merge(&takeover::round_in_shared_buffer(&mut random, 5));
    }
    totals.tell("consumers of a shared buffer killed");
    assert!(
        totals.of("events checked") > 10_000,
        "it tests nothing: {totals}"
    );
}

#[test]
fn who_died_without_a_consumer_is_buried_by_the_next_one() {
    let mut random = Random::new(9);
    let mut totals = Totals::default();
    for _ in 0..2 * stress_factor() {
        totals.merge(&takeover::burial(&mut random));
    }
    totals.tell("died while there was no consumer of their shared buffer");
}

/// Of such a process `/proc` shows no memory.
#[test]
fn a_process_whose_first_thread_has_ended_is_taken_over_all_the_same() {
    let place = Place::new();
    let trace = place.dir().join("trace");
    let mut command = place.daemon_command(
        &trace,
        &[
            "--buffers=shared",
            "--sub-buffer-size=1M",
            "--sub-buffers=16",
        ],
    );
    let mut daemon = Running::start(&mut command);
    daemon.await_text("listening on");
    let account = Account::create(place.dir(), "account");
    let mut application = place.application("surrounded");
    application.arg(account.path()).arg("end-first-thread");
    let application = Running::start(&mut application);
    let pid = application.pid().as_raw_nonzero().get().unsigned_abs();
    eventually("its first thread has ended", LIMIT, || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.contains(") Z ")
    });
    daemon.signal(Signal::KILL);
    let _ = daemon.wait();
    let mut daemon = Running::start(command.arg("--resume"));
    daemon.await_text("listening on");
    std::thread::sleep(Duration::from_millis(500));
    application.signal(Signal::KILL);
    let _ = application.wait();
    daemon.signal(Signal::TERM);
    let _ = daemon.wait().succeeded();
    let json = fs::read_to_string(trace.with_extension("json")).expect("a summary");
    let summary = Summary::parse(&json);
    assert!(summary.refused.is_empty(), "{summary:#?}");
    let [process] = &summary.shared.as_ref().expect("a shared buffer").processes[..] else {
        panic!("not one process: {summary:#?}");
    };
    assert_eq!((process.pid, &process.problems[..]), (pid, &[][..]));
    let _ = lanes::check(&trace);
    let found = Found::read(&trace);
    let finished = account.finished(2);
    assert_eq!((finished[0], found.line(pid, 0).events), (1000, 1000));
    let line = found.line(pid, 1);
    assert!(line.is_contiguous(), "{line:?}");
    assert!(line.end >= finished[1], "{finished:?} finished: {line:?}");
}
