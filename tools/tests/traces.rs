//! `view`, `stats`, `export` and `repair` through the real command, on traces made here.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use laneway_ctf::lane::{self, PacketHeader};
use laneway_ctf::model::{
    ClockClass, EventClass, Float, Integer, Shape, StringClass, Structure, Uuid,
};
use laneway_ctf::tsdl;
use serde_json::Value;
use tempfile::TempDir;

const UUID: Uuid = Uuid([7; 16]);

/// 2026-11-20 08:40:00 UTC.
const BEGIN_NS: i128 = 1_795_164_000_000_000_000;

const PACKETS: u64 = 4;
const PER_PACKET: u64 = 25;
const EVENTS: u64 = PACKETS * PER_PACKET;

/// A trace of one lane: event `n` is an order at `n` milliseconds, every fifth one a tick.
fn make_trace(dir: &Path) {
    let mut clock = ClockClass::new("mono", 1_000_000_000);
    clock.set_offset_ns(BEGIN_NS);
    let mut trace = lane::trace_class(UUID, clock);
    trace.set_env("hostname", "vm");
    trace.set_env("vpid", 4711);
    trace.set_env("procname", "shop");
    trace.streams.push(lane::stream_class(0, "mono", true));
    let order = Structure::of_shapes([
        ("id".to_owned(), Shape::from(Integer::unsigned(64))),
        ("total".to_owned(), Float::new(64).into()),
        ("who".to_owned(), StringClass::default().into()),
        (
            "items".to_owned(),
            Shape::Sequence(Box::new(Integer::unsigned(16).into())),
        ),
        (
            "note".to_owned(),
            Shape::Optional(Box::new(StringClass::default().into())),
        ),
    ]);
    let tick = Structure::new().with("id", Integer::unsigned(64));
    trace.streams[0]
        .events
        .push(EventClass::new(0, "shop:order", order).with_log_level(6));
    trace.streams[0]
        .events
        .push(EventClass::new(1, "shop:tick", tick).with_log_level(13));
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("metadata"), tsdl::write(&trace)).unwrap();
    let mut stream = Vec::new();
    for sequence in 0..PACKETS {
        let first = sequence * PER_PACKET;
        let records: Vec<u8> = (first..first + PER_PACKET).flat_map(record).collect();
        let header = PacketHeader {
            uuid: UUID,
            stream_class: 0,
            stream: 3,
            position: 0,
            begin: first * 1_000_000,
            end: (first + PER_PACKET - 1) * 1_000_000,
            sequence,
            discarded: sequence / 2 * 5,
            cpu: 3,
            events: PER_PACKET as u32,
            records: records.len() as u64,
            padding: records[records.len() - 1],
        };
        stream.extend(header.encode());
        stream.extend(records);
    }
    fs::write(dir.join("lane_3"), stream).unwrap();
}

fn record(n: u64) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    bytes.extend((100 + n as i32 % 2).to_le_bytes());
    bytes.extend(n.to_le_bytes());
    let id = u64::from(n % 5 == 4);
    if id == 0 {
        bytes.extend((n as f64 / 2.0).to_le_bytes());
        bytes.extend(if n.is_multiple_of(2) {
            b"alice\0".as_slice()
        } else {
            b"bob, \"b\"\0"
        });
        bytes.extend(2u32.to_le_bytes());
        bytes.extend([1, 0, n as u8, 0]);
        bytes.extend(if n.is_multiple_of(3) {
            b"\x01hey\0".as_slice()
        } else {
            b"\0"
        });
    }
    let padding = 8 - bytes.len() % 8;
    bytes.extend(std::iter::repeat_n(0, padding - 1));
    bytes.push(padding as u8);
    let clock = n * 1_000_000;
    let header = clock & 0xffff_ffff | (bytes.len() as u64 / 8) << 32 | id << 48;
    bytes[..8].copy_from_slice(&header.to_le_bytes());
    bytes
}

fn trace() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    make_trace(&dir.path().join("t"));
    dir
}

fn laneway(dir: &TempDir, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_laneway"))
        .args(args)
        .current_dir(dir.path())
        .env("TZ", "UTC")
        .output()
        .unwrap()
}

/// What the command prints, if it succeeds and complains of nothing but losses.
fn text(dir: &TempDir, args: &[&str]) -> String {
    let output = laneway(dir, args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{args:?}: {}\n{stderr}",
        output.status
    );
    String::from_utf8(output.stdout).unwrap()
}

fn failure(dir: &TempDir, args: &[&str], code: i32) -> String {
    let output = laneway(dir, args);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    stderr
}

