//! Reserving in an atomic lane: `src/atomic_lane.rs` and `src/place.rs`.
//!
//! ```text
//!   number N is decided once, by an exchange of the place's state:
//!     free      ──▶ Filling(N) ──filled──▶ Ready(N)       headers can be claimed
//!                       └─ tired of waiting ─▶ Passed(N + 1) ──filled──▶ Idle(N + 1)
//!     not free  ──▶ Idle(N + 1)                           (who fills: Passed(N + 1))
//! ```
//! A look at a place's state and its exchange are one step: nothing is done between them, and
//! an exchange that fails begins again.

use super::balance::nobody_writes;
use super::bugs::Bug;
use super::setup::Setup;
use super::state::{Counter, Filled, NO_LAP, PASSES, State, Word};
use super::switch::{is_free, records_to_lose};
use super::thread::{At, Own, busy, lose, own};

pub(crate) fn step(state: &mut State, setup: &Setup, t: usize, event: u8) -> Result<(), String> {
    let me = state.threads[t];
    let number = setup.number(me.position);
    match me.at {
        At::Idle | At::Slow => {
            let position = state.reserved;
            state.threads[t].position = position;
            let inside = !position.is_multiple_of(setup.sub);
            state.threads[t].at = if inside {
                At::ClaimHeader
            } else {
                At::Boundary
            };
        }
        At::Boundary => {
            let ready = state.place(setup, number).state == Filled::Ready { number };
            match (ready, is_free(state, setup, number)) {
                (true, _) => state.threads[t].at = At::BeginLap,
                (_, false) => pass_over(state, setup, t, number),
                _ if setup.overwrite() => state.threads[t].at = At::PreparePin,
                _ => state.threads[t].at = At::ClaimPlace,
            }
        }
        At::PreparePin => {
            let first_lap = number < setup.subs;
            let pinned = state.place(setup, number).pinned && setup.bug != Bug::PinIgnored;
            match pinned && !first_lap {
                true => pass_over(state, setup, t, number),
                false => state.threads[t].at = At::ClaimPlace,
            }
        }
        At::ClaimPlace => {
            let slot = setup.threads[t].0;
            if can_be_claimed(state.place(setup, number).state, setup, number) {
                nobody_writes(state, setup, number)?;
                state.place(setup, number).state = Filled::Filling { number, slot };
                state.threads[t].at = At::Fill(0);
            } else if state.place(setup, number).state == (Filled::Ready { number }) {
                state.threads[t].again();
            } else {
                pass_over(state, setup, t, number);
            }
        }
        At::PassPlace { at, next } => pass_place(state, setup, t, at, next),
        At::Fill(made) => fill(state, setup, t, made),
        At::BeginLap => {
            let local = &mut state.place(setup, number).local;
            let older = local.lap == NO_LAP
                || local.lap < number
                || setup.bug == Bug::BeginLapLate && local.lap != number;
            if older {
                *local = Counter::fresh(number);
            }
            state.threads[t].at = At::ClaimHeader;
        }
        At::ClaimHeader => claim(state, setup, t, event),
        At::Move { end, own: whose } => {
            if state.reserved == me.position {
                state.reserved = end;
            }
            let exact = end == setup.start(number + 1);
            match whose {
                Own::No => state.threads[t].again(),
                Own::Record | Own::Padding => {
                    own(state, setup, t, end, whose == Own::Padding);
                    if exact {
                        state.threads[t].at = At::Finish;
                    }
                }
            }
        }
        At::Finish => {
            let content = match me.padding {
                true => me.position - setup.start(number),
                false => setup.sub,
            };
            state.place(setup, number).content = content;
            state.threads[t].at = At::Publish;
        }
        _ => unreachable!("not a step of an atomic lane: {me:?}"),
    }
    Ok(())
}

/// `claim_place`: whether nobody fills the place, and it is not too late.
fn can_be_claimed(filled: Filled, setup: &Setup, number: u8) -> bool {
    match filled {
        Filled::Idle { from } => from <= number || setup.bug == Bug::ClaimWithoutOrder,
        Filled::Ready { number: last } => last < number || setup.bug == Bug::ClaimWithoutOrder,
        Filled::Filling { .. } | Filled::Passed { .. } => false,
    }
}

/// Looks for the next place that can be used.
fn pass_over(state: &mut State, setup: &Setup, t: usize, number: u8) {
    let usable = |at: &u8| {
        let place = state.places[setup.place_of(*at)];
        let filling = matches!(place.state, Filled::Filling { .. } | Filled::Passed { .. });
        !filling && !place.pinned && is_free(state, setup, *at)
    };
    let next = match setup.bug {
        Bug::PassOverBlindly => Some(number + 1),
        _ => (number + 1..number + setup.subs).find(usable),
    };
    match next {
        None => lose(state, setup, t),
        Some(next) if setup.bug == Bug::PassOverByPosition => move_to(state, setup, t, next),
        Some(next) => state.threads[t].at = At::PassPlace { at: number, next },
    }
}

