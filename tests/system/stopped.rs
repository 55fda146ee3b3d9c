//! Threads that stand still in the middle of an event: the others go on.

use laneway_tests::random::{Random, stress_factor};
use laneway_tests::rows::{Totals, stopped};

#[track_caller]
fn stop(mode: &str) {
    let mut random = Random::new(6);
    let mut totals = Totals::default();
    for _ in 0..stress_factor() {
        totals.merge(&stopped::round(&mut random, mode));
    }
    totals.tell(mode);
    assert!(
        totals.of("in the middle of an event") > 0 || mode == "overwrite",
        "{totals}"
    );
}

#[test]
fn a_stopped_thread_costs_the_others_nothing_where_there_is_no_waiting() {
    stop("discard");
}

#[test]
fn nobody_waits_for_a_stopped_thread() {
    stop("block");
}