fn babeltrace2(dir: &Path) -> String {
    let output = Command::new("babeltrace2")
        .arg("--clock-gmt")
        .arg(dir)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

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
        "08:40:00.001000000  +1000us   3     101 shop:order id=1 total=0.5 who=\"bob, \\\"b\\\"\" items=[1 1] note={}"
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
fn stats_count_by_event_thread_and_stream() {
    let dir = trace();
    let stats: Value = serde_json::from_str(&text(&dir, &["stats", "t", "--json"])).unwrap();
    assert_eq!(stats["events_total"], EVENTS);
    assert_eq!(stats["lost_events"], 5);
    assert_eq!(stats["events"][0]["name"], "shop:order");
    assert_eq!(stats["events"][0]["count"], EVENTS * 4 / 5);
    assert_eq!(stats["threads"][0]["count"], EVENTS / 2);
    assert_eq!(stats["streams"][0]["packets"], PACKETS);
    assert_eq!(stats["streams"][0]["longest_gap_ns"], 1_000_000);
    assert_eq!(stats["duration_ns"], (EVENTS - 1) * 1_000_000);
    let table = text(&dir, &["stats", "t", "-e", "shop:tick"]);
    assert!(
        table.starts_with("20 events, 2026-11-20T08:40:00.004"),
        "{table}"
    );
}

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
    assert_eq!(lines[0], "time,event,cpu,pid,tid,id,total,who,items,note");
    assert_eq!(
        lines[2],
        "2026-11-20T08:40:00.001000000Z,shop:order,3,4711,101,1,0.5,\"bob, \"\"b\"\"\",\"[1,1]\",{}"
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
    text(
        &dir,
        &["export", "t", "--to", "perfetto", "-o", "t.pftrace"],
    );
    let bytes = fs::read(dir.path().join("t.pftrace")).unwrap();
    // Packets, field 1, one behind the other: a process, two threads, and the events.
    let (mut at, mut packets) = (0, 0);
    while at < bytes.len() {
        assert_eq!(bytes[at], 0x0a);
        let (mut length, mut shift) = (0usize, 0);
        loop {
            at += 1;
            length |= usize::from(bytes[at] & 0x7f) << shift;
            shift += 7;
            if bytes[at] & 0x80 == 0 {
                break;
            }
        }
        at += 1 + length;
        packets += 1;
    }
    assert_eq!((at, packets), (bytes.len(), 3 + EVENTS));
}

#[test]
fn a_trace_cut_short_is_repaired() {
    let dir = trace();
    let lane = dir.path().join("t/lane_3");
    let whole = fs::read(&lane).unwrap();
    fs::write(&lane, &whole[..whole.len() - 100]).unwrap();
    let said = failure(&dir, &["view", "t", "--json"], 3);
    assert!(
        said.contains("lane_3: packet at byte ") && said.contains("the file ends "),
        "{said}"
    );
    failure(&dir, &["repair", "--dry-run", "t"], 3);
    let said = failure(&dir, &["repair", "t"], 0);
    assert!(
        said.contains("events kept") && said.contains("1 of 1 damaged streams repaired"),
        "{said}"
    );
    let kept = babeltrace2(&dir.path().join("t")).lines().count() as u64;
    assert!((EVENTS - 4..EVENTS).contains(&kept), "{kept}");
    assert_eq!(
        text(&dir, &["view", "t", "--json"]).lines().count() as u64,
        kept
    );
    let said = failure(&dir, &["repair", "t"], 0);
    assert!(said.contains("nothing to repair"), "{said}");
}

#[test]
fn follow_shows_what_is_written_later() {
    let dir = trace();
    let lane = dir.path().join("t/lane_3");
    let whole = fs::read(&lane).unwrap();
    fs::write(&lane, &whole[..whole.len() / 4]).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_laneway"))
        .args(["view", "t", "--json", "--follow", "-n", &EVENTS.to_string()])
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    fs::write(&lane, &whole[..whole.len() / 2 + 40]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    fs::write(&lane, &whole).unwrap();
    let output = child.wait_with_output().unwrap();
    let ids: Vec<u64> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["fields"]["id"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(ids, (0..EVENTS).collect::<Vec<_>>());
}

#[test]
fn mistakes_are_told_with_what_to_do() {
    let dir = trace();
    fs::create_dir(dir.path().join("empty")).unwrap();
    for (args, code, want) in [
        (&["view", "nowhere"][..], 1, "there is no nowhere"),
        (
            &["view", "empty"],
            1,
            "empty holds no CTF trace: there is no file named `metadata`",
        ),
        (
            &["view", "t", "-w", "totl > 1"],
            1,
            "column 1: no event has a field `totl`",
        ),
        (
            &["view", "t", "-w", "total >"],
            1,
            "column 8: expected a field, a number or a text, found the end",
        ),
        (&["view", "t", "--since", "soon"], 1, "\"soon\" is no time"),
        (&["view", "t", "--format", "xml"], 2, "xml"),
        (&["export", "t", "--to", "ods"], 2, "ods"),
        (
            &["export", "t", "--to", "ctf-2"],
            1,
            "say where with -o DIR",
        ),
        (
            &["export", "t", "--to", "ctf-2", "-o", "empty"],
            1,
            "empty exists already",
        ),
        (
            &["export", "t", "--to", "csv", "-o", "t/metadata"],
            1,
            "t/metadata exists already",
        ),
        (
            &["export", "t", "--to", "csv", "-o", "/dev/full/x"],
            1,
            "cannot write /dev/full/x",
        ),
        (&["repair", "nowhere"], 1, "there is no nowhere"),
    ] {
        let said = failure(&dir, args, code);
        assert!(said.contains(want), "{args:?}: {said}\nwanted {want}");
    }
}

#[test]
fn a_full_disk_is_told() {
    let dir = trace();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_laneway"))
        .args(["export", "t", "--to", "json"])
        .current_dir(dir.path())
        .stdout(full)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("cannot write") && stderr.contains("No space left"),
        "{stderr}"
    );
}
