//! `laneway events` and `laneway demo`.

mod command;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use command::{LANEWAY, Place, babeltrace, number};

#[test]
fn the_events_of_a_program_are_listed_without_running_it() {
    let place = Place::new();
    let run = place.run(["events", LANEWAY]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let file = run.stdout.lines().find(|l| l.starts_with("demo:file "));
    let file = file.expect("demo:file is an event of this command");
    assert!(
        file.contains("path: str, bytes: u64, lines: u64, took: Duration"),
        "{file}"
    );
    assert!(file.contains("info"), "{file}");
    assert!(file.contains("workload.rs:"), "{file}");
}

#[test]
fn events_are_chosen_by_a_pattern_and_listed_as_json() {
    let place = Place::new();
    let run = place.run(["events", LANEWAY, "demo:*le", "--json"]);
    let mut names: Vec<String> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|event| event["name"].as_str().unwrap().to_owned())
        .collect();
    names.dedup();
    assert_eq!(names, ["demo:file", "demo:unreadable"]);
    place
        .run(["events", LANEWAY, "nothing:*"])
        .fails_with(1, "no event of");
}

#[test]
fn what_has_no_events_is_not_run() {
    let place = Place::new();
    let script = place.path("script");
    fs::write(&script, "#!/bin/sh\ntouch ran\n").unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    place
        .run(["events", "./script"])
        .fails_with(1, "is not an ELF program");
    place
        .run(["events", "/bin/sh"])
        .fails_with(1, "contains no `trace!`");
    place
        .run(["events", "./missing"])
        .fails_with(1, "there is no ./missing");
    assert!(!place.path("ran").exists());
}

#[test]
fn a_program_that_runs_with_other_rights_is_not_run() {
    let place = Place::new();
    let copy = place.path("copy");
    fs::copy(LANEWAY, &copy).unwrap();
    fs::set_permissions(&copy, Permissions::from_mode(0o4755)).unwrap();
    place.run(["events", "./copy"]).fails_with(1, "setuid");
}

#[test]
fn a_program_cut_short_is_refused() {
    let place = Place::new();
    let bytes = fs::read(LANEWAY).unwrap();
    for len in [0, 3, 64, 1000] {
        fs::write(place.path("cut"), &bytes[..len]).unwrap();
        assert_eq!(place.run(["events", "./cut"]).code, Some(1), "{len} bytes");
    }
}

#[test]
fn the_demo_records_a_workload_and_shows_it() {
    let place = Place::new();
    let tree = place.tree();
    let run = place.run([
        "demo",
        tree.to_str().unwrap(),
        "-o",
        "trace",
        "--json=summary.json",
    ]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains("3 lines in 2 files"), "{}", run.stdout);
    assert!(
        run.stdout.contains("demo:directory path="),
        "{}",
        run.stdout
    );
    assert!(run.stderr.contains("view trace"), "{}", run.stderr);
    let text = fs::read_to_string(place.path("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&text).unwrap();
    let recorded = number(&summary, "total.recorded");
    assert_eq!(
        number(&summary, "total.emitted"),
        recorded,
        "nothing is lost"
    );
    let (lines, complaints) = babeltrace(&place.path("trace"));
    assert_eq!((lines, complaints.as_str()), (recorded, ""));
}

#[test]
fn a_demo_of_nothing_is_refused() {
    let place = Place::new();
    place
        .run(["demo", "/no/such/place"])
        .fails_with(1, "is not a directory to walk over");
}
