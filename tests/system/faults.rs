//! Disks that fill up, and sockets that are taken, too long or somebody else's: each with a message that says so.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use laneway_tests::privilege::{NOBODY, SmallDisk, copy_for_everybody, is_root};
use laneway_tests::{
    Output, Place, Record, Recorded, Running, lanes, laneway, process, program, run, scratch,
};
use rustix::process::Signal;

/// Records a lot of events onto a disk of that size.
fn onto_a_disk_of(bytes: u64, what: &str, check: impl FnOnce(&Recorded)) {
    const EVENTS: u64 = 400_000;
    let dir = scratch();
    let Some(_disk) = SmallDisk::mount(dir.path(), bytes, what) else {
        return;
    };
    let recorded = Record::program("many_threads")
        .args(["4", &(EVENTS / 4).to_string()])
        .options(["--mode=block", "--block-timeout=60s"])
        .into_directory(dir.path().join("trace"))
        .run();
    let output = &recorded.output;
    assert_eq!(output.code(), Some(0), "the program runs on: {output:#?}");
    assert_eq!(output.number("emitted"), EVENTS);
    let process = recorded.process();
    assert_eq!(process.counts.emitted, EVENTS, "{process:#?}");
    assert_eq!(process.counts.lost.total(), process.counts.lost.storage);
    assert!(
        process.counts.lost.storage > 0,
        "the test tests nothing: {process:#?}"
    );
    let [problem] = &process.problems[..] else {
        panic!("not one problem: {process:#?}");
    };
    assert!(problem.contains("No space left"), "{problem}");
    assert!(
        output.stderr.contains("not written to disk"),
        "{}",
        output.stderr
    );
    assert!(output.stderr.contains("No space left"), "{}", output.stderr);
    check(&recorded);
}

#[test]
fn a_disk_that_fills_up_keeps_what_it_has_and_the_rest_is_counted() {
    onto_a_disk_of(2 << 20, "a disk that fills up", |recorded| {
        let streams = lanes::check(&recorded.trace);
        let (events, _) = recorded.events_and_warnings();
        assert!(events.len() > 10_000, "{}", events.len());
        // A lane that came into use when the disk was full already has none.
        let records: u64 = streams.iter().map(|stream| stream.records).sum();
        assert_eq!(records, events.len() as u64);
    });
}

#[test]
fn a_disk_too_small_for_anything_does_not_stop_the_program() {
    onto_a_disk_of(4096, "a disk too small for anything", |recorded| {
        assert_eq!(recorded.process().counts.recorded, 0);
    });
}

#[test]
fn a_read_only_disk_is_told_before_the_program_runs() {
    let dir = scratch();
    let Some(disk) = SmallDisk::mount(dir.path(), 1 << 20, "a read-only disk") else {
        return;
    };
    disk.make_read_only();
    let trace = dir.path().join("trace");
    let mut command = process::command(laneway());
    command.args(["record", "-o"]).arg(&trace).arg("--");
    let output = run(command.arg(program("bad_ends")).args(["code", "3"]));
    assert_eq!(output.code(), Some(125), "{output:#?}");
    assert_eq!(output.stdout, "");
    let reason = format!("cannot make {}: Read-only file system", trace.display());
    assert!(output.stderr.contains(&reason), "{}", output.stderr);
}

/// Runs a command that may not make files larger than 1 MiB, and is sent SIGXFSZ if it tries.
fn limited(command: &Command) -> Command {
    let mut shell = process::command("sh");
    shell.args([
        "-c",
        "ulimit -f 2048; exec env --default-signal=XFSZ \"$@\"",
        "sh",
    ]);
    process::becoming(shell, command)
}

#[test]
fn a_limit_on_the_size_of_files_is_a_disk_that_is_full() {
    let place = Place::new();
    let trace = place.dir().join("trace");
    let mut daemon = Running::start(&mut limited(&place.daemon_command(&trace, &[])));
    daemon.await_text("listening on");
    let many = run(place.application("many_threads").args(["2", "200000"])).succeeded();
    daemon.signal(Signal::TERM);
    let output = daemon.wait().succeeded();
    assert!(
        output.stderr.contains("not written to disk"),
        "{}",
        output.stderr
    );
    assert!(
        output.stderr.contains("File too large"),
        "{}",
        output.stderr
    );
    let streams = lanes::check(&trace);
    let recorded: u64 = streams.iter().map(|stream| stream.records).sum();
    assert!(
        recorded > 0 && recorded < many.number("emitted"),
        "{streams:#?}"
    );
}

#[test]
fn an_application_that_may_have_no_ring_runs_on_without() {
    let place = Place::new();
    let daemon = place.daemon("trace", &["--sub-buffer-size=1M"]);
    let mut application = limited(&place.application("many_threads"));
    let output = run(application.args(["2", "1000"])).succeeded();
    assert_eq!(output.number("emitted"), 2000);
    assert_eq!(output.stderr, "");
    assert!(daemon.finish().1.processes.is_empty());
}

