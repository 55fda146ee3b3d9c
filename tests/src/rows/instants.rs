//! Applications that are killed, or sent a signal, at one certain instruction of an event, and at every other one.
//!
//! ```text
//!   instruction   0 ……… 150 ……………… 330 ……… 400
//!                 nothing ┊ unfinished ┊ complete      as a kill there leaves the event: never less than before
//! ```
//! What an event has to do depends on where its lane stands: it is the first, it fits, it crosses the end of a sub-buffer
//! or stands on it, or there is no room left.

use rustix::process::Signal;

use super::kill::unfinished_only;
use super::{Buffers, Totals};
use crate::account::{Account, Found};
use crate::random::Random;
use crate::stepping::{Stepped, SteppedEvent, Steps, Then};
use crate::summary::Summary;
use crate::{Daemon, Place, lanes};

/// Bytes of a sub-buffer, and how many there are.
const SUB_BUFFER: u64 = 4096;
const SUB_BUFFERS: u64 = 4;

/// Applications of one daemon.
const BATCH: usize = 50;

/// Where the lane stands when the event happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Nobody has used it.
    New,
    /// There is room.
    Roomy,
    /// In a sub-buffer, with too little room in it.
    NearBoundary,
    /// Where a sub-buffer ends exactly.
    OnBoundary,
    /// All sub-buffers are full, and the consumer does nothing.
    Full,
}

impl Lane {
    /// All of them.
    pub const ALL: [Lane; 5] = [
        Lane::New,
        Lane::Roomy,
        Lane::NearBoundary,
        Lane::OnBoundary,
        Lane::Full,
    ];

    /// How many events have to come before.
    fn before(self, random: &mut Random) -> u64 {
        let laps = random.within(0..3) * SUB_BUFFER * SUB_BUFFERS;
        let (mut n, mut position) = (0, 0);
        loop {
            let left = SUB_BUFFER - position % SUB_BUFFER;
            let bytes = record_bytes(n);
            let found = match self {
                Lane::New => true,
                Lane::Roomy => left < SUB_BUFFER && left > bytes,
                Lane::NearBoundary => left < bytes,
                Lane::OnBoundary => left == SUB_BUFFER && n > 0,
                Lane::Full => position > SUB_BUFFER * SUB_BUFFERS,
            };
            if found && (position >= laps || matches!(self, Lane::New | Lane::Full)) {
                return n;
            }
            position += bytes + if left < bytes { left } else { 0 };
            n += 1;
        }
    }
}

/// Bytes of the record of event `n` of `src/programs/account.rs`, as `ringbuf/src/header.rs` has it: header, thread id,
/// line, number, text with its NUL, and 1 to 8 bytes of padding; the first one says the whole clock and its id again.
fn record_bytes(n: u64) -> u64 {
    let text = 1 + n * 7 % 50 + 1;
    let extension = if n == 0 { 10 } else { 0 };
    (8 + extension + 4 + 8 + 8 + text + 8) & !7
}

/// What is left of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It has not begun, as far as anybody can see.
    Nothing,
    /// Its place was taken.
    Unfinished,
    /// It is in the trace, or counted as lost for want of room.
    Complete,
}

/// What the kills at some steps of an event left of it.
#[derive(Debug, Default)]
pub struct Stages(pub Vec<(u64, Stage)>);

impl Stages {
    /// A step in the middle of those between which the event is unfinished.
    #[must_use]
    pub fn unfinished(&self) -> Option<u64> {
        let unfinished = self
            .0
            .iter()
            .filter(|(_, stage)| *stage == Stage::Unfinished);
        let steps: Vec<_> = unfinished.map(|(step, _)| *step).collect();
        steps.get(steps.len() / 2).copied()
    }
}

/// The last steps of an event, in which the most happens: before them, a place of an atomic lane may have been filled.
const DENSE: u64 = 2500;

