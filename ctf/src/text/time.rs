//! Times as text: of the day, since an origin, or as the clock counts.

use super::line::Line;
use super::number::{padded, signed, unsigned};
use crate::model::ClockClass;

const NS_PER_S: i64 = 1_000_000_000;

/// How times are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockFormat {
    /// `08:40:03.025783637`
    #[default]
    Time,
    /// `2026-11-20 08:40:03.025783637`
    Date,
    /// `1795164003.025783637`
    Seconds,
    /// `00000000000000004711`: what the clock counts.
    Cycles,
}

/// Where times of the day are those of.
#[derive(Clone, Copy, Debug, Default)]
pub enum Zone {
    /// Greenwich.
    #[default]
    Utc,
    /// A place whose distance from there, in seconds, at a second since 1970 this function tells.
    Offset(fn(i64) -> i32),
}

/// Writes times; remembers the last second, as the next event is most likely in it too.
pub(crate) struct TimeWriter {
    format: ClockFormat,
    zone: Zone,
    second: i64,
    shown: Vec<u8>,
}

/// What is to be known of a line's head to put the fractions into it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    second_ns: i64,
    time_at: usize,
    delta_at: usize,
}

impl Head {
    /// The head of no line.
    pub(super) const NONE: Head = Head {
        second_ns: i64::MIN,
        time_at: 0,
        delta_at: 0,
    };

    /// The fraction of a time that is in the same second.
    #[inline(always)]
    pub(super) fn fraction(&self, ns: i64) -> Option<u32> {
        let fraction = ns.wrapping_sub(self.second_ns) as u64;
        (fraction < NS_PER_S as u64).then_some(fraction as u32)
    }

    /// Puts the fractions of time and delta into the head that begins at `from`.
    #[inline(always)]
    pub(super) fn put(&self, line: &mut Line, from: usize, fraction: u32, delta: u32) {
        line.nine_digits(from + self.time_at, fraction);
        line.nine_digits(from + self.delta_at, delta);
    }
}

impl TimeWriter {
    pub(crate) fn new(format: ClockFormat, zone: Zone) -> Self {
        TimeWriter {
            format,
            zone,
            second: i64::MIN,
            shown: Vec::new(),
        }
    }

    /// Appends a time.
    #[inline]
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, ns: i64) {
        // A time before 1970 has no time of the day that babeltrace would show.
        if self.format == ClockFormat::Seconds || ns < 0 {
            return seconds(out, ns);
        }
        let second = ns / NS_PER_S;
        if second != self.second {
            self.show_second(second);
        }
        out.extend_from_slice(&self.shown);
        padded::<9>(out, (ns % NS_PER_S) as u64);
    }

    /// Makes the head of all lines of the second that `ns` is in: `[08:40:03.000000000] (+0.000000000) `. Says when the
    /// second begins, and where the fractions are.
    pub(super) fn head(&mut self, out: &mut Vec<u8>, ns: i64) -> Head {
        let second = ns.div_euclid(NS_PER_S);
        if second != self.second {
            self.show_second(second);
        }
        const FRACTION: &[u8; 9] = b"000000000";
        out.push(b'[');
        out.extend_from_slice(&self.shown);
        let time_at = out.len();
        out.extend_from_slice(FRACTION);
        out.extend_from_slice(b"] (+0.");
        let delta_at = out.len();
        out.extend_from_slice(FRACTION);
        out.extend_from_slice(b") ");
        Head {
            second_ns: second * NS_PER_S,
            time_at,
            delta_at,
        }
    }

    #[cold]
    fn show_second(&mut self, second: i64) {
        self.second = second;
        let offset = match self.zone {
            Zone::Utc => 0,
            Zone::Offset(offset) => i64::from(offset(second)),
        };
        let local = second + offset;
        let out = &mut self.shown;
        out.clear();
        if self.format == ClockFormat::Date {
            let (year, month, day) = civil(local.div_euclid(86_400));
            signed(out, year);
            out.push(b'-');
            padded::<2>(out, month);
            out.push(b'-');
            padded::<2>(out, day);
            out.push(b' ');
        }
        let of_day = local.rem_euclid(86_400) as u64;
        padded::<2>(out, of_day / 3600);
        out.push(b':');
        padded::<2>(out, of_day / 60 % 60);
        out.push(b':');
        padded::<2>(out, of_day % 60);
        out.push(b'.');
    }
}