/// `SubBuffer::pass_place`: sees to it that `at` will never be opened; then on with the next.
fn pass_place(state: &mut State, setup: &Setup, t: usize, at: u8, next: u8) {
    let from = at + 1;
    let seen = state.place(setup, at).state;
    let late = setup.bug == Bug::PassPlaceLate;
    let passed = match seen {
        Filled::Ready { number } if number == at || number > at && !late => None,
        Filled::Filling { number, .. } if number > at && !late => None,
        Filled::Idle { from: f } | Filled::Passed { from: f, .. } if f > at && !late => Some(seen),
        Filled::Idle { .. } | Filled::Ready { .. } => Some(Filled::Idle { from }),
        // Two threads could do that to each other for ever.
        Filled::Filling { .. } if state.passed == PASSES => None,
        Filled::Filling { slot, .. } | Filled::Passed { slot, .. } => {
            Some(Filled::Passed { from, slot })
        }
    };
    let Some(passed) = passed else {
        state.threads[t].again();
        return;
    };
    state.passed += u8::from(matches!(seen, Filled::Filling { .. }));
    state.place(setup, at).state = passed;
    match from == next {
        true => move_to(state, setup, t, next),
        false => state.threads[t].at = At::PassPlace { at: from, next },
    }
}

fn move_to(state: &mut State, setup: &Setup, t: usize, next: u8) {
    state.threads[t].at = At::Move {
        end: setup.start(next),
        own: Own::No,
    };
}

/// `end_lap`, `fill`, and `finish_place`, by one thread alone.
fn fill(state: &mut State, setup: &Setup, t: usize, made: u8) {
    let number = setup.number(state.threads[t].position);
    let me = setup.threads[t].0;
    let last = 1 + setup.sub;
    match made {
        0 => {
            let records = records_to_lose(state, setup, setup.place_of(number));
            state.place(setup, number).remote = Counter::fresh(number);
            // Between these two a kill takes the count with it (`balance::lost_with_its_filler`).
            state.threads[t].words = if setup.overwrite() { records } else { 0 };
            if !setup.overwrite() {
                state.threads[t].at = At::Fill(2);
                return;
            }
        }
        1 => {
            state.overwritten[0] += state.threads[t].words;
            state.threads[t].words = 0;
        }
        made if made <= last => {
            let empty = if setup.bug == Bug::EmptyWithoutNumber {
                0
            } else {
                number
            };
            *state.word(setup, setup.start(number) + made - 2) = Word::Empty(empty);
        }
        _ => {
            // Up to here nobody but us looks at the content.
            state.place(setup, number).content = 0;
            let place = state.place(setup, number);
            place.state = match place.state {
                Filled::Filling { number: n, slot } if (n, slot) == (number, me) => {
                    Filled::Ready { number }
                }
                _ if setup.bug == Bug::FinishPassed => Filled::Ready { number },
                // Passed over meanwhile, perhaps more than once.
                Filled::Filling { number: from, slot } | Filled::Passed { from, slot }
                    if slot == me =>
                {
                    Filled::Idle { from }
                }
                other => other,
            };
            state.threads[t].again();
            return;
        }
    }
    state.threads[t].at = At::Fill(made + 1);
}

/// Claims the header at the position, or finds whose it is.
fn claim(state: &mut State, setup: &Setup, t: usize, event: u8) {
    let me = state.threads[t];
    let number = setup.number(me.position);
    let boundary = setup.start(number + 1);
    let wanted = setup.wanted(t, me.nth);
    let empty = if setup.bug == Bug::EmptyWithoutNumber {
        0
    } else {
        number
    };
    let word = state.word(setup, me.position);
    if *word == Word::Empty(empty) {
        let fits = me.position + wanted <= boundary;
        *word = busy(setup, t, if fits { wanted } else { 0 }, event);
        state.threads[t].at = match fits {
            true => At::Move {
                end: me.position + wanted,
                own: Own::Record,
            },
            false => At::Move {
                end: boundary,
                own: Own::Padding,
            },
        };
        return;
    }
    match state.behind(setup, me.position) {
        Some(end) => state.threads[t].at = At::Move { end, own: Own::No },
        None => state.threads[t].again(), // the memory went round meanwhile
    }
}

/// `help_the_dead`: moves the position past a header that stands there.
pub(crate) fn help_the_dead(state: &mut State, setup: &Setup) {
    let position = state.reserved;
    let number = setup.number(position);
    let ready = state.place(setup, number).state == Filled::Ready { number };
    let claimed = state.at(setup, position) != Word::Empty(number);
    if let Some(end) = state.behind(setup, position)
        && ready
        && claimed
    {
        state.reserved = end;
    }
}
