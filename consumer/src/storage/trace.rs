//! One trace on disk: metadata, and the streams of each lane that was used.
//!
//! The disk may be full at any moment. The lanes are drained all the same, and their events counted:
//!
//! ```text
//!   packet ─▶ metadata there? ─▶ append ─▶ recorded
//!                  │ no             │ fails
//!                  └▶ try again ────┴─────────▶ counted as not stored
//! ```
//!
//! Invariant: a stream file exists only next to whole metadata.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use laneway_ctf::model::{TraceClass, Uuid};
use laneway_ringbuf::{LaneReader, Packet};

use super::description::{Description, TraceFormat};
use super::lane::{Lane, LaneName, LateNumbers};
use super::lane_file::{Batch, write_bytes};
use super::read_back::{Extent, read_back};
use crate::Error;
use crate::session::Place;
use crate::summary::{Counts, LaneSummary, Lost};

/// A trace that is being written.
#[derive(Debug)]
pub(crate) struct TraceWriter {
    directory: PathBuf,
    uuid: Uuid,
    metadata: Description,
    lanes: BTreeMap<LaneName, Lane>,
    numbers: LateNumbers,
    /// What was found damaged, and the first thing that the disk did not take.
    problems: Vec<String>,
    disk_failed: bool,
}

/// What there is more in a trace than before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gain {
    pub(crate) bytes: u64,
    pub(crate) events: u64,
}

impl TraceWriter {
    /// A trace in `directory`, which is there and empty.
    pub(crate) fn new(
        directory: PathBuf,
        uuid: Uuid,
        class: &TraceClass,
        format: TraceFormat,
    ) -> Self {
        let mut writer = TraceWriter {
            metadata: Description::new(&directory, format),
            directory,
            uuid,
            lanes: BTreeMap::new(),
            numbers: LateNumbers::new(),
            problems: Vec::new(),
            disk_failed: false,
        };
        writer.describe(class);
        writer
    }

    /// The trace at `place`, a new one or one that an earlier consumer left.
    ///
    /// # Errors
    /// A file in the one that was left cannot be read or cut.
    pub(crate) fn at(place: Place, class: &TraceClass, format: TraceFormat) -> Result<Self, Error> {
        match place {
            Place::New { directory, uuid } => Ok(TraceWriter::new(directory, uuid, class, format)),
            Place::Resumed { directory, uuid } => {
                TraceWriter::resume(directory, uuid, class, format)
            }
        }
    }

    /// Goes on with the trace that an earlier consumer left in `directory`.
    fn resume(
        directory: PathBuf,
        uuid: Uuid,
        class: &TraceClass,
        format: TraceFormat,
    ) -> Result<Self, Error> {
        let files = lane_files(&directory)?;
        let mut writer = TraceWriter::new(directory, uuid, class, format);
        for (name, late, path) in files {
            let back = read_back(&path, uuid).map_err(Error::io("continue", &path))?;
            let Some(back) = back else { continue };
            if back.damaged > 0 {
                let (path, bytes) = (path.display(), back.damaged);
                writer.problems.push(format!(
                    "{bytes} bytes in {path} are damaged: see `laneway repair`"
                ));
            }
            writer.lane(name).resume(late, back);
        }
        let numbers: Vec<u16> = writer.lanes.values().flat_map(Lane::late_numbers).collect();
        numbers.into_iter().for_each(|n| writer.numbers.taken(n));
        Ok(writer)
    }

    /// Packets from now on need this description.
    pub(crate) fn describe(&mut self, class: &TraceClass) {
        self.metadata.need(class);
        self.write_metadata();
    }

    /// The clock is known better than in the beginning.
    pub(crate) fn describe_better(&mut self, class: &TraceClass) {
        if let Err(e) = self.metadata.improve(class) {
            let path = self.metadata.path().to_owned();
            self.note(&path, &e);
        }
    }

    /// The identity of the trace.
    pub(crate) fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// Where it is.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// What went wrong, in sentences.
    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// What an earlier consumer wrote of a lane, in no order.
    pub(crate) fn extents(&self, lane: &LaneReader) -> &[Extent] {
        self.lanes
            .get(&LaneName::of(lane))
            .map_or(&[], Lane::extents)
    }

