//! When a process has fallen silent, and the memory of its ring could be of use to somebody else.
//!
//! ```text
//!   events      ■ ■■ ■
//!   flushes   │   │   │   │   │   │
//!                         ▲   ▲
//!                    nothing  and still nothing: idle, told once
//! ```

/// Flush periods without an event after which a process is idle.
const SILENT_PERIODS: u32 = 2;

/// Looks at what was recorded at each flush.
#[derive(Debug, Default)]
pub(super) struct Silence {
    recorded: u64,
    periods: u32,
    told: bool,
}

impl Silence {
    /// So much is recorded until now; says, once for each silence, that the process is idle.
    pub(super) fn look(&mut self, recorded: u64) -> bool {
        if recorded != self.recorded {
            *self = Silence {
                recorded,
                periods: 0,
                told: false,
            };
            return false;
        }
        self.periods += 1;
        let idle = self.periods >= SILENT_PERIODS && recorded > 0;
        idle && !std::mem::replace(&mut self.told, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_told_once_and_again_after_the_next_event() {
        let mut silence = Silence::default();
        let told: Vec<_> = [0, 0, 0, 5, 5, 5, 5, 6, 6, 6, 6]
            .map(|recorded| silence.look(recorded))
            .into();
        let at: Vec<_> = (0..told.len()).filter(|&i| told[i]).collect();
        assert_eq!(at, [5, 9], "never before the first event");
    }
}
