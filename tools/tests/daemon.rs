//! `laneway daemon`: applications come and go, before and after it.

mod command;

use std::fs;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use command::{Guard, LANEWAY, Place, babeltrace, eventually, kill, number, workload};

fn start(place: &Place, output: &str, more: &[&str]) -> Guard {
    let mut args = vec!["daemon", "-o", output, "--json", "--flush-period", "20ms"];
    args.extend_from_slice(more);
    let guard = Guard::spawn(&mut place.command(args));
    // The socket is there a moment before it can be connected to.
    eventually("the daemon listens", || {
        UnixStream::connect(place.path("laneway/socket")).is_ok()
    });
    guard
}

/// Runs the workload against the daemon.
fn application(place: &Place, burst: u64) -> std::process::Command {
    let program = workload(&place.tree(), burst);
    let mut command = std::process::Command::new(&program[0]);
    command
        .args(&program[1..])
        .env("LANEWAY_SOCKET", place.path("laneway/socket"));
    command
}

#[test]
fn applications_come_and_go() {
    let place = Place::new();
    let daemon = start(&place, "trace", &[]);
    for _ in 0..3 {
        assert!(application(&place, 100).output().unwrap().status.success());
    }
    kill("INT", daemon.pid());
    let run = daemon.finish();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let summary = run.summary();
    let processes = summary["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 3, "{}\n{summary}", run.stderr);
    let (lines, complaints) = babeltrace(&place.path("trace"));
    assert_eq!(lines, number(&summary, "total.recorded"));
    assert_eq!(complaints, "");
    assert!(
        !place.path("laneway/socket").exists(),
        "the socket is left behind"
    );
}

#[test]
fn an_application_that_runs_already_is_picked_up_within_a_second() {
    let place = Place::new();
    // A socket that somebody chose needs a directory that is there to be watched.
    fs::create_dir(place.path("laneway")).unwrap();
    let application = Guard::spawn(&mut application(&place, u64::MAX / 1000));
    // A machine that is busy with something else may be late, but not three times.
    let took = (0..3).map(|attempt| pick_up(&place, &format!("trace{attempt}")));
    let took: Vec<_> = took.collect();
    assert!(
        took.iter().any(|took| *took < Duration::from_secs(1)),
        "{took:?}"
    );
    kill("KILL", application.pid()); // it ran on all the time, unharmed
}

/// Starts a daemon and ends it when it has events; says how long that took.
fn pick_up(place: &Place, output: &str) -> Duration {
    std::thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    let daemon = start(place, output, &[]);
    eventually("events are in its trace", || {
        let traces = fs::read_dir(place.path(output)).into_iter().flatten();
        traces.flatten().any(|trace| {
            let lanes = ["lane_0", "lane_1"];
            lanes.iter().any(|lane| trace.path().join(lane).exists())
        })
    });
    let took = began.elapsed();
    kill("TERM", daemon.pid());
    let run = daemon.finish();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let summary = run.summary();
    assert!(number(&summary, "total.recorded") > 0);
    assert_eq!(
        summary["processes"][0]["problems"],
        serde_json::json!([]),
        "it stopped when asked"
    );
    took
}

#[test]
fn a_second_daemon_at_the_same_place_is_refused() {
    let place = Place::new();
    let first = start(&place, "trace", &[]);
    let second = place.run(["daemon", "-o", "other"]);
    second.fails_with(1, "another consumer listens on");
    assert!(!place.path("other").exists());
    kill("INT", first.pid());
    let run = first.finish();
    assert!(run.stderr.contains("no application came"), "{}", run.stderr);
}

#[test]
fn the_place_of_a_killed_daemon_is_taken_over() {
    let place = Place::new();
    let first = start(&place, "trace", &[]);
    kill("KILL", first.pid());
    first.finish();
    assert!(place.path("laneway/socket").exists());
    let second = Guard::spawn(&mut place.command(["daemon", "-o", "other", "--json"]));
    eventually("the second daemon records", || {
        application(&place, 1).output().unwrap();
        fs::read_dir(place.path("other")).is_ok_and(|mut traces| traces.next().is_some())
    });
    kill("INT", second.pid());
    assert!(number(&second.finish().summary(), "total.recorded") > 0);
}

#[test]
fn a_socket_that_cannot_be_is_refused_by_name() {
    let place = Place::new();
    let long = "x".repeat(120);
    let run = place.run(["daemon", "-o", "trace", "--socket", &long]);
    run.fails_with(1, "has 120 bytes and the system takes 107");
    fs::write(place.path("file"), "precious").unwrap();
    let run = place.run(["daemon", "-o", "trace", "--socket", "file"]);
    run.fails_with(1, "is not a socket");
    let run = place.run(["daemon", "-o", "trace", "--socket", "missing/socket"]);
    run.fails_with(1, "missing/socket.lock");
    assert!(!place.path("trace").exists());
}

#[test]
fn the_command_itself_is_no_application_of_the_daemon() {
    let place = Place::new();
    let daemon = start(&place, "trace", &[]);
    let listed = place.run(["events", LANEWAY]);
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    kill("INT", daemon.pid());
    assert_eq!(number(&daemon.finish().summary(), "total.emitted"), 0);
}
