//! One lane on disk: a stream, and further ones for what comes late.
//!
//! A thread that is stopped in the middle of an event holds its sub-buffer, not the lane: others go on, and their
//! packets are written. What is behind that event comes when it is finished, from a time that has passed:
//!
//! ```text
//!   lane_0        ├ 10 … 20 ┤├ 20 … 30 ┤              ├ 40 … 50 ┤├ 50 … 60 ┤
//!   lane_0_late                            ├ 12 … 20 ┤
//!                 ───────────── the order in which they are written ────────▶
//! ```
//!
//! Invariant: in each stream time never falls, and every event that was taken from the lane is either in one of them or
//! counted as lost by the next packet of the first.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use laneway_ctf::model::Uuid;
use laneway_ringbuf::{LaneReader, MAX_LANES};

use super::lane_file::{Batch, LaneFile};
use super::read_back::{Extent, ReadBack};

/// What a lane's stream files are called by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneName {
    /// The CPU, or what else the lane belongs to.
    pub(crate) cpu: u32,
    /// Whether it is an atomic lane.
    pub(crate) atomic: bool,
}

impl LaneName {
    /// That of the lane that `reader` reads.
    pub(crate) fn of(reader: &LaneReader) -> LaneName {
        LaneName {
            cpu: reader.cpu(),
            atomic: reader.is_atomic(),
        }
    }

    /// The file of the lane's stream, or of its late stream number `late` from 1 on.
    fn file(self, late: usize) -> String {
        let kind = if self.atomic { "_atomic" } else { "" };
        let stem = format!("lane_{}{kind}", self.cpu);
        match late {
            0 => stem,
            1 => format!("{stem}_late"),
            n => format!("{stem}_late{n}"),
        }
    }

    /// The lane and the number of the late stream that such a file is.
    pub(super) fn parse(file: &str) -> Option<(LaneName, usize)> {
        let rest = file.strip_prefix("lane_")?;
        let (rest, late) = match rest.split_once("_late") {
            None => (rest, 0),
            Some((rest, "")) => (rest, 1),
            Some((rest, number)) => (rest, number.parse().ok()?),
        };
        let (cpu, atomic) = match rest.strip_suffix("_atomic") {
            Some(cpu) => (cpu, true),
            None => (rest, false),
        };
        let cpu = cpu.parse().ok()?;
        let name = LaneName { cpu, atomic };
        (name.file(late) == file).then_some((name, late))
    }
}

/// Numbers for late streams: those below are the lanes' own.
#[derive(Debug)]
pub(super) struct LateNumbers(u32);

impl LateNumbers {
    /// All of them.
    pub(super) fn new() -> LateNumbers {
        LateNumbers(MAX_LANES * 2)
    }

    /// A stream that is there has this number.
    pub(super) fn taken(&mut self, number: u16) {
        self.0 = self.0.max(u32::from(number) + 1);
    }

    fn next(&mut self) -> io::Result<u16> {
        let number = u16::try_from(self.0)
            .map_err(|_| io::Error::other("the trace has 65536 streams, which is all it can"))?;
        self.0 += 1;
        Ok(number)
    }
}

/// A lane's streams.
#[derive(Debug)]
pub(super) struct Lane {
    directory: PathBuf,
    name: LaneName,
    uuid: Uuid,
    /// The first is the lane's own, the others are late.
    files: Vec<LaneFile>,
    /// The number of the next late file.
    next_late: usize,
    /// Events that were taken from the lane and could not be written.
    pub(super) unstored: u64,
    /// What an earlier consumer wrote.
    extents: Vec<Extent>,
}

impl Lane {
    /// A lane of the trace `uuid` in `directory`.
    pub(super) fn new(directory: &Path, name: LaneName, uuid: Uuid) -> Lane {
        let path = directory.join(name.file(0));
        Lane {
            directory: directory.to_owned(),
            name,
            uuid,
            files: vec![LaneFile::new(path, uuid, 0, name.cpu)],
            next_late: 1,
            unstored: 0,
            extents: Vec::new(),
        }
    }

    /// Goes on with a stream that is there: the lane's own, or a late one.
    pub(super) fn resume(&mut self, late: usize, back: ReadBack) {
        self.extents.extend(back.extents);
        self.next_late = self.next_late.max(late + 1);
        match late {
            0 => self.files[0] = back.file,
            _ => self.files.push(back.file),
        }
    }

