//! Consumers whose disk fails, and whose system calls are interrupted and cut short.

use laneway_tests::random::{Random, stress_factor};
use laneway_tests::rows::{Totals, storage};

#[track_caller]
fn fail(failure: &str, one_in: u64) -> Totals {
    let mut random = Random::new(5);
    let mut totals = Totals::default();
    for _ in 0..2 * stress_factor() {
        totals.merge(&storage::round(&mut random, failure, one_in));
    }
    totals.tell(failure);
    let wrong = totals.of("calls that went wrong");
    assert!(wrong > 0, "it tests nothing: {totals}");
    totals
}

#[test]
fn short_writes_cost_nothing() {
    let totals = fail("short", 3);
    assert!(totals.of("calls that went wrong") > 20, "{totals}");
}

#[test]
fn interrupted_calls_cost_nothing() {
    let totals = fail("eintr", 4);
    assert!(totals.of("calls that went wrong") > 100, "{totals}");
}

#[test]
fn a_disk_that_fails_leaves_a_trace_up_to_there_and_the_rest_is_counted() {
    let totals = fail("eio", 20);
    assert!(totals.of("events lost and counted") > 0, "{totals}");
}

#[test]
fn a_disk_that_is_full_now_and_then_leaves_what_it_took_and_the_rest_is_counted() {
    let totals = fail("enospc", 20);
    assert!(totals.of("events lost and counted") > 0, "{totals}");
}

#[test]
fn a_disk_that_may_not_be_written_any_more_leaves_what_it_took_and_the_rest_is_counted() {
    let totals = fail("erofs", 3);
    assert!(totals.of("events lost and counted") > 0, "{totals}");
}
