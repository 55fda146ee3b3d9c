//! Applications that are killed: nothing is missing that was finished, and what was not is counted.

use laneway_tests::random::{Random, stress_factor};
use laneway_tests::rows::{Totals, kill};

#[test]
fn an_application_killed_at_any_moment_leaves_every_event_it_had_finished() {
    let mut random = Random::new(1);
    let mut totals = Totals::default();
    for _ in 0..4 * stress_factor() {
        totals.merge(&kill::round(&mut random, 25));
    }
    totals.tell("applications killed at random");
    assert!(
        totals.of("events checked") > 10_000,
        "it tests nothing: {totals}"
    );
}