    /// The lane's own stream has the number of the lane.
    pub(super) fn set_index(&mut self, index: u32) {
        self.files[0].set_number(index as u16); // below twice MAX_LANES
    }

    /// What an earlier consumer wrote, in no order.
    pub(super) fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// Appends a packet to the first stream that has not gone beyond its begin.
    ///
    /// # Errors
    /// The packet could not be written to that file; its events are counted as unstored.
    pub(super) fn append<E>(
        &mut self,
        batch: &Batch,
        numbers: &mut LateNumbers,
        write: impl FnOnce(BorrowedFd<'_>, &[u8]) -> Result<usize, E>,
    ) -> Result<(), (PathBuf, io::Error)>
    where
        io::Error: From<E>,
    {
        let mut batch = *batch;
        let in_time = |file: &LaneFile| file.written.last_end <= batch.begin;
        let index = match self.files.iter().position(in_time) {
            Some(index) => index,
            None => {
                let path = self.directory.join(self.name.file(self.next_late));
                let number = numbers.next().map_err(|e| {
                    self.unstored += batch.records;
                    (path.clone(), e)
                })?;
                let file = LaneFile::new(path, self.uuid, number, self.name.cpu);
                self.files.push(file);
                self.next_late += 1;
                self.files.len() - 1
            }
        };
        // The losses of a lane are told once, by its own stream.
        batch.lost = match index {
            0 => batch.lost.saturating_add(self.unstored),
            _ => 0,
        };
        let file = &mut self.files[index];
        file.append(&batch, write).map_err(|e| {
            self.unstored += batch.records;
            (file.path().to_owned(), e)
        })
    }

    /// Tells of what was lost after the last packet. Nothing is appended any more.
    ///
    /// # Errors
    /// It could not be written to that file.
    pub(super) fn close(&mut self, lost: u64, now: u64) -> Result<(), (PathBuf, io::Error)> {
        let file = &mut self.files[0];
        file.close(lost.saturating_add(self.unstored), now)
            .map_err(|e| (file.path().to_owned(), e))
    }

    /// The numbers of its late streams.
    pub(super) fn late_numbers(&self) -> impl Iterator<Item = u16> {
        self.files[1..].iter().map(LaneFile::stream)
    }

    /// Bytes in all its streams.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.written.bytes).sum()
    }

    /// Packets in all its streams.
    pub(super) fn packets(&self) -> u64 {
        self.files.iter().map(|file| file.written.packets).sum()
    }

