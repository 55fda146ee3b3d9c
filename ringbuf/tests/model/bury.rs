//! The burial of a slot in a shared buffer: `BufferReader::bury`.
//!
//! One step for each place, and for each busy header of the dead in it, with the living at work
//! in between.

use super::atomic_lane;
use super::bugs::Bug;
use super::cursor::Look;
use super::setup::{Lane, Setup};
use super::snapshot::Stage;
use super::state::{Filled, State, Tagged, Word};
use super::step::{Label, Next};

pub(crate) fn steps(state: &State, setup: &Setup, next: &mut Next) {
    for slot in 0..2 {
        let dead = state.dead & 1 << slot != 0;
        let due = dead || setup.bug == Bug::BuryTheLiving && state.dead == 0;
        // The reader has finished what it was about.
        let idle = state.reader.unsaid.is_none()
            && !state.reader.leaves
            && state.snapshot.stage == Stage::Idle;
        if due && idle && state.buried & 1 << slot == 0 {
            let mut after = *state;
            let what = bury(&mut after, setup, slot);
            next.push((Label::Reader(what, slot), after));
        }
    }
    if setup.overwrite() && state.reader.burial == Burial::default() {
        tend(state, setup, next);
    }
}

/// How far a burial is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) enum Burial {
    /// Not begun.
    #[default]
    Begins,
    /// About to turn to this place.
    At(u8),
    /// In overwrite mode: has pinned it, and is about to look whether anything lacks.
    Pinned(u8),
    /// Walks over its headers: nobody may open it again meanwhile.
    Walks(u8),
}

/// The next step of the burial of `slot`.
pub(crate) fn bury(state: &mut State, setup: &Setup, slot: u8) -> &'static str {
    let helps = setup.lane == Lane::Atomic && setup.bug != Bug::BuryStopsAtPosition;
    match state.reader.burial {
        Burial::Begins => {
            state.reader.burial = Burial::At(0);
            if !helps {
                return bury(state, setup, slot);
            }
            atomic_lane::help_the_dead(state, setup);
            "helps slot"
        }
        Burial::At(place) if place == setup.subs => {
            state.reader.burial = Burial::default();
            state.buried |= 1 << slot;
            "has buried slot"
        }
        Burial::At(place) => {
            let gives_up = setup.lane == Lane::Atomic && setup.bug != Bug::DeadFillerStays;
            if gives_up && give_up_place(state, usize::from(place), slot) {
                return "gives up a place of slot";
            }
            state.reader.burial = match state.opened(setup, usize::from(place)) {
                None => Burial::At(place + 1),
                Some(_) if setup.overwrite() => Burial::Pinned(place),
                Some(_) => look(state, setup, place),
            };
            let pinned = matches!(state.reader.burial, Burial::Pinned(_));
            state.places[usize::from(place)].pinned |= pinned;
            "looks for slot"
        }
        Burial::Pinned(place) => {
            state.reader.burial = look(state, setup, place);
            "has pinned a place for slot"
        }
        Burial::Walks(place) => {
            if let Some(at) = busy_header(state, setup, usize::from(place), slot) {
                bury_record(state, setup, at);
                return "buries a record of slot";
            }
            if setup.bug != Bug::NeverJudged {
                state.reader.judged |= 1 << place;
            }
            state.places[usize::from(place)].pinned = false;
            state.reader.burial = Burial::At(place + 1);
            "leaves a place to judge for slot"
        }
    }
}

/// Whether anything lacks in `place`: what is done next.
fn look(state: &mut State, setup: &Setup, place: u8) -> Burial {
    if state.is_lacking(setup, usize::from(place)) {
        return Burial::Walks(place);
    }
    state.places[usize::from(place)].pinned = false;
    Burial::At(place + 1)
}

/// The first busy header of `slot` in `place`.
fn busy_header(state: &State, setup: &Setup, place: usize, slot: u8) -> Option<u8> {
    let number = state.opened(setup, place)?;
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
