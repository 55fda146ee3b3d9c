//! Accounts: what traced programs say they have finished, and what their traces have of it.
//!
//! ```text
//!   program ── finished ──▶ a page in a file ─▶ Account    what must be there
//!      └────── trace! ────▶ trace ─▶ babeltrace2 ─▶ Found  what is there
//! ```
//! The programs are those that use `src/programs/account.rs`: every event says its line of the account, its number in it,
//! and a text that follows from the number. An event is stored before it is written down, so that a process that was killed
//! may have one more in the trace than in its account, in each line.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::events::babeltrace_lines;

const FILLER: &[u8] = b"The quick brown fox jumps over the lazy dog, again.";

/// Bytes of a line, and of all of them.
const LINE_BYTES: usize = 64;
const PAGE_BYTES: usize = 4096;

/// A page that a program writes down its events in.
#[derive(Clone, Debug)]
pub struct Account(PathBuf);

impl Account {
    /// An empty one.
    ///
    /// # Panics
    /// It cannot be made.
    #[must_use]
    pub fn create(directory: &Path, name: &str) -> Account {
        let path = directory.join(name);
        fs::write(&path, [0; PAGE_BYTES]).expect("a file can be written");
        Account(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// How many events each of the first `lines` lines has finished.
    #[must_use]
    pub fn finished(&self, lines: usize) -> Vec<u64> {
        self.words(lines, 0)
    }

    /// The process to which each line belongs.
    #[must_use]
    pub fn owners(&self, lines: usize) -> Vec<u32> {
        let owners = self.words(lines, 1).into_iter();
        owners
            .map(|pid| pid.try_into().expect("a process id"))
            .collect()
    }

    /// Tells the program to go on: see `Account::await_go` there.
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn say_go(&self) {
        let file = File::options().write(true).open(&self.0);
        let last = (PAGE_BYTES - LINE_BYTES) as u64;
        let written = file.and_then(|file| file.write_all_at(&1_u64.to_ne_bytes(), last));
        written.expect("it can be written");
    }

    fn words(&self, lines: usize, word: usize) -> Vec<u64> {
        let page = fs::read(&self.0).expect("it is there");
        let lines = page.chunks_exact(LINE_BYTES).take(lines);
        lines
            .map(|line| u64::from_ne_bytes(line.as_chunks().0[word]))
            .collect()
    }
}

/// The events of one line of one process in a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// How many.
    pub events: u64,
    /// The number of the first.
    pub first: u64,
    /// One more than the number of the last.
    pub end: u64,
    /// How many follow each other without a gap, up to the last.
    pub run: u64,
    /// When the last one happened.
    pub last_time: u64,
}

impl Line {
    /// Whether none is missing between the first and the last.
    #[must_use]
    pub fn is_contiguous(&self) -> bool {
        self.events == self.end - self.first
    }
}

/// All events of a trace, or of several.
#[derive(Debug, Default)]
pub struct Found {
    /// By process and line.
    pub lines: BTreeMap<(u32, usize), Line>,
    /// Where numbers are missing in a line of a process: between the times of these two events, in clock cycles.
    pub gaps: Vec<(u32, usize, Range<u64>)>,
    /// All of them.
    pub events: u64,
    /// What babeltrace2 said.
    pub warnings: String,
}

impl Found {
    /// Reads the traces in `directory`: in each line the numbers must rise, and each text be the one of its number.
    ///
    /// # Panics
    /// They do not, or babeltrace2 fails.
    #[track_caller]
    #[must_use]
    pub fn read(directory: &Path) -> Found {
        let mut found = Found::default();
        found.warnings = {
            let found = &mut found;
            babeltrace_lines(directory, |line| found.add(line))
        };
        found
    }

    /// A line of a process; an empty one if it has no events.
    #[must_use]
    pub fn line(&self, pid: u32, line: usize) -> Line {
        self.lines.get(&(pid, line)).copied().unwrap_or_default()
    }