    /// Writes a packet and gives its room in the lane back, whether it could be written or not.
    pub(crate) fn take(&mut self, packet: Packet<'_>, name: LaneName) -> Gain {
        let batch = Batch {
            position: packet.position(),
            begin: packet.begin(),
            end: packet.end(),
            records: packet.records(),
            bytes: packet.record_bytes(),
            padding: packet.padding(),
            lost: discarded(packet.lost()),
        };
        let gain = self.append(name, packet.lane(), &batch, |fd, header| {
            packet.write_to(fd, header).map_err(|e| e.source)
        });
        packet.release();
        gain
    }

    /// Writes a packet that was copied out of its lane.
    pub(crate) fn put(&mut self, lane: &LaneReader, batch: &Batch, records: &[u8]) -> Gain {
        self.append(
            LaneName::of(lane),
            lane.index(),
            batch,
            write_bytes(records),
        )
    }

    fn append(
        &mut self,
        name: LaneName,
        index: u32,
        batch: &Batch,
        write: impl FnOnce(BorrowedFd<'_>, &[u8]) -> io::Result<usize>,
    ) -> Gain {
        let ready = self.write_metadata();
        self.lane(name).set_index(index);
        let lane = self.lanes.get_mut(&name).expect("it was just looked for");
        if !ready {
            lane.unstored += batch.records;
            return Gain::default();
        }
        let before = (lane.bytes(), lane.events());
        let done = lane.append(batch, &mut self.numbers, write);
        let gain = Gain {
            bytes: lane.bytes() - before.0,
            events: lane.events() - before.1,
        };
        if let Err((path, e)) = done {
            self.note(&path, &e);
        }
        gain
    }

    /// Completes a lane that lost so much: nothing will be taken from it any more. `now` is what its clock reads.
    pub(crate) fn close(
        &mut self,
        reader: &LaneReader,
        lost: laneway_ringbuf::Lost,
        now: u64,
    ) -> LaneSummary {
        let ready = self.write_metadata();
        let name = LaneName::of(reader);
        let lane = self.lane(name);
        lane.set_index(reader.index());
        let closed = match ready {
            true => lane.close(discarded(lost), now),
            false => Ok(()),
        };
        let mut counts = Counts {
            recorded: lane.events(),
            lost: Lost::of(lost, lane.unstored),
            packets: lane.packets(),
            bytes: lane.bytes(),
            ..Counts::default()
        };
        counts.settle();
        if let Err((path, e)) = closed {
            self.note(&path, &e);
        }
        LaneSummary {
            cpu: name.cpu,
            atomic: name.atomic,
            counts,
        }
    }

    fn lane(&mut self, name: LaneName) -> &mut Lane {
        let (directory, uuid) = (&self.directory, self.uuid);
        let lane = self.lanes.entry(name);
        lane.or_insert_with(|| Lane::new(directory, name, uuid))
    }

    /// Writes the metadata unless it is written; says whether it is.
    fn write_metadata(&mut self) -> bool {
        match self.metadata.write() {
            Ok(()) => true,
            Err(e) => {
                let path = self.metadata.path().to_owned();
                self.note(&path, &e);
                false
            }
        }
    }

    fn note(&mut self, path: &Path, e: &io::Error) {
        if !self.disk_failed {
            self.disk_failed = true;
            self.problems.push(format!(
                "cannot write {}: {e}; events that the disk does not take are counted as lost",
                path.display()
            ));
        }
    }
}

/// Events that are missing where a trace has others around them. Overwritten ones came before all that are in it, and
/// readers would look for them in its first packet.
pub(crate) fn discarded(lost: laneway_ringbuf::Lost) -> u64 {
    lost.total().saturating_sub(lost.overwritten)
}

/// Cuts half packets off the streams of a trace that nobody goes on with.
///
/// # Errors
/// A file in it cannot be read or cut.
pub(crate) fn repair(directory: &Path, uuid: Uuid) -> Result<(), Error> {
    for (.., path) in lane_files(directory)? {
        read_back(&path, uuid).map_err(Error::io("repair", path))?;
    }
    Ok(())
}

/// The stream files of a trace: the lane, and which of its late streams, in this order.
fn lane_files(directory: &Path) -> Result<Vec<(LaneName, usize, PathBuf)>, Error> {
    let mut files = Vec::new();
    let fail = |e: io::Error| Error::io("read", directory)(e);
    for entry in fs::read_dir(directory).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        if let Some((lane, late)) = name.to_str().and_then(LaneName::parse) {
            files.push((lane, late, entry.path()));
        }
    }
    files.sort();
    Ok(files)
}
