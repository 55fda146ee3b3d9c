//! The protocol of one lane, step by step, in every order.
//!
//! ```text
//!   state ──▶ every thread's next step, every migration, every signal, a kill, every look of the
//!     ▲       reader, its death ──▶ new states ──┐
//!     └──────────────────────────────────────────┘  until there are no new ones
//! ```
//! The steps are those of the code, one for each load and store that another thread could see:
//!
//! | here             | there                                                                    |
//! |------------------|--------------------------------------------------------------------------|
//! | `thread.rs`      | `src/reserve.rs`: publish, count                                         |
//! | `switch.rs`      | `rseq/src/ring.rs`, `src/switch.rs`, `src/room.rs`: reserve, switch       |
//! | `atomic_lane.rs` | `src/atomic_lane.rs`, `src/place.rs`                                      |
//! | `reader.rs`      | `src/lane_reader.rs`, `src/cursor.rs`: in order, parked, judged           |
//! | `bury.rs`        | `src/bury.rs`                                                            |
//! | `snapshot.rs`    | `src/snapshot.rs`                                                        |
//! | `takeover.rs`    | `LaneReader::{take_over, skip}`                                          |
//!
//! In every state it is checked (`balance.rs`, and where records are taken) that published records
//! are delivered and nothing else, each once and none torn; that no place is opened again while a
//! thread may write to it; and that, if everybody died now, `emitted = recorded + lost`, with one
//! unfinished record at most for each thread, counted for its process. Where everybody has
//! returned, or is buried: that counters agree with headers, and that every place can be opened
//! again.
//!
//! Then the same with a bug planted, to see that it would be found: `bugs.rs` says which, `parts.rs`
//! where. A part that fails tells the shortest way to its failure, step by step.
//!
//! The model is of sequentially consistent memory; that the orderings in the code are enough is
//! argued in `docs/design.md`. Left out are what has no bearing on the balance (clocks, the
//! doorbell, how long the reader is patient) and what only lies about memory (`consumer/tests`).
//!
//! One thing is known to be lost: the filler of an atomic lane that is overwritten, killed between
//! two stores of `end_lap`, takes the count of that sub-buffer's records with him
//! (`balance::lost_with_its_filler`).

#[path = "model/atomic_lane.rs"]
mod atomic_lane;
#[path = "model/balance.rs"]
mod balance;
#[path = "model/bugs.rs"]
mod bugs;
#[path = "model/bury.rs"]
mod bury;
#[path = "model/cursor.rs"]
mod cursor;
#[path = "model/explore.rs"]
mod explore;
#[path = "model/parts.rs"]
mod parts;
#[path = "model/reader.rs"]
mod reader;
#[path = "model/setup.rs"]
mod setup;
#[path = "model/snapshot.rs"]
mod snapshot;
#[path = "model/state.rs"]
mod state;
#[path = "model/step.rs"]
mod step;
#[path = "model/story.rs"]
mod story;
#[path = "model/switch.rs"]
mod switch;
#[path = "model/takeover.rs"]
mod takeover;
#[path = "model/thread.rs"]
mod thread;

use bugs::Bug;
use explore::explore;
use parts::{ALL, ATOMIC, DEATH, OVERWRITE, Part, RSEQ, TAKEOVER};
use setup::Setup;
use story::explain;

#[test]
fn nothing_is_lost_doubled_or_torn_in_any_order_of_steps() {
    explore_part(&RSEQ);
}

#[test]
fn a_killed_process_takes_nothing_with_it_but_what_it_had_not_published() {
    explore_part(&DEATH);
}

#[test]
fn what_is_overwritten_is_counted_and_what_is_copied_is_whole() {
    explore_part(&OVERWRITE);
}

#[test]
fn compare_and_swap_alone_is_enough() {
    explore_part(&ATOMIC);
}

#[test]
fn a_new_consumer_neither_repeats_nor_misses_anything() {
    explore_part(&TAKEOVER);
}

#[test]
fn every_planted_bug_is_found() {
    for bug in Bug::ALL {
        let planted = ALL
            .iter()
            .flat_map(|part| part.bugs)
            .filter(|(planted, _)| *planted == bug);
        let mut times = 0;
        for (_, setup) in planted {
            let setup = Setup { bug, ..*setup };
            let wrong = explore(&setup).err();
            let wrong = wrong.unwrap_or_else(|| panic!("{bug:?} was not found in {setup}"));
            println!("{bug:?}: {wrong}");
            times += 1;
        }
        assert!(times > 0, "{bug:?} is planted nowhere");
    }
}

fn explore_part(part: &Part) {
    let large: &[Setup] = match std::env::var_os("LANEWAY_STRESS") {
        Some(_) => part.large,
        None => &[],
    };
    let mut total = 0;
    for setup in part.setups.iter().chain(large) {
        let states = explore(setup).unwrap_or_else(|wrong| {
            let story = explain(setup).unwrap_or(wrong);
            panic!("{}, {setup}:\n  {story}", part.name)
        });
        println!("{}, {setup}: {states} states", part.name);
        total += states;
    }
    println!("{}: {total} states in all", part.name);
    assert!(total > 100_000, "the model hardly does anything");
}