/// Some steps of an event that takes `length`, in order and at random: `number` or more, twice as many where it is dense.
fn choose(random: &mut Random, length: u64, number: u64) -> Vec<u64> {
    let dense = length.saturating_sub(DENSE);
    [(0, dense), (dense, length)]
        .into_iter()
        .flat_map(|(begin, end)| {
            let stride = ((end - begin) / number).max(1);
            let first = begin + random.within(0..stride);
            (first..end).step_by(stride as usize)
        })
        .collect()
}

/// Kills an application at about `kills` instructions of an event, and behind its last one.
///
/// # Panics
/// An event before it is missing, or less is left of it than of one that was killed earlier.
#[track_caller]
pub fn kill(
    random: &mut Random,
    steps: Steps,
    lane: Lane,
    buffers: Buffers,
    kills: u64,
) -> (Totals, Stages) {
    let event = SteppedEvent {
        steps,
        before: lane.before(random),
        others: 0,
    };
    let length = event.length(lane, buffers);
    let mut chosen = choose(random, length, kills);
    chosen.push(length + 1);
    let (mut totals, mut stages) = (Totals::default(), Stages::default());
    for batch in chosen.chunks(BATCH) {
        let (more, found) = kill_all(event, lane, buffers, batch);
        totals.merge(&more);
        stages.0.extend(found);
    }
    // Not always: when the upper half of the clock changes just before it, an event takes a longer way.
    let stage = |at: &(u64, Stage)| at.1;
    let pairs = stages.0.windows(2);
    let descents = pairs
        .filter(|pair| stage(&pair[0]) > stage(&pair[1]))
        .count();
    assert!(
        descents <= 1 + stages.0.len() / 10,
        "{steps:?}, {lane:?}: less is left after more steps: {stages:?}"
    );
    (totals, stages)
}

fn kill_all(
    event: SteppedEvent,
    lane: Lane,
    buffers: Buffers,
    batch: &[u64],
) -> (Totals, Vec<(u64, Stage)>) {
    let place = Place::new();
    let daemon = daemon(&place, lane, buffers);
    let trace = daemon.trace.clone();
    let victims: Vec<_> = batch
        .iter()
        .map(|&step| {
            let account = Account::create(place.dir(), &format!("account{step}"));
            let stepped = event.run_at(&place, &daemon, lane, &account, Then::Kill(step));
            (step, account, stepped)
        })
        .collect();
    let (_, summary) = daemon.finish();
    let _ = lanes::check(&trace);
    let found = match summary.total.recorded {
        0 => Found::default(),
        _ => Found::read(&trace),
    };
    assert_eq!(found.events, summary.total.recorded);
    let mut totals = Totals::default();
    totals.add("kills", victims.len() as u64);
    totals.add("events checked", found.events);
    let stages = victims.iter().map(|(step, account, stepped)| {
        let stage = stage(event, account, *stepped, &summary, &found);
        totals.add("unfinished", u64::from(stage == Stage::Unfinished));
        (*step, stage)
    });
    let stages = stages.collect();
    (totals, stages)
}

/// What is left of the event of an application that was killed; all events before it must be there.
#[track_caller]
fn stage(
    event: SteppedEvent,
    account: &Account,
    stepped: Stepped,
    summary: &Summary,
    found: &Found,
) -> Stage {
    let [finished] = account.finished(1)[..] else {
        unreachable!("one line was asked for");
    };
    let line = found.line(stepped.pid, 0);
    assert!(line.is_contiguous() && line.first == 0, "{line:?}");
    let (full, unfinished) = match &summary.shared {
        None => {
            let mut process = summary.of(stepped.pid).clone();
            assert_eq!(line.events, process.counts.recorded);
            // Where there was no room the newest are lost, and counted.
            let full = std::mem::take(&mut process.counts.lost.full);
            (full, unfinished_only(&process))
        }
        Some(shared) => {
            let process = shared.of(stepped.pid);
            assert_eq!(process.problems, [""; 0]);
            assert_eq!(shared.counts.lost.full, 0, "{shared:#?}");
            (0, process.unfinished)
        }
    };
    let complete = line.events + full;
    assert!(complete >= finished, "{finished} finished: {summary:#?}");
    assert!(complete + unfinished <= event.before + 1, "{summary:#?}");
    match (complete - event.before, unfinished) {
        (0, 0) => Stage::Nothing,
        (0, 1) => Stage::Unfinished,
        (1, 0) => Stage::Complete,
        other => panic!("{other:?} of {event:?}: {summary:#?}"),
    }
}

