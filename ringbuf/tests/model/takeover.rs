//! The death of the consumer: `LaneReader::take_over` and `skip`.
//!
//! ```text
//!   in memory   delivered   position behind what was delivered in order
//!               taken       of each place: lap, and how far it was read
//!               free        of each place: the lap that is done with
//!   on disk     packets, each with its position; the last ones may not be said in memory
//! ```
//! The first reader may die between any two of its steps; packets on disk are whole, because
//! half of one is cut off.

use super::bugs::Bug;
use super::reader::Reader;
use super::setup::Setup;
use super::state::{PLACES, State, Word};

pub(crate) fn take_over(state: &mut State, setup: &Setup) {
    let dead = state.reader;
    let number = setup.number(state.delivered_to);
    let mut reader = Reader {
        number,
        taken: [0; PLACES],
        takeovers: dead.takeovers + 1,
        partials: dead.partials,
        ..Reader::default()
    };
    for place in 0..usize::from(setup.subs) {
        let Some(lap) = state.opened(setup, place) else {
            continue;
        };
        let done = state.is_done(setup, place) && setup.bug != Bug::TakeoverReadsReleased;
        let parked = lap < number && !done;
        if done || parked && setup.bug == Bug::TakeoverForgetsParked {
            continue;
        }
        if lap == number {
            reader.taken[place] = state.delivered_to - setup.start(number);
        } else if parked && state.places[place].taken.lap == lap {
            reader.taken[place] = state.places[place].taken.count;
        }
        let on_disk = match setup.bug {
            Bug::TakeoverWithoutDisk => 0,
            _ => on_disk(state, setup, lap),
        };
        if on_disk > 0 {
            reader.number = reader.number.max(lap);
            reader.taken[place] = reader.taken[place].max(on_disk);
        }
    }
    if setup.bug == Bug::TakeoverForgetsParked {
        reader.forgets = reader.number;
    }
    state.reader = reader;
    // `bury_others`: whoever is dead is buried once more, by a reader who knows of nobody.
    state.buried = 0;
}

/// Words of sub-buffer `number` up to the end of its last packet on disk.
fn on_disk(state: &State, setup: &Setup, number: u8) -> u8 {
    let mut at = setup.start(number);
    let mut end = at;
    while at < state.filled(setup, number) {
        let Some(behind) = state.behind(setup, at) else {
            break;
        };
        if let Word::Header {
            busy: false,
            words: 1..,
            event,
            ..
        } = state.at(setup, at)
            && state.delivered & 1 << event != 0
        {
            end = behind;
        }
        at = behind;
    }
    end - setup.start(number)
}
