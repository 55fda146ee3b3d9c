//! Consumers that are killed: the next one continues the trace, and no event is missing or doubled.

use laneway_tests::random::{Random, stress_factor};
use laneway_tests::rows::{Totals, takeover};

#[test]
fn a_consumer_takes_over_from_one_that_was_killed_at_any_moment() {
    let mut random = Random::new(7);
    let mut totals = Totals::default();
    for _ in 0..2 * stress_factor() {
        totals.merge(&takeover::round(&mut random, 10));
    }
    totals.tell("consumers killed");
    assert!(
        totals.of("events checked") > 10_000,
        "it tests nothing: {totals}"
    );
}
