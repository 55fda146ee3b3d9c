//! Applications that do their worst to their consumer: others do not notice.

use laneway_tests::random::{Random, stress_factor};
use laneway_tests::rows::{Totals, hostile};

#[test]
fn an_application_that_scribbles_over_its_ring_harms_nobody_else() {
    let mut random = Random::new(4);
    let mut totals = Totals::default();
    for _ in 0..2 * stress_factor() {
        totals.merge(&hostile::round(&mut random, 2, 1.0));
    }
    totals.tell("applications that scribble over their rings");
}

#[test]
fn an_application_that_scribbles_over_a_shared_ring_stops_neither_others_nor_the_consumer() {
    let mut random = Random::new(12);
    let mut totals = Totals::default();
    for _ in 0..2 * stress_factor() {
        totals.merge(&hostile::round_in_shared_buffer(&mut random, 1, 1.0));
    }
    totals.tell("applications that scribble over a shared ring");
}
