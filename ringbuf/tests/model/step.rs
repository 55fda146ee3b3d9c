//! Everything that can happen next.

use super::bugs::Bug;
use super::setup::{Lane, Setup};
use super::state::State;
use super::thread::At;
use super::{balance, bury, reader, snapshot, thread};
use std::fmt;

/// What happened, for those who want to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    Step(u8, At),
    Migrates(u8),
    Interrupted(u8, At),
    Killed(u8),
    Reader(&'static str, u8),
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Label::Step(t, at) => write!(f, "thread {t}, {at:?}"),
            Label::Migrates(t) => write!(f, "thread {t} migrates"),
            Label::Interrupted(t, at) => write!(f, "thread {t} is interrupted in {at:?}"),
            Label::Killed(process) => write!(f, "process {process} is killed"),
            Label::Reader(what, at) => write!(f, "reader: {what} {at}"),
        }
    }
}

pub(crate) type Next = Vec<(Label, State)>;

/// Fills `next` with all states that follow `state`, after checking it.
pub(crate) fn successors(state: &State, setup: &Setup, next: &mut Next) -> Result<(), String> {
    next.clear();
    balance::check(state, setup)?;
    if setup.overwrite() {
        snapshot::steps(state, setup, next)?;
    } else {
        reader::steps(state, setup, next)?;
    }
    if setup.shared() {
        bury::steps(state, setup, next);
        for process in 0..2 {
            if state.dead == 0 {
                let mut dead = *state;
                dead.dead |= 1 << process;
                next.push((Label::Killed(process), dead));
            }
        }
    }
    for t in 0..setup.threads.len() {
        let at = state.threads[t].at;
        if state.is_dead(setup, t) {
            continue;
        }
        let mut after = *state;
        if thread::step(&mut after, setup, t)? {
            next.push((Label::Step(t as u8, at), after));
        }
        if setup.lane == Lane::Atomic {
            continue; // no sequences, and every CPU is as good
        }
        // Elsewhere than between reserve and count a migration is an interruption: a thread
        // that runs elsewhere makes no step in this lane.
        if matches!(at, At::Publish | At::Count) {
            let mut moved = *state;
            moved.threads[t].cpu ^= 1;
            next.push((Label::Migrates(t as u8), moved));
        }
        if state.threads[t].in_sequence() {
            let mut signalled = *state;
            signalled.threads[t].interrupt();
            next.push((Label::Interrupted(t as u8, at), signalled));
        }
        if at == At::Count && setup.bug != Bug::CountWithoutCpuCheck {
            let mut signalled = *state;
            signalled.threads[t].at = At::Remote;
            next.push((Label::Interrupted(t as u8, at), signalled));
        }
    }
    Ok(())
}