/// A daemon that cannot begin: says why, and leaves nothing.
#[track_caller]
fn refused(place: &Place, says: &[&str]) {
    let trace = place.dir().join("refused");
    let output = run(&mut place.daemon_command(&trace, &[]));
    assert_refused(&output, &trace, says);
}

#[track_caller]
fn assert_refused(output: &Output, trace: &Path, says: &[&str]) {
    assert_eq!(output.code(), Some(1), "{output:#?}");
    for text in says {
        assert!(
            output.stderr.contains(text),
            "no {text:?} in {}",
            output.stderr
        );
    }
    assert_eq!(
        output.stderr.lines().count(),
        1,
        "one sentence: {}",
        output.stderr
    );
    assert!(!trace.exists());
}

#[test]
fn a_socket_path_that_is_too_long_is_told_with_its_length() {
    let dir = scratch();
    let trace = dir.path().join("trace");
    let long = dir.path().join("x".repeat(120));
    let length = long.as_os_str().len().to_string();
    let output = run(process::command(laneway())
        .args(["daemon", "--socket"])
        .arg(&long)
        .arg("-o")
        .arg(&trace));
    assert_refused(&output, &trace, &[&length, "shorter"]);
    let application = run(process::command(program("bad_ends"))
        .arg("once")
        .env("LANEWAY_SOCKET", &long));
    assert_eq!(
        (application.code(), application.stderr.as_str()),
        (Some(0), "")
    );
}

#[test]
fn a_second_daemon_is_told_of_the_first_which_goes_on() {
    let place = Place::new();
    let first = place.daemon("trace", &[]);
    refused(&place, &["another consumer", "socket"]);
    let _ = run(place.application("bad_ends").arg("once")).succeeded();
    assert_eq!(first.finish().1.total.recorded, 1);
}

#[test]
fn what_has_the_sockets_name_and_is_none_is_left_alone() {
    let place = Place::new();
    fs::write(place.socket(), "precious").expect("a file can be written");
    refused(&place, &["is not a socket", "socket"]);
    assert_eq!(fs::read(place.socket()).unwrap(), b"precious");
}

#[test]
fn a_socket_of_somebody_else_is_refused() {
    if !is_root("a socket of somebody else") {
        return;
    }
    let place = Place::new();
    drop(UnixListener::bind(place.socket()).expect("a socket"));
    chown(place.socket(), Some(NOBODY), None).expect("root may do so");
    refused(&place, &["belongs to user 65534", "socket"]);
    assert!(place.socket().exists());
}

#[test]
fn a_directory_that_is_not_there_is_told() {
    let dir = scratch();
    let trace = dir.path().join("trace");
    let output = run(process::command(laneway())
        .args(["daemon", "--socket"])
        .arg(dir.path().join("missing/socket"))
        .arg("-o")
        .arg(&trace));
    assert_refused(&output, &trace, &["missing"]);
}

#[test]
fn an_application_does_not_give_its_events_to_another_user() {
    if !is_root("a consumer of another user") {
        return;
    }
    let place = Place::new();
    fs::set_permissions(place.dir(), fs::Permissions::from_mode(0o777)).expect("it is ours");
    let laneway = copy_for_everybody(&laneway(), place.dir());
    let trace = place.dir().join("trace");
    let json = place.dir().join("trace.json");
    let mut command = process::command(laneway);
    command
        .args(["daemon", "--socket"])
        .arg(place.socket())
        .arg("-o")
        .arg(&trace)
        .arg(format!("--json={}", json.display()))
        .uid(NOBODY)
        .gid(NOBODY);
    let mut daemon = Running::start(&mut command);
    daemon.await_text("listening on");
    let output = run(place.application("bad_ends").arg("once"));
    assert_eq!(output.code(), Some(0));
    daemon.signal(Signal::TERM);
    let output = daemon.wait().succeeded();
    assert!(
        output.stderr.contains("no application came"),
        "{}",
        output.stderr
    );
}

#[test]
fn an_application_of_another_user_is_not_recorded() {
    if !is_root("an application of another user") {
        return;
    }
    let place = Place::new();
    fs::set_permissions(place.dir(), fs::Permissions::from_mode(0o755)).expect("it is ours");
    let application = copy_for_everybody(&program("bad_ends"), place.dir());
    let daemon = place.daemon("trace", &[]);
    let output = run(process::command(application)
        .arg("once")
        .env("LANEWAY_SOCKET", place.socket())
        .uid(NOBODY)
        .gid(NOBODY));
    assert_eq!((output.code(), output.stderr.as_str()), (Some(0), ""));
    assert!(daemon.finish().1.processes.is_empty());
}

#[test]
fn an_application_does_not_wait_for_a_daemon_that_stands_still() {
    let place = Place::new();
    let daemon = place.daemon("trace", &[]);
    daemon.running.signal(Signal::STOP);
    let began = Instant::now();
    let _ = run(place.application("bad_ends").arg("once")).succeeded();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    daemon.running.signal(Signal::CONT);
    let trace = daemon.trace.clone();
    let (_, summary) = daemon.finish();
    assert_eq!(
        summary.total.recorded, 1,
        "it was there before the daemon looked"
    );
    assert_eq!(laneway_tests::events::events(&trace).len(), 1);
}
