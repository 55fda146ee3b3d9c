//! What was recorded, and what was lost and why: for people and, as JSON, for programs.
//!
//! ```text
//!   emitted ─┬─ recorded                     in the trace
//!            └─ lost ─┬─ full, timed_out     no room in the lane
//!                     ├─ too_large           larger than a record can be
//!                     ├─ unfinished          its thread died in the middle of it
//!                     ├─ storage             in the lane, but the disk did not take it
//!                     ├─ before_attach       hit while its process waited for the shared ring
//!                     └─ overwritten         made room for newer ones, in a flight recorder
//! ```
//!
//! Invariant: `emitted == recorded + lost.total()`, for each lane, each process and the whole.

use std::ops::AddAssign;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use laneway_control::{Hello, Rseq};
use laneway_ringbuf::LaneReader;
use rustix::fs::fstat;
use serde::{Deserialize, Serialize};

use crate::clocks::ring_clock;

/// Processes and snapshots that are listed one by one; of any more only the totals are kept.
const MAX_LISTED: usize = 4096;

/// Reasons for refusal that are told apart.
const MAX_REASONS: usize = 64;

/// The outcome of a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// The session's directory.
    pub directory: PathBuf,
    /// From the beginning of the session until it was told to finish, in seconds.
    pub duration_s: f64,
    /// All processes together.
    pub total: Counts,
    /// The processes in the order in which they ended.
    pub processes: Vec<ProcessSummary>,
    /// Processes that are counted in `total` but are too many to be listed.
    pub processes_not_listed: u64,
    /// The ring that all processes shared, if they did; then they are listed there.
    pub shared: Option<SharedSummary>,
    /// The snapshots that were taken on the way, in the order in which they were complete. Their events are not in `total`.
    pub snapshots: Vec<SnapshotSummary>,
    /// Snapshots that are too many to be listed.
    pub snapshots_not_listed: u64,
    /// Why some who connected were not recorded, and how often each was the reason.
    pub refused: Vec<Refusal>,
}

/// The outcome of the ring that all processes shared.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SharedSummary {
    /// The directory of its trace.
    pub trace: PathBuf,
    /// Whether an earlier consumer, which died, began it.
    pub resumed: bool,
    /// The clock of its records: `tsc` or `monotonic`.
    pub clock: &'static str,
    /// How many kinds of event all processes together could emit.
    pub event_kinds: usize,
    /// The most memory that the ring was seen to take.
    pub memory_bytes: u64,
    /// What was emitted.
    pub counts: Counts,
    /// The same for each lane that was used.
    pub lanes: Vec<LaneSummary>,
    /// Who wrote into it, in the order in which they left.
    pub processes: Vec<SharedProcess>,
    /// Processes that are too many to be listed.
    pub processes_not_listed: u64,
    /// What went wrong, in sentences.
    pub problems: Vec<String>,
}

/// A process that wrote into the shared ring.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SharedProcess {
    /// Its process id.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// The path of its executable.
    pub exe: String,
    /// Why its lanes are the slow ones, if they are.
    pub rseq_off: Option<String>,
    /// How many kinds of event it could emit.
    pub event_kinds: usize,
    /// Events that it had begun when it died, and nobody finished. They are in the counts of the ring.
    pub unfinished: u64,
    /// What went wrong, in sentences.
    pub problems: Vec<String>,
}

impl SharedSummary {
    pub(crate) fn add(&mut self, process: SharedProcess) {
        if self.processes.len() < MAX_LISTED {
            self.processes.push(process);
        } else {
            self.processes_not_listed += 1;
        }
    }
}

/// What was in memory when somebody asked for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SnapshotSummary {
    /// Its number, from 1.
    pub number: u64,
    /// The directory of its traces; not there if no process was.
    pub directory: PathBuf,
    /// How many processes are in it.
    pub processes: u64,
    /// What they had emitted until then; `recorded` is what is in the snapshot.
    pub counts: Counts,
    /// What went wrong, in sentences.
    pub problems: Vec<String>,
}

