//! Reserving in an rseq lane: `Window::reserve` and `src/switch.rs`.
//!
//! Loads whose result can only become true while the lane stands where it stood are one step: a
//! sequence that begins later compares the position, and fails if the lane does not.

use super::balance::nobody_writes;
use super::bugs::Bug;
use super::setup::Setup;
use super::state::{Counter, LANE_CPU, NO_LAP, State, Tagged};
use super::thread::{At, Sum, busy, lose, own};

pub(crate) fn step(state: &mut State, setup: &Setup, t: usize, event: u8) -> Result<(), String> {
    let me = state.threads[t];
    let wanted = setup.wanted(t, me.nth);
    let number = setup.number(me.position);
    let boundary = setup.start(number + 1);
    let compared = state.reserved == me.position || setup.bug == Bug::SwitchWithoutCompare;
    let guard = me.cpu == LANE_CPU && compared;
    match me.at {
        At::Idle => reserve(state, setup, t, wanted, event),
        At::Reserve => commit_record(state, setup, t, wanted, event),
        At::Slow => slow(state, setup, t, wanted),

        At::Place(0) | At::Close(0) | At::CloseFull(_) | At::Open(0, _) | At::PassOver { .. }
            if !guard =>
        {
            state.threads[t].again();
        }
        At::Place(0) => {
            *state.word(setup, me.position) = busy(setup, t, wanted, event);
            state.threads[t].at = At::Place(1);
        }
        At::Place(_) => commit_record(state, setup, t, wanted, event),

        At::Close(0) => {
            state.place(setup, number).content = me.position - setup.start(number);
            state.threads[t].at = At::Close(1);
        }
        At::Close(1) => {
            *state.word(setup, me.position) = busy(setup, t, 0, event);
            state.threads[t].at = At::Close(2);
        }
        At::Close(_) => {
            state.reserved = boundary;
            own(state, setup, t, boundary, true);
        }

        At::OpenPin => {
            let begun = number < setup.subs || state.counted.lap == number;
            let pinned = match setup.bug {
                Bug::PinIgnored => false,
                // It was looked at before: that the rest is free is what is found now.
                Bug::PinLookedAtFirst => !is_free(state, setup, number),
                _ => state.place(setup, number).pinned,
            };
            match pinned && !begun {
                true => pass_over_or_lose(state, setup, t, number),
                false => count_overwritten(state, setup, t, number),
            }
        }
        At::OpenCount(found) => count_overwritten_then(state, setup, t, number, found),
        At::Open(made, sum) => open(state, setup, t, made, sum, wanted, event)?,
        At::CloseFull(previous) => {
            state.place(setup, previous).content = setup.sub;
            state.threads[t].again();
        }
        At::PassOver { by, held } => {
            if held == held_word(state, setup, number) || setup.bug == Bug::PassOverComparesPosition
            {
                state.reserved = setup.start(number + by);
            }
            state.threads[t].again();
        }
        _ => unreachable!("not a step of an rseq lane: {me:?}"),
    }
    Ok(())
}

/// `Window::reserve`, up to the store before the last.
fn reserve(state: &mut State, setup: &Setup, t: usize, wanted: u8, event: u8) {
    let position = state.reserved;
    if (setup.sub - position % setup.sub) % setup.sub < wanted {
        state.threads[t].at = At::Slow;
        return;
    }
    state.threads[t].position = position;
    state.threads[t].at = At::Reserve;
    if setup.bug == Bug::CommitBeforeHeader {
        state.reserved = position + wanted;
    } else {
        *state.word(setup, position) = busy(setup, t, wanted, event);
    }
}

/// The commit of a reservation: the last store of its sequence.
fn commit_record(state: &mut State, setup: &Setup, t: usize, words: u8, event: u8) {
    let position = state.threads[t].position;
    if setup.bug == Bug::CommitBeforeHeader {
        *state.word(setup, position) = busy(setup, t, words, event);
    }
    state.reserved = position + words;
    own(state, setup, t, position + words, false);
}

/// `Channel::step`: looks where the position stands, and begins the sequence that fits.
fn slow(state: &mut State, setup: &Setup, t: usize, wanted: u8) {
    let position = state.reserved;
    let number = setup.number(position);
    let offset = position % setup.sub;
    state.threads[t].position = position;
    state.threads[t].at = if offset != 0 {
        match offset + wanted > setup.sub {
            true => At::Close(0),
            false => At::Place(0),
        }
    } else if let Some(previous) = unclosed_before(state, setup, number) {
        At::CloseFull(previous)
    } else if setup.bug == Bug::PinLookedAtFirst && !state.place(setup, number).pinned {
        At::OpenPin
    } else if !is_free(state, setup, number) {
        return pass_over_or_lose(state, setup, t, number);
    } else if setup.overwrite() {
        At::OpenPin
    } else {
        At::Open(0, None)
    };
}

/// `Lane::unclosed_before`: the sub-buffer before, if it was opened, and nobody has closed it.
fn unclosed_before(state: &State, setup: &Setup, number: u8) -> Option<u8> {
    let previous = number.checked_sub(1)?;
    if state.places[setup.place_of(previous)].local.lap != previous {
        return (setup.bug == Bug::CloseFullOnPassed
            && state.places[setup.place_of(previous)].content != setup.sub)
            .then_some(previous);
    }
    state
        .closed_content(setup, previous)
        .is_none()
        .then_some(previous)
}

