//! Traces that are being written.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::made::{EVENTS, trace};

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