/// A reason for which somebody was not recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Refusal {
    /// The reason, a sentence.
    pub reason: String,
    /// How often.
    pub times: u64,
}

/// The outcome of one process.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ProcessSummary {
    /// Its process id.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// The path of its executable.
    pub exe: String,
    /// The directory of its trace.
    pub trace: PathBuf,
    /// Whether an earlier consumer began the trace; the counts are those of all of it.
    pub resumed: bool,
    /// The clock of its records: `tsc` or `monotonic`.
    pub clock: &'static str,
    /// Why its lanes are the slow ones, if they are.
    pub rseq_off: Option<String>,
    /// Whether it let itself be blocked when it attached.
    pub allow_block: bool,
    /// How many kinds of event it can emit.
    pub event_kinds: usize,
    /// The most memory that its ring was seen to take.
    pub memory_bytes: u64,
    /// What it emitted.
    pub counts: Counts,
    /// The same for each lane that was used.
    pub lanes: Vec<LaneSummary>,
    /// What went wrong, in sentences.
    pub problems: Vec<String>,
}

impl ProcessSummary {
    /// Who it is, and nothing of what it did.
    pub(crate) fn of(hello: Hello) -> ProcessSummary {
        ProcessSummary {
            pid: hello.pid,
            name: hello.name,
            exe: hello.exe,
            trace: PathBuf::new(),
            resumed: false,
            clock: ring_clock(hello.clock).name(),
            rseq_off: match hello.rseq {
                Rseq::Active => None,
                Rseq::Off(reason) => Some(reason),
            },
            allow_block: hello.allow_block,
            event_kinds: 0,
            memory_bytes: 0,
            counts: Counts::default(),
            lanes: Vec::new(),
            problems: Vec::new(),
        }
    }
}

/// Bytes of memory behind a memory file.
pub(crate) fn memory_bytes(file: &OwnedFd) -> u64 {
    // In units of 512 bytes, whatever the file system's own are: stat(3type).
    fstat(file).map_or(0, |stat| stat.st_blocks.cast_unsigned() * 512)
}

/// The outcome of one lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LaneSummary {
    /// The CPU.
    pub cpu: u32,
    /// Whether it is an atomic lane.
    pub atomic: bool,
    /// What was emitted into it.
    pub counts: Counts,
}

impl LaneSummary {
    /// That of a lane with so many events, none of which could be written.
    pub(crate) fn unstored(lane: &LaneReader, lost: laneway_ringbuf::Lost, events: u64) -> Self {
        let mut counts = Counts {
            lost: Lost::of(lost, events),
            ..Counts::default()
        };
        counts.settle();
        LaneSummary {
            cpu: lane.cpu(),
            atomic: lane.is_atomic(),
            counts,
        }
    }
}

/// How many events, and where they are now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// Events that were hit: `recorded` and `lost` together.
    pub emitted: u64,
    /// Events in the trace.
    pub recorded: u64,
    /// Events that are not.
    pub lost: Lost,
    /// Packets in the trace.
    pub packets: u64,
    /// Bytes in the trace's streams.
    pub bytes: u64,
}

/// Events that are not in the trace, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Lost {
    /// The lane was full.
    pub full: u64,
    /// Larger than a record can be.
    pub too_large: u64,
    /// The lane was full, and remained so for as long as the thread may be blocked.
    pub timed_out: u64,
    /// The thread died, or was never seen again, in the middle of it.
    pub unfinished: u64,
    /// The disk did not take the packet it was in.
    pub storage: u64,
    /// Hit while the application waited for the shared ring.
    pub before_attach: u64,
    /// Recorded in memory, and made room for newer ones before they were asked for.
    pub overwritten: u64,
}

impl Lost {
    /// What a lane lost, and what of it could not be written.
    pub(crate) fn of(lane: laneway_ringbuf::Lost, storage: u64) -> Lost {
        Lost {
            full: lane.full,
            too_large: lane.too_large,
            timed_out: lane.timed_out,
            unfinished: lane.unfinished,
            overwritten: lane.overwritten,
            storage,
            before_attach: 0,
        }
    }

