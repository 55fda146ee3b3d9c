//! What `laneway export` writes, read back.

use std::fs;

use laneway_ctf::model::{EventClass, Integer, Structure};
use serde_json::Value;
use tempfile::TempDir;

use crate::made::{EVENTS, Made, trace};
use crate::run::{babeltrace2, text};

#[test]
fn exports_to_ctf_read_back_as_what_they_came_from() {
    let dir = trace();
    let want = babeltrace2(&dir.path().join("t"));
    text(&dir, &["export", "t", "--to", "ctf-2", "-o", "two"]);
    assert_eq!(
        text(&dir, &["view", "two", "--format", "babeltrace"])
            .lines()
            .count() as u64,
        EVENTS
    );
    text(&dir, &["export", "two", "--to", "ctf-1.8", "-o", "back"]);
    assert_eq!(
        babeltrace2(&dir.path().join("back")),
        want,
        "1.8 to 2 to 1.8"
    );
    assert_eq!(
        fs::read_to_string(dir.path().join("back/metadata")).unwrap(),
        fs::read_to_string(dir.path().join("t/metadata")).unwrap()
    );
    text(
        &dir,
        &[
            "export",
            "t",
            "--to",
            "ctf-1.8",
            "-o",
            "slice",
            "-w",
            "id >= 20 && id < 60 && who == \"a*\"",
        ],
    );
    let slice = babeltrace2(&dir.path().join("slice"));
    let ids: Vec<_> = slice
        .lines()
        .map(|line| {
            line.split("{ id = ")
                .nth(1)
                .unwrap()
                .split(',')
                .next()
                .unwrap()
        })
        .collect();
    let wanted: Vec<_> = (20..60)
        .filter(|n| n % 2 == 0 && n % 5 != 4)
        .map(|n: u64| n.to_string())
        .collect();
    assert_eq!(ids, wanted);
}

#[test]
fn exports_to_other_formats_hold_every_event() {
    let dir = trace();
    let csv = text(&dir, &["export", "t", "--to", "csv"]);
    let lines: Vec<_> = csv.split("\r\n").collect();
    assert_eq!(
        lines[0],
        "time,event,cpu,process,pid,tid,id,total,who,items,note"
    );
    assert_eq!(
        lines[2],
        "2026-11-20T08:40:00.001000000Z,shop:order,3,shop,4711,101,1,0.5,\"bob, \"\"b\"\"\",\"[1,1]\","
    );
    assert_eq!(lines.len() as u64, 1 + EVENTS + 1);
    let json = text(&dir, &["export", "t", "--to", "json"]);
    assert_eq!(json, text(&dir, &["view", "t", "--json"]));
    let chrome: Value =
        serde_json::from_str(&text(&dir, &["export", "t", "--to", "chrome"])).unwrap();
    let events = chrome["traceEvents"].as_array().unwrap();
    assert_eq!(events.len() as u64, 1 + EVENTS);
    assert_eq!(events[2]["ts"], 1000.0);
    assert_eq!(events[2]["args"]["id"], 1);
}

#[test]
fn several_traces_become_one_that_reads_as_they_did_together() {
    let dir = TempDir::new().unwrap();
    for (name, later_ns) in [
        ("session/a", 300),
        ("session/b", 50_000_700),
        ("session/c", 0),
    ] {
        let made = Made {
            later_ns,
            ..Made::default()
        };
        made.write(&dir.path().join(name));
    }
    let want = babeltrace2(&dir.path().join("session"));
    assert_eq!(want.lines().count() as u64, 3 * EVENTS);
    for format in ["ctf-1.8", "ctf-2"] {
        let all = ["session/a", "session/b", "session/c"];
        let command = [&["export"], &all[..], &["--to", format, "-o", format]].concat();
        text(&dir, &command);
        assert!(dir.path().join(format).join("metadata").is_file());
        let view = ["view", format, "--format", "babeltrace", "--clock-gmt"];
        assert_eq!(text(&dir, &view), want, "{format}");
    }
    assert_eq!(babeltrace2(&dir.path().join("ctf-1.8")), want);
    assert_eq!(
        text(&dir, &["stats", "ctf-1.8"]).lines().nth(1),
        text(&dir, &["stats", "session"]).lines().nth(1),
        "what was lost"
    );

    let slice = [
        "--since",
        "+20ms",
        "--until",
        "+80ms",
        "-w",
        "id > 3 && who != \"bob*\"",
    ];
    text(
        &dir,
        &[
            &["export", "session", "--to", "ctf-1.8", "-o", "slice"],
            &slice[..],
        ]
        .concat(),
    );
    let view = ["view", "session", "--format", "babeltrace", "--clock-gmt"];
    let want = text(&dir, &[&view[..], &slice[..]].concat());
    assert!(want.lines().count() > 20, "{want}");
    assert_eq!(babeltrace2(&dir.path().join("slice")), want);
}

#[test]
fn events_of_several_processes_keep_theirs() {
    let dir = TempDir::new().unwrap();
    for pid in [4711, 4712] {
        let made = Made {
            pid,
            later_ns: i128::from(pid),
            ..Made::default()
        };
        made.write(&dir.path().join(format!("session/{pid}")));
    }
    text(&dir, &["export", "session", "--to", "ctf-1.8", "-o", "one"]);
    // What stood before the event's name stands behind the packet's fields.
    let mut want = String::new();
    for line in babeltrace2(&dir.path().join("session")).lines() {
        let (before, pid) = line.split_once(" vm:shop:").unwrap();
        let (pid, rest) = pid.split_at(6);
        let rest = rest.replacen(" }", &format!(", vpid = {} }}", &pid[1..5]), 1);
        want += &format!("{before} vm:shop{rest}\n");
    }
    assert_eq!(babeltrace2(&dir.path().join("one")), want);
    let count = |name: &str, pid: &str| text(&dir, &["view", name, "-p", pid, "--json"]);
    for pid in ["4711", "4712"] {
        assert_eq!(count("one", pid), count("session", pid), "{pid}");
    }
}

#[test]
fn every_field_has_a_column_of_csv_whatever_its_name_and_scope() {
    let dir = TempDir::new().unwrap();
    let fields = ["pid", "note"].map(|name| (name.to_owned(), Integer::unsigned(8).into()));
    let class = EventClass {
        context: Some(Structure::new().with("prio", Integer::unsigned(8))),
        ..EventClass::new(0, "shop:odd", Structure::of_shapes(fields))
    };
    let made = Made {
        classes: vec![class],
        event: |n| (0, vec![9, n as u8, 7]),
        ..Made::default()
    };
    made.write(&dir.path().join("t"));
    let csv = text(&dir, &["export", "t", "--to", "csv"]);
    let lines: Vec<_> = csv.split("\r\n").collect();
    assert_eq!(lines[0], "time,event,cpu,process,pid,tid,prio,pid_2,note");
    assert_eq!(
        lines[6],
        "2026-11-20T08:40:00.005000000Z,shop:odd,3,shop,4711,101,9,5,7"
    );
}