/// Appends seconds and nanoseconds.
pub(crate) fn seconds(out: &mut Vec<u8>, ns: i64) {
    if ns < 0 {
        out.push(b'-');
    }
    let ns = ns.unsigned_abs();
    unsigned(out, ns / NS_PER_S as u64);
    out.push(b'.');
    padded::<9>(out, ns % NS_PER_S as u64);
}

/// Year, month and day of a day since 1970-01-01. Reference: Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`.
fn civil(days: i64) -> (i64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153; // from March
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (
        year_of_era + era * 400 + i64::from(month <= 2),
        month as u64,
        day as u64,
    )
}

/// The time that babeltrace 2 computes for a reading of a clock: in floating point, unless the clock counts
/// nanoseconds. Exact times are [`ClockClass::ns_from_origin`]'s; these differ by a nanosecond now and then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BabeltraceTiming {
    offset_ns: i64,
    /// `None` for a clock that counts nanoseconds.
    frequency: Option<f64>,
}

impl BabeltraceTiming {
    pub(crate) fn new(clock: &ClockClass) -> Option<Self> {
        let frequency = i64::try_from(clock.frequency).unwrap_or(i64::MAX).max(1);
        // babeltrace moves whole seconds out of the offset in cycles first.
        let whole = clock.offset_cycles.div_euclid(frequency);
        let seconds = clock.offset_seconds.checked_add(whole)?;
        let cycles = clock.offset_cycles.rem_euclid(frequency) as u64;
        let timing = BabeltraceTiming {
            offset_ns: seconds.checked_mul(NS_PER_S)?,
            frequency: (clock.frequency != NS_PER_S as u64).then_some(clock.frequency as f64),
        };
        let offset_ns = timing.ns(cycles)?;
        Some(BabeltraceTiming {
            offset_ns,
            ..timing
        })
    }

    #[inline(always)]
    pub(crate) fn ns(self, cycles: u64) -> Option<i64> {
        let ns = match (self.frequency, i64::try_from(cycles)) {
            (None, cycles) => cycles.ok()?,
            // Signed numbers become floating point ones by one instruction, unsigned ones by ten.
            (Some(frequency), Ok(cycles)) => fitting((1e9 * cycles as f64) / frequency)?,
            (Some(frequency), Err(_)) => fitting((1e9 * cycles as f64) / frequency)?,
        };
        self.offset_ns.checked_add(ns)
    }
}

/// A number that is not negative as an integer; `None` if it does not fit.
#[inline(always)]
fn fitting(ns: f64) -> Option<i64> {
    const LIMIT: f64 = (1u64 << 63) as f64;
    (ns < LIMIT).then_some(ns as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(format: ClockFormat, zone: Zone, ns: i64) -> String {
        let mut out = Vec::new();
        TimeWriter::new(format, zone).write(&mut out, ns);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_shown_in_every_format() {
        let ns = 1_795_164_003_025_783_637;
        assert_eq!(
            shown(ClockFormat::Time, Zone::Utc, ns),
            "08:40:03.025783637"
        );
        assert_eq!(
            shown(ClockFormat::Date, Zone::Utc, ns),
            "2026-11-20 08:40:03.025783637"
        );
        assert_eq!(
            shown(ClockFormat::Seconds, Zone::Utc, ns),
            "1795164003.025783637"
        );
        assert_eq!(shown(ClockFormat::Seconds, Zone::Utc, -1), "-0.000000001");
        let zone = Zone::Offset(|_| -9 * 3600);
        assert_eq!(
            shown(ClockFormat::Date, zone, ns),
            "2026-11-19 23:40:03.025783637"
        );
    }

    #[test]
    fn days_become_dates_across_leap_years_and_centuries() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(11_017), (2000, 3, 1));
        assert_eq!(civil(47_540), (2100, 2, 28));
        assert_eq!(civil(47_541), (2100, 3, 1));
        assert_eq!(civil(-1), (1969, 12, 31));
    }
}
