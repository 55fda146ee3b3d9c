//! The consumer in overwrite mode: `LaneReader::snapshot`.
//!
//! ```text
//!   oldest to newest, but the last two   pin
//!   newest to oldest                     look: there? range ─ copy word by word ─ look again
//!   all                                  unpin
//! ```
//! What was copied is kept if the place is still on its lap; else it counts as overwritten. What
//! stood in a pinned place that nobody could be about to open has to be kept.

use super::bugs::Bug;
use super::bury::Burial;
use super::cursor::Look;
use super::setup::Setup;
use super::state::{Filled, PLACES, State, Word};
use super::step::{Label, Next};

/// Where the reader is; places are counted from the oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) enum Stage {
    #[default]
    Idle,
    /// About to pin.
    Pin(u8),
    /// Pinned: about to look where the lane stands.
    Pinned(u8),
    /// About to look what there is to copy; this many are left.
    Look(u8),
    /// In the middle of copying: where, what is left of a record, whose it is.
    Copy {
        left: u8,
        at: u8,
        end: u8,
        words: u8,
        event: u8,
    },
    /// Copied: about to look again.
    Again(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Snapshot {
    pub(crate) stage: Stage,
    /// The numbers that are in the lane, oldest first, and how many they are.
    pub(crate) numbers: [u8; PLACES],
    pub(crate) count: u8,
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
    let buries = state.reader.burial != Burial::default();
    if !buries && let Some(what) = step(&mut after, setup)? {
        next.push((Label::Reader(what, 0), after));
    }
    // Between snapshots a reader holds nothing but what it judges.
    let holds = state.snapshot.stage != Stage::Idle || state.reader.judged != 0 || buries;
    if state.snapshot.takeovers < setup.takeovers && holds {
        let mut after = *state;
        if setup.bug != Bug::PinsStay {
            after
                .places
                .iter_mut()
                .for_each(|place| place.pinned = false);
        }
        after.reader.judged = 0;
        after.reader.burial = Burial::default();
        after.buried = 0; // `bury_others`
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
    let numbers = state.snapshot.numbers;
    match state.snapshot.stage {
        Stage::Idle if state.snapshot.taken == setup.snapshots => return Ok(None),
        Stage::Idle => {
            let there = (0..usize::from(setup.subs)).filter_map(|place| state.opened(setup, place));
            let mut there: Vec<u8> = there.collect();
            there.sort_unstable();
            state.snapshot.numbers[..there.len()].copy_from_slice(&there);
            state.snapshot.count = there.len() as u8;
            state.snapshot.stage = Stage::Pin(0);
        }
        Stage::Pin(nth) if nth + 2 >= state.snapshot.count => {
            state.snapshot.stage = Stage::Look(state.snapshot.count);
        }
        Stage::Pin(nth) => {
            state.place(setup, numbers[usize::from(nth)]).pinned = true;
            state.snapshot.stage = Stage::Pinned(nth);
        }
        Stage::Pinned(nth) => {
            note_what_is_due(state, setup, numbers[usize::from(nth)]);
            state.snapshot.stage = Stage::Pin(nth + 1);
        }
        Stage::Look(0) => finish(state)?,
        Stage::Look(left) => {
            let number = numbers[usize::from(left - 1)];
            state.snapshot.stage = match state.is_there(setup, setup.place_of(number)) {
                Some(there) if there == number => Stage::Copy {
                    left,
                    at: setup.start(number),
                    end: whole_end(state, setup, number),
                    words: 0,
                    event: 0,
                },
                _ => Stage::Look(left - 1),
            };
        }
        Stage::Copy { left, at, end, .. } if at >= end => {
            state.snapshot.stage = Stage::Again(left);
        }
        Stage::Copy {
            left,
            at,
            end,
            words,
            event,
        } => {
            let (at, words, event) = copy(state, setup, at, words, event, end);
            state.snapshot.stage = Stage::Copy {
                left,
                at,
                end,
                words,
                event,
            };
        }
        Stage::Again(left) => {
            keep(state, setup, numbers[usize::from(left - 1)])?;
            state.snapshot.stage = Stage::Look(left - 1);
        }
    }
    Ok(Some("takes a snapshot"))
}

/// What stands in the place of `number`, just pinned, has to be in the snapshot, unless somebody
/// may be about to open the place: who reads the position later, finds the pin.
fn note_what_is_due(state: &mut State, setup: &Setup, number: u8) {
    let place = setup.place_of(number);
    let here = setup.place_of(setup.number(state.reserved)) == place;
    let filled = state.places[place].state;
    let filling = matches!(filled, Filled::Filling { .. } | Filled::Passed { .. });
    if !here && !filling && state.is_there(setup, place) == Some(number) {
        state.snapshot.due |= state.records(setup, number).unwrap_or(0);
    }
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

/// Copies the word at `at`, of a record of which `words` are left; where it goes on.
fn copy(state: &mut State, setup: &Setup, at: u8, words: u8, event: u8, end: u8) -> (u8, u8, u8) {
    match state.at(setup, at) {
        Word::Payload { event: e } if words > 0 && e == event => (at + 1, words - 1, event),
        Word::Header {
            busy: false,
            words: length @ 1..,
            event,
            ..
        } if words == 0 => {
            state.snapshot.torn |= state.snapshot.copied & 1 << event != 0;
            state.snapshot.copied |= 1 << event;
            (at + 1, length - 1, event)
        }
        Word::Header { words: 0, .. } if words == 0 => (end, 0, 0),
        // Passed over: a packet ends before it.
        Word::Header { words: length, .. } | Word::Tombstone { words: length } if words == 0 => {
            (at + length, 0, 0)
        }
        _ => {
            // Nothing a producer writes: it must not be there any more at the next look.
            state.snapshot.torn = true;
            (end, 0, 0)
        }
    }
}

/// The second look at the place of `number`: keeps what was copied if it is still there.
fn keep(state: &mut State, setup: &Setup, number: u8) -> Result<(), String> {
    let there = state.is_there(setup, setup.place_of(number)) == Some(number);
    let Snapshot {
        kept, copied, torn, ..
    } = state.snapshot;
    if there || setup.bug == Bug::NoSecondLook {
        if torn || kept & copied != 0 || copied & !state.published != 0 {
            return Err(format!("sub-buffer {number} was kept, and is torn"));
        }
        state.snapshot.kept |= copied;
    }
    state.snapshot.copied = 0;
    state.snapshot.torn = false;
    Ok(())
}

/// Unpins all.
fn finish(state: &mut State) -> Result<(), String> {
    let Snapshot {
        due,
        kept,
        taken,
        takeovers,
        ..
    } = state.snapshot;
    if due & !kept != 0 {
        let missing = due & !kept;
        return Err(format!(
            "events {missing:#b} were in pinned places and are not in the snapshot"
        ));
    }
    state
        .places
        .iter_mut()
        .for_each(|place| place.pinned = false);
    state.snapshot = Snapshot {
        taken: taken + 1,
        takeovers,
        ..Snapshot::default()
    };
    Ok(())
}
