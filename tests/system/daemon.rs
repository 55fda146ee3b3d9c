//! `laneway daemon`: applications come and go, before it and after it, and so does the daemon itself.

use std::fs;
use std::time::Duration;

use laneway_tests::events::events;
use laneway_tests::summary::Summary;
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
fn a_daemon_that_is_killed_is_followed_by_one_that_goes_on_with_its_traces() {
    let place = Place::new();
    let application = Running::start(place.application("bad_ends").args(["for-a-while", "3"]));
    for round in 0..4 {
        let options = ["--flush-period=20ms", "--resume"];
        let daemon = place.daemon("trace", &options);
        daemon.await_events();
        std::thread::sleep(Duration::from_millis(100 + 70 * round));
        daemon.running.signal(Signal::KILL);
        assert_eq!(daemon.running.wait().code(), None);
    }
    let last = place.daemon("trace", &["--flush-period=20ms", "--resume"]);
    let trace = last.trace.clone();
    let output = application.wait().succeeded();
    let (_, summary) = last.finish();
    let process = summary.process();
    assert_eq!(process.problems, [""; 0]);
    assert_eq!(process.counts.lost.total(), 0);
    let seen = ticks(&trace, output.number("pid"));
    assert_eq!(seen.end, output.number("emitted"));
    assert_eq!(seen.end - seen.start, process.counts.recorded);
    assert_eq!(fs::read_dir(&trace).unwrap().count(), 1, "one trace");
    let _ = laneway_tests::lanes::check(&trace);
}

#[test]
fn a_daemon_does_not_go_on_where_another_one_records() {
    let place = Place::new();
    let first = place.daemon("trace", &[]);
    let elsewhere = Place::new();
    let second = run(&mut elsewhere.daemon_command(&first.trace, &["--resume"]));
    assert_eq!(second.code(), Some(1), "{second:#?}");
    assert!(
        second.stderr.contains("another consumer records into"),
        "{}",
        second.stderr
    );
    assert!(first.finish().1.processes.is_empty());
}

#[test]
fn a_snapshot_is_taken_of_all_applications_when_somebody_asks_for_it() {
    let place = Place::new();
    let mut daemon = place.daemon("trace", &["--mode=overwrite", "--sub-buffer-size=4K"]);
    let mut applications: Vec<_> = (0..2)
        .map(|_| Running::start(place.application("bad_ends").args(["for-a-while", "1000"])))
        .collect();
    let pids: Vec<_> = applications
        .iter_mut()
        .map(|application| application.await_number("pid"))
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    for number in 1..=2 {
        daemon.running.signal(Signal::USR1);
        daemon.running.await_text(&format!("snapshot {number}:"));
        let snapshot = daemon.trace.join(format!("snapshot-{number}"));
        for pid in &pids {
            assert!(!ticks(&snapshot, *pid).is_empty(), "{pid} in {number}");
        }
    }
    assert!(
        applications
            .iter_mut()
            .all(|application| !application.is_over())
    );
    // What the end of a process leaves: a crash, too.
    applications[0].signal(Signal::KILL);
    let trace = daemon.trace.clone();
    laneway_tests::eventually("the end of it", Duration::from_secs(10), || {
        trace
            .join(format!("end/bad_ends-{}", pids[0]))
            .join("metadata")
            .exists()
    });
    let (_, summary) = daemon.finish();
    let recorded: u64 = pids
        .iter()
        .map(|pid| ticks(&trace.join("end"), *pid))
        .map(|ticks| ticks.end - ticks.start)
        .sum();
    assert_eq!(recorded, summary.total.recorded);
    drop(applications);
}

#[test]
fn what_was_in_memory_when_both_were_killed_is_recovered_into_their_trace() {
    let place = Place::new();
    let memory = tempfile::tempdir_in("/dev/shm").expect("a tmpfs");
    let directory = format!("--buffer-directory={}", memory.path().display());
    // It writes only what is whole: most of it is in memory alone.
    let daemon = place.daemon("trace", &[&directory, "--flush-period=3600s"]);
    let mut application =
        Running::start(place.application("bad_ends").args(["for-a-while", "1000"]));
    let pid = application.await_number("pid");
    std::thread::sleep(Duration::from_millis(500));
    daemon.running.signal(Signal::KILL);
    let trace = daemon.trace.clone();
    let _ = daemon.running.wait();

    let recover = || {
        let mut command = laneway_tests::process::command(laneway_tests::laneway());
        command
            .arg("recover")
            .arg(memory.path())
            .arg("--resume")
            .arg(&trace);
        run(&mut command)
    };
    let refused = recover();
    assert_eq!(refused.code(), Some(1), "{refused:#?}");
    assert!(
        refused.stderr.contains("which is alive"),
        "{}",
        refused.stderr
    );
    assert_eq!(ticks(&trace, pid), 0..0);

    application.signal(Signal::KILL);
    let _ = application.wait();
    let _ = recover().succeeded();
    let seen = ticks(&trace, pid);
    assert!(seen.start == 0 && seen.end > 50, "{seen:?}");
    assert_eq!(
        fs::read_dir(memory.path()).unwrap().count(),
        0,
        "they are removed"
    );
    assert_eq!(fs::read_dir(&trace).unwrap().count(), 1, "one trace");
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

#[test]
fn a_daemon_that_is_told_of_its_socket_by_the_environment_does_not_record_itself() {
    let place = Place::new();
    let trace = place.dir().join("trace");
    let mut command = place.daemon_command(&trace, &[]);
    let mut daemon = Running::start(command.env("LANEWAY_SOCKET", place.socket()));
    daemon.await_text("listening on");
    let output = run(place.application("bad_ends").args(["code", "0"]));
    assert_eq!(output.code(), Some(0));
    std::thread::sleep(Duration::from_millis(300));
    daemon.signal(Signal::TERM);
    let _ = daemon.wait().succeeded();
    let json = fs::read_to_string(trace.with_extension("json")).expect("a summary");
    let summary = Summary::parse(&json);
    assert_eq!(summary.process().name, "bad_ends");
    assert!(summary.refused.is_empty(), "{summary:#?}");
}
