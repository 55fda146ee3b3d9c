//! Clock classes: how a reading of a trace's clock becomes a time.
//!
//! ```text
//!  origin ──offset_s──▶──offset_cycles──▶ reading 0 ──cycles──▶ now
//! ```

use super::timing::Timing;
use super::{Attributes, Uuid};

const NS_PER_S: i128 = 1_000_000_000;

/// A clock whose readings are the timestamps of events.
#[derive(Clone, Debug, PartialEq)]
pub struct ClockClass {
    /// The name that stream classes refer to. CTF 2: its id within the metadata.
    pub name: String,
    /// TSDL: the identity of the clock.
    pub uuid: Option<Uuid>,
    /// CTF 2: the namespace of the clock's identity.
    pub namespace: Option<String>,
    /// CTF 2: the clock's name within the namespace (TSDL has [`name`](Self::name) alone).
    pub public_name: Option<String>,
    /// CTF 2: the unique id of the clock.
    pub uid: Option<String>,
    /// What it is, in words.
    pub description: Option<String>,
    /// Cycles per second.
    pub frequency: u64,
    /// How many cycles a reading may be wrong by.
    pub precision: Option<u64>,
    /// CTF 2: how many cycles the offset may be wrong by.
    pub accuracy: Option<u64>,
    /// Seconds from the origin to reading 0.
    pub offset_seconds: i64,
    /// Cycles from there to reading 0.
    pub offset_cycles: i64,
    /// What the offset counts from.
    pub origin: ClockOrigin,
    /// TSDL: whether times of different traces with this origin can be compared.
    pub absolute: bool,
    /// CTF 2: user attributes.
    pub attributes: Attributes,
}

/// What the offset of a clock counts from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClockOrigin {
    /// 1970-01-01 00:00:00 UTC.
    #[default]
    UnixEpoch,
    /// Not known.
    Unknown,
    /// CTF 2: one that the producer defined.
    Custom {
        /// The namespace of its name.
        namespace: Option<String>,
        /// Its name.
        name: String,
        /// Its unique id within namespace and name.
        uid: String,
    },
}

impl ClockClass {
    /// A clock of this name and frequency that counts from the Unix epoch.
    #[must_use]
    pub fn new(name: impl Into<String>, frequency: u64) -> Self {
        ClockClass {
            name: name.into(),
            uuid: None,
            namespace: None,
            public_name: None,
            uid: None,
            description: None,
            frequency,
            precision: None,
            accuracy: None,
            offset_seconds: 0,
            offset_cycles: 0,
            origin: ClockOrigin::UnixEpoch,
            absolute: false,
            attributes: None,
        }
    }

    /// Makes reading 0 the instant `offset_ns` nanoseconds after the origin, exact to one cycle.
    pub fn set_offset_ns(&mut self, offset_ns: i128) {
        let seconds = offset_ns.div_euclid(NS_PER_S);
        let rest = offset_ns.rem_euclid(NS_PER_S);
        self.offset_seconds = seconds as i64;
        self.offset_cycles = (rest * i128::from(self.frequency) / NS_PER_S) as i64;
    }

    /// What it takes to turn many readings into times.
    pub(crate) fn timing(&self) -> Option<Timing> {
        Timing::new(self.offset_ns()?, self.frequency)
    }

    /// Nanoseconds from the origin to the instant when the clock read `cycles`, rounded down; `None` if that does
    /// not fit (about 292 years) or the frequency is 0.
    #[must_use]
    pub fn ns_from_origin(&self, cycles: u64) -> Option<i64> {
        self.timing()?.ns(cycles)
    }

    /// Nanoseconds from the origin to reading 0.
    #[must_use]
    pub fn offset_ns(&self) -> Option<i64> {
        if self.frequency == 0 {
            return None;
        }
        let cycles = i128::from(self.offset_cycles) * NS_PER_S;
        let ns = cycles.div_euclid(i128::from(self.frequency));
        i64::try_from(i128::from(self.offset_seconds) * NS_PER_S + ns).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_becomes_nanoseconds_since_the_origin() {
        let mut clock = ClockClass::new("tsc", 2_500_000_000);
        clock.offset_seconds = 10;
        clock.offset_cycles = 25;
        assert_eq!(clock.ns_from_origin(5), Some(10_000_000_012));
        assert_eq!(clock.ns_from_origin(2_500_000_000), Some(11_000_000_010));
    }

    #[test]
    fn an_offset_in_nanoseconds_is_kept_to_the_cycle() {
        let mut clock = ClockClass::new("tsc", 3_000_000_000);
        for ns in [1_795_160_882_543_279_234i128, -1, 0, -2_000_000_001] {
            clock.set_offset_ns(ns);
            assert_eq!(clock.offset_ns().map(i128::from), Some(ns), "{ns}");
        }
    }

    #[test]
    fn fast_clocks_do_not_overflow_the_conversion() {
        let clock = ClockClass::new("fast", u64::MAX);
        assert_eq!(clock.ns_from_origin(u64::MAX), Some(1_000_000_000));
        assert_eq!(clock.ns_from_origin(u64::MAX / 2), Some(499_999_999));
        let slow = ClockClass::new("slow", 1);
        assert_eq!(slow.ns_from_origin(u64::MAX), None);
    }

    #[test]
    fn a_clock_of_frequency_zero_tells_no_time() {
        assert_eq!(ClockClass::new("stopped", 0).ns_from_origin(1), None);
    }
}
