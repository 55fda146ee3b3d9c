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

#[test]
fn a_consumer_takes_over_the_buffer_that_all_processes_share() {
    let mut random = Random::new(8);
    let mut totals = Totals::default();
    for _ in 0..2 * stress_factor() {
        totals.merge(&takeover::round_in_shared_buffer(&mut random, 5));
    }
    totals.tell("consumers of a shared buffer killed");
    assert!(
        totals.of("events checked") > 10_000,
        "it tests nothing: {totals}"
    );
}

#[test]
fn who_died_without_a_consumer_is_buried_by_the_next_one() {
    let mut random = Random::new(9);
    let mut totals = Totals::default();
    for _ in 0..2 * stress_factor() {
        totals.merge(&takeover::burial(&mut random));
    }
    totals.tell("died while there was no consumer of their shared buffer");
}
