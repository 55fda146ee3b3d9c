//! Signal handlers that emit, nested in each other and in the events of the threads they interrupt.

use laneway_tests::random::stress_factor;
use laneway_tests::rows::{Totals, interrupt};

#[track_caller]
fn interrupt(environment: &[(&str, &str)], what: &str) {
    let mut totals = Totals::default();
    for _ in 0..stress_factor() {
        totals.merge(&interrupt::round(3000, environment));
    }
    totals.tell(what);
    assert!(
        totals.of("rounds in which handlers nested") > 0,
        "it tests nothing: {totals}"
    );
}

#[test]
fn handlers_that_interrupt_each_other_and_everything_else_lose_nothing() {
    interrupt(&[], "threads interrupted in restartable sequences");
}

#[test]
fn handlers_lose_nothing_where_there_are_no_restartable_sequences() {
    interrupt(
        &[("LANEWAY_RSEQ", "off")],
        "threads interrupted in atomic lanes",
    );
}
