//! What `laneway view` prints, and of which events.

use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::made::{EVENTS, Made, trace};
use crate::run::{laneway, text};

#[test]
fn view_prints_what_babeltrace2_prints_with_the_same_options() {
    let dir = trace();
    for options in [
        vec!["--clock-gmt"],
        vec!["--clock-gmt", "--clock-date", "--no-delta"],
        vec!["--clock-seconds", "--names", "all"],
        vec!["--clock-cycles", "--names", "none"],
        vec!["--clock-gmt", "--names", "header,scope", "--fields", "all"],
        vec!["--clock-gmt", "--fields", "loglevel,trace:domain"],
        vec!["--clock-gmt", "--fields", "trace", "--names", "payload"],
    ] {
        let reference = Command::new("babeltrace2")
            .args(&options)
            .arg(dir.path().join("t"))
            .output()
            .unwrap();
        let args = [&["view", "t", "--format", "babeltrace"], options.as_slice()].concat();
        let output = laneway(&dir, &args);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&reference.stdout),
            "{options:?}"
        );
        if !options.contains(&"--clock-cycles") {
            let warnings = String::from_utf8_lossy(&reference.stderr);
            assert_eq!(
                String::from_utf8_lossy(&output.stderr),
                warnings,
                "{options:?}"
            );
        }
    }
}

#[test]
fn view_selects_by_name_time_thread_and_expression() {
    let dir = trace();
    let lines = |args: &[&str]| {
        let args = [&["view", "t", "--json"], args].concat();
        text(&dir, &args).lines().count() as u64
    };
    assert_eq!(lines(&[]), EVENTS);
    assert_eq!(lines(&["-e", "shop:t*"]), EVENTS / 5);
    assert_eq!(lines(&["-e", "*:tick", "-e", "shop:order"]), EVENTS);
    assert_eq!(lines(&["-e", "nothing"]), 0);
    assert_eq!(lines(&["--since", "+10ms", "--until", "+20ms"]), 10);
    assert_eq!(lines(&["--since", "-9ms"]), 10);
    assert_eq!(lines(&["--since", "08:40:00.05"]), 50);
    assert_eq!(lines(&["--until", "2026-11-20 08:40:00.05"]), 50);
    assert_eq!(lines(&["--thread", "101"]), EVENTS / 2);
    assert_eq!(lines(&["--cpu", "3"]), EVENTS);
    assert_eq!(lines(&["--cpu", "2"]), 0);
    assert_eq!(lines(&["--process", "4711"]), EVENTS);
    assert_eq!(lines(&["--process", "sh?p"]), EVENTS);
    assert_eq!(lines(&["--process", "other"]), 0);
    assert_eq!(lines(&["-w", "id >= 90"]), 10);
    assert_eq!(
        lines(&["-w", "total * 2 == id && who == \"al*\" && id < 10"]),
        4
    );
    assert_eq!(lines(&["-w", "vtid == 100 && !(id > 3)"]), 2);
    assert_eq!(lines(&["-n", "7"]), 7);
}

#[test]
fn view_prints_json_and_short_lines() {
    let dir = trace();
    let first = text(&dir, &["view", "t", "--json", "-n", "1"]);
    let value: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(value["time"], "2026-11-20T08:40:00.000000000Z");
    assert_eq!(value["name"], "shop:order");
    assert_eq!(
        (&value["pid"], &value["tid"], &value["cpu"]),
        (&4711.into(), &100.into(), &3.into())
    );
    let fields =
        serde_json::json!({"id": 0, "total": 0.0, "who": "alice", "items": [1, 0], "note": "hey"});
    assert_eq!(value["fields"], fields);
    let pretty = text(&dir, &["view", "t", "--format", "pretty", "-n", "2"]);
    let second = pretty.lines().nth(1).unwrap();
    assert_eq!(
        second,
        "08:40:00.001000000  +1000us   3     101 shop:order id=1 total=0.5 who=\"bob, \\\"b\\\"\" items=[1 1] note=-"
    );
}

#[test]
fn view_ends_quietly_when_nobody_reads_on() {
    let dir = trace();
    let mut child = Command::new(env!("CARGO_BIN_EXE_laneway"))
        .args(["view", "t"])
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        !stderr.contains("Broken pipe") && !stderr.contains("panicked"),
        "{stderr}"
    );
}

#[test]
fn short_lines_say_which_of_several_processes_it_was() {
    let dir = TempDir::new().unwrap();
    for pid in [99, 4711] {
        let made = Made {
            pid,
            later_ns: i128::from(pid),
            ..Made::default()
        };
        made.write(&dir.path().join(format!("session/{pid}")));
    }
    let view = ["view", "--format", "pretty", "-e", "shop:tick", "-n", "2"];
    let lines = text(&dir, &[&view[..], &["session"]].concat());
    assert_eq!(
        lines,
        "08:40:00.004000099            3     100 shop(99) shop:tick id=4\n\
         08:40:00.004004711  +4612ns   3     100 shop(4711) shop:tick id=4\n"
    );
}
