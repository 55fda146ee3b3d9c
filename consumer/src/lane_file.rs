//! The stream of one lane on disk.
//!
//! ```text
//!   ├ header ┤ records ├ header ┤ records … ├ header ┤ records, cut by a full disk
//!                                           ▲
//!                                           └ the file is cut back to here, and what was behind is counted
//! ```
//!
//! Invariant: the file ends with a whole packet whenever nobody is writing to it, and every event that was taken
//! from the lane is either in it or counted as lost by the next packet that is.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use laneway_ctf::lane::PacketHeader;
use laneway_ctf::model::Uuid;

/// The only stream class of a trace.
pub(crate) const STREAM_CLASS: u16 = 0;

/// A file that packets are appended to. It is made with the first one.
#[derive(Debug)]
pub(crate) struct LaneFile {
    path: PathBuf,
    uuid: Uuid,
    stream: u16,
    cpu: u32,
    file: Option<File>,
    /// Where the last whole packet ends.
    pub(crate) bytes: u64,
    pub(crate) packets: u64,
    /// Events in the file.
    pub(crate) recorded: u64,
    /// Events that were taken from the lane and could not be written.
    pub(crate) unstored: u64,
    /// What the last packet says about lost events.
    told_lost: u64,
    /// Where in the lane the last packet ended.
    position: u64,
}

/// What there is to know about records that are to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    /// Bytes ever reserved in the lane before the first one.
    pub(crate) position: u64,
    /// The clock, not later than at the first one.
    pub(crate) begin: u64,
    /// The clock, not earlier than at the last one.
    pub(crate) end: u64,
    /// How many there are.
    pub(crate) records: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// With how many bytes of padding they end.
    pub(crate) padding: u8,
    /// Events that the lane has lost so far.
    pub(crate) lost: u64,
}

impl LaneFile {
    /// A stream at `path`, of lane number `stream` and `cpu`, in the trace `uuid`.
    pub(crate) fn new(path: PathBuf, uuid: Uuid, stream: u16, cpu: u32) -> LaneFile {
        LaneFile {
            path,
            uuid,
            stream,
            cpu,
            file: None,
            bytes: 0,
            packets: 0,
            recorded: 0,
            unstored: 0,
            told_lost: 0,
            position: 0,
        }
    }

