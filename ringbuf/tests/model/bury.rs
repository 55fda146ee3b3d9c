//! The burial of a slot in a shared buffer: `BufferReader::bury`.
//!
//! One step for each busy header of the dead, and for each place he was filling, with the
//! living at work in between.

use super::atomic_lane;
use super::bugs::Bug;
use super::cursor::Look;
use super::setup::{Lane, Setup};
use super::state::{Filled, State, Tagged, Word};
use super::step::{Label, Next};

pub(crate) fn steps(state: &State, setup: &Setup, next: &mut Next) {
    for slot in 0..2 {
        let dead = state.dead & 1 << slot != 0;
        let due = dead || setup.bug == Bug::BuryTheLiving && state.dead == 0;
        // The reader has finished what it was about.
        let idle = state.reader.unsaid.is_none() && !state.reader.leaves;
        if due && idle && state.buried & 1 << slot == 0 {
            let mut after = *state;
            let what = bury(&mut after, setup, slot);
            next.push((Label::Reader(what, slot), after));
        }
    }
    if setup.overwrite() {
        tend(state, setup, next);
    }
}

/// The next step of the burial of `slot`.
pub(crate) fn bury(state: &mut State, setup: &Setup, slot: u8) -> &'static str {
    let atomic = setup.lane == Lane::Atomic;
    if atomic && setup.bug != Bug::BuryStopsAtPosition && atomic_lane::help_the_dead(state, setup) {
        return "helps slot";
    }
    for place in 0..usize::from(setup.subs) {
        if let Some(at) = busy_header(state, setup, place, slot) {
            bury_record(state, setup, at);
            return "buries a record of slot";
        }
        if atomic && setup.bug != Bug::DeadFillerStays && give_up_place(state, place, slot) {
            return "gives up a place of slot";
        }
    }
    for place in 0..usize::from(setup.subs) {
        if state.is_lacking(setup, place) && setup.bug != Bug::NeverJudged {
            state.reader.judged |= 1 << place;
        }
    }
    state.buried |= 1 << slot;
    "has buried slot"
}

/// The first busy header of `slot` in `place`.
fn busy_header(state: &State, setup: &Setup, place: usize, slot: u8) -> Option<u8> {
    let number = state
        .opened(setup, place)
        .filter(|_| state.is_lacking(setup, place))?;
    let mut at = setup.start(number);
    while at < state.filled(setup, number) {
        match state.at(setup, at) {
            Word::Header {
                busy: true,
                slot: s,
                ..
            } if s == slot => return Some(at),
            _ => at = state.behind(setup, at)?,
        }
    }
    None
}

fn bury_record(state: &mut State, setup: &Setup, at: u8) {
    let Word::Header {
        words, event, slot, ..
    } = state.at(setup, at)
    else {
        unreachable!()
    };
    let number = setup.number(at);
    if words == 0 {
        *state.word(setup, at) = Word::Header {
            busy: false,
            words,
            event,
            slot: 0,
        };
        return;
    }
    *state.word(setup, at) = Word::Tombstone { words };
    state.unfinished[usize::from(slot)] += 1;
    if setup.bug == Bug::TombstoneCounted {
        state.place(setup, number).remote.add(words, 0);
    }
}

/// Takes the place from a filler who is dead.
fn give_up_place(state: &mut State, place: usize, slot: u8) -> bool {
    let filled = &mut state.places[place].state;
    *filled = match *filled {
        Filled::Filling {
            number: from,
            slot: s,
        }
        | Filled::Passed { from, slot: s }
            if s == slot =>
        {
            Filled::Idle { from }
        }
        _ => return false,
    };
    true
}

/// `tend`: in overwrite mode nobody releases; what is judged and complete is declared done, with
/// the records found.
fn tend(state: &State, setup: &Setup, next: &mut Next) {
    for place in 0..usize::from(setup.subs) {
        let Some(number) = state.opened(setup, place) else {
            continue;
        };
        let look = Look {
            number,
            state,
            setup,
        };
        if state.reader.judged & 1 << place == 0 || !look.is_complete() {
            continue;
        }
        let mut after = *state;
        after.reader.judged &= !(1 << place);
        after.places[place].free = Some(Tagged {
            lap: number,
            count: published(state, setup, number),
        });
        next.push((Label::Reader("declares", number), after));
    }
}

/// Published records in sub-buffer `number`.
fn published(state: &State, setup: &Setup, number: u8) -> u8 {
    let mut records = 0;
    let mut at = setup.start(number);
    while at < state.filled(setup, number) {
        if let Word::Header {
            busy: false,
            words: 1..,
            ..
        } = state.at(setup, at)
        {
            records += 1;
        }
        let Some(behind) = state.behind(setup, at) else {
            break;
        };
        at = behind;
    }
    records
}
