//! What there is: one lane of a few tiny sub-buffers, threads of one or two processes, a reader.

use super::bugs::Bug;
use super::reader::Reader;
use super::setup::Setup;
use super::snapshot::Snapshot;
use super::thread::{At, Thread};

/// The most words, places, threads and processes of a set-up.
pub(crate) const WORDS: usize = 9;
pub(crate) const PLACES: usize = 3;
pub(crate) const THREADS: usize = 3;
pub(crate) const PROCESSES: usize = 2;
/// The CPU whose lane it is; the other one is any other.
pub(crate) const LANE_CPU: u8 = 0;

/// A number for the records of padding, beside those of the events.
pub(crate) const PADDING: u8 = 15;

/// Most fillers that are passed over: two threads could do so to each other for ever.
pub(crate) const PASSES: u8 = 2;

/// A word of the lane's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) enum Word {
    /// As the memory was made.
    #[default]
    Never,
    /// Atomic lanes: free in the sub-buffer of this number.
    Empty(u8),
    /// Length 0 is padding. The slot means something while the header is busy.
    Header {
        busy: bool,
        words: u8,
        event: u8,
        slot: u8,
    },
    /// A record that its writer did not live to publish.
    Tombstone {
        words: u8,
    },
    Payload {
        event: u8,
    },
}

/// The lap that fresh memory tells: none.
pub(crate) const NO_LAP: u8 = u8::MAX;

/// A counter: lap, words and records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Counter {
    pub(crate) lap: u8,
    pub(crate) words: u8,
    pub(crate) records: u8,
}

impl Default for Counter {
    fn default() -> Self {
        Counter::fresh(NO_LAP)
    }
}

impl Counter {
    pub(crate) fn fresh(lap: u8) -> Self {
        Counter {
            lap,
            words: 0,
            records: 0,
        }
    }

    pub(crate) fn add(&mut self, words: u8, records: u8) {
        self.words += words;
        self.records += records;
    }
}

/// A number that carries the lap it was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Tagged {
    pub(crate) lap: u8,
    pub(crate) count: u8,
}

/// Atomic lanes: `place::State`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Filled {
    Idle { from: u8 },
    Filling { number: u8, slot: u8 },
    Ready { number: u8 },
    Passed { from: u8, slot: u8 },
}

impl Default for Filled {
    fn default() -> Self {
        Filled::Idle { from: 0 }
    }
}

/// What is known about a place: `layout::SubBuffer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Place {
    pub(crate) local: Counter,
    pub(crate) remote: Counter,
    pub(crate) content: u8,
    /// The lap that is done with, and the records found in it, if it was declared.
    pub(crate) free: Option<Tagged>,
    pub(crate) state: Filled,
    /// `taken`, in discard mode: the words of a lap that were delivered.
    pub(crate) taken: Tagged,
    /// `taken`, in overwrite mode: a reader copies.
    pub(crate) pinned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) reserved: u8,
    /// Position behind what was delivered in order: for a reader that takes over.
    pub(crate) delivered_to: u8,
    /// `LostCells`: two counts of overwritten events, the number the last one was made for, and
    /// which of them holds.
    pub(crate) overwritten: [u8; 2],
    pub(crate) counted: Tagged,
    pub(crate) words: [Word; WORDS],
    pub(crate) places: [Place; PLACES],
    pub(crate) threads: [Thread; THREADS],
    pub(crate) reader: Reader,
    pub(crate) snapshot: Snapshot,
    /// Processes that were killed, and those of them that were buried; one bit each.
    pub(crate) dead: u8,
    pub(crate) buried: u8,
    pub(crate) unfinished: [u8; PROCESSES],
    /// Atomic lanes: fillers that were passed over so far.
    pub(crate) passed: u8,
    /// Events, one bit each.
    pub(crate) published: u16,
    pub(crate) lost: u16,
    pub(crate) delivered: u16,
}

