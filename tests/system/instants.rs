//! Kills and signals at certain instructions of an event: inside of reserve, of serialize, of commit, and of a switch.
//!
//! In a few places of each; `LANEWAY_STRESS=10` makes it ten times as many, `LANEWAY_STRESS=100` all.

use laneway_tests::random::{Random, stress_factor};
use laneway_tests::rows::instants::{Lane, Stage, kill, signal};
use laneway_tests::rows::{Buffers, Totals};
use laneway_tests::stepping::Steps;

/// Kills in all states of a lane; each must leave nothing, something unfinished and something complete at its time.
#[track_caller]
fn kill_everywhere(steps: Steps, kills: u64) {
    let mut random = Random::new(2);
    let mut totals = Totals::default();
    for lane in Lane::ALL {
        let (more, stages) = kill(
            &mut random,
            steps,
            lane,
            Buffers::PerProcess,
            kills * stress_factor(),
        );
        more.tell(&format!("killed in {steps:?} steps, {lane:?}"));
        totals.merge(&more);
        let seen = |stage| stages.0.iter().any(|(_, seen)| *seen == stage);
        assert!(seen(Stage::Nothing) && seen(Stage::Complete), "{stages:?}");
        // An event that is lost for want of room was never in the lane; and most plain steps do not lead to it.
        let unfinished = seen(Stage::Unfinished);
        assert!(!unfinished || lane != Lane::Full, "{stages:?}");
        assert!(
            unfinished || lane == Lane::Full || steps == Steps::Plain,
            "{lane:?}: {stages:?}"
        );
    }
    assert!(totals.of("unfinished") > 0, "it tests nothing: {totals}");
    totals.tell(&format!("killed in {steps:?} steps"));
}

#[test]
fn a_kill_at_any_instruction_of_a_restartable_sequence_costs_at_most_the_event_it_was_in() {
    kill_everywhere(Steps::Hidden, 20);
}

#[test]
fn a_kill_at_any_instruction_of_an_atomic_lane_costs_at_most_the_event_it_was_in() {
    kill_everywhere(Steps::Plain, 12);
}

#[test]
fn a_kill_at_any_instruction_in_a_shared_buffer_is_counted_with_its_process() {
    let mut random = Random::new(13);
    for steps in [Steps::Hidden, Steps::Plain] {
        let number = 15 * stress_factor();
        let (totals, stages) = kill(&mut random, steps, Lane::Roomy, Buffers::Shared, number);
        totals.tell(&format!("killed in {steps:?} steps in a shared buffer"));
        // Most plain steps fill a sub-buffer that nobody has used, or are aborted.
        let in_the_middle = stages.unfinished().is_some();
        assert!(in_the_middle || steps == Steps::Plain, "{stages:?}");
    }
}

#[test]
fn a_signal_at_any_instruction_of_an_event_costs_neither_it_nor_the_one_of_the_handler() {
    let mut random = Random::new(3);
    let mut totals = Totals::default();
    for lane in Lane::ALL {
        for steps in [Steps::Hidden, Steps::Plain] {
            totals.merge(&signal(&mut random, steps, lane, 5 * stress_factor()));
        }
    }
    totals.tell("signals at certain instructions");
}
