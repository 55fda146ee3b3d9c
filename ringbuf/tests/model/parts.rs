//! What is explored: for each part of the protocol its set-ups, and the bugs that are planted
//! in it, each with a set-up in which it shows.

use super::bugs::Bug;
use super::setup::{Lane, Mode, Plan, Setup};

/// A part of the protocol.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) setups: &'static [Setup],
    /// On top if `LANEWAY_STRESS` is set: some minutes and gigabytes.
    pub(crate) large: &'static [Setup],
    pub(crate) bugs: &'static [(Bug, Setup)],
}

pub(crate) const ALL: [&Part; 5] = [&RSEQ, &DEATH, &OVERWRITE, &ATOMIC, &TAKEOVER];

/// Threads of one process, of two, and those that go around the lane while another one sleeps.
const TWO: &[Plan] = &[(0, &[1, 2, 1]), (0, &[2, 1])];
const SMALL: &[Plan] = &[(0, &[1, 2]), (0, &[1, 2])];
const ROUND: &[Plan] = &[(0, &[2, 2, 2, 2]), (0, &[1])];
const THREE: &[Plan] = &[(0, &[2, 2]), (0, &[1]), (0, &[1])];
const LINES: &[Plan] = &[(0, &[1, 1, 1, 1]), (0, &[1, 1])];
const CLOSER: &[Plan] = &[(0, &[1, 1, 1]), (0, &[2])];
/// One that goes around the lane twice.
const LAPS: &[Plan] = &[(0, &[1, 1, 1, 1, 1, 1, 1])];
const SLEEPER: &[Plan] = &[(0, &[1, 1, 1]), (0, &[1])];
const HEIRS: &[Plan] = &[(0, &[1]), (1, &[1]), (1, &[2, 2])];
const WIDOW: &[Plan] = &[(0, &[1]), (1, &[2]), (1, &[2, 2])];
const FEUD: &[Plan] = &[(0, &[1, 2]), (1, &[1, 2])];
const ORPHAN: &[Plan] = &[(0, &[1]), (1, &[2, 1, 2])];

const fn rseq(sub: u8, subs: u8, threads: &'static [Plan]) -> Setup {
    Setup::new(Lane::Rseq, Mode::Discard, sub, subs, threads)
}

const fn recorder(sub: u8, subs: u8, threads: &'static [Plan]) -> Setup {
    Setup::new(Lane::Rseq, Mode::Overwrite, sub, subs, threads)
}

const fn atomic(sub: u8, subs: u8, threads: &'static [Plan]) -> Setup {
    Setup::new(Lane::Atomic, Mode::Discard, sub, subs, threads)
}

const fn atomic_recorder(sub: u8, subs: u8, threads: &'static [Plan]) -> Setup {
    Setup::new(Lane::Atomic, Mode::Overwrite, sub, subs, threads)
}

pub(crate) const RSEQ: Part = Part {
    name: "an rseq lane",
    setups: &[
        rseq(3, 2, TWO).partials(2),
        rseq(2, 2, ROUND).partials(1),
        rseq(2, 3, ROUND).partials(1),
        rseq(2, 3, LINES),
        rseq(2, 2, THREE),
    ],
    large: &[rseq(3, 2, THREE).partials(1)],
    bugs: &[
        (Bug::ReaderIgnoresRemote, rseq(3, 2, TWO)),
        (Bug::CountWithoutCpuCheck, rseq(3, 2, TWO)),
        (Bug::CountBeforePublish, rseq(3, 2, TWO)),
        (Bug::CommitBeforeHeader, rseq(3, 2, TWO)),
        (Bug::ContentAloneIsClosed, rseq(3, 2, CLOSER)),
        (Bug::SwitchWithoutCompare, rseq(3, 2, TWO)),
        (Bug::OpenWithoutRoom, rseq(3, 2, TWO)),
        (Bug::FreeWithoutLap, rseq(2, 2, ROUND)),
        (Bug::PassOverBlindly, rseq(2, 2, ROUND)),
        (Bug::PassOverComparesPosition, rseq(2, 2, ROUND)),
        (Bug::CloseFullOnPassed, rseq(2, 2, ROUND)),
        (Bug::ReadPassed, rseq(2, 2, ROUND)),
        (Bug::ParkingReleases, rseq(3, 2, TWO)),
    ],
};

pub(crate) const DEATH: Part = Part {
    name: "an rseq lane of two processes, one of which is killed",
    setups: &[
        rseq(2, 2, FEUD),
        rseq(2, 2, ORPHAN).partials(1),
        rseq(2, 2, HEIRS),
        rseq(2, 3, FEUD),
    ],
    large: &[rseq(2, 2, WIDOW), rseq(2, 3, FEUD).partials(1)],
    bugs: &[
        (Bug::CountWithoutLap, rseq(2, 2, HEIRS)),
        (Bug::BuryTheLiving, rseq(2, 2, ORPHAN)),
        (Bug::TombstoneCounted, rseq(2, 2, ORPHAN)),
        (Bug::DeclareWithBusyRecord, rseq(2, 2, FEUD)),
        (Bug::DeclareWithBusyPadding, rseq(2, 2, WIDOW)),
        (Bug::NeverJudged, rseq(2, 2, ORPHAN)),
    ],
};

