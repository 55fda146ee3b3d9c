//! Who prepares a place of an atomic lane, and for which number.
//!
//! ```text
//!   63   62 61      46 45                   0
//!   ├ kind ─┼── slot ──┼── number, plus 1 ───┤      0: nobody yet, for nothing
//!
//!   Idle(m) ──claim n > m──▶ Filling(n) ──filled──▶ Ready(n) ──claim──▶ …
//!      ▲  │                      │                     │
//!      │  └──── pass n ──┐     pass n                pass n' > n
//!      │                 ▼       ▼                     │
//!      ├──────────── Idle(n)  Passed(n) ──filled──▶ Idle(n)
//!      └───────────────────────────────────────────────┘
//! ```
//! A claimed place is filled with words that mean "free, for number n" by one thread alone,
//! which may be stopped or die there; meanwhile the others pass the place over. Number n is
//! opened only while the place is `Ready(n)`, and passed over only after the place has said
//! that it will never be: so the two never happen both.
//!
//! Invariant: a place's number only grows, and `Filling` and `Passed` end by their own thread,
//! or, when that is dead, by the consumer.

use crate::layout::SubBuffer;
use std::sync::atomic::{AtomicU64, Ordering};

const NUMBER_BITS: u32 = 46;
const SLOT_BITS: u32 = 16;
const NUMBER: u64 = (1 << NUMBER_BITS) - 1;

/// What a place's state word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nobody fills it; it can be used for numbers from here on.
    Idle { from: u64 },
    /// Somebody fills it for `number`.
    Filling { number: u64, slot: u16 },
    /// Filled for `number`: it will be opened for it, or has been.
    Ready { number: u64 },
    /// Somebody still fills it, but it can be used only for numbers from here on.
    Passed { from: u64, slot: u16 },
}

impl State {
    pub(crate) fn of(word: u64) -> Self {
        let plus_1 = word & NUMBER;
        let slot = (word >> NUMBER_BITS) as u16;
        match word >> (NUMBER_BITS + SLOT_BITS) {
            0 => State::Idle { from: plus_1 },
            1 => State::Filling {
                number: plus_1.wrapping_sub(1),
                slot,
            },
            2 => State::Ready {
                number: plus_1.wrapping_sub(1),
            },
            _ => State::Passed { from: plus_1, slot },
        }
    }

    pub(crate) fn word(self) -> u64 {
        let (kind, slot, plus_1) = match self {
            State::Idle { from } => (0, 0, from),
            State::Filling { number, slot } => (1, slot, number + 1),
            State::Ready { number } => (2, 0, number + 1),
            State::Passed { from, slot } => (3, slot, from),
        };
        kind << (NUMBER_BITS + SLOT_BITS) | u64::from(slot) << NUMBER_BITS | plus_1 & NUMBER
    }

    /// What it becomes when `number` is passed over; `None` where it must not be: it is ready for
    /// that number, or what was decided about a later one would be undone.
    fn passed(self, number: u64) -> Option<Self> {
        let next = number + 1;
        match self {
            State::Ready { number: ready } if ready >= number => None,
            State::Filling { number: later, .. } if later > number => None,
            State::Idle { from } | State::Passed { from, .. } if from >= next => Some(self),
            State::Idle { .. } | State::Ready { .. } => Some(State::Idle { from: next }),
            State::Filling { slot, .. } | State::Passed { slot, .. } => {
                Some(State::Passed { from: next, slot })
            }
        }
    }
}

impl SubBuffer {
    pub(crate) fn state(&self) -> State {
        // SYNC(fill): Acquire pairs with the Release in `change`: who sees it ready sees it filled.
        State::of(self.state.load(Ordering::Acquire))
    }

    /// Lets `slot` fill the place for `number`, if nobody does and it is not too late.
    pub(crate) fn claim_place(&self, number: u64, slot: u16) -> bool {
        let seen = self.state();
        let free = match seen {
            State::Idle { from } => from <= number,
            State::Ready { number: last } => last < number,
            State::Filling { .. } | State::Passed { .. } => false,
        };
        free && change(&self.state, seen, State::Filling { number, slot })
    }

