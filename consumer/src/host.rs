//! The machine and its clocks, as a trace describes them.
//!
//! A clock is described once per session, with one identity, so that readers can put the events of all its traces
//! in one order:
//!
//! ```text
//!   1970-01-01 ──── offset ────▶ reading 0 ──── ticks / frequency ────▶ an event
//! ```

use std::time::Duration;

use laneway_control::ClockKind;
use laneway_ctf::model::{ClockClass, Uuid};
use laneway_ringbuf::clock::{self, Calibration};

use crate::Error;

/// How long the speed of the time stamp counter is measured: to about one part in a million.
const MEASURE: Duration = Duration::from_millis(100);

/// What is known about the machine.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// Its name.
    pub(crate) name: String,
}

impl Host {
    /// Asks the system.
    pub(crate) fn look() -> Host {
        let names = rustix::system::uname();
        Host {
            name: names.nodename().to_string_lossy().into_owned(),
        }
    }
}

/// Measures `kind` and gives it an identity. Takes a tenth of a second for the time stamp counter.
pub(crate) fn describe_clock(kind: ClockKind) -> Result<ClockClass, Error> {
    let measured = ring_clock(kind);
    let description = match kind {
        ClockKind::Tsc => "x86 time stamp counter",
        ClockKind::Monotonic => "CLOCK_MONOTONIC",
    };
    let calibration = Calibration::measure(measured, MEASURE);
    let mut class = ClockClass::new(measured.name(), calibration.frequency_hz);
    class.uuid = Some(random_uuid()?);
    class.description = Some(description.to_owned());
    class.set_offset_ns(calibration.offset_ns());
    Ok(class)
}

/// An identity that nobody else has.
pub(crate) fn random_uuid() -> Result<Uuid, Error> {
    let mut bytes = [0; 16];
    let flags = rustix::rand::GetRandomFlags::empty();
    rustix::rand::getrandom(&mut bytes, flags).map_err(Error::system("get random bytes"))?;
    Ok(Uuid::from_random(bytes))
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