    /// Appends a packet: its header, and what `write` writes behind the header it is given.
    ///
    /// # Errors
    /// The packet could not be written; its events are counted as unstored, and the file is as before.
    pub(crate) fn append<E>(
        &mut self,
        batch: &Batch,
        write: impl FnOnce(BorrowedFd<'_>, &[u8]) -> Result<usize, E>,
    ) -> io::Result<()>
    where
        io::Error: From<E>,
    {
        let lost = batch.lost.saturating_add(self.unstored).max(self.told_lost);
        let header = PacketHeader {
            uuid: self.uuid,
            stream_class: STREAM_CLASS,
            stream: self.stream,
            position: batch.position,
            begin: batch.begin,
            end: batch.end,
            sequence: self.packets,
            discarded: lost,
            cpu: self.cpu,
            events: u32::try_from(batch.records).unwrap_or(0),
            records: batch.bytes,
            padding: batch.padding,
        };
        let header = header.encode();
        let written = match self.open() {
            Ok(file) => write(file.as_fd(), &header).map_err(io::Error::from),
            Err(e) => Err(e),
        };
        match written {
            Ok(bytes) => {
                self.bytes += bytes as u64;
                self.packets += 1;
                self.recorded += batch.records;
                self.told_lost = lost;
                self.position = batch.position + batch.bytes;
                Ok(())
            }
            Err(e) => {
                self.unstored += batch.records;
                self.cut_back();
                Err(e)
            }
        }
    }

    /// Appends an empty packet if events were lost after the last one, so that the trace tells of them.
    ///
    /// # Errors
    /// The packet could not be written.
    pub(crate) fn close(&mut self, lost: u64, last_end: u64, now: u64) -> io::Result<()> {
        if lost.saturating_add(self.unstored) <= self.told_lost {
            return Ok(());
        }
        let batch = Batch {
            position: self.position,
            begin: last_end,
            end: now.max(last_end),
            records: 0,
            bytes: 0,
            padding: 0,
            lost,
        };
        self.append(&batch, |fd, header| -> io::Result<usize> {
            File::from(fd.try_clone_to_owned()?).write_all(header)?;
            Ok(header.len())
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &PathBuf {
        &self.path
    }

    fn open(&mut self) -> io::Result<&File> {
        if self.file.is_none() {
            // Appending: after the file was cut back, the next write goes to its new end.
            let file = OpenOptions::new()
                .append(true)
                .create_new(true)
                .open(&self.path)?;
            self.file = Some(file);
        }
        Ok(self.file.as_ref().expect("it was just opened"))
    }

    /// Takes off what a failed write left behind the last whole packet.
    fn cut_back(&mut self) {
        if let Some(file) = &self.file {
            // Making a file shorter needs no room. Where it fails nevertheless, the disk is lost.
            let _ = file.set_len(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use laneway_ctf::lane::PACKET_HEADER_BYTES;

    fn batch(records: u64, lost: u64) -> Batch {
        Batch {
            position: 0,
            begin: 10,
            end: 20,
            records,
            bytes: records * 16,
            padding: if records == 0 { 0 } else { 4 },
            lost,
        }
    }

    fn write_all(fd: BorrowedFd<'_>, header: &[u8], records: usize) -> io::Result<usize> {
        let bytes = [header, &vec![7; records * 16]].concat();
        File::from(fd.try_clone_to_owned()?).write_all(&bytes)?;
        Ok(bytes.len())
    }

    fn headers(file: &LaneFile) -> Vec<PacketHeader> {
        let bytes = std::fs::read(file.path()).unwrap();
        let mut headers = Vec::new();
        let mut rest = &bytes[..];
        while let Some((header, behind)) = rest.split_first_chunk::<PACKET_HEADER_BYTES>() {
            let header = PacketHeader::decode(header).expect("a packet begins here");
            rest = &behind[header.records as usize..];
            headers.push(header);
        }
        assert!(rest.is_empty(), "the file ends with a whole packet");
        headers
    }

    fn new(dir: &tempfile::TempDir) -> LaneFile {
        LaneFile::new(dir.path().join("lane_3"), Uuid::default(), 3, 3)
    }

    #[test]
    fn packets_follow_each_other_and_are_numbered() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = new(&dir);
        for (records, lost) in [(1, 0), (5, 2)] {
            file.append(&batch(records, lost), |fd, h| {
                write_all(fd, h, records as usize)
            })
            .unwrap();
        }
        let found: Vec<_> = headers(&file)
            .iter()
            .map(|h| (h.sequence, h.records / 16, h.discarded))
            .collect();
        assert_eq!(found, [(0, 1, 0), (1, 5, 2)]);
        assert_eq!((file.recorded, file.packets), (6, 2));
    }

    #[test]
    fn half_a_packet_is_taken_off_and_its_events_counted_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = new(&dir);
        file.append(&batch(1, 0), |fd, h| write_all(fd, h, 1))
            .unwrap();
        let full = file.append(&batch(9, 0), |fd, header| {
            write_all(fd, header, 4)?;
            Err::<usize, _>(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert!(full.is_err());
        assert_eq!(headers(&file).len(), 1);
        file.append(&batch(2, 5), |fd, h| write_all(fd, h, 2))
            .unwrap();
        let last = headers(&file)[1];
        assert_eq!((last.sequence, last.discarded), (1, 5 + 9));
        assert_eq!((file.recorded, file.unstored), (3, 9));
    }

    #[test]
    fn losses_behind_the_last_packet_are_told_by_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = new(&dir);
        file.append(&batch(1, 3), |fd, h| write_all(fd, h, 1))
            .unwrap();
        file.close(3, 20, 30).unwrap();
        assert_eq!(headers(&file).len(), 1);
        file.close(4, 20, 30).unwrap();
        let last = headers(&file)[1];
        assert_eq!((last.records, last.discarded), (0, 4));
        assert_eq!((last.begin, last.end), (20, 30));
    }

    #[test]
    fn a_lane_without_events_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = new(&dir);
        file.close(0, 0, 30).unwrap();
        assert!(!file.path().exists());
    }
}
