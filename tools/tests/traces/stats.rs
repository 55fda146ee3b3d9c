//! What `laneway stats` counts.

use serde_json::Value;

use crate::made::{EVENTS, PACKETS, trace};
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
