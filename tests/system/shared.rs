//! Buffers that processes share: the death of one costs the others nothing.

use std::io::Write;

use laneway_tests::random::{Random, stress_factor};
use laneway_tests::rows::{Totals, shared};

#[test]
fn a_process_killed_at_any_moment_costs_the_others_in_its_buffer_nothing() {
    let mut random = Random::new(10);
    let mut totals = Totals::default();
    for _ in 0..2 * stress_factor() {
        totals.merge(&shared::kill(&mut random, 15));
    }
    totals.tell("killed in a shared buffer");
}

#[test]
fn a_lane_flows_again_soon_after_somebody_died_in_it() {
    let mut random = Random::new(11);
    let mut totals = Totals::default();
    for _ in 0..2 * stress_factor() {
        let (more, took) = shared::flow(&mut random);
        let _ = writeln!(
            std::io::stderr(),
            "the lane flows again {took:?} after the death"
        );
        totals.merge(&more);
    }
    totals.tell("died in the middle of an event in a shared buffer");
}