    /// All causes together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_cause()
            .iter()
            .fold(0, |sum, (_, n)| sum.saturating_add(*n))
    }

    /// The causes, worded for people, and how many events each lost.
    #[must_use]
    pub fn by_cause(&self) -> [(&'static str, u64); 7] {
        [
            ("lane full", self.full),
            ("too large", self.too_large),
            ("waited in vain", self.timed_out),
            ("unfinished", self.unfinished),
            ("not written to disk", self.storage),
            ("before attaching", self.before_attach),
            ("overwritten", self.overwritten),
        ]
    }
}

impl AddAssign for Lost {
    fn add_assign(&mut self, other: Lost) {
        let add = |a: &mut u64, b: u64| *a = a.saturating_add(b); // applications claim these numbers
        add(&mut self.full, other.full);
        add(&mut self.too_large, other.too_large);
        add(&mut self.timed_out, other.timed_out);
        add(&mut self.unfinished, other.unfinished);
        add(&mut self.storage, other.storage);
        add(&mut self.before_attach, other.before_attach);
        add(&mut self.overwritten, other.overwritten);
    }
}

impl Counts {
    /// Sets `emitted` from the rest.
    pub(crate) fn settle(&mut self) {
        self.emitted = self.recorded.saturating_add(self.lost.total());
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.recorded = self.recorded.saturating_add(other.recorded);
        self.lost += other.lost;
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.settle();
    }
}

impl Summary {
    pub(crate) fn add(&mut self, process: ProcessSummary) {
        self.total += process.counts;
        if self.processes.len() < MAX_LISTED {
            self.processes.push(process);
        } else {
            self.processes_not_listed += 1;
        }
    }

    pub(crate) fn add_snapshot(&mut self, snapshot: SnapshotSummary) {
        if self.snapshots.len() < MAX_LISTED {
            self.snapshots.push(snapshot);
        } else {
            self.snapshots_not_listed += 1;
        }
    }

    pub(crate) fn refuse(&mut self, reason: String) {
        if let Some(known) = self.refused.iter_mut().find(|r| r.reason == reason) {
            known.times += 1;
        } else if self.refused.len() < MAX_REASONS {
            self.refused.push(Refusal { reason, times: 1 });
        } else {
            self.refused[MAX_REASONS - 1].times += 1;
        }
    }

    /// Events recorded for each second of the session.
    #[must_use]
    pub fn events_per_second(&self) -> f64 {
        if self.duration_s > 0.0 {
            self.total.recorded as f64 / self.duration_s
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emitted_is_what_was_recorded_and_what_was_lost() {
        let mut sum = Counts::default();
        for n in 1..=3 {
            sum += Counts {
                recorded: n,
                lost: Lost {
                    full: 10 * n,
                    storage: 100 * n,
                    ..Lost::default()
                },
                ..Counts::default()
            };
        }
        assert_eq!(sum.lost.total(), 660);
        assert_eq!(sum.emitted, 666);
    }

    #[test]
    fn absurd_claims_do_not_overflow() {
        let mut sum = Counts::default();
        for _ in 0..2 {
            sum += Counts {
                recorded: u64::MAX,
                lost: Lost {
                    full: u64::MAX,
                    too_large: u64::MAX,
                    ..Lost::default()
                },
                ..Counts::default()
            };
        }
        assert_eq!(sum.emitted, u64::MAX);
    }

    #[test]
    fn reasons_for_refusal_are_counted_and_bounded() {
        let mut summary = Summary::default();
        for i in 0..1000 {
            summary.refuse(format!("reason {}", i % 100));
        }
        assert_eq!(summary.refused.len(), MAX_REASONS);
        assert_eq!(summary.refused.iter().map(|r| r.times).sum::<u64>(), 1000);
    }
}
