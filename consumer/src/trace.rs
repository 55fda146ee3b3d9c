//! The trace of one process on disk: metadata, and a stream for each lane that was used.
//!
//! The disk may be full at any moment. The process is drained all the same, and its events counted:
//!
//! ```text
//!   packet ─▶ metadata there? ─▶ append ─▶ recorded
//!                  │ no             │ fails
//!                  └▶ try again ────┴─────────▶ counted as not stored
//! ```
//!
//! Invariant: a stream file exists only next to whole metadata.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use laneway_ctf::model::{TraceClass, Uuid};
use laneway_ctf::tsdl;
use laneway_ringbuf::{LaneReader, Packet};

use crate::lane_file::{Batch, LaneFile};
use crate::summary::{Counts, LaneSummary, Lost};

#[derive(Debug)]
pub(crate) struct TraceWriter {
    directory: PathBuf,
    uuid: Uuid,
    /// The text, until it is written.
    metadata: Option<String>,
    lanes: BTreeMap<u32, LaneFile>,
    /// The first thing that the disk did not take.
    trouble: Option<String>,
}

impl TraceWriter {
    /// A trace in `directory`, which is there and empty.
    pub(crate) fn new(directory: PathBuf, uuid: Uuid, class: &TraceClass) -> TraceWriter {
        let mut writer = TraceWriter {
            directory,
            uuid,
            metadata: Some(tsdl::write(class)),
            lanes: BTreeMap::new(),
            trouble: None,
        };
        writer.write_metadata();
        writer
    }

    /// Replaces the metadata: the clock is known better than in the beginning.
    pub(crate) fn describe_again(&mut self, class: &TraceClass) {
        let text = tsdl::write(class);
        if self.metadata.is_some() {
            self.metadata = Some(text);
            return;
        }
        // In place, because a full disk has room for what is there already; in one write, because somebody may read.
        let path = self.directory.join("metadata");
        let written = OpenOptions::new().write(true).open(&path).and_then(|file| {
            file.write_all_at(text.as_bytes(), 0)?;
            file.set_len(text.len() as u64)
        });
        if let Err(e) = written {
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

    /// The first thing that the disk did not take, if there was one.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Writes a packet and gives its room in the lane back, whether it could be written or not.
    /// Returns how many bytes and events there are more in the trace.
    pub(crate) fn take(&mut self, packet: Packet<'_>, atomic: bool) -> (u64, u64) {
        let batch = Batch {
            position: packet.position(),
            begin: packet.begin(),
            end: packet.end(),
            records: packet.records(),
            bytes: packet.record_bytes(),
            padding: packet.padding(),
            lost: packet.lost().total(),
        };
        let ready = self.write_metadata();
        let file = self.lane(packet.lane(), packet.cpu(), atomic);
        let before = (file.bytes, file.recorded);
        if ready {
            let done = file.append(&batch, |fd, header| {
                packet.write_to(fd, header).map_err(|e| e.source)
            });
            let after = (file.bytes, file.recorded);
            if let Err(e) = done {
                let path = file.path().clone();
                self.note(&path, &e);
            }
            packet.release();
            return (after.0 - before.0, after.1 - before.1);
        }
        file.unstored += batch.records;
        packet.release();
        (0, 0)
    }

    /// Completes a lane: nothing will be taken from it any more. `now` is what its clock reads.
    pub(crate) fn close(&mut self, lane: &LaneReader, now: u64) -> LaneSummary {
        let lost = lane.lost();
        let ready = self.write_metadata();
        let file = self.lane(lane.index(), lane.cpu(), lane.is_atomic());
        let closed = match ready {
            true => file.close(lost.total(), lane.last_end(), now),
            false => Ok(()),
        };
        let mut counts = Counts {
            recorded: file.recorded,
            lost: Lost {
                full: lost.full,
                too_large: lost.too_large,
                timed_out: lost.timed_out,
                unfinished: lost.unfinished,
                storage: file.unstored,
                before_attach: 0,
            },
            packets: file.packets,
            bytes: file.bytes,
            ..Counts::default()
        };
        counts.settle();
        if let Err(e) = closed {
            let path = file.path().clone();
            self.note(&path, &e);
        }
        LaneSummary {
            cpu: lane.cpu(),
            atomic: lane.is_atomic(),
            counts,
        }
    }

    fn lane(&mut self, index: u32, cpu: u32, atomic: bool) -> &mut LaneFile {
        self.lanes.entry(index).or_insert_with(|| {
            let kind = if atomic { "_atomic" } else { "" };
            let path = self.directory.join(format!("lane_{cpu}{kind}"));
            // A buffer has at most 4096 lanes.
            LaneFile::new(path, self.uuid, index as u16, cpu)
        })
    }

    /// Writes the metadata unless it is written; says whether it is.
    fn write_metadata(&mut self) -> bool {
        let Some(text) = &self.metadata else {
            return true;
        };
        let path = self.directory.join("metadata");
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        match written {
            Ok(()) => {
                self.metadata = None;
                true
            }
            Err(e) => {
                let _ = fs::remove_file(&path);
                self.note(&path, &e);
                false
            }
        }
    }

    fn note(&mut self, path: &Path, e: &io::Error) {
        self.trouble.get_or_insert_with(|| {
            format!(
                "cannot write {}: {e}; events that the disk does not take are counted as lost",
                path.display()
            )
        });
    }
}