    #[track_caller]
    fn add(&mut self, text: &[u8]) {
        let event = Numbered::parse(text);
        let event = event.unwrap_or_else(|| panic!("not of an account: {}", text.escape_ascii()));
        assert_eq!(
            event.text,
            &FILLER[..1 + (event.n * 7 % 50) as usize],
            "the text of {}",
            text.escape_ascii()
        );
        let line = self.lines.entry((event.pid, event.line)).or_insert(Line {
            events: 0,
            first: event.n,
            end: event.n,
            ..Line::default()
        });
        assert!(
            event.n >= line.end,
            "out of order, or twice: {} after {line:?}",
            text.escape_ascii()
        );
        if event.n != line.end {
            line.run = 0;
            let times = line.last_time..event.time;
            self.gaps.push((event.pid, event.line, times));
        }
        line.events += 1;
        line.run += 1;
        line.end = event.n + 1;
        line.last_time = event.time;
        self.events += 1;
    }
}

/// What a line of babeltrace2 says; done by hand, because there are millions.
struct Numbered<'l> {
    time: u64,
    pid: u32,
    line: usize,
    n: u64,
    text: &'l [u8],
}

impl<'l> Numbered<'l> {
    /// `[TIME] (…) host:name:(PID) account:event: { … }, { … }, { thread = LINE, n = N, text = "TEXT" }`, or, where the
    /// processes of a trace are several, `vpid = PID` among what is left out here.
    fn parse(line: &'l [u8]) -> Option<Self> {
        let (before, fields) = split(line, b"{ thread = ")?;
        let (time, _) = split(before.strip_prefix(b"[")?, b"] (")?;
        let pid = match split(before, b"vpid = ") {
            Some((_, rest)) => rest.split(|b| !b.is_ascii_digit()).next()?,
            None => {
                let (origin, _) = split(before, b") account:event: ")?;
                &origin[origin.iter().rposition(|&b| b == b'(')? + 1..]
            }
        };
        let (number, fields) = split(fields, b", n = ")?;
        let (n, fields) = split(fields, b", text = \"")?;
        Some(Numbered {
            time: decimal(time)?,
            pid: decimal(pid)?.try_into().ok()?,
            line: decimal(number)?.try_into().ok()?,
            n: decimal(n)?,
            text: fields.strip_suffix(b"\" }")?,
        })
    }
}

fn split<'b>(bytes: &'b [u8], at: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let found = bytes.windows(at.len()).position(|window| window == at)?;
    Some((&bytes[..found], &bytes[found + at.len()..]))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] =
        b"[00000012] (+1) vm:accountable:(4711) account:event: { cpu_id = 0 }, { vtid = 7 }, \
        { thread = 3, n = 8, text = \"The qui\" }";

    #[test]
    fn an_event_is_read_as_it_stands() {
        let mut found = Found::default();
        found.add(LINE);
        let line = found.line(4711, 3);
        assert_eq!((line.events, line.first, line.end), (1, 8, 9));
    }

    #[test]
    fn an_event_of_a_shared_trace_names_its_process_itself() {
        let line = b"[00000012] (+1) vm account:event: { cpu_id = 0 }, { vpid = 12, vtid = 7, procname = \"a\" }, \
            { thread = 3, n = 8, text = \"The qui\" }";
        let mut found = Found::default();
        found.add(line);
        assert_eq!(found.line(12, 3).events, 1);
    }

    #[test]
    fn the_events_behind_the_last_gap_are_a_run() {
        let mut found = Found::default();
        for (time, n, text) in [
            ("12", "8", "The qui"),
            ("13", "10", "The quick brown fox j"),
            ("15", "11", "The quick brown fox jumps ov"),
        ] {
            let line = String::from_utf8_lossy(LINE)
                .replace("00000012", time)
                .replace("n = 8", &format!("n = {n}"))
                .replace("The qui", text);
            found.add(line.as_bytes());
        }
        let line = found.line(4711, 3);
        assert_eq!((line.events, line.run, line.last_time), (3, 2, 15));
        assert_eq!(found.gaps, [(4711, 3, 12..13)]);
    }

    #[test]
    #[should_panic(expected = "twice")]
    fn an_event_that_is_there_twice_is_told() {
        let mut found = Found::default();
        found.add(LINE);
        found.add(LINE);
    }

    #[test]
    #[should_panic(expected = "the text of")]
    fn an_event_with_the_text_of_another_is_told() {
        Found::default().add(
            &LINE
                .to_vec()
                .iter()
                .map(|&b| if b == b'8' { b'9' } else { b })
                .collect::<Vec<_>>(),
        );
    }
}
