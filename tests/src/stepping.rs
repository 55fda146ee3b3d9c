//! A program that is stepped through, instruction by instruction: see `src/bin/stepper.rs`.

use std::time::Duration;

use rustix::process::Signal;

use crate::account::Account;
use crate::process::Output;
use crate::{Place, Running, program};

/// How the stepper deals with restartable sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steps {
    /// So that the kernel does not see that there is one: each of their instructions is reached.
    Hidden,
    /// So that it aborts them all: the event goes the way of those who have none.
    Plain,
}

/// What happens after so many steps.
#[derive(Clone, Copy, Debug)]
pub enum Then {
    /// Nothing, and there are as many steps as it takes.
    Count,
    /// The program is killed.
    Kill(u64),
    /// Its thread stands still for so long, and then goes on.
    Hold(u64, Duration),
    /// It is sent a signal, and goes on.
    Signal(u64, Signal),
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Stepped {
    /// The program's process id.
    pub pid: u32,
    /// How many steps were made.
    pub steps: u64,
    /// Whether it was through with its event before that.
    pub over: bool,
}

/// A program that emits one event in steps, after others at full speed: see `src/bin/stepped_event.rs`.
#[derive(Clone, Copy, Debug)]
pub struct SteppedEvent {
    /// How it is stepped.
    pub steps: Steps,
    /// The number of events before.
    pub before: u64,
    /// The number of threads that emit meanwhile.
    pub others: usize,
}

impl SteppedEvent {
    /// Starts it, for the consumer of that place.
    #[track_caller]
    #[must_use]
    pub fn start(self, place: &Place, account: &Account, then: Then) -> Running {
        let how = match self.steps {
            Steps::Hidden => "hidden",
            Steps::Plain => "plain",
        };
        let (what, steps) = match then {
            Then::Count => ("count".to_owned(), 0),
            Then::Kill(steps) => ("kill".to_owned(), steps),
            Then::Hold(steps, time) => (format!("hold={}", time.as_millis()), steps),
            Then::Signal(steps, signal) => (format!("signal={}", signal.as_raw()), steps),
        };
        let mut command = place.application("stepper");
        command
            .args([how, &what, &steps.to_string()])
            .arg(program("stepped_event"))
            .arg(account.path())
            .args([self.before.to_string(), self.others.to_string()]);
        Running::start(&mut command)
    }

    /// The same, to its end.
    #[track_caller]
    #[must_use]
    pub fn run(self, place: &Place, account: &Account, then: Then) -> Stepped {
        Stepped::of(&self.start(place, account, then).wait().succeeded())
    }
}

impl Stepped {
    /// What the stepper printed.
    #[track_caller]
    #[must_use]
    pub fn of(output: &Output) -> Stepped {
        Stepped {
            pid: output.number("pid").try_into().expect("a process id"),
            steps: output.number("steps"),
            over: output.number("over") == 1,
        }
    }
}
