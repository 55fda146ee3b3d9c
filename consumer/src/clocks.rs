//! The clocks of a session, and how fast they run.
//!
//! A clock is described once per session, so that readers can put the events of all its traces in one order. Its identity
//! is that of the machine since it was started: the same for whoever records there, and for a session that is resumed.
//!
//! ```text
//!   1970-01-01 ──── offset ────▶ reading 0 ──── ticks / frequency ────▶ an event
//! ```
//!
//! Nobody says how fast a time stamp counter runs; it is measured against real time, and the longer the better. But
//! lanes fill in milliseconds, and what is drained needs metadata beside it. So traces begin with a measurement that
//! is good to some parts in a hundred thousand, and their metadata is written again once the clock is *settled*:
//!
//! ```text
//!   0         2 ms                   20 ms .. 1 s
//!   ├─ first ──┼─── traces begin ─────────┤ settled: by the first process that ends, or by time
//! ```
//!
//! Invariant: a settled clock never changes, so in the end all traces of a session agree.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use laneway_control::ClockKind;
use laneway_ctf::model::{ClockClass, Uuid};
use laneway_ringbuf::clock::{self, Calibration};

use crate::Error;
use crate::host::{boot_id, random_uuid};

/// How long the first measurement takes.
const FIRST: Duration = Duration::from_millis(2);

/// The shortest measurement to settle for: good to about a part in a hundred thousand.
const SHORTEST: Duration = Duration::from_millis(20);

/// The longest measurement worth waiting for: good to less than a part in a million.
const LONGEST: Duration = Duration::from_secs(1);

/// A clock as a trace describes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TraceClock {
    pub(crate) class: ClockClass,
    /// Whether this will remain so.
    pub(crate) settled: bool,
    since: Instant,
}

/// All clocks that the applications of a session use.
#[derive(Debug, Default)]
pub(crate) struct Clocks(Mutex<BTreeMap<ClockKind, Measured>>);

#[derive(Debug)]
struct Measured {
    calibration: Calibration,
    uuid: Uuid,
    since: Instant,
    settled: bool,
}

impl Clocks {
    /// The clock as it is known now. The first look at a time stamp counter takes a few milliseconds.
    pub(crate) fn look(&self, kind: ClockKind) -> Result<TraceClock, Error> {
        self.with(kind, |clock| clock.settle_after(LONGEST))
    }

    /// The settled clock, after some milliseconds if need be.
    pub(crate) fn settle(&self, kind: ClockKind) -> Result<ClockClass, Error> {
        let known = self.look(kind)?;
        if known.settled {
            return Ok(known.class);
        }
        // Nobody else is to wait for this.
        thread::sleep(SHORTEST.saturating_sub(known.since.elapsed()));
        let clock = self.with(kind, |clock| clock.settle_after(SHORTEST))?;
        Ok(clock.class)
    }

    fn with(&self, kind: ClockKind, f: impl FnOnce(&mut Measured)) -> Result<TraceClock, Error> {
        let mut clocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let clock = match clocks.entry(kind) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Measured::first(kind)?),
        };
        if !clock.settled {
            f(clock);
        }
        Ok(TraceClock {
            class: clock.class(kind),
            settled: clock.settled,
            since: clock.since,
        })
    }
}

impl Measured {
    fn first(kind: ClockKind) -> Result<Measured, Error> {
        let since = Instant::now();
        Ok(Measured {
            calibration: Calibration::measure(ring_clock(kind), FIRST),
            uuid: identity(kind)?,
            since,
            settled: kind == ClockKind::Monotonic,
        })
    }

    fn settle_after(&mut self, time: Duration) {
        if self.since.elapsed() >= time {
            self.calibration = self.calibration.refine();
            self.settled = true;
        }
    }

    fn class(&self, kind: ClockKind) -> ClockClass {
        let name = ring_clock(kind).name();
        let mut class = ClockClass::new(name, self.calibration.frequency_hz);
        class.uuid = Some(self.uuid);
        class.description = Some(
            match kind {
                ClockKind::Tsc => "x86 time stamp counter",
                ClockKind::Monotonic => "CLOCK_MONOTONIC",
            }
            .to_owned(),
        );
        class.set_offset_ns(self.calibration.offset_ns());
        class
    }
}

/// The machine's boot id is that of its monotonic clock, as LTTng has it; other clocks are named after it.
fn identity(kind: ClockKind) -> Result<Uuid, Error> {
    let boot = match boot_id() {
        Some(boot) => boot,
        None => random_uuid()?,
    };
    Ok(match kind {
        ClockKind::Monotonic => boot,
        ClockKind::Tsc => {
            let mut bytes = boot.0;
            bytes.iter_mut().for_each(|byte| *byte ^= 0x5c);
            Uuid::from_random(bytes)
        }
    })
}

/// The clock that applications choose when they may.
pub(crate) fn best_clock() -> ClockKind {
    match clock::ClockKind::best() {
        clock::ClockKind::Tsc => ClockKind::Tsc,
        clock::ClockKind::Monotonic => ClockKind::Monotonic,
    }
}

/// The clock of a hello, as the ring knows it.
pub(crate) fn ring_clock(kind: ClockKind) -> clock::ClockKind {
    match kind {
        ClockKind::Tsc => clock::ClockKind::Tsc,
        ClockKind::Monotonic => clock::ClockKind::Monotonic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settled_clock_does_not_change() {
        let clocks = Clocks::default();
        for kind in [best_clock(), ClockKind::Monotonic] {
            let first = clocks.look(kind).unwrap();
            let settled = clocks.settle(kind).unwrap();
            assert_eq!(first.class.uuid, settled.uuid);
            thread::sleep(Duration::from_millis(5));
            let again = clocks.look(kind).unwrap();
            assert!(again.settled);
            assert_eq!(again.class, settled);
        }
    }

    #[test]
    fn clocks_are_told_apart_and_known_again() {
        let look = |kind| Clocks::default().look(kind).unwrap().class.uuid;
        let tsc = identity(ClockKind::Tsc).unwrap();
        assert_eq!(tsc, identity(ClockKind::Tsc).unwrap());
        assert_ne!(Some(tsc), look(ClockKind::Monotonic));
        assert_eq!(look(ClockKind::Monotonic), boot_id());
    }

    #[test]
    fn the_first_measurement_is_close_to_the_settled_one() {
        let clocks = Clocks::default();
        let first = clocks.look(best_clock()).unwrap().class.frequency;
        let settled = clocks.settle(best_clock()).unwrap().frequency;
        let parts = first.abs_diff(settled) * 1_000 / settled;
        assert!(parts < 10, "{first} Hz became {settled} Hz");
    }
}
