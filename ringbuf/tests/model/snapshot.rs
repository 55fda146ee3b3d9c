//! The consumer in overwrite mode: `LaneReader::snapshot`.
//!
//! ```text
//!   each place but the newest two   pin
//!   each place                      look: number, range ─ copy word by word ─ look again ─ unpin
//! ```
//! What was copied is kept if the place is still on its lap; else it counts as overwritten. What
//! stood in a pinned place that nobody could be about to open has to be kept.

use super::bugs::Bug;
use super::cursor::Look;
use super::setup::Setup;
use super::state::{Filled, State, Word};
use super::step::{Label, Next};

/// Where the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) enum Stage {
    #[default]
    Idle,
    /// About to look at this place, and to pin it.
    Pin(u8),
    /// Pinned: about to look where the lane stands.
    Pinned(u8),
    /// About to look what there is to copy.
    Look(u8),
    /// In the middle of copying: where, what is left of a record, whose it is.
    Copy {
        number: u8,
        at: u8,
        end: u8,
        left: u8,
        event: u8,
    },
    /// Copied: about to look again.
    Again(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Snapshot {
    pub(crate) stage: Stage,
    /// Events that have to be kept, that are kept, and that were copied from the place at hand.
    pub(crate) due: u16,
    pub(crate) kept: u16,
    pub(crate) copied: u16,
    /// What was copied from the place at hand is not what a producer writes.
    pub(crate) torn: bool,
    /// How many were taken.
    pub(crate) taken: u8,
    pub(crate) takeovers: u8,
}

impl State {
    /// `snapshot::is_there`: the number of which the records are in `place`, and not counted as
    /// overwritten.
    pub(crate) fn is_there(&self, setup: &Setup, place: usize) -> Option<u8> {
        let number = self.opened(setup, place)?;
        let going = self.counted.lap > number && setup.place_of(self.counted.lap) == place;
        (!going).then_some(number)
    }

    /// Published records of `number`, one bit each; `None` if anything else stands there.
    pub(crate) fn records(&self, setup: &Setup, number: u8) -> Option<u16> {
        let mut records = 0;
        let mut at = setup.start(number);
        while at < self.filled(setup, number) {
            if let Word::Header {
                busy: false,
                words: words @ 1..,
                event,
                ..
            } = self.at(setup, at)
            {
                let payload = Word::Payload { event };
                let whole = (at + 1..at + words).all(|at| self.at(setup, at) == payload);
                if !whole || records & 1 << event != 0 {
                    return None;
                }
                records |= 1 << event;
            }
            at = self.behind(setup, at)?;
        }
        Some(records)
    }
}

pub(crate) fn steps(state: &State, setup: &Setup, next: &mut Next) -> Result<(), String> {
    let mut after = *state;
    if let Some(what) = step(&mut after, setup)? {
        next.push((Label::Reader(what, 0), after));
    }
    if state.snapshot.takeovers < setup.takeovers && state.snapshot.stage != Stage::Idle {
        let mut after = *state;
        after
            .places
            .iter_mut()
            .for_each(|place| place.pinned = false);
        after.snapshot = Snapshot {
            taken: state.snapshot.taken,
            takeovers: state.snapshot.takeovers + 1,
            ..Snapshot::default()
        };
        next.push((Label::Reader("dies, and another begins", 0), after));
    }
    Ok(())
}

fn step(state: &mut State, setup: &Setup) -> Result<Option<&'static str>, String> {
    match state.snapshot.stage {
        Stage::Idle if state.snapshot.taken == setup.snapshots => return Ok(None),
        Stage::Idle if state.reserved == 0 => return Ok(None),
        Stage::Idle => state.snapshot.stage = Stage::Pin(0),
        Stage::Pin(place) if place == setup.subs => state.snapshot.stage = Stage::Look(0),
        Stage::Pin(place) => {
            let newest = setup.number(state.reserved - 1);
            let at = usize::from(place);
            let old = state
                .is_there(setup, at)
                .is_some_and(|number| number + 1 < newest);
            state.places[at].pinned = old;
            state.snapshot.stage = if old {
                Stage::Pinned(place)
            } else {
                Stage::Pin(place + 1)
            };
        }
        Stage::Pinned(place) => {
            // Who opens this place reads the position first, then the pin.
            let here = setup.place_of(setup.number(state.reserved)) == usize::from(place);
            let filled = state.places[usize::from(place)].state;
            let here = here || matches!(filled, Filled::Filling { .. } | Filled::Passed { .. });
            if let Some(number) = state.is_there(setup, usize::from(place))
                && !here
            {
                state.snapshot.due |= state.records(setup, number).unwrap_or(0);
            }
            state.snapshot.stage = Stage::Pin(place + 1);
        }
        Stage::Look(place) if place == setup.subs => {
            let Snapshot {
                due,
                kept,
                taken,
                takeovers,
                ..
            } = state.snapshot;
            if due & !kept != 0 {
                return Err(format!(
                    "events {:#b} were in pinned places and are not in the snapshot",
                    due & !kept
                ));
            }
            state.snapshot = Snapshot {
                taken: taken + 1,
                takeovers,
                ..Snapshot::default()
            };
        }
        Stage::Look(place) => {
            state.snapshot.stage = match state.is_there(setup, usize::from(place)) {
                Some(number) => Stage::Copy {
                    number,
                    at: setup.start(number),
                    end: whole_end(state, setup, number),
                    left: 0,
                    event: 0,
                },
                None => {
                    state.places[usize::from(place)].pinned = false;
                    Stage::Look(place + 1)
                }
            };
        }
        Stage::Copy {
            number, at, end, ..
        } if at >= end => state.snapshot.stage = Stage::Again(number),
        Stage::Copy {
            number,
            at,
            end,
            left,
            event,
        } => {
            state.snapshot.stage = copy(state, setup, number, at, end, left, event);
        }
        Stage::Again(number) => {
            let place = setup.place_of(number);
            let intact =
                state.is_there(setup, place) == Some(number) || setup.bug == Bug::NoSecondLook;
            let Snapshot {
                kept, copied, torn, ..
            } = state.snapshot;
            if intact && (torn || kept & copied != 0 || copied & !state.published != 0) {
                return Err(format!("sub-buffer {number} was kept, and is torn"));
            }
            state.snapshot.kept |= if intact { copied } else { 0 };
            state.snapshot.copied = 0;
            state.snapshot.torn = false;
            state.places[place].pinned = false;
            state.snapshot.stage = Stage::Look(place as u8 + 1);
        }
    }
    Ok(Some("takes a snapshot"))
}

