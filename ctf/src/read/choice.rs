//! What of a variant or an optional field is there: the value of a selector says so.
//!
//! ```text
//!  slot 3 = 7      Choice   0 ..= 4 ─▶ a    5 ..= 9 ─▶ b     chosen: b
//!                  Maybe    not 0   ─▶ c                     there:  c
//! ```
//! Nodes, programs and forms are different things to do with a field, but which field it is they all learn here.
//!
//! Invariant: whatever walks a packet, the same value of a selector leads it the same way.

use std::cell::Cell;

use super::node::Slot;
use super::program::Stop;
use super::span::{Span, contains};
use crate::model::Range;

/// The field that chooses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SelectorSlot {
    pub(crate) slot: Slot,
    pub(crate) signed: bool,
}

/// The options of a variant.
#[derive(Debug)]
pub(crate) struct Choice<T> {
    /// Without a selector there is but one option, for every value.
    pub(crate) selector: Option<SelectorSlot>,
    pub(crate) options: Box<[ChoiceOption<T>]>,
}

/// An option, and the values of the selector that choose it.
#[derive(Debug)]
pub(crate) struct ChoiceOption<T> {
    pub(crate) spans: Box<[Span]>,
    pub(crate) then: T,
}

impl<T> Choice<T> {
    /// The first option that is for the selector's value.
    #[inline(always)]
    pub(crate) fn chosen(&self, slots: &[Cell<u64>]) -> Result<&T, Stop> {
        let option = match self.selector {
            None => self.options.first(),
            Some(selector) => {
                let value = slots[selector.slot as usize].get();
                let mut options = self.options.iter();
                options.find(|option| contains(&option.spans, value))
            }
        };
        match option {
            Some(option) => Ok(&option.then),
            None => Err(Stop::NoOption {
                selector: self.selector.map_or(0, |selector| selector.slot),
                signed: self.selector.is_some_and(|selector| selector.signed),
            }),
        }
    }

    /// The same choice between other things.
    pub(crate) fn map<U>(&self, mut f: impl FnMut(&T) -> U) -> Choice<U> {
        let options = self.options.iter().map(|option| ChoiceOption {
            spans: option.spans.clone(),
            then: f(&option.then),
        });
        Choice {
            selector: self.selector,
            options: options.collect(),
        }
    }
}

/// What is there for some values of a selector only.
#[derive(Debug)]
pub(crate) struct Maybe<T> {
    pub(crate) selector: Slot,
    /// The values it is there for. Without them: all but 0.
    spans: Option<Box<[Span]>>,
    pub(crate) then: T,
}

impl<T> Maybe<T> {
    /// What is there for the values in `ranges`, or for all but 0.
    pub(crate) fn new(selector: SelectorSlot, ranges: Option<&[Range]>, then: T) -> Self {
        Maybe {
            selector: selector.slot,
            spans: ranges.map(|ranges| Span::all_of(ranges, selector.signed)),
            then,
        }
    }

    /// What is there, if it is.
    #[inline(always)]
    pub(crate) fn there(&self, slots: &[Cell<u64>]) -> Option<&T> {
        let value = slots[self.selector as usize].get();
        let there = match &self.spans {
            None => value != 0,
            Some(spans) => contains(spans, value),
        };
        there.then_some(&self.then)
    }

    /// Something else that is there for the same values.
    pub(crate) fn map<U>(&self, f: impl FnOnce(&T) -> U) -> Maybe<U> {
        Maybe {
            selector: self.selector,
            spans: self.spans.clone(),
            then: f(&self.then),
        }
    }
}
