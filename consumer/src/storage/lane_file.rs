//! One stream on disk: a file that packets are appended to.
//!
//! ```text
//!   ├ header ┤ records ├ header ┤ records … ├ header ┤ records, cut by a full disk or a killed consumer
//!                                           ▲
//!                                           └ the file is cut back to here before anything else is written
//! ```
//!
//! Invariant: the file ends with a whole packet whenever nobody is writing to it, and its packets follow each other in
//! the order of time.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

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
    pub(super) written: Written,
}

/// What is in a stream file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Where the last whole packet ends.
    pub(crate) bytes: u64,
    /// How many packets there are, which is the number of the next one.
    pub(crate) packets: u64,
    /// Events in them.
    pub(crate) events: u64,
    /// What the last packet says about lost events.
    pub(crate) told_lost: u64,
    /// The clock at the end of the last packet.
    pub(crate) last_end: u64,
    /// Where in the lane the last packet ended.
    pub(crate) position: u64,
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
    /// A stream at `path`, of number `stream` and `cpu`, in the trace `uuid`.
    pub(crate) fn new(path: PathBuf, uuid: Uuid, stream: u16, cpu: u32) -> LaneFile {
        LaneFile {
            path,
            uuid,
            stream,
            cpu,
            file: None,
            written: Written::default(),
        }
    }

    /// A stream that is there, with `written` in it; whatever is behind that has to be cut off already.
    pub(super) fn existing(
        path: PathBuf,
        file: File,
        header: &PacketHeader,
        written: Written,
    ) -> Self {
        LaneFile {
            path,
            uuid: header.uuid,
            stream: header.stream,
            cpu: header.cpu,
            file: Some(file),
            written,
        }
    }

    /// Appends a packet: its header, and what `write` writes behind the header it is given.
    ///
    /// # Errors
    /// The packet could not be written; the file is as before.
    pub(crate) fn append<E>(
        &mut self,
        batch: &Batch,
        write: impl FnOnce(BorrowedFd<'_>, &[u8]) -> Result<usize, E>,
    ) -> io::Result<()>
    where
        io::Error: From<E>,
    {
        let lost = batch.lost.max(self.written.told_lost);
        let header = PacketHeader {
            uuid: self.uuid,
            stream_class: STREAM_CLASS,
            stream: self.stream,
            position: batch.position,
            begin: batch.begin,
            end: batch.end,
            sequence: self.written.packets,
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
                self.written = Written {
                    bytes: self.written.bytes + bytes as u64,
                    packets: self.written.packets + 1,
                    events: self.written.events + batch.records,
                    told_lost: lost,
                    last_end: batch.end,
                    position: batch.position + batch.bytes,
                };
                Ok(())
            }
            Err(e) => {
                self.cut_back();
                Err(e)
            }
        }
    }

    /// Appends an empty packet if more events were `lost` than the last one says, so that the trace tells of them.
    ///
    /// # Errors
    /// The packet could not be written.
    pub(crate) fn close(&mut self, lost: u64, now: u64) -> io::Result<()> {
        if lost <= self.written.told_lost {
            return Ok(());
        }
        let last_end = self.written.last_end;
        let batch = Batch {
            position: self.written.position,
            begin: last_end,
            end: now.max(last_end),
            records: 0,
            bytes: 0,
            padding: 0,
            lost,
        };
        self.append(&batch, write_bytes(&[]))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it another number, if nothing is in it yet.
    pub(super) fn set_number(&mut self, stream: u16) {
        if self.written.packets == 0 {
            self.stream = stream;
        }
    }

    /// Its number among the streams of the trace.
    pub(super) fn stream(&self) -> u16 {
        self.stream
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
            let _ = file.set_len(self.written.bytes);
        }
    }
}

/// Writes a header and `records`, for [`LaneFile::append`].
pub(crate) fn write_bytes(
    records: &[u8],
) -> impl FnOnce(BorrowedFd<'_>, &[u8]) -> io::Result<usize> {
    move |fd, header| {
        let mut file = File::from(fd.try_clone_to_owned()?);
        file.write_all(header)?;
        file.write_all(records)?;
        Ok(header.len() + records.len())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use laneway_ctf::lane::PACKET_HEADER_BYTES;

    pub(crate) fn batch(records: u64, lost: u64) -> Batch {
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

    /// Appends a packet whose records are made of the same byte.
    pub(crate) fn append(file: &mut LaneFile, batch: Batch) {
        let records = vec![7; batch.bytes as usize];
        file.append(&batch, write_bytes(&records)).unwrap();
    }

    pub(crate) fn headers(path: &Path) -> Vec<PacketHeader> {
        let bytes = std::fs::read(path).unwrap();
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
        append(&mut file, batch(1, 0));
        append(&mut file, batch(5, 2));
        let found: Vec<_> = headers(file.path())
            .iter()
            .map(|h| (h.sequence, h.records / 16, h.events, h.discarded))
            .collect();
        assert_eq!(found, [(0, 1, 1, 0), (1, 5, 5, 2)]);
        assert_eq!((file.written.events, file.written.packets), (6, 2));
    }

    #[test]
    fn half_a_packet_is_taken_off() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = new(&dir);
        append(&mut file, batch(1, 0));
        let full = file.append(&batch(9, 0), |fd, header| {
            write_bytes(&[7; 4 * 16])(fd, header)?;
            Err::<usize, _>(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert!(full.is_err());
        assert_eq!(headers(file.path()).len(), 1);
        append(&mut file, batch(2, 5));
        let last = headers(file.path())[1];
        assert_eq!((last.sequence, last.discarded), (1, 5));
        assert_eq!(file.written.events, 3);
    }

    #[test]
    fn losses_behind_the_last_packet_are_told_by_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = new(&dir);
        append(&mut file, batch(1, 3));
        file.close(3, 30).unwrap();
        assert_eq!(headers(file.path()).len(), 1);
        file.close(4, 30).unwrap();
        let last = headers(file.path())[1];
        assert_eq!((last.records, last.discarded), (0, 4));
        assert_eq!((last.begin, last.end), (20, 30));
    }

    #[test]
    fn a_lane_without_events_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = new(&dir);
        file.close(0, 30).unwrap();
        assert!(!file.path().exists());
    }
}
