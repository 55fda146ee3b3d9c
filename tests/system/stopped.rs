//! Threads that stand still in the middle of an event: the others go on.

use laneway_tests::random::{Random, stress_factor};
use laneway_tests::rows::{Totals, stopped};

#[track_caller]
fn stop(mode: &str) {
    let mut random = Random::new(6);
    let mut totals = Totals::default();
    let mut rounds = 0;
    // One that was preempted has more steps to the same place, and stands beside its event.
    let beside = |totals: &Totals| totals.of("in the middle of an event") == 0;
    while rounds < stress_factor() || beside(&totals) && rounds < 10 {
        totals.merge(&stopped::round(&mut random, mode));
        rounds += 1;
    }
    totals.tell(mode);
    assert!(!beside(&totals), "{totals}");
}

#[test]
fn a_stopped_thread_costs_the_others_nothing_where_there_is_no_waiting() {
    stop("discard");
}

#[test]
fn nobody_waits_for_a_stopped_thread() {
    stop("block");
}
