//! LTTng's index files: where the packets of a stream file are, and when they were.
//!
//! ```text
//!  lane_0            ▕ packet 0    ▏ packet 1  ▏ packet 2   ▏
//!  index/lane_0.idx  c1f1dcc1 1.1 │ offset, sizes, begin, end, … │ offset, … │ offset, …
//! ```
//! All numbers are big-endian. An index saves looking at every packet to find a time; it is a hint, and where it does
//! not fit its stream file it is not used.
//!
//! Reference: lttng-tools, `include/lttng/…/ctf-index.h`, version 1.1.

use std::fs;
use std::path::{Path, PathBuf};

const MAGIC: u32 = 0xc1f1_dcc1;

/// Magic number, major and minor version, bytes of an entry.
const HEADER: usize = 16;

/// Bytes of an entry of version 1.0; later ones only add to it.
const ENTRY: usize = 56;

/// A larger index is not worth reading.
const MAX_INDEX: u64 = 256 << 20;

/// What an index says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Where in the stream file it begins, in bytes.
    pub offset: u64,
    /// Bits up to the next packet.
    pub size: u64,
    /// Bits up to the end of its last event.
    pub content: u64,
    /// The clock when it began.
    pub begin: u64,
    /// The clock when it ended.
    pub end: u64,
    /// How many events the stream ever lost.
    pub discarded: u64,
    /// The id of its stream class.
    pub stream_class: u64,
}

/// The index of a stream file; `None` if there is none, or it does not fit the file.
#[must_use]
pub fn index_of(stream_file: &Path) -> Option<Vec<IndexEntry>> {
    let path = path_of(stream_file)?;
    if fs::metadata(&path).ok()?.len() > MAX_INDEX {
        return None;
    }
    let entries = parse(&fs::read(path).ok()?)?;
    let end = entries
        .last()
        .map_or(0, |last| last.offset.saturating_add(last.size / 8));
    (fs::metadata(stream_file).ok()?.len() == end).then_some(entries)
}

fn path_of(stream_file: &Path) -> Option<PathBuf> {
    let name = format!("{}.idx", stream_file.file_name()?.to_str()?);
    Some(stream_file.parent()?.join("index").join(name))
}

/// The entries, if they are those of packets one behind the other.
fn parse(bytes: &[u8]) -> Option<Vec<IndexEntry>> {
    let word = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let length = word(12)? as usize;
    let whole = length >= ENTRY && (bytes.len() - HEADER).is_multiple_of(length);
    if word(0)? != MAGIC || word(4)? != 1 || !whole {
        return None;
    }
    let mut entries = Vec::new();
    let mut next = 0;
    for entry in bytes[HEADER..].chunks(length) {
        let number = |i: usize| {
            Some(u64::from_be_bytes(
                entry.get(i * 8..i * 8 + 8)?.try_into().ok()?,
            ))
        };
        let entry = IndexEntry {
            offset: number(0)?,
            size: number(1)?,
            content: number(2)?,
            begin: number(3)?,
            end: number(4)?,
            discarded: number(5)?,
            stream_class: number(6)?,
        };
        if entry.offset != next
            || entry.size == 0
            || !entry.size.is_multiple_of(8)
            || entry.content > entry.size
        {
            return None;
        }
        next = next.checked_add(entry.size / 8)?;
        entries.push(entry);
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(packets: &[[u64; 7]], length: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [MAGIC, 1, 1, length] {
            bytes.extend(word.to_be_bytes());
        }
        for packet in packets {
            let from = bytes.len();
            bytes.extend(packet.iter().flat_map(|number| number.to_be_bytes()));
            bytes.resize(from + length as usize, 0);
        }
        bytes
    }

    const PACKETS: [[u64; 7]; 2] = [
        [0, 4096 * 8, 800, 5, 9, 0, 0],
        [4096, 8192 * 8, 900, 10, 20, 1, 0],
    ];

    #[test]
    fn an_index_lists_packets_whatever_later_versions_add() {
        for length in [56, 72, 80] {
            let entries = parse(&index(&PACKETS, length)).unwrap();
            assert_eq!(entries.len(), 2);
            assert_eq!(
                (entries[1].offset, entries[1].begin, entries[1].end),
                (4096, 10, 20)
            );
        }
    }

    #[test]
    fn an_index_that_does_not_fit_its_file_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("s");
        fs::create_dir(dir.path().join("index")).unwrap();
        fs::write(dir.path().join("index/s.idx"), index(&PACKETS, 72)).unwrap();
        fs::write(&file, vec![0; 4096 + 8192]).unwrap();
        assert_eq!(index_of(&file).map(|entries| entries.len()), Some(2));
        fs::write(&file, vec![0; 4096]).unwrap();
        assert_eq!(index_of(&file), None);
        assert_eq!(index_of(&dir.path().join("other")), None);
    }

    #[test]
    fn an_index_cut_or_changed_is_none() {
        let good = index(&PACKETS, 72);
        assert_eq!(parse(&good[..good.len() - 20]), None);
        for at in [0, 7, 12, 23, 88] {
            let mut bytes = good.clone();
            bytes[at] ^= 0x55;
            assert_eq!(parse(&bytes), None, "byte {at}");
        }
    }
}
