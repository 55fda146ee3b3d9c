//! A trace of what is in a flight recorder now.
//!
//! All lanes are copied before anything is written, one after the other: so what is in the trace is of nearly one moment,
//! however slow the disk is.
//!
//! Invariant: every record that was copied is in the trace, or counted as not stored.

use std::path::{Path, PathBuf};

use laneway_control::{ClockKind, EventSchema};
use laneway_ringbuf::{BufferReader, LaneReader, Lost, Snapshot, clock};

use super::SnapshotPart;
use crate::Error;
use crate::clocks::ring_clock;
use crate::consumer::Shared;
use crate::host::random_uuid;
use crate::storage::{Batch, Origin, Trace, TraceWriter, discarded};
use crate::summary::{Counts, LaneSummary};

/// What its trace needs besides the records.
pub(super) struct About<'a> {
    /// The trace's directory is made below this one.
    pub(super) parent: &'a Path,
    /// The directory's name, if it is free.
    pub(super) name: String,
    pub(super) origin: Origin<'a>,
    pub(super) events: &'a [EventSchema],
    pub(super) clock: ClockKind,
}

/// What came of writing a copy of all lanes.
#[derive(Default)]
pub(super) struct Written {
    pub(super) trace: PathBuf,
    pub(super) lanes: Vec<LaneSummary>,
    pub(super) problems: Vec<String>,
}

impl Written {
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.lanes.iter().for_each(|lane| counts += lane.counts);
        counts
    }

    /// As a part of a snapshot.
    pub(super) fn part(self, number: u64) -> SnapshotPart {
        SnapshotPart {
            number,
            counts: self.counts(),
            problems: self.problems,
        }
    }
}

/// Copies of the lanes of a ring, in their order.
pub(super) struct Copies(Vec<(Snapshot, Lost)>);

impl Copies {
    /// Copies what is in the lanes now. If their processes have `ended`, nobody finishes any more what he has begun.
    pub(super) fn take(reader: &mut BufferReader, ended: bool) -> Copies {
        let copies = reader.snapshot();
        let lanes = reader.lanes().iter();
        let with_lost = lanes.zip(copies).map(|(lane, copy)| {
            let last = copy.packets.iter().map(|packet| packet.lost);
            let mut lost = last.max_by_key(Lost::total).unwrap_or_else(|| lane.lost());
            if ended {
                lost.unfinished += copy.unfinished;
            }
            (copy, lost)
        });
        Copies(with_lost.collect())
    }

    /// Writes them into a trace of their own.
    pub(super) fn write(self, lanes: &[LaneReader], about: &About<'_>, shared: &Shared) -> Written {
        let mut written = Written::default();
        let overwritten = self.0.iter().map(|(_, lost)| lost.overwritten);
        let overwritten = overwritten.fold(0, u64::saturating_add);
        let mut trace = match begin_trace(about, overwritten, shared) {
            Ok(trace) => Some(trace),
            Err(e) => {
                written.problems.push(e.to_string());
                None
            }
        };
        let now = clock::now(ring_clock(about.clock));
        for (lane, (copy, lost)) in lanes.iter().zip(self.0) {
            let Some(trace) = &mut trace else {
                let records = copy.packets.iter().map(|packet| packet.records).sum();
                written
                    .lanes
                    .push(LaneSummary::unstored(lane, lost, records));
                continue;
            };
            for packet in &copy.packets {
                let batch = Batch {
                    position: packet.position,
                    begin: packet.begin,
                    end: packet.end,
                    records: packet.records,
                    bytes: packet.bytes.len() as u64,
                    padding: packet.padding,
                    lost: discarded(lost),
                };
                shared.count(trace.put(lane, &batch, &packet.bytes));
            }
            written.lanes.push(trace.close(lane, lost, now));
        }
        if let Some(trace) = trace {
            written.trace = trace.directory().to_owned();
            written.problems.extend_from_slice(trace.problems());
        }
        written.lanes.sort_by_key(|lane| (lane.atomic, lane.cpu));
        written
    }
}

fn begin_trace(about: &About<'_>, overwritten: u64, shared: &Shared) -> Result<TraceWriter, Error> {
    let session = &shared.session;
    let clock = session.clocks().settle(about.clock)?;
    // Not that of the ring: several snapshots have the same events, and are different traces.
    let uuid = random_uuid()?;
    let mut class = Trace {
        uuid,
        origin: about.origin,
        host: session.host(),
        created: session.created(),
    }
    .describe(about.events, clock);
    let overwritten = i64::try_from(overwritten).unwrap_or(i64::MAX);
    class.set_env("events_overwritten", overwritten);
    let directory = session.make_trace(about.parent, &about.name)?;
    let format = shared.options.trace_format;
    Ok(TraceWriter::new(directory, uuid, &class, format))
}
