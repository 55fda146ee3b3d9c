//! Every state that can be reached.

use rustc_hash::FxHashSet;

use super::reader::{self, Wish};
use super::state::{Setup, State};
use super::thread::{self, At};

/// More states than any of the set-ups has: a model that grows without end is a bug.
const MOST: usize = 30_000_000;

/// Visits every state and checks each; the number of states, or what is wrong with one.
pub(crate) fn explore(setup: &Setup) -> Result<usize, String> {
    let first = State::new(setup);
    let mut seen = FxHashSet::default();
    seen.insert(first.clone());
    let mut open = vec![first];
    while let Some(state) = open.pop() {
        for next in successors(&state, setup)? {
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
        assert!(seen.len() < MOST, "more than {MOST} states");
    }
    Ok(seen.len())
}

fn successors(state: &State, setup: &Setup) -> Result<Vec<State>, String> {
    let mut all = Vec::new();
    for wish in [Wish::Whole, Wish::Partial] {
        let mut next = state.clone();
        if reader::step(&mut next, setup, wish)? {
            all.push(next);
        }
    }
    if state.killed {
        // What the dead left is read when the reader has finished what it was about.
        if state.reader.at == reader::Look::Idle {
            reader::finish(state.clone())?;
        }
        return Ok(all);
    }
    if state.threads.iter().all(|thread| thread.at == At::Done) {
        reader::must_not_be_stuck(state.clone(), setup)?;
    }
    for t in 0..state.threads.len() {
        let mut next = state.clone();
        if thread::step(&mut next, setup, t) {
            all.push(next);
        }
        if state.threads[t].at != At::Done {
            let mut moved = state.clone();
            moved.threads[t].interrupt();
            moved.threads[t].cpu ^= 1;
            all.push(moved);
        }
        if state.threads[t].in_sequence() {
            let mut signalled = state.clone();
            signalled.threads[t].interrupt();
            all.push(signalled);
        }
    }
    // The end of the process, by a kill or because all is done.
    let mut dead = state.clone();
    dead.killed = true;
    all.push(dead);
    Ok(all)
}
