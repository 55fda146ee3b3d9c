//! The consumer in discard mode: `LaneReader`, `Cursor`.
//!
//! What the reader looks for (closed, whole, published, on this lap) stays true until it
//! releases the place itself, so each look is one step, and any look may come at any time:
//! the patience with which the code waits is a question of when.
//!
//! Invariant: of every number below `number` all is delivered that was published, or its place
//! is *parked*: not released, and `taken` says how far it was read.

use super::bugs::Bug;
use super::bury::Burial;
use super::cursor::{Look, deliver, deliver_to};
use super::setup::Setup;
use super::state::{PLACES, State, Tagged};
use super::step::{Label, Next};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Reader {
    /// The sub-buffer at hand: `main`.
    pub(crate) number: u8,
    /// For each place, the words of its lap that were delivered or passed over.
    pub(crate) taken: [u8; PLACES],
    /// Places that are judged by headers; one bit each.
    pub(crate) judged: u8,
    /// How far the burial of a slot is.
    pub(crate) burial: Burial,
    /// The place of a packet that is on disk, which is still to be said in memory.
    pub(crate) unsaid: Option<u8>,
    /// The place at hand is released, and still to be left.
    pub(crate) leaves: bool,
    /// Events in packets whose sub-buffer was released first, with the bug.
    pub(crate) unwritten: u16,
    /// With the bug, the number below which nothing is read.
    pub(crate) forgets: u8,
    /// How often each was done.
    pub(crate) partials: u8,
    pub(crate) takeovers: u8,
}

pub(crate) fn steps(state: &State, setup: &Setup, next: &mut Next) -> Result<(), String> {
    let hand = state.reader.number;
    if state.reader.takeovers < setup.takeovers {
        let mut after = *state;
        super::takeover::take_over(&mut after, setup);
        next.push((
            Label::Reader("dies, and another goes on at", after.reader.number),
            after,
        ));
    }
    if state.reader.burial != Burial::default() {
        return Ok(()); // it is about that
    }
    if let Some(place) = state.reader.unsaid {
        let mut after = *state;
        say(&mut after, setup, usize::from(place));
        next.push((Label::Reader("says what it took from place", place), after));
        return Ok(());
    }
    if state.reader.leaves {
        let mut after = *state;
        leave(&mut after, setup);
        next.push((Label::Reader("leaves", hand), after));
        return Ok(());
    }
    for place in 0..usize::from(setup.subs) {
        place_steps(state, setup, place, next)?;
    }
    if let Some(number) = passed_over(state, setup, hand) {
        let mut after = *state;
        after.reader.number = number;
        if setup.bug == Bug::ReadPassed {
            deliver(&mut after, setup, hand)?;
        }
        next.push((Label::Reader("goes on at", number), after));
    }
    if state.reader.unwritten != 0 {
        let mut after = *state;
        after.delivered |= after.reader.unwritten;
        after.reader.unwritten = 0;
        next.push((Label::Reader("writes", 0), after));
    }
    Ok(())
}

/// `Look::PassedOver`: the lane has left the number at hand, and its place was not opened for
/// it, or that is done with. Where the lane goes on.
fn passed_over(state: &State, setup: &Setup, hand: u8) -> Option<u8> {
    let place = setup.place_of(hand);
    let left = state.reserved >= setup.start(hand + 1);
    let opened = state.opened(setup, place) == Some(hand);
    let done = state.is_done(setup, place) && setup.bug != Bug::TakeoverReadsReleased;
    if !left || opened && !done {
        return None;
    }
    let places = 0..usize::from(setup.subs);
    let later = places
        .filter_map(|place| state.opened(setup, place))
        .filter(|&number| number > hand);
    Some(later.min().unwrap_or(setup.number(state.reserved)))
}

/// What the reader can do about what is in `place`.
fn place_steps(state: &State, setup: &Setup, place: usize, next: &mut Next) -> Result<(), String> {
    let Some(number) = state.opened(setup, place) else {
        return Ok(());
    };
    let done = state.places[place]
        .free
        .is_some_and(|free| free.lap == number);
    if number < state.reader.forgets
        || number > state.reader.number
        || done && setup.bug != Bug::TakeoverReadsReleased
    {
        return Ok(());
    }
    let look = Look {
        number,
        state,
        setup,
    };
    if let Some(end) = look.whole_end() {
        let mut after = *state;
        if deliver_to(&mut after, setup, number, end)? {
            packet(&mut after, setup, place);
            if setup.bug == Bug::ReleaseBeforeWrite {
                after.reader.unwritten |= after.delivered & !state.delivered;
                after.delivered = state.delivered;
                after.reader.unsaid = None;
                release(&mut after, setup, place);
            }
            next.push((Label::Reader("delivers the whole", number), after));
        } else {
            release(&mut after, setup, place);
            next.push((Label::Reader("releases", number), after));
        }
        return Ok(());
    }
    let hand = number == state.reader.number;
    let judged = state.reader.judged & 1 << place != 0 && look.is_left();
    let part = hand && state.reader.partials < setup.partials;
    let lacking =
        hand && look.is_left() && (judged || state.closed_content(setup, number).is_some());
    if judged || part || lacking {
        let mut after = *state;
        deliver(&mut after, setup, number)?;
        if after.delivered != state.delivered {
            packet(&mut after, setup, place);
            if !judged && !lacking {
                after.reader.partials += 1;
            }
            next.push((
                Label::Reader("delivers what is published of", number),
                after,
            ));
        } else if judged && look.is_complete() {
            release(&mut after, setup, place);
            next.push((Label::Reader("releases by its headers", number), after));
        } else if lacking {
            after.reader.taken[place] = state.reader.taken[place];
            if setup.bug == Bug::ParkingReleases {
                release(&mut after, setup, place);
            }
            leave(&mut after, setup);
            next.push((Label::Reader("parks", number), after));
        }
    }
    Ok(())
}

/// `LaneReader::advance` follows: a packet of what is in `place` is on disk.
fn packet(state: &mut State, setup: &Setup, place: usize) {
    state.reader.unsaid = Some(place as u8);
    if setup.takeovers == 0 {
        say(state, setup, place); // nobody is there to read it
    }
}

/// `Cursor::advance`: what was taken, for a reader that takes over.
fn say(state: &mut State, setup: &Setup, place: usize) {
    state.reader.unsaid = None;
    if setup.takeovers == 0 {
        return;
    }
    let (lap, count) = (state.places[place].local.lap, state.reader.taken[place]);
    state.places[place].taken = Tagged { lap, count };
    if lap == state.reader.number {
        state.delivered_to = setup.start(lap) + count;
    }
}

/// `LaneReader::leave`: on with the next sub-buffer.
fn leave(state: &mut State, setup: &Setup) {
    state.reader.leaves = false;
    state.reader.number += 1;
    if setup.takeovers > 0 {
        state.delivered_to = setup.start(state.reader.number);
    }
}

/// `LaneReader::release`.
fn release(state: &mut State, setup: &Setup, place: usize) {
    let lap = state.places[place].local.lap;
    state.places[place].free = Some(Tagged { lap, count: 0 });
    state.reader.judged &= !(1 << place);
    state.reader.taken[place] = 0;
    if lap == state.reader.number {
        state.reader.leaves = true;
        if setup.takeovers == 0 {
            leave(state, setup);
        }
    }
}