impl State {
    pub(crate) fn new(setup: &Setup) -> Self {
        let mut threads: [Thread; THREADS] = Default::default();
        for unused in &mut threads[setup.threads.len()..] {
            unused.at = At::Done;
        }
        State {
            reserved: 0,
            delivered_to: 0,
            overwritten: [0; 2],
            counted: Tagged::default(),
            words: Default::default(),
            places: Default::default(),
            threads,
            reader: Reader::default(),
            snapshot: Snapshot::default(),
            dead: 0,
            buried: 0,
            unfinished: [0; PROCESSES],
            passed: 0,
            published: 0,
            lost: 0,
            delivered: 0,
        }
    }

    pub(crate) fn word(&mut self, setup: &Setup, position: u8) -> &mut Word {
        &mut self.words[usize::from(position % (setup.sub * setup.subs))]
    }

    pub(crate) fn at(&self, setup: &Setup, position: u8) -> Word {
        self.words[usize::from(position % (setup.sub * setup.subs))]
    }

    pub(crate) fn place(&mut self, setup: &Setup, number: u8) -> &mut Place {
        &mut self.places[setup.place_of(number)]
    }

    /// `Lane::closed_content`.
    pub(crate) fn closed_content(&self, setup: &Setup, number: u8) -> Option<u8> {
        let content = self.places[setup.place_of(number)].content;
        if setup.bug == Bug::ContentAloneIsClosed {
            return (content > 0).then_some(content);
        }
        let header = self.at(setup, setup.start(number) + content);
        let closed = content == setup.sub
            || content < setup.sub && matches!(header, Word::Header { words: 0, .. });
        closed.then_some(content)
    }

    /// Whether all of the place's last lap is counted.
    pub(crate) fn is_whole(&self, setup: &Setup, place: usize) -> bool {
        let Place { local, remote, .. } = self.places[place];
        local.lap == remote.lap && local.words + remote.words == setup.sub
    }

    /// `room::is_done`: whether the lap that the place's counters tell was released or declared.
    pub(crate) fn is_done(&self, setup: &Setup, place: usize) -> bool {
        let Place { free, local, .. } = self.places[place];
        free.is_some_and(|free| free.lap == local.lap || setup.bug == Bug::FreeWithoutLap)
    }

    /// `Lane::in_place`: the number that is in the place, if the lane's position has passed its
    /// begin, and nobody is about to open the place again.
    pub(crate) fn opened(&self, setup: &Setup, place: usize) -> Option<u8> {
        let Place { local, remote, .. } = self.places[place];
        let number = local.lap;
        if number == NO_LAP && setup.bug == Bug::FreshIsLapZero && place == 0 {
            return (self.reserved > 0 && local.lap == remote.lap).then_some(0);
        }
        let meant = number != NO_LAP && self.reserved > setup.start(number);
        (meant && local.lap == remote.lap).then_some(number)
    }

    /// `bury::is_lacking`: whether something is reserved in the place, and not all counted.
    pub(crate) fn is_lacking(&self, setup: &Setup, place: usize) -> bool {
        self.opened(setup, place).is_some()
            && !self.is_whole(setup, place)
            && !self.is_done(setup, place)
    }

    /// Where the filled part of the sub-buffer of `number` ends.
    pub(crate) fn filled(&self, setup: &Setup, number: u8) -> u8 {
        self.reserved.min(setup.start(number + 1))
    }

    /// Position behind the record at `at`; `None` where none is.
    pub(crate) fn behind(&self, setup: &Setup, at: u8) -> Option<u8> {
        match self.at(setup, at) {
            Word::Header { words: 0, .. } => Some(setup.start(setup.number(at) + 1)),
            Word::Header { words, .. } | Word::Tombstone { words } => Some(at + words),
            _ => None,
        }
    }

    pub(crate) fn is_dead(&self, setup: &Setup, thread: usize) -> bool {
        self.dead & 1 << setup.threads[thread].0 != 0
    }

    /// Whether everybody alive has returned, and everybody dead is buried.
    pub(crate) fn is_quiet(&self, setup: &Setup) -> bool {
        let mut threads = self.threads.iter().enumerate().take(setup.threads.len());
        self.dead & !self.buried == 0
            && threads.all(|(t, thread)| thread.at == At::Done || self.is_dead(setup, t))
    }
}
