//! What there is: a lane of two sub-buffers of three words, threads on two CPUs, a reader.

use super::reader::Reader;
use super::thread::{At, Thread};

/// Words of a sub-buffer.
pub(crate) const SUB: u8 = 3;
/// Sub-buffers of the lane.
pub(crate) const SUBS: u8 = 2;
/// The most threads and events of a set-up.
pub(crate) const THREADS: usize = 3;
const EVENTS: usize = 8;
/// The CPU whose lane it is; the other one is any other.
pub(crate) const LANE_CPU: u8 = 0;

/// A bug to plant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    /// The reader looks at the local counter alone.
    ReaderIgnoresRemote,
    /// Count adds locally wherever the thread runs; a plain load and store then.
    CountWithoutCpuCheck,
    /// The record is counted before it is published.
    CountBeforePublish,
    /// Reserve moves the position before it writes the header.
    CommitBeforeHeader,
    /// Open does not look whether the sub-buffer was released.
    OpenWithoutRoom,
    /// "Closed" is "has a content", whatever stands there.
    ContentAloneIsClosed,
    /// A switch does not look whether the position is still the one it saw.
    SwitchWithoutCompare,
    /// A count does not look at the lap, and the reader releases what it read as published
    /// before it was counted. (The latter alone is harmless: a late count is dropped.)
    CountWithoutLap,
}

impl Bug {
    pub(crate) const ALL: [Bug; 8] = [
        Bug::ReaderIgnoresRemote,
        Bug::CountWithoutCpuCheck,
        Bug::CountBeforePublish,
        Bug::CommitBeforeHeader,
        Bug::OpenWithoutRoom,
        Bug::ContentAloneIsClosed,
        Bug::SwitchWithoutCompare,
        Bug::CountWithoutLap,
    ];
}

/// What does not change during an exploration.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) bug: Bug,
    /// For each thread, the lengths of its records.
    pub(crate) lengths: Vec<Vec<u8>>,
}

impl Setup {
    pub(crate) fn new(lengths: &[&[u8]], bug: Bug) -> Self {
        Setup {
            bug,
            lengths: lengths.iter().map(|l| l.to_vec()).collect(),
        }
    }

    /// A number for event `nth` of thread `thread`.
    pub(crate) fn event(&self, thread: usize, nth: u8) -> u8 {
        let before: usize = self.lengths[..thread].iter().map(Vec::len).sum();
        before as u8 + nth
    }
}

/// A word of the lane's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Word {
    /// Zero, or left over from a lap before.
    Old,
    /// Length 0 is padding.
    Header {
        busy: bool,
        words: u8,
        event: u8,
    },
    Payload {
        event: u8,
    },
}

/// A counter: lap and words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Counter {
    pub(crate) lap: u8,
    pub(crate) words: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct SubBuffer {
    pub(crate) local: Counter,
    pub(crate) remote: Counter,
    pub(crate) content: u8,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    NotYet,
    /// `trace!` has begun, or was killed in the middle.
    Begun,
    Published,
    /// `trace!` has returned.
    Returned,
    Lost,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) reserved: u8,
    pub(crate) consumed: u8,
    pub(crate) words: [Word; (SUB * SUBS) as usize],
    pub(crate) subs: [SubBuffer; SUBS as usize],
    pub(crate) threads: [Thread; THREADS],
    pub(crate) reader: Reader,
    pub(crate) fates: [Fate; EVENTS],
    pub(crate) delivered: u16,
    pub(crate) killed: bool,
}

impl State {
    pub(crate) fn new(setup: &Setup) -> Self {
        let mut threads: [Thread; THREADS] = Default::default();
        for unused in &mut threads[setup.lengths.len()..] {
            unused.at = At::Done;
        }
        State {
            reserved: 0,
            consumed: 0,
            words: [Word::Old; (SUB * SUBS) as usize],
            subs: [SubBuffer::default(); SUBS as usize],
            threads,
            reader: Reader::default(),
            fates: [Fate::NotYet; EVENTS],
            delivered: 0,
            killed: false,
        }
    }

    pub(crate) fn word(&mut self, position: u8) -> &mut Word {
        &mut self.words[(position % (SUB * SUBS)) as usize]
    }

    pub(crate) fn sub(&mut self, position: u8) -> &mut SubBuffer {
        &mut self.subs[(position / SUB % SUBS) as usize]
    }

    /// `Lane::closed_content`.
    pub(crate) fn closed_content(&mut self, setup: &Setup, start: u8) -> Option<u8> {
        let content = self.sub(start).content;
        if setup.bug == Bug::ContentAloneIsClosed {
            return (content > 0).then_some(content);
        }
        let padding_there = |word: Word| matches!(word, Word::Header { words: 0, .. });
        let closed = content == SUB || content < SUB && padding_there(*self.word(start + content));
        closed.then_some(content)
    }
}

/// The lap of the sub-buffer of `position`: its number.
pub(crate) fn lap(position: u8) -> u8 {
    position / SUB
}

pub(crate) fn start(position: u8) -> u8 {
    position / SUB * SUB
}
