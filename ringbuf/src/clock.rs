//! The trace clock.
//!
//! On x86-64 it is the time stamp counter where the kernel itself trusts it: the
//! counter is invariant, and the kernel's current clocksource. Elsewhere it is
//! `CLOCK_MONOTONIC`. The consumer chooses, once, and tells the producers; the trace
//! names the clock, its frequency and its distance from real time.
//!
//! Invariant: all readings of one session are of one clock, in its ticks.

use std::time::Duration;

/// Which clock a trace is written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ClockKind {
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    Monotonic = 0,
    /// The x86-64 time stamp counter, in its ticks.
    Tsc = 1,
}

impl ClockKind {
    /// The best clock of this machine.
    pub fn best() -> Self {
        match tsc_is_usable() {
            true => ClockKind::Tsc,
            false => ClockKind::Monotonic,
        }
    }

    /// The clock's name in a trace.
    pub fn name(self) -> &'static str {
        match self {
            ClockKind::Monotonic => "monotonic",
            ClockKind::Tsc => "tsc",
        }
    }

    pub(crate) fn from_code(code: u8) -> Self {
        match code {
            1 => ClockKind::Tsc,
            _ => ClockKind::Monotonic,
        }
    }
}

/// The clock, now.
#[inline(always)]
pub fn now(kind: ClockKind) -> u64 {
    match kind {
        ClockKind::Tsc => tsc(),
        ClockKind::Monotonic => nanoseconds(libc::CLOCK_MONOTONIC),
    }
}

/// The clock, read after every load that stands before it in the program.
///
/// Reading the time stamp counter is not ordered with loads (Intel SDM, RDTSC);
/// behind an `lfence` it is.
pub(crate) fn now_ordered(kind: ClockKind) -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2, which has the instruction, is part of x86-64.
    unsafe {
        core::arch::x86_64::_mm_lfence();
    }
    now(kind)
}

/// How ticks become real time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// Which clock was measured.
    pub kind: ClockKind,
    /// Ticks per second.
    pub frequency_hz: u64,
    /// A reading of the clock, in ticks,
    pub ticks: u64,
    /// and the real time at that moment, in nanoseconds since 1970-01-01 UTC.
    pub real_ns: u64,
}

impl Calibration {
    /// Reads both clocks and measures how fast `kind` ticks, which takes `time` for
    /// the time stamp counter and none for the other. An error of the measurement is
    /// below a microsecond divided by `time`.
    pub fn measure(kind: ClockKind, time: Duration) -> Self {
        let first = Pair::read(kind);
        let frequency_hz = match kind {
            ClockKind::Monotonic => 1_000_000_000,
            ClockKind::Tsc => {
                std::thread::sleep(time);
                first.frequency_until(&Pair::read(kind))
            }
        };
        Calibration {
            kind,
            frequency_hz,
            ticks: first.ticks,
            real_ns: first.real_ns,
        }
    }

    /// The same beginning, with the frequency measured again over all the time since.
    pub fn refine(&self) -> Self {
        if self.kind == ClockKind::Monotonic {
            return *self;
        }
        let first = Pair {
            ticks: self.ticks,
            real_ns: self.real_ns,
        };
        let frequency_hz = first.frequency_until(&Pair::read(self.kind));
        // Real time may have been set meanwhile; the counter's speed has not changed.
        let drift = frequency_hz.abs_diff(self.frequency_hz);
        match drift < self.frequency_hz / 1000 {
            true => Calibration {
                frequency_hz,
                ..*self
            },
            false => *self,
        }
    }

    /// Nanoseconds between 1970-01-01 UTC and tick 0; negative if tick 0 was earlier.
    pub fn offset_ns(&self) -> i128 {
        let since = u128::from(self.ticks) * 1_000_000_000 / u128::from(self.frequency_hz.max(1));
        i128::from(self.real_ns) - since as i128
    }
}

/// The trace clock and the real time at the same moment.
struct Pair {
    ticks: u64,
    real_ns: u64,
}

impl Pair {
    /// The best of a few tries: the one least likely to have been interrupted between
    /// the two readings.
    fn read(kind: ClockKind) -> Self {
        let attempt = || {
            let before = now_ordered(kind);
            let real_ns = nanoseconds(libc::CLOCK_REALTIME);
            let after = now_ordered(kind);
            (
                after.wrapping_sub(before),
                Pair {
                    ticks: before + (after - before) / 2,
                    real_ns,
                },
            )
        };
        let best = (0..10).map(|_| attempt()).min_by_key(|(width, _)| *width);
        best.map(|(_, pair)| pair).expect("ten attempts")
    }

    fn frequency_until(&self, later: &Pair) -> u64 {
        let ticks = u128::from(later.ticks.saturating_sub(self.ticks));
        let ns = u128::from(later.real_ns.saturating_sub(self.real_ns)).max(1);
        (ticks * 1_000_000_000 / ns).max(1) as u64
    }
}

fn nanoseconds(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes one timespec; the two clocks exist on every Linux.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn tsc() -> u64 {
    // SAFETY: user space may read the counter: `ClockKind::best` asked for it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn tsc() -> u64 {
    nanoseconds(libc::CLOCK_MONOTONIC)
}

/// The counter ticks at one speed in every power state, and the kernel uses it, which
/// it stops doing when it finds the CPUs' counters apart.
#[cfg(target_arch = "x86_64")]
fn tsc_is_usable() -> bool {
    let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let highest = core::arch::x86_64::__cpuid(0x8000_0000).eax;
    let invariant =
        highest >= 0x8000_0007 && core::arch::x86_64::__cpuid(0x8000_0007).edx & 1 << 8 != 0;
    invariant && std::fs::read_to_string(source).is_ok_and(|name| name.trim() == "tsc")
}

#[cfg(not(target_arch = "x86_64"))]
fn tsc_is_usable() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_the_real_time_they_were_read_at() {
        let calibration = Calibration::measure(ClockKind::best(), Duration::from_millis(20));
        let ticks = now(calibration.kind);
        let real_ns = i128::from(nanoseconds(libc::CLOCK_REALTIME));
        let computed = i128::from(ticks) * 1_000_000_000 / i128::from(calibration.frequency_hz)
            + calibration.offset_ns();
        let error = (computed - real_ns).abs();
        assert!(error < 5_000_000, "{error} ns apart");
    }

    #[test]
    fn a_second_measurement_agrees_with_the_first() {
        let first = Calibration::measure(ClockKind::best(), Duration::from_millis(20));
        let second = first.refine();
        assert!(first.frequency_hz.abs_diff(second.frequency_hz) <= first.frequency_hz / 1000);
        assert_eq!(first.ticks, second.ticks);
    }
}
