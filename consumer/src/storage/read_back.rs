//! Reading a stream file that an earlier consumer left, to go on where it ended.
//!
//! ```text
//!   ├ packet ┤├ packet ┤ ░░ damaged ░░ ├ packet ┤├ half a pac
//!                                               ▲
//!                          everything up to here stays, what is behind is cut off
//! ```
//! A consumer that is killed leaves at most one packet half written. Damage in front of whole packets has other causes
//! (a power failure, a bad disk): it stays as it is, for `laneway repair` to judge, and the packets behind it count.
//! Only headers are read.
//!
//! Invariant: no packet that can be read is cut off, and none that cannot is in front of the next one that is written.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use laneway_ctf::lane::{MAGIC, PACKET_HEADER_BYTES, PacketHeader};
use laneway_ctf::model::Uuid;

use super::lane_file::{LaneFile, Written};

/// Bytes that are looked through at once for the next packet behind damage.
const CHUNK: usize = 1 << 20;

/// The magic number and the UUID, which begin every packet.
const MARK: usize = 20;

/// A piece of a lane that is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Position of its first byte in the lane.
    pub(crate) position: u64,
    /// Its bytes.
    pub(crate) bytes: u64,
    /// The clock at its end.
    pub(crate) end: u64,
}

/// A stream file, ready to be continued.
#[derive(Debug)]
pub(crate) struct ReadBack {
    pub(crate) file: LaneFile,
    /// The pieces of the lane that are in it, in the order of the file.
    pub(crate) extents: Vec<Extent>,
    /// Bytes in front of or between packets that are none.
    pub(crate) damaged: u64,
}

/// Reads back the file at `path`, of the trace `uuid`, and cuts off what is behind its last whole packet.
///
/// A file without one whole packet is removed if it is the beginning of one, or else given a name that readers pass over;
/// then there is nothing to continue.
///
/// # Errors
/// The file cannot be read, cut or removed.
pub(crate) fn read_back(path: &Path, uuid: Uuid) -> io::Result<Option<ReadBack>> {
    let file = OpenOptions::new().read(true).append(true).open(path)?;
    let walk = Walk {
        bytes: file.metadata()?.len(),
        file: &file,
        uuid,
    };
    let mut at = 0;
    let mut first: Option<PacketHeader> = None;
    let mut written = Written::default();
    let mut extents = Vec::new();
    let mut damaged = 0;
    loop {
        let found = walk.packet_at(at, first.as_ref())?;
        let Some(header) = found else {
            match walk.next_mark(at + 8)? {
                Some(mark) => {
                    damaged += mark - at;
                    at = mark;
                    continue;
                }
                None => break,
            }
        };
        at += PACKET_HEADER_BYTES as u64 + header.records;
        first.get_or_insert(header);
        written = Written {
            bytes: at,
            packets: header.sequence.saturating_add(1),
            events: written.events + u64::from(header.events),
            told_lost: written.told_lost.max(header.discarded),
            last_end: written.last_end.max(header.end),
            position: header.position.saturating_add(header.records),
        };
        if header.records > 0 {
            extents.push(Extent {
                position: header.position,
                bytes: header.records,
                end: header.end,
            });
        }
    }
    let Some(first) = first else {
        return dispose(path, &walk).map(|()| None);
    };
    // A mark that turned out to be no packet's is a part of what is cut off.
    damaged -= at - written.bytes;
    if walk.bytes > written.bytes {
        file.set_len(written.bytes)?;
    }
    Ok(Some(ReadBack {
        file: LaneFile::existing(path.to_owned(), file, &first, written),
        extents,
        damaged,
    }))
}

/// The trace that the stream file at `path` belongs to, as its first packet says.
pub(crate) fn uuid_of(path: &Path) -> Option<Uuid> {
    let mut bytes = [0; PACKET_HEADER_BYTES];
    File::open(path).ok()?.read_exact_at(&mut bytes, 0).ok()?;
    PacketHeader::decode(&bytes).map(|header| header.uuid)
}

fn dispose(path: &Path, walk: &Walk<'_>) -> io::Result<()> {
    let half_a_packet = uuid_of(path) == Some(walk.uuid) && walk.next_mark(8)?.is_none();
    if walk.bytes < PACKET_HEADER_BYTES as u64 || half_a_packet {
        return fs::remove_file(path);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = (1_u32..).map(|n| match n {
        1 => path.with_file_name(format!(".{name}.damaged")),
        n => path.with_file_name(format!(".{name}.damaged-{n}")),
    });
    let free = aside.into_iter().find(|path| !path.exists());
    fs::rename(path, free.expect("4 billion names are not all taken"))
}

struct Walk<'a> {
    file: &'a File,
    bytes: u64,
    uuid: Uuid,
}

