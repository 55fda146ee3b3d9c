//! Flight recorders: snapshots of what has just happened.

use laneway_tests::random::{Random, stress_factor};
use laneway_tests::rows::{Buffers, Totals, snapshot, stopped};

#[test]
fn a_snapshot_at_full_speed_is_a_valid_trace_of_the_newest_events() {
    let mut random = Random::new(8);
    let mut totals = Totals::default();
    for _ in 0..stress_factor() {
        for buffers in [Buffers::PerProcess, Buffers::Shared] {
            totals.merge(&snapshot::round(&mut random, buffers, 5));
        }
    }
    totals.tell("snapshots");
}

#[test]
fn a_stopped_thread_is_written_around_by_a_flight_recorder() {
    let mut random = Random::new(9);
    stopped::round(&mut random, "overwrite").tell("stopped in a flight recorder");
}
