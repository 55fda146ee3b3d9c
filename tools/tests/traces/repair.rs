//! Traces that are not whole.

use std::fs;

use crate::made::{EVENTS, trace};
use crate::run::{babeltrace2, failure, text};

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
