//! `laneway record`: what it records, how it ends, and what it says when it cannot.

mod command;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use command::{Guard, LANEWAY, Place, Run, babeltrace, eventually, kill, number, workload};

/// Runs `record` with options and a program.
fn record(place: &Place, options: &[&str], program: &[String]) -> Run {
    let mut args: Vec<String> = vec!["record".into()];
    args.extend(options.iter().map(|s| s.to_string()));
    args.push("--".into());
    args.extend_from_slice(program);
    place.run(args)
}

fn sh(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

#[test]
fn every_event_of_a_program_is_in_the_trace() {
    let place = Place::new();
    let program = workload(&place.tree(), 1000);
    let run = record(&place, &["-o", "trace", "--json"], &program);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let summary = run.summary();
    let recorded = number(&summary, "total.recorded");
    assert_eq!(number(&summary, "total.emitted"), recorded);
    assert_eq!(
        recorded % 1000 - number_of_threads(&summary),
        2 + 2,
        "two files, two directories, and one event for each thread"
    );
    let (lines, complaints) = babeltrace(&place.path("trace"));
    assert_eq!((lines, complaints.as_str()), (recorded, ""));
    assert!(run.stderr.contains("recorded"), "{}", run.stderr);
    assert!(run.stderr.contains("lost       nothing"), "{}", run.stderr);
}

/// Each thread of the workload bursts 1000 events.
fn number_of_threads(summary: &serde_json::Value) -> u64 {
    number(summary, "total.recorded") / 1000
}

#[test]
fn what_a_program_started_is_recorded_into_traces_of_its_own() {
    let place = Place::new();
    let one = workload(&place.tree(), 10).join(" ");
    let run = record(
        &place,
        &["-o", "trace", "--json"],
        &sh(&format!("{one} & {one} & wait")),
    );
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let summary = run.summary();
    assert_eq!(summary["processes"].as_array().unwrap().len(), 2);
    let (lines, complaints) = babeltrace(&place.path("trace"));
    assert_eq!(lines, number(&summary, "total.recorded"));
    assert_eq!(complaints, "");
}

#[test]
fn events_are_lost_and_counted_when_lanes_are_too_small() {
    let place = Place::new();
    let program = workload(&place.tree(), 200_000);
    let small = [
        "-o",
        "trace",
        "--json",
        "--sub-buffer-size",
        "4K",
        "--sub-buffers",
        "2",
    ];
    let run = record(&place, &small, &program);
    let summary = run.summary();
    let lost = number(&summary, "total.lost.full");
    let recorded = number(&summary, "total.recorded");
    assert!(lost > 0, "{summary}");
    assert_eq!(number(&summary, "total.emitted"), lost + recorded);
    assert!(
        run.stderr.contains("--sub-buffers"),
        "no advice: {}",
        run.stderr
    );
    let (lines, complaints) = babeltrace(&place.path("trace"));
    assert_eq!(lines, recorded);
    assert!(complaints.contains("discarded"), "{complaints}");
}

#[test]
fn nothing_is_lost_when_the_program_lets_itself_be_blocked() {
    let place = Place::new();
    let program = workload(&place.tree(), 100_000);
    let options = [
        "-o",
        "trace",
        "--json",
        "--mode",
        "block",
        "--block-timeout",
        "20s",
        "--sub-buffer-size",
        "8K",
        "--sub-buffers",
        "2",
    ];
    let summary = record(&place, &options, &program).summary();
    assert_eq!(
        number(&summary, "total.emitted"),
        number(&summary, "total.recorded")
    );
    assert!(number(&summary, "total.recorded") > 300_000);
}

#[test]
fn thread_ids_can_be_left_out() {
    let place = Place::new();
    let program = workload(&place.tree(), 1);
    for (options, expected) in [
        (["-o", "with", "-q"], true),
        (["-o", "without", "--no-thread-id"], false),
    ] {
        record(&place, &options, &program);
        let output = Command::new("babeltrace2")
            .arg(place.path(options[1]))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.contains("vtid = "), expected, "{text}");
    }
}

