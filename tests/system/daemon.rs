//! `laneway daemon`: applications come and go, before it and after it, and so does the daemon itself.

use std::fs;
use std::time::Duration;

use laneway_tests::events::events;
use laneway_tests::{Place, Running, run};
use rustix::process::Signal;

/// The numbers of the ticks of one process; they follow each other without a gap.
#[track_caller]
fn ticks(trace: &std::path::Path, pid: u64) -> std::ops::Range<u64> {
    let events = events(trace);
    let of_process = events.iter().filter(|e| u64::from(e.pid) == pid);
    let numbers: Vec<_> = of_process.map(|e| e.number("n")).collect();
    let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else {
        return 0..0;
    };
    let range = *first..last + 1;
    assert!(
        numbers.iter().copied().eq(range.clone()),
        "a gap in {numbers:?}"
    );
    range
}

#[test]
fn an_application_that_starts_later_is_recorded_from_its_first_event_to_its_last() {
    let place = Place::new();
    let daemon = place.daemon("trace", &[]);
    let trace = daemon.trace.clone();
    let output = run(place.application("bad_ends").args(["for-a-while", "0.2"])).succeeded();
    let (_, summary) = daemon.finish();
    assert_eq!(summary.process().name, "bad_ends");
    assert_eq!(
        ticks(&trace, output.number("pid")),
        0..output.number("emitted")
    );
}

#[test]
fn an_application_that_runs_already_is_picked_up_within_a_second() {
    let place = Place::new();
    let mut application =
        Running::start(place.application("bad_ends").args(["for-a-while", "1000"]));
    let pid = application.await_number("pid");
    // Time to find nobody, and to go to sleep.
    std::thread::sleep(Duration::from_millis(300));
    let daemon = place.daemon("trace", &["--flush-period=20ms"]);
    let trace = daemon.trace.clone();
    let took = daemon.await_events();
    println!("picked up {took:?} after the daemon listened");
    assert!(took < Duration::from_secs(3), "{took:?}");
    let (_, summary) = daemon.finish();
    assert_eq!(summary.process().pid as u64, pid);
    let seen = ticks(&trace, pid);
    assert!(seen.start > 100 && seen.end > seen.start, "{seen:?}");
    assert!(!application.is_over(), "the application runs on");
}

#[test]
fn several_applications_come_and_go_and_each_has_its_trace() {
    let place = Place::new();
    let daemon = place.daemon("trace", &[]);
    let trace = daemon.trace.clone();
    let mut outputs = Vec::new();
    for round in 0..3 {
        let running: Vec<_> = (0..4)
            .map(|i| {
                let seconds = format!("0.{}", 1 + (i + round) % 3);
                Running::start(
                    place
                        .application("bad_ends")
                        .args(["for-a-while", &seconds]),
                )
            })
            .collect();
        outputs.extend(running.into_iter().map(|r| r.wait().succeeded()));
    }
    let (_, summary) = daemon.finish();
    assert_eq!(summary.processes.len(), 12);
    assert_eq!(fs::read_dir(&trace).unwrap().count(), 12);
    for output in outputs {
        assert_eq!(
            ticks(&trace, output.number("pid")),
            0..output.number("emitted")
        );
    }
}

#[test]
fn sigterm_drains_everything_and_the_application_runs_on() {
    let place = Place::new();
    // It would write nothing for an hour by itself.
    let daemon = place.daemon("trace", &["--flush-period=3600s"]);
    let trace = daemon.trace.clone();
    let mut application = Running::start(place.application("bad_ends").args(["for-a-while", "3"]));
    let pid = application.await_number("pid");
    std::thread::sleep(Duration::from_millis(700));
    let (output, summary) = daemon.finish();
    assert!(summary.process().problems.is_empty(), "{summary:#?}");
    let seen = ticks(&trace, pid);
    assert!(seen.start == 0 && seen.end > 50, "{seen:?}");
    assert!(!application.is_over(), "{output:#?}");
    let application = application.wait().succeeded();
    assert!(application.number("emitted") > seen.end);
}

#[test]
fn an_application_outlives_a_daemon_that_is_killed_and_joins_the_next_one() {
    let place = Place::new();
    let first = place.daemon("first", &["--flush-period=20ms"]);
    let mut application =
        Running::start(place.application("bad_ends").args(["for-a-while", "1000"]));
    let pid = application.await_number("pid");
    first.await_events();
    first.running.signal(Signal::KILL);
    let trace = first.trace.clone();
    assert_eq!(first.running.wait().code(), None);
    let seen = ticks(&trace, pid);
    assert!(
        seen.start == 0 && seen.end > 0,
        "what it had written is there: {seen:?}"
    );

    let second = place.daemon("second", &["--flush-period=20ms"]);
    let trace = second.trace.clone();
    let took = second.await_events();
    println!("attached again {took:?} after the second daemon listened");
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(!application.is_over());
    let (_, summary) = second.finish();
    assert_eq!(summary.process().pid as u64, pid);
    let then = ticks(&trace, pid);
    assert!(then.start >= seen.end, "{then:?} after {seen:?}");
}

#[test]
fn daemons_follow_each_other_and_no_event_is_in_two_traces() {
    let place = Place::new();
    let mut application =
        Running::start(place.application("bad_ends").args(["for-a-while", "1000"]));
    let pid = application.await_number("pid");
    let mut last = 0;
    for round in 0..5 {
        let daemon = place.daemon(&format!("trace{round}"), &["--flush-period=10ms"]);
        let trace = daemon.trace.clone();
        daemon.await_events();
        let (_, summary) = daemon.finish();
        assert_eq!(summary.total.lost.total(), 0);
        let seen = ticks(&trace, pid);
        assert!(
            seen.start >= last && seen.end > seen.start,
            "{seen:?} after {last}"
        );
        last = seen.end;
    }
    assert!(!application.is_over());
}

#[test]
fn the_well_known_place_is_made_when_it_is_missing() {
    let runtime = laneway_tests::scratch();
    let trace = runtime.path().join("trace");
    let json = runtime.path().join("summary.json");
    let mut daemon = Running::start(
        laneway_tests::process::command(laneway_tests::laneway())
            .arg("daemon")
            .arg("-o")
            .arg(&trace)
            .arg(format!("--json={}", json.display()))
            .env("XDG_RUNTIME_DIR", runtime.path()),
    );
    daemon.await_text("listening on");
    let mut application = laneway_tests::process::command(laneway_tests::program("bad_ends"));
    let _ = run(application
        .arg("once")
        .env("XDG_RUNTIME_DIR", runtime.path()))
    .succeeded();
    daemon.signal(Signal::INT);
    let _ = daemon.wait().succeeded();
    assert_eq!(events(&trace).len(), 1);
}