/// Where what can be copied of `number` ends: the content, if it is whole.
fn whole_end(state: &State, setup: &Setup, number: u8) -> u8 {
    let look = Look {
        number,
        state,
        setup,
    };
    look.whole_end().unwrap_or(state.filled(setup, number))
}

/// Copies one word.
fn copy(
    state: &mut State,
    setup: &Setup,
    number: u8,
    at: u8,
    end: u8,
    left: u8,
    event: u8,
) -> Stage {
    let go_on = |at, left, event| Stage::Copy {
        number,
        at,
        end,
        left,
        event,
    };
    match state.at(setup, at) {
        Word::Payload { event: e } if left > 0 && e == event => go_on(at + 1, left - 1, event),
        Word::Header {
            busy: false,
            words: words @ 1..,
            event,
            ..
        } if left == 0 => {
            if state.snapshot.copied & 1 << event != 0 {
                state.snapshot.torn = true;
            }
            state.snapshot.copied |= 1 << event;
            go_on(at + 1, words - 1, event)
        }
        Word::Header { words: 0, .. } if left == 0 => Stage::Again(number),
        // Passed over: a packet ends before it.
        Word::Header { words, .. } | Word::Tombstone { words } if left == 0 => {
            go_on(at + words, 0, 0)
        }
        _ => {
            // Nothing a producer writes: it must not be there any more at the next look.
            state.snapshot.torn = true;
            Stage::Again(number)
        }
    }
}
