//! Traces that are being written.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use laneway_ctf::model::{EventClass, Integer, Structure};
use laneway_ctf::tsdl;
use serde_json::Value;
use tempfile::TempDir;

use crate::made::{EVENTS, Made, PER_PACKET, trace};

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

/// A command that follows a trace, and its lines as they come.
struct Follower {
    child: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Follower {
    fn of(dir: &TempDir, options: &[&str]) -> Follower {
        let mut child = Command::new(env!("CARGO_BIN_EXE_laneway"))
            .args(["view", "t", "--follow"])
            .args(options)
            .current_dir(dir.path())
            .env("TZ", "UTC")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Follower {
            child,
            lines: Some(lines),
        }
    }

    fn take(&mut self, count: u64) -> Vec<String> {
        let lines = self.lines.iter_mut().flatten().take(count as usize);
        lines.map(Result::unwrap).collect()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a file so that nobody ever sees a part of it.
fn replace(path: &std::path::Path, bytes: impl AsRef<[u8]>) {
    let beside = path.with_extension("new");
    fs::write(&beside, bytes).unwrap();
    fs::rename(beside, path).unwrap();
}

#[test]
fn follow_goes_on_where_it_was_when_there_are_new_events_and_streams() {
    let dir = TempDir::new().unwrap();
    let mut made = Made {
        packets: 1,
        ..Made::default()
    };
    let path = dir.path().join("t");
    made.write(&path);
    let mut follower = Follower::of(&dir, &["--format", "babeltrace", "--clock-gmt"]);
    let mut got = follower.take(PER_PACKET);
    // What was read already cannot be read again: it is not there any more.
    let mut lane = made.packet(0);
    lane[40..].fill(0xff);
    lane.extend(made.packet(1));
    fs::write(path.join("lane_3"), &lane).unwrap();
    got.extend(follower.take(PER_PACKET));
    // An event that was not known before, then an other stream.
    let fields = Structure::new().with("sold_out", Integer::unsigned(64));
    made.classes.push(EventClass::new(2, "shop:empty", fields));
    made.event = |n| (2, n.to_le_bytes().to_vec());
    replace(&path.join("metadata"), tsdl::write(&made.class()));
    lane.extend(made.packet(2));
    fs::write(path.join("lane_3"), &lane).unwrap();
    got.extend(follower.take(PER_PACKET));
    assert!(
        got[74].contains("shop:empty: { cpu_id = 3 }, { vtid = 100 }, { sold_out = 74 }"),
        "{}",
        got[74]
    );
    let mut other = made.packet(3);
    other[22..24].copy_from_slice(&4u16.to_le_bytes());
    replace(&path.join("lane_4"), &other);
    got.extend(follower.take(PER_PACKET));
    for (n, line) in got.iter().enumerate() {
        assert!(
            line.starts_with(&format!("[08:40:00.{n:03}000000] ")),
            "{n}: {line}"
        );
    }
}

#[test]
fn follow_stops_quietly_when_nobody_reads_on() {
    let dir = trace();
    let mut follower = Follower::of(&dir, &["--json"]);
    follower.take(1);
    follower.lines = None;
    let made = Made::default();
    let mut lane = fs::read(dir.path().join("t/lane_3")).unwrap();
    (4..400).for_each(|n| lane.extend(made.packet(n)));
    fs::write(dir.path().join("t/lane_3"), lane).unwrap();
    assert_eq!(follower.child.wait().unwrap().code(), Some(0));
}
