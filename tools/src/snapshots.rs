//! Snapshots that somebody asks for by SIGUSR1 while a recording goes on.
//!
//! Invariant: a snapshot is told when it is on disk.

use std::os::fd::{AsFd, BorrowedFd};

use laneway_consumer::Consumer;

use crate::channel::ChannelArgs;
use crate::output::ProgressLine;
use crate::report::describe_snapshot;
use crate::signals::Arrivals;

/// Who asked, and whether there is something to take a snapshot of.
#[derive(Debug)]
pub(crate) struct SnapshotRequests {
    signals: Arrivals,
    overwrites: bool,
}

impl SnapshotRequests {
    /// From now on SIGUSR1 asks for one.
    pub(crate) fn new(channel: &ChannelArgs) -> anyhow::Result<SnapshotRequests> {
        Ok(SnapshotRequests {
            signals: Arrivals::for_snapshots()?,
            overwrites: channel.overwrites(),
        })
    }

    /// Passes requests on, and tells of what is complete.
    pub(crate) fn serve(&mut self, consumer: &Consumer, progress: &mut ProgressLine) {
        if self.signals.take() > 0 {
            match self.overwrites {
                true => consumer.snapshot(),
                false => progress.note(
                    "SIGUSR1 asks for a snapshot, which needs --mode overwrite; here everything is in the trace",
                ),
            }
        }
        for snapshot in consumer.complete_snapshots() {
            progress.note(&format!("snapshot {}", describe_snapshot(&snapshot)));
            for problem in &snapshot.problems {
                progress.note(problem);
            }
        }
    }
}

impl AsFd for SnapshotRequests {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }
}