#[test]
fn the_exit_code_is_that_of_the_program() {
    let place = Place::new();
    assert_eq!(record(&place, &["-o", "a"], &sh("exit 3")).code, Some(3));
    assert_eq!(
        record(&place, &["-o", "b"], &sh("kill -KILL $$")).code,
        Some(137)
    );
}

#[test]
fn a_program_that_is_not_there_or_not_executable_leaves_nothing_behind() {
    let place = Place::new();
    let run = record(&place, &["-o", "trace"], &["no-such-program".into()]);
    run.fails_with(127, "no such program in PATH");
    let run = record(&place, &["-o", "trace"], &["./no-such-program".into()]);
    run.fails_with(127, "there is no such file");
    fs::write(place.path("text"), "no program").unwrap();
    let run = record(&place, &["-o", "trace"], &["./text".into()]);
    run.fails_with(126, "it is not executable");
    assert!(!place.path("trace").exists());
}

#[test]
fn a_program_without_events_is_told_why_there_is_no_trace() {
    let place = Place::new();
    let run = record(&place, &["-o", "trace"], &sh("echo out"));
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "out\n"));
    assert!(run.stderr.contains("nothing attached"), "{}", run.stderr);
    assert!(
        run.stderr.contains("sh contains no `trace!`"),
        "{}",
        run.stderr
    );

    fs::write(place.path("script"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(place.path("script"), Permissions::from_mode(0o755)).unwrap();
    let run = record(&place, &["-o", "other"], &["./script".into()]);
    assert!(run.stderr.contains("is a script"), "{}", run.stderr);
}

#[test]
fn quiet_is_quiet_and_json_can_go_to_a_file() {
    let place = Place::new();
    let program = workload(&place.tree(), 1);
    let run = record(
        &place,
        &["-o", "trace", "-q", "--json=summary.json"],
        &program,
    );
    assert_eq!(run.stderr, "");
    assert!(!run.stdout.contains('{'), "{}", run.stdout);
    let text = fs::read_to_string(place.path("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(number(&summary, "total.recorded") > 0);
}

#[test]
fn options_that_make_no_sense_are_refused_with_what_would() {
    let place = Place::new();
    let program = sh("true");
    let run = record(&place, &["--sub-buffer-size", "5000"], &program);
    run.fails_with(125, "choose a power of two from 4096");
    let run = record(&place, &["--sub-buffers", "3"], &program);
    run.fails_with(125, "choose a power of two from 2");
    let run = record(&place, &["--sub-buffer-size", "big"], &program);
    run.fails_with(2, "not a size such as 4096, 256K or 1M");
    let run = record(&place, &["--flush-period", "0s"], &program);
    run.fails_with(125, "flush period");
    let run = record(&place, &["--frobnicate"], &program);
    run.fails_with(2, "--frobnicate");
    place.run(["frobnicate"]).fails_with(2, "frobnicate");
    place.run(["record"]).fails_with(2, "PROGRAM");
}

#[test]
fn an_output_directory_that_exists_or_cannot_be_made_is_refused() {
    let place = Place::new();
    fs::create_dir(place.path("there")).unwrap();
    let run = record(&place, &["-o", "there"], &sh("touch ran"));
    run.fails_with(125, "there exists already; choose another directory");
    let run = record(&place, &["-o", "/proc/there"], &sh("touch ran"));
    run.fails_with(125, "cannot make /proc/there");
    assert!(!place.path("ran").exists(), "the program ran all the same");
}

/// Starts a program that emits for a long time, in a process group as a terminal would.
fn start_long(place: &Place) -> Guard {
    let mut args: Vec<String> = [
        "record",
        "-o",
        "trace",
        "--json",
        "--flush-period",
        "20ms",
        "--",
    ]
    .map(str::to_owned)
    .to_vec();
    args.extend(workload(&place.tree(), u64::MAX / 1000));
    let mut command = place.command(args);
    command.process_group(0);
    let guard = Guard::spawn(&mut command);
    eventually("events are on disk", || {
        let Ok(traces) = fs::read_dir(place.path("trace")) else {
            return false;
        };
        traces.flatten().any(|trace| {
            trace.path().join("lane_0").exists() || trace.path().join("lane_1").exists()
        })
    });
    guard
}

fn ended_by(run: &Run, place: &Place, code: i32) {
    assert_eq!(run.code, Some(code), "{}", run.stderr);
    let recorded = number(&run.summary(), "total.recorded");
    assert!(recorded > 0);
    let (lines, _) = babeltrace(&place.path("trace"));
    assert_eq!(lines, recorded, "the trace is complete");
}

#[test]
fn ctrl_c_ends_the_program_and_completes_the_trace() {
    let place = Place::new();
    let guard = start_long(&place);
    kill("INT", -guard.pid()); // to all of the group, as a terminal does
    ended_by(&guard.finish(), &place, 128 + 2);
}

#[test]
fn sigterm_is_passed_on_to_the_program() {
    let place = Place::new();
    let guard = start_long(&place);
    kill("TERM", guard.pid());
    ended_by(&guard.finish(), &place, 128 + 15);
}

#[test]
fn a_full_disk_stops_neither_the_program_nor_the_count() {
    let place = Place::new();
    let disk = place.path("disk");
    fs::create_dir(&disk).unwrap();
    let program = workload(&place.tree(), 100_000).join(" ");
    let record = format!(
        "{LANEWAY} record -o {0}/trace --json=summary.json -- {program}",
        disk.display()
    );
    // A file system of 1 MiB in a mount namespace; where that is not allowed, a limit on the size of a file, which is
    // the same to a writer.
    let script = format!(
        "if mount -t tmpfs -o size=1m tmpfs {0} 2>/dev/null; then {record}; else ulimit -f 512; {record}; fi; \
         code=$?; mkdir kept; cp -r {0}/trace kept/; exit $code",
        disk.display()
    );
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", &script]);
    if !Command::new("unshare")
        .args(["--map-root-user", "--mount", "true"])
        .status()
        .unwrap()
        .success()
    {
        command = Command::new("sh");
        command.args(["-c", &script]);
    }
    let run: Run = command
        .current_dir(place.dir.path())
        .output()
        .unwrap()
        .into();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(
        run.stdout.contains("at full speed"),
        "the program did not end: {}",
        run.stdout
    );
    assert!(run.stderr.contains("not written to disk"), "{}", run.stderr);
    assert!(run.stderr.contains("cannot write"), "{}", run.stderr);

    let text = fs::read_to_string(place.path("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&text).unwrap();
    let recorded = number(&summary, "total.recorded");
    assert!(
        number(&summary, "total.lost.storage") > 0 && recorded > 0,
        "{summary}"
    );
    let (lines, complaints) = babeltrace(&place.path("kept/trace"));
    assert_eq!(
        lines, recorded,
        "what was written is readable: {complaints}"
    );
    assert!(!complaints.contains("ERROR"), "{complaints}");
}

#[test]
fn signals_that_were_ignored_stay_ignored_in_the_program() {
    let place = Place::new();
    let show = "grep SigIgn /proc/self/status";
    let said = |script: &str| {
        let output = Command::new("sh")
            .args(["-c", script])
            .current_dir(place.path("."))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for ignored in ["", "HUP", "HUP INT QUIT TERM"] {
        let trap = match ignored {
            "" => String::new(),
            some => format!("trap '' {some}; "),
        };
        let dir = format!("trace-{}", ignored.len());
        let alone = said(&format!("{trap}{show}"));
        let recorded = said(&format!("{trap}{LANEWAY} record -q -o {dir} -- {show}"));
        assert_eq!(recorded, alone, "{ignored:?} ignored");
    }
}
