//! Every kind of death: what a test does to real processes, for as long as it is told.
//!
//! ```text
//!   system/*.rs     a few rounds of each, in seconds; LANEWAY_STRESS=n times as many
//!   bin/soak.rs     all of them in turns, for an hour
//! ```
//! A round does something terrible to traced programs or their consumer, and then holds what is in the traces against what
//! the programs have written down (`account.rs`). It panics if that is not as it must be, and else adds up what it did.

pub mod family;
pub mod hostile;
pub mod instants;
pub mod interrupt;
pub mod kill;
pub mod shared;
pub mod snapshot;
pub mod stopped;
pub mod storage;
pub mod takeover;

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::io::Write;

use crate::random::Random;
use crate::stepping::Steps;

/// Something to do in a soak: a round, a few seconds long.
pub type Round = fn(&mut Random) -> Totals;

/// All kinds of rounds, by name.
pub const KINDS: [(&str, Round); 15] = [
    ("kill", |random| kill::round(random, 20)),
    ("kill-at", |random| {
        let steps = *random.choose(&[Steps::Hidden, Steps::Hidden, Steps::Plain]);
        let lane = *random.choose(&instants::Lane::ALL);
        let buffers = *random.choose(&[Buffers::PerProcess, Buffers::Shared]);
        // In a shared buffer what is in a lane depends on who else was there.
        let lane = match buffers {
            Buffers::PerProcess => lane,
            Buffers::Shared => instants::Lane::Roomy,
        };
        instants::kill(random, steps, lane, buffers, 10).0
    }),
    ("signal-at", |random| {
        let steps = *random.choose(&[Steps::Hidden, Steps::Hidden, Steps::Plain]);
        let lane = *random.choose(&instants::Lane::ALL);
        instants::signal(random, steps, lane, 10)
    }),
    ("interrupt", |random| {
        let rseq = *random.choose(&[None, Some(("LANEWAY_RSEQ", "off"))]);
        interrupt::round(2000, rseq.as_slice())
    }),
    ("family", |random| {
        let (way, who) = (
            random.choose(&family::WAYS),
            random.choose(&["main", "thread"]),
        );
        family::round(way, who, 10)
    }),
    ("hostile", |random| hostile::round(random, 2, 1.0)),
    ("storage", |random| {
        let failure = *random.choose(&storage::FAILURES);
        storage::round(random, failure, 5)
    }),
    ("stopped", |random| {
        let mode = *random.choose(&["discard", "block", "overwrite"]);
        stopped::round(random, mode)
    }),
    ("snapshot", |random| {
        let buffers = *random.choose(&[Buffers::PerProcess, Buffers::Shared]);
        snapshot::round(random, buffers, 5)
    }),
    ("takeover", |random| takeover::round(random, 10)),
    ("shared-takeover", |random| {
        takeover::round_in_shared_buffer(random, 5)
    }),
    ("shared-burial", takeover::burial),
    ("shared", |random| shared::kill(random, 10)),
    ("shared-flow", |random| shared::flow(random).0),
    ("shared-hostile", |random| {
        hostile::round_in_shared_buffer(random, 1, 1.0)
    }),
];

/// Whose events a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffers {
    /// Each process has one of its own.
    PerProcess,
    /// All processes write into one.
    Shared,
}

impl Buffers {
    /// As the command wants to be told.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Buffers::PerProcess => "--buffers=process",
            Buffers::Shared => "--buffers=shared",
        }
    }
}

/// What was done, and how much was looked at: numbers by name.
#[derive(Clone, Debug, Default)]
pub struct Totals(BTreeMap<&'static str, u64>);

impl Totals {
    /// Adds to one of them.
    pub fn add(&mut self, name: &'static str, number: u64) {
        *self.0.entry(name).or_default() += number;
    }

    /// One of them.
    #[must_use]
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Adds another one's.
    pub fn merge(&mut self, other: &Totals) {
        for (name, number) in &other.0 {
            self.add(name, *number);
        }
    }

    /// Says them on standard error, not by `eprintln!`, which the test runner keeps to itself.
    pub fn tell(&self, what: &str) {
        let _ = writeln!(std::io::stderr(), "{what}: {self}");
    }
}

impl Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, number)) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{number} {name}")?;
        }
        Ok(())
    }
}
