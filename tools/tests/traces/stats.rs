//! What `laneway stats` counts.

use serde_json::Value;
use tempfile::TempDir;

use crate::made::{EVENTS, Made, PACKETS, trace};
use crate::run::text;

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
fn long_tables_are_cut_unless_all_of_them_is_asked_for() {
    let dir = TempDir::new().unwrap();
    let made = Made {
        threads: 50,
        ..Made::default()
    };
    made.write(&dir.path().join("t"));
    let rows = |args: &[&str]| {
        let table = text(&dir, &[&["stats", "t"], args].concat());
        let threads = table.lines().skip_while(|line| !line.starts_with("THREAD"));
        let rows = threads.skip(1).take_while(|line| !line.is_empty());
        rows.map(str::to_owned).collect::<Vec<_>>()
    };
    let cut = rows(&[]);
    assert_eq!(cut.len(), 21, "{cut:?}");
    assert_eq!(cut[20], "… and 30 more: --all");
    assert_eq!(rows(&["--all"]).len(), 50);
}