    /// The place is filled, for `number` if that is still to come.
    pub(crate) fn finish_place(&self, number: u64, slot: u16) {
        if change(
            &self.state,
            State::Filling { number, slot },
            State::Ready { number },
        ) {
            return;
        }
        // Passed over meanwhile, perhaps more than once.
        self.give_up_place(|filler| filler == slot);
    }

    /// Whoever fills the place, if `is_dead` says so of his slot, will never finish.
    pub(crate) fn give_up_place(&self, is_dead: impl Fn(u16) -> bool) {
        loop {
            let seen = self.state();
            let (from, slot) = match seen {
                State::Filling { number, slot } => (number, slot),
                State::Passed { from, slot } => (from, slot),
                State::Idle { .. } | State::Ready { .. } => return,
            };
            if !is_dead(slot) || change(&self.state, seen, State::Idle { from }) {
                return;
            }
        }
    }

    /// Makes sure that `number` will never be opened here; `false` where it is ready to be, or
    /// the state has changed.
    pub(crate) fn pass_place(&self, number: u64) -> bool {
        let seen = self.state();
        match seen.passed(number) {
            None => false,
            Some(passed) => passed == seen || change(&self.state, seen, passed),
        }
    }
}

fn change(word: &AtomicU64, from: State, to: State) -> bool {
    // SYNC(fill): see `SubBuffer::state`.
    word.compare_exchange(from.word(), to.word(), Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All zeroes, as in a fresh buffer.
    fn fresh() -> SubBuffer {
        // SAFETY: a `SubBuffer` is made of atomics, for which zeroes are valid.
        unsafe { std::mem::zeroed() }
    }

    #[test]
    fn every_state_survives_its_word() {
        let states = [
            State::Idle { from: 0 },
            State::Idle { from: 7 },
            State::Filling {
                number: 0,
                slot: 65535,
            },
            State::Ready { number: 1 << 40 },
            State::Passed { from: 3, slot: 1 },
        ];
        for state in states {
            assert_eq!(State::of(state.word()), state);
        }
        assert_eq!(State::of(0), State::Idle { from: 0 });
    }

    #[test]
    fn one_fills_and_then_it_is_ready() {
        let place = fresh();
        assert!(place.claim_place(0, 1));
        assert!(!place.claim_place(0, 2), "somebody is at it");
        place.finish_place(0, 1);
        assert_eq!(place.state(), State::Ready { number: 0 });
        assert!(!place.claim_place(0, 2), "ready for this one already");
        assert!(place.claim_place(4, 2));
    }

    #[test]
    fn a_number_that_was_passed_over_is_never_ready() {
        let place = fresh();
        assert!(place.claim_place(0, 1));
        assert!(place.pass_place(0));
        assert!(place.pass_place(4));
        place.finish_place(0, 1);
        assert_eq!(place.state(), State::Idle { from: 5 });
        assert!(!place.claim_place(4, 1));
        assert!(place.claim_place(8, 1));
    }

    #[test]
    fn a_number_that_is_ready_is_not_passed_over() {
        let place = fresh();
        assert!(place.claim_place(4, 1));
        place.finish_place(4, 1);
        assert!(!place.pass_place(4));
        assert!(place.pass_place(8), "a later one may");
    }

    #[test]
    fn who_passes_a_number_over_too_late_undoes_nothing() {
        let place = fresh();
        assert!(place.claim_place(8, 1));
        assert!(!place.pass_place(4), "it is being filled for a later one");
        place.finish_place(8, 1);
        assert!(!place.pass_place(4));
        assert_eq!(place.state(), State::Ready { number: 8 });
        assert!(place.pass_place(12));
        assert!(place.pass_place(4), "that was long ago");
        assert_eq!(place.state(), State::Idle { from: 13 });
    }

    #[test]
    fn the_dead_give_up_what_they_filled_and_nobody_elses() {
        let place = fresh();
        assert!(place.claim_place(2, 7));
        place.give_up_place(|slot| slot == 6);
        assert!(!place.claim_place(6, 1));
        place.give_up_place(|slot| slot == 7);
        assert!(place.claim_place(2, 1), "it may be tried again");
    }
}