impl Walk<'_> {
    /// The header of the packet at `at`, if there is a whole one of the same stream as the `first`.
    fn packet_at(&self, at: u64, first: Option<&PacketHeader>) -> io::Result<Option<PacketHeader>> {
        let mut bytes = [0; PACKET_HEADER_BYTES];
        if at + PACKET_HEADER_BYTES as u64 > self.bytes {
            return Ok(None);
        }
        self.file.read_exact_at(&mut bytes, at)?;
        let left = self.bytes - at - PACKET_HEADER_BYTES as u64;
        Ok(PacketHeader::decode(&bytes).filter(|header| {
            let same_stream = first.is_none_or(|first| {
                (first.stream_class, first.stream) == (header.stream_class, header.stream)
            });
            header.uuid == self.uuid && same_stream && header.records <= left
        }))
    }

    /// Where a packet may begin, at `from` or behind it.
    fn next_mark(&self, mut from: u64) -> io::Result<Option<u64>> {
        let mut mark = [0; MARK];
        mark[..4].copy_from_slice(&MAGIC.to_ne_bytes());
        mark[4..].copy_from_slice(&self.uuid.0);
        let mut chunk = vec![0; CHUNK];
        while from + MARK as u64 <= self.bytes {
            let size = CHUNK.min((self.bytes - from) as usize);
            self.file.read_exact_at(&mut chunk[..size], from)?;
            // Packets begin on multiples of 8.
            let mut starts = (0..=size - MARK).step_by(8);
            let passed = (size - MARK) / 8 * 8 + 8;
            if let Some(found) = starts.find(|&at| chunk[at..at + MARK] == mark) {
                return Ok(Some(from + found as u64));
            }
            from += passed as u64;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::lane_file::tests::{append, batch, headers};
    use super::super::lane_file::{Batch, write_bytes};
    use super::*;
    use std::path::PathBuf;

    const PACKETS: u64 = 5;

    /// A stream of packets of 1 to 5 records, one after the other in time and lane.
    fn stream(dir: &tempfile::TempDir) -> (PathBuf, LaneFile) {
        let path = dir.path().join("lane_3");
        let mut file = LaneFile::new(path.clone(), Uuid::from_random([5; 16]), 3, 7);
        let mut position = 64;
        for n in 1..=PACKETS {
            let batch = Batch {
                position,
                begin: n * 100,
                end: n * 100 + 50,
                ..batch(n, n * 2)
            };
            position += batch.bytes + 32; // some padding between packets
            append(&mut file, batch);
        }
        (path, file)
    }

    fn resume(path: &Path) -> ReadBack {
        let uuid = Uuid::from_random([5; 16]);
        read_back(path, uuid).unwrap().expect("a packet is there")
    }

    fn all_packets(file: &mut ReadBack) -> usize {
        let next = batch(1, 99);
        let begin = file.file.written.last_end;
        append(
            &mut file.file,
            Batch {
                begin,
                end: begin + 1,
                ..next
            },
        );
        let headers = headers(file.file.path());
        let numbers: Vec<_> = headers.iter().map(|h| h.sequence).collect();
        assert!(
            numbers.iter().copied().eq(0..headers.len() as u64),
            "{numbers:?}"
        );
        headers.len()
    }

    #[test]
    fn a_whole_file_is_continued_where_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let (path, before) = stream(&dir);
        let mut back = resume(&path);
        assert_eq!(back.file.written, before.written);
        assert_eq!(back.file.written.events, 15);
        assert_eq!((back.file.stream(), back.damaged), (3, 0));
        let extents: Vec<_> = back.extents.iter().map(|e| (e.position, e.bytes)).collect();
        assert_eq!(
            extents,
            [(64, 16), (112, 32), (176, 48), (256, 64), (352, 80)]
        );
        assert_eq!(back.extents[4].end, 550);
        assert_eq!(all_packets(&mut back) as u64, PACKETS + 1);
    }

    #[test]
    fn a_file_cut_at_any_byte_of_its_last_packet_loses_that_packet_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (path, file) = stream(&dir);
        let whole = fs::read(&path).unwrap();
        let last = whole.len() - PACKET_HEADER_BYTES - PACKETS as usize * 16;
        for len in last..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            let mut back = resume(&path);
            assert_eq!(fs::metadata(&path).unwrap().len(), last as u64);
            assert_eq!(back.file.written.packets, PACKETS - 1, "cut to {len} bytes");
            assert_eq!(
                back.file.written.events,
                file.written.events - PACKETS,
                "{len}"
            );
            assert_eq!(back.file.written.told_lost, (PACKETS - 1) * 2);
            assert_eq!(back.damaged, 0);
            assert_eq!(all_packets(&mut back) as u64, PACKETS, "cut to {len} bytes");
        }
    }

    #[test]
    fn a_file_cut_in_its_first_packet_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, _) = stream(&dir);
        let whole = fs::read(&path).unwrap();
        for len in 0..PACKET_HEADER_BYTES + 16 {
            fs::write(&path, &whole[..len]).unwrap();
            let nothing = read_back(&path, Uuid::from_random([5; 16])).unwrap();
            assert!(nothing.is_none() && !path.exists(), "cut to {len} bytes");
        }
    }

    #[test]
    fn a_damaged_header_costs_its_packet_and_those_behind_it_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (path, file) = stream(&dir);
        let whole = fs::read(&path).unwrap();
        let second = PACKET_HEADER_BYTES + 16;
        let its_bytes = (PACKET_HEADER_BYTES + 32) as u64;
        // The magic number, the UUID, the stream, the content's size, the packet's size.
        for at in [0, 10, 22, 49, 58] {
            let mut bytes = whole.clone();
            bytes[second + at] ^= 0x55;
            fs::write(&path, &bytes).unwrap();
            let back = resume(&path);
            assert_eq!(fs::read(&path).unwrap(), bytes, "byte {at}: nothing is cut");
            assert_eq!(back.damaged, its_bytes, "byte {at}");
            assert_eq!(back.file.written.packets, PACKETS);
            assert_eq!(back.file.written.events, file.written.events - 2);
            assert_eq!(back.extents.len() as u64, PACKETS - 1);
        }
    }

    #[test]
    fn damage_and_then_half_a_packet_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let (path, file) = stream(&dir);
        let mut bytes = fs::read(&path).unwrap();
        bytes[PACKET_HEADER_BYTES + 16] ^= 1;
        let behind = [&bytes[..PACKET_HEADER_BYTES], &[7; 8]].concat();
        bytes.extend(&behind[..PACKET_HEADER_BYTES - 4]);
        fs::write(&path, &bytes).unwrap();
        let back = resume(&path);
        assert_eq!(back.damaged, (PACKET_HEADER_BYTES + 32) as u64);
        assert_eq!(back.file.written.bytes, file.written.bytes);
        assert_eq!(fs::metadata(&path).unwrap().len(), file.written.bytes);
    }

    #[test]
    fn what_is_no_stream_of_the_trace_is_put_aside_and_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lane_3");
        fs::write(&path, [0; 4096]).unwrap();
        let nothing = read_back(&path, Uuid::from_random([5; 16])).unwrap();
        assert!(nothing.is_none() && !path.exists());
        assert_eq!(
            fs::read(dir.path().join(".lane_3.damaged")).unwrap(),
            [0; 4096]
        );
        let (path, _) = stream(&dir);
        let foreign = fs::read(&path).unwrap();
        assert!(read_back(&path, Uuid::default()).unwrap().is_none());
        let aside = dir.path().join(".lane_3.damaged-2");
        assert_eq!((path.exists(), fs::read(aside).unwrap()), (false, foreign));
    }

    #[test]
    fn a_packet_far_behind_damage_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lane_3");
        let mut file = LaneFile::new(path.clone(), Uuid::from_random([5; 16]), 3, 7);
        append(&mut file, batch(1, 0));
        for hole in [CHUNK - 24, CHUNK - 16, CHUNK - 8, CHUNK, 3 * CHUNK + 8] {
            let mut bytes = fs::read(&path).unwrap();
            let packet = bytes.clone();
            bytes.extend(vec![0; hole]);
            bytes.extend(&packet);
            let copy = dir.path().join("copy");
            fs::write(&copy, &bytes).unwrap();
            let back = resume(&copy);
            assert_eq!(
                (back.damaged, back.extents.len()),
                (hole as u64, 2),
                "{hole}"
            );
            let mut back = back.file;
            back.append(&batch(1, 0), write_bytes(&[7; 16])).unwrap();
        }
    }
}