    /// Events in all its streams.
    pub(super) fn events(&self) -> u64 {
        self.files.iter().map(|file| file.written.events).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::lane_file::tests::{batch, headers};
    use super::super::lane_file::write_bytes;
    use super::super::read_back::read_back;
    use super::*;

    const NAME: LaneName = LaneName {
        cpu: 3,
        atomic: false,
    };

    /// The number of the first late stream.
    const LATE: u16 = MAX_LANES as u16 * 2;

    fn lane(dir: &tempfile::TempDir) -> Lane {
        let mut lane = Lane::new(dir.path(), NAME, Uuid::default());
        lane.set_index(3);
        lane
    }

    fn append(lane: &mut Lane, numbers: &mut LateNumbers, begin: u64, end: u64, lost: u64) {
        let batch = Batch {
            begin,
            end,
            position: begin * 10,
            ..batch(1, lost)
        };
        lane.append(&batch, numbers, write_bytes(&[7; 16])).unwrap();
    }

    /// A file, its stream's number, and begin and end of each packet.
    type Stream = (String, u16, Vec<(u64, u64)>);

    fn streams(dir: &tempfile::TempDir) -> Vec<Stream> {
        let mut streams: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let packets = headers(&path);
                (
                    path.file_name().unwrap().to_str().unwrap().to_owned(),
                    packets[0].stream,
                    packets.iter().map(|p| (p.begin, p.end)).collect(),
                )
            })
            .collect();
        streams.sort();
        streams
    }

    #[test]
    fn a_late_packet_goes_into_a_stream_of_its_own_and_time_falls_in_none() {
        let dir = tempfile::tempdir().unwrap();
        let (mut lane, mut numbers) = (lane(&dir), LateNumbers::new());
        // 30 to 40 is late, 10 to 15 still later, 40 to 45 fits behind the former.
        for (begin, end) in [
            (0, 10),
            (20, 30),
            (50, 60),
            (30, 40),
            (10, 15),
            (40, 45),
            (60, 70),
        ] {
            append(&mut lane, &mut numbers, begin, end, 5);
        }
        assert_eq!(
            streams(&dir),
            [
                (
                    "lane_3".to_owned(),
                    3,
                    vec![(0, 10), (20, 30), (50, 60), (60, 70)]
                ),
                ("lane_3_late".to_owned(), LATE, vec![(30, 40), (40, 45)]),
                ("lane_3_late2".to_owned(), LATE + 1, vec![(10, 15)]),
            ]
        );
        let told: Vec<_> = ["lane_3", "lane_3_late", "lane_3_late2"]
            .map(|name| headers(&dir.path().join(name))[0].discarded)
            .into();
        assert_eq!(told, [5, 0, 0], "losses are told once");
        assert_eq!((lane.packets(), lane.events()), (7, 7));
    }

    #[test]
    fn all_streams_of_a_lane_are_continued() {
        let dir = tempfile::tempdir().unwrap();
        let (mut before, mut numbers) = (lane(&dir), LateNumbers::new());
        for (begin, end) in [(0, 10), (50, 60), (30, 40), (10, 15)] {
            append(&mut before, &mut numbers, begin, end, 5);
        }
        let (mut after, mut numbers) = (lane(&dir), LateNumbers::new());
        let mut files: Vec<_> = streams(&dir).into_iter().map(|(name, ..)| name).collect();
        files.sort();
        for name in files {
            let back = read_back(&dir.path().join(&name), Uuid::default()).unwrap();
            let (_, late) = LaneName::parse(&name).unwrap();
            after.resume(late, back.unwrap());
        }
        after.late_numbers().for_each(|n| numbers.taken(n));
        for (begin, end) in [(60, 70), (40, 45), (15, 20), (5, 8)] {
            append(&mut after, &mut numbers, begin, end, 7);
        }
        assert_eq!(
            streams(&dir),
            [
                ("lane_3".to_owned(), 3, vec![(0, 10), (50, 60), (60, 70)]),
                ("lane_3_late".to_owned(), LATE, vec![(30, 40), (40, 45)]),
                (
                    "lane_3_late2".to_owned(),
                    LATE + 1,
                    vec![(10, 15), (15, 20)]
                ),
                ("lane_3_late3".to_owned(), LATE + 2, vec![(5, 8)]),
            ]
        );
        assert_eq!((after.packets(), after.events()), (8, 8));
        assert_eq!(after.extents().len(), 4);
    }

    #[test]
    fn what_could_not_be_written_is_told_as_lost_by_the_next_packet() {
        let dir = tempfile::tempdir().unwrap();
        let (mut lane, mut numbers) = (lane(&dir), LateNumbers::new());
        append(&mut lane, &mut numbers, 0, 10, 0);
        let full = lane.append(&batch(9, 0), &mut numbers, |_, _| {
            Err::<usize, _>(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert!(full.unwrap_err().0.ends_with("lane_3"));
        append(&mut lane, &mut numbers, 20, 30, 5);
        let last = headers(&dir.path().join("lane_3"))[1];
        assert_eq!((last.sequence, last.discarded), (1, 5 + 9));
        assert_eq!((lane.events(), lane.unstored), (2, 9));
    }

    #[test]
    fn a_trace_without_numbers_for_more_streams_counts_the_packet_as_unstored() {
        let dir = tempfile::tempdir().unwrap();
        let (mut lane, mut numbers) = (lane(&dir), LateNumbers::new());
        numbers.taken(u16::MAX);
        append(&mut lane, &mut numbers, 50, 60, 0);
        let refused = lane.append(&batch(4, 0), &mut numbers, write_bytes(&[7; 64]));
        assert!(refused.unwrap_err().1.to_string().contains("65536 streams"));
        assert_eq!(lane.unstored, 4);
    }

    #[test]
    fn files_are_told_from_their_names() {
        for cpu in [0, 17] {
            for atomic in [false, true] {
                let name = LaneName { cpu, atomic };
                for late in 0..4 {
                    assert_eq!(LaneName::parse(&name.file(late)), Some((name, late)));
                }
            }
        }
        for foreign in [
            "metadata",
            "lane_",
            "lane_x",
            "lane_0_late1",
            "lane_0_late0",
            "lane_00",
            "lane_0.repair~",
        ] {
            assert_eq!(LaneName::parse(foreign), None, "{foreign}");
        }
    }
}
