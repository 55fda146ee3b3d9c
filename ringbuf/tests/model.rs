//! The protocol of one rseq lane, step by step, in every order.
//!
//! ```text
//!   state ──▶ every thread's next step, every migration, every signal, a kill, every
//!     ▲       look of the reader ──▶ new states ──┐
//!     └───────────────────────────────────────────┘  until there are no new ones
//! ```
//! The steps are those of `rseq/src/ring.rs`, `src/switch.rs`, `src/reserve.rs` and
//! `src/reader.rs`, one for each load and store that another thread could see. In every
//! state it is checked that the reader delivers published records only, each once, and
//! wherever things can end that nothing is missing: `emitted = recorded + lost`.
//!
//! Then the same with a bug planted, to see that it would be found. The model is of
//! sequentially consistent memory; that the orderings in the code are enough is argued
//! in `docs/design.md`.

#[path = "model/explore.rs"]
mod explore;
#[path = "model/reader.rs"]
mod reader;
#[path = "model/state.rs"]
mod state;
#[path = "model/thread.rs"]
mod thread;

use explore::explore;
use state::{Bug, Setup};

/// What is explored: the lengths, in words, of the records that each thread emits.
const SETUPS: [&[&[u8]]; 3] = [
    // Two threads, records that fill sub-buffers exactly and records that do not.
    &[&[1, 2, 1], &[2, 1]],
    // One that gets around the lane twice, one that sleeps meanwhile.
    &[&[2, 2, 2, 2], &[1]],
    // Three threads on two CPUs.
    &[&[1], &[1], &[2]],
];

/// What is explored on top if `LANEWAY_STRESS` is set: some minutes and gigabytes.
const LARGE: &[&[u8]] = &[&[1, 1], &[1], &[2]];

#[test]
fn nothing_is_lost_doubled_or_torn_in_any_order_of_steps() {
    let mut total = 0;
    let large = std::env::var_os("LANEWAY_STRESS").map(|_| LARGE);
    for lengths in SETUPS.into_iter().chain(large) {
        let setup = Setup::new(lengths, Bug::None);
        let states = explore(&setup).unwrap_or_else(|found| panic!("{lengths:?}: {found}"));
        println!("{lengths:?}: {states} states");
        total += states;
    }
    println!("{total} states in all");
    assert!(total > 100_000, "the model hardly does anything");
}

#[test]
fn every_planted_bug_is_found() {
    for bug in Bug::ALL {
        let found = SETUPS
            .iter()
            .find_map(|lengths| explore(&Setup::new(lengths, bug)).err());
        let found = found.unwrap_or_else(|| panic!("{bug:?} was not found"));
        println!("{bug:?}: {found}");
    }
}