pub(crate) const OVERWRITE: Part = Part {
    name: "an rseq lane that is overwritten",
    setups: &[
        recorder(2, 2, TWO),
        recorder(2, 2, TWO).snapshots(1),
        recorder(2, 3, LAPS).snapshots(1),
        recorder(2, 2, FEUD),
    ],
    large: &[
        recorder(2, 2, HEIRS),
        recorder(2, 2, FEUD).snapshots(1),
        recorder(2, 3, ROUND).snapshots(1),
    ],
    bugs: &[
        (Bug::OverwriteUnchecked, recorder(2, 2, TWO)),
        (Bug::OverwrittenCountedLate, recorder(2, 2, TWO)),
        (Bug::OverwrittenUntagged, recorder(2, 2, TWO)),
        (Bug::CountedReadFirst, recorder(2, 2, TWO)),
        (Bug::PassOverComparesLocal, recorder(2, 2, TWO)),
        (Bug::OverwrittenByCounters, recorder(2, 2, FEUD)),
        (Bug::NoSecondLook, recorder(2, 2, TWO).snapshots(1)),
        (Bug::PinIgnored, recorder(2, 3, LAPS).snapshots(1)),
        (Bug::PinLookedAtFirst, recorder(2, 2, HEIRS)),
        (Bug::NeverJudged, recorder(2, 2, FEUD)),
    ],
};

pub(crate) const ATOMIC: Part = Part {
    name: "an atomic lane",
    setups: &[
        atomic(2, 2, SMALL).partials(1),
        atomic(2, 2, FEUD),
        atomic(1, 3, SLEEPER),
        atomic(2, 2, THREE),
        atomic_recorder(2, 2, SMALL).snapshots(1),
        atomic_recorder(2, 2, FEUD),
    ],
    large: &[atomic_recorder(2, 2, FEUD).snapshots(1)],
    bugs: &[
        (Bug::OpenWithoutRoom, atomic(2, 2, SMALL)),
        (Bug::EmptyWithoutNumber, atomic(1, 2, SLEEPER)),
        (Bug::FinishPassed, atomic(2, 2, SMALL)),
        (Bug::DeadFillerStays, atomic(2, 2, FEUD)),
        (Bug::PassOverBlindly, atomic(2, 2, SMALL)),
        (Bug::PassOverByPosition, atomic(2, 2, SMALL)),
        (Bug::PassPlaceLate, atomic(1, 3, LINES)),
        (Bug::BeginLapLate, atomic(1, 3, LINES)),
        (Bug::ClaimWithoutOrder, atomic(1, 3, LINES)),
        (Bug::FreshIsLapZero, atomic(2, 2, SMALL)),
        (Bug::NeverOpenedByNumber, atomic(2, 2, FEUD)),
        (Bug::BuryStopsAtPosition, atomic(2, 2, FEUD)),
        (Bug::OverwriteUnchecked, atomic_recorder(2, 2, SMALL)),
        (Bug::OverwrittenByCounters, atomic_recorder(2, 2, FEUD)),
        (Bug::NoSecondLook, atomic_recorder(2, 2, SMALL).snapshots(1)),
    ],
};

pub(crate) const TAKEOVER: Part = Part {
    name: "a lane whose consumer is killed",
    setups: &[
        rseq(3, 2, TWO).partials(1).takeovers(1),
        rseq(2, 2, ROUND).takeovers(1),
        rseq(2, 2, ORPHAN).takeovers(1),
        atomic(2, 2, SMALL).takeovers(1),
        recorder(2, 3, LAPS).snapshots(1).takeovers(1),
        recorder(2, 2, ORPHAN).takeovers(1),
    ],
    large: &[
        rseq(2, 2, FEUD).takeovers(1),
        atomic(2, 2, FEUD).takeovers(1),
    ],
    bugs: &[
        (Bug::TakeoverWithoutDisk, rseq(3, 2, TWO).takeovers(1)),
        (Bug::TakeoverForgetsParked, rseq(3, 2, TWO).takeovers(1)),
        (Bug::TakeoverReadsReleased, rseq(2, 2, ORPHAN).takeovers(1)),
        (
            Bug::PinsStay,
            recorder(2, 3, LAPS).snapshots(1).takeovers(1),
        ),
        (Bug::ReleaseBeforeWrite, rseq(3, 2, TWO).takeovers(1)),
    ],
};