/// `room::is_free`, but for the pin.
pub(crate) fn is_free(state: &State, setup: &Setup, number: u8) -> bool {
    let place = setup.place_of(number);
    let (local, remote) = (
        state.places[place].local.lap,
        state.places[place].remote.lap,
    );
    let overwritable = || state.is_whole(setup, place) || setup.bug == Bug::OverwriteUnchecked;
    let never = match setup.bug {
        Bug::NeverOpenedByNumber => number < setup.subs,
        _ => local == NO_LAP,
    };
    never
        || local == number
        || setup.overwrite() && state.counted.lap == number
        || local != remote
        || setup.bug == Bug::OpenWithoutRoom
        || state.is_done(setup, place)
        || setup.overwrite() && overwritable()
}

/// `room::look` and `pass_over`: if a later place is free; else the event is lost.
fn pass_over_or_lose(state: &mut State, setup: &Setup, t: usize, number: u8) {
    let free = |by: &u8| {
        let unpinned = !state.places[setup.place_of(number + by)].pinned;
        unpinned && is_free(state, setup, number + by)
    };
    let by = match setup.bug {
        Bug::PassOverBlindly => Some(1),
        _ => (1..setup.subs).find(free),
    };
    match by {
        Some(by) => {
            let held = held_word(state, setup, number);
            state.threads[t].at = At::PassOver { by, held };
        }
        None => lose(state, setup, t),
    }
}

/// What says that nobody has begun to open the place: the first word that would change.
fn held_word(state: &State, setup: &Setup, number: u8) -> u8 {
    match setup.overwrite() && setup.bug != Bug::PassOverComparesLocal {
        true => state.counted.lap,
        false => state.places[setup.place_of(number)].local.lap,
    }
}

/// The first half: how many records go, which is what stands there only while no count was made
/// for `number`.
fn count_overwritten(state: &mut State, setup: &Setup, t: usize, number: u8) {
    let found = match setup.bug {
        Bug::CountedReadFirst => u8::from(state.counted.lap == number),
        _ => records_to_lose(state, setup, setup.place_of(number)),
    };
    state.threads[t].at = At::OpenCount(found);
}

/// The second half: whether a count was made, by somebody who was interrupted then, and else the
/// sum, for the place that does not hold it yet.
fn count_overwritten_then(state: &mut State, setup: &Setup, t: usize, number: u8, found: u8) {
    let holds = state.counted.count;
    let sum = |records| {
        Some(Sum {
            other: holds ^ 1,
            sum: state.overwritten[usize::from(holds)] + records,
        })
    };
    let records = records_to_lose(state, setup, setup.place_of(number));
    let made = state.counted.lap == number;
    let sum = match setup.bug {
        Bug::CountedReadFirst if found == 1 => None,
        Bug::CountedReadFirst | Bug::OverwrittenUntagged => sum(records),
        _ if made => None,
        _ => sum(found),
    };
    state.threads[t].at = At::Open(0, sum);
}

/// `room::records_to_lose`.
pub(crate) fn records_to_lose(state: &State, setup: &Setup, place: usize) -> u8 {
    let at = state.places[place];
    if at.local.lap != at.remote.lap && setup.bug != Bug::OverwrittenUntagged {
        return 0; // between two laps: counted when it was taken off the last one
    }
    let declared = at
        .free
        .filter(|free| free.lap == at.local.lap && setup.bug != Bug::OverwrittenByCounters);
    match declared {
        Some(free) => free.count,
        None => at.local.records + at.remote.records,
    }
}

fn open(
    state: &mut State,
    setup: &Setup,
    t: usize,
    made: u8,
    sum: Option<Sum>,
    wanted: u8,
    event: u8,
) -> Result<(), String> {
    let position = state.threads[t].position;
    let number = setup.number(position);
    let mut made = made;
    if made == 0 {
        nobody_writes(state, setup, number)?;
        let late = setup.bug == Bug::OverwrittenCountedLate;
        if sum.is_none() || late {
            made = 2; // nothing to count, or not yet
        }
    }
    match made {
        0 => {
            let Sum { other, sum } = sum.expect("it was looked at");
            state.overwritten[usize::from(other)] = sum;
        }
        1 => {
            let Sum { other, .. } = sum.expect("it was stored");
            state.counted = Tagged {
                lap: number,
                count: other,
            };
        }
        2 => state.place(setup, number).local = Counter::fresh(number),
        3 => {
            state.place(setup, number).remote = Counter::fresh(number);
            state.place(setup, number).content = 0;
        }
        4 => *state.word(setup, position) = busy(setup, t, wanted, event),
        _ => {
            if let (Bug::OverwrittenCountedLate, Some(Sum { other, sum })) = (setup.bug, sum) {
                state.overwritten[usize::from(other)] = sum;
                state.counted = Tagged {
                    lap: number,
                    count: other,
                };
            }
            commit_record(state, setup, t, wanted, event);
            return Ok(());
        }
    }
    state.threads[t].at = At::Open(made + 1, sum);
    Ok(())
}
