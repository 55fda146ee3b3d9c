//! What does not change during an exploration.

use super::bugs::Bug;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Rseq,
    Atomic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Discard,
    Overwrite,
}

/// One thread: its process, and the lengths of its records in words.
pub(crate) type Plan = (u8, &'static [u8]);

/// What does not change during an exploration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) bug: Bug,
    pub(crate) lane: Lane,
    pub(crate) mode: Mode,
    /// Words of a sub-buffer, and sub-buffers of the lane.
    pub(crate) sub: u8,
    pub(crate) subs: u8,
    pub(crate) threads: &'static [Plan],
    /// How many partial packets, snapshots and deaths of the consumer there are.
    pub(crate) partials: u8,
    pub(crate) snapshots: u8,
    pub(crate) takeovers: u8,
}

impl Setup {
    pub(crate) const fn new(
        lane: Lane,
        mode: Mode,
        sub: u8,
        subs: u8,
        threads: &'static [Plan],
    ) -> Self {
        Setup {
            bug: Bug::None,
            lane,
            mode,
            sub,
            subs,
            threads,
            partials: 0,
            snapshots: 0,
            takeovers: 0,
        }
    }

    pub(crate) const fn partials(self, partials: u8) -> Self {
        Setup { partials, ..self }
    }

    pub(crate) const fn snapshots(self, snapshots: u8) -> Self {
        Setup { snapshots, ..self }
    }

    pub(crate) const fn takeovers(self, takeovers: u8) -> Self {
        Setup { takeovers, ..self }
    }

    /// Whether processes die one by one, and are buried.
    pub(crate) fn shared(&self) -> bool {
        self.threads.iter().any(|plan| plan.0 != self.threads[0].0)
    }

    pub(crate) fn overwrite(&self) -> bool {
        self.mode == Mode::Overwrite
    }

    /// A number for event `nth` of thread `thread`.
    pub(crate) fn event(&self, thread: usize, nth: u8) -> u8 {
        let before: usize = self.threads[..thread].iter().map(|plan| plan.1.len()).sum();
        before as u8 + nth
    }

    /// Length of event `nth` of thread `thread`.
    pub(crate) fn wanted(&self, thread: usize, nth: u8) -> u8 {
        self.threads[thread]
            .1
            .get(usize::from(nth))
            .copied()
            .unwrap_or(0)
    }

    /// The sub-buffer of a position, and where it begins.
    pub(crate) fn number(&self, position: u8) -> u8 {
        position / self.sub
    }

    pub(crate) fn start(&self, number: u8) -> u8 {
        number * self.sub
    }

    pub(crate) fn place_of(&self, number: u8) -> usize {
        usize::from(number % self.subs)
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setup { sub, subs, .. } = self;
        write!(f, "{subs} places of {sub} words, threads")?;
        for (process, lengths) in self.threads {
            write!(f, " {process}:{lengths:?}")?;
        }
        let times = [
            (self.partials, "partial packets"),
            (self.snapshots, "snapshots"),
            (self.takeovers, "takeovers"),
        ];
        for (times, what) in times.iter().filter(|(times, _)| *times > 0) {
            write!(f, ", {times} {what}")?;
        }
        Ok(())
    }
}