/// Sends a signal at about `signals` instructions of an event; its handler emits one, too.
///
/// # Panics
/// One of them is missing, or there twice, or the program does not get on.
#[track_caller]
pub fn signal(random: &mut Random, steps: Steps, lane: Lane, signals: u64) -> Totals {
    let event = SteppedEvent {
        steps,
        before: lane.before(random),
        others: 0,
    };
    let chosen = choose(random, event.length(lane, Buffers::PerProcess), signals);
    let mut totals = Totals::default();
    for batch in chosen.chunks(BATCH) {
        let place = Place::new();
        let daemon = daemon(&place, lane, Buffers::PerProcess);
        let trace = daemon.trace.clone();
        let account = Account::create(place.dir(), "account");
        let then = |&step: &u64| Then::Signal(step, Signal::USR1);
        let stepped: Vec<_> = batch
            .iter()
            .map(|step| event.run_at(&place, &daemon, lane, &account, then(step)))
            .collect();
        let (_, summary) = daemon.finish();
        let _ = lanes::check(&trace);
        let found = Found::read(&trace);
        for stepped in &stepped {
            let process = summary.of(stepped.pid);
            assert_eq!(process.problems, [""; 0]);
            let (lost, emitted) = (process.counts.lost, process.counts.emitted);
            assert_eq!(emitted, event.before + 2, "{process:#?}");
            assert_eq!(lost.total(), lost.full, "{process:#?}");
            if lane != Lane::Full {
                let lines = [0, 1].map(|line| found.line(stepped.pid, line).events);
                assert_eq!(lines, [event.before + 1, 1], "{process:#?}");
            }
        }
        assert_eq!(found.events, summary.total.recorded);
        totals.add("signals", stepped.len() as u64);
        totals.add("events checked", found.events);
    }
    totals
}

/// Where the lane shall be full nobody waits for room; else everybody does, for the events before to be all there.
fn daemon(place: &Place, lane: Lane, buffers: Buffers) -> Daemon {
    let mode = match lane {
        Lane::Full => "--mode=discard",
        _ => "--mode=block",
    };
    let size = format!("--sub-buffer-size={SUB_BUFFER}");
    let number = format!("--sub-buffers={SUB_BUFFERS}");
    let options = [
        mode,
        "--block-timeout=60s",
        buffers.option(),
        &size,
        &number,
    ];
    place.daemon("trace", &options)
}

impl SteppedEvent {
    /// How many steps it takes.
    #[track_caller]
    fn length(self, lane: Lane, buffers: Buffers) -> u64 {
        let place = Place::new();
        let daemon = daemon(&place, lane, buffers);
        let account = Account::create(place.dir(), "account");
        let stepped = self.run_at(&place, &daemon, lane, &account, Then::Count);
        let _ = daemon.finish();
        stepped.steps
    }

    #[track_caller]
    fn run_at(
        self,
        place: &Place,
        daemon: &Daemon,
        lane: Lane,
        account: &Account,
        then: Then,
    ) -> Stepped {
        let stopped = lane == Lane::Full;
        if stopped {
            daemon.running.signal(Signal::STOP);
        }
        let stepped = self.run(place, account, then);
        if stopped {
            daemon.running.signal(Signal::CONT);
        }
        stepped
    }
}
