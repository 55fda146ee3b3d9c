//! How far long work is: a line on standard error, for whoever sits in front of it.
//!
//! ```text
//!  export  ━━━━━━━━━━━━━╸──────────────  1.2 GiB of 2.4 GiB  480 MiB/s  3s left
//! ```
//! There is none unless standard error is a terminal, and none for work that takes no longer than a blink.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use laneway_ctf::read::{Reader, Trace};
use rustix::fs::{FileType, fstat};

use crate::output::Paint;

/// Work that takes no longer needs no bar.
const BLINK: Duration = Duration::from_millis(400);

/// Events between two looks at the clock.
const OFTEN: u32 = 1 << 12;

/// A bar that shows how much of some bytes has been gone through.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// When to begin to show it; `None` once it is shown, or if it never will be.
    from: Option<Instant>,
    enabled: bool,
    /// For each stream, the files it is made of and the bytes of those before.
    streams: Vec<Vec<(PathBuf, u64)>>,
    countdown: u32,
}

impl Progress {
    /// A bar for work on all streams of these traces.
    pub(crate) fn of(what: &'static str, traces: &[Trace]) -> Progress {
        let mut total = 0;
        let mut streams = Vec::new();
        for stream in traces.iter().flat_map(Trace::streams) {
            let mut before = 0;
            let mut files = Vec::new();
            for file in &stream.files {
                files.push((file.clone(), before));
                before += size(file);
            }
            total += before;
            streams.push(files);
        }
        let enabled = io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        let colors = if Paint::for_stderr().is_on() {
            "{bar:28.cyan/dim}"
        } else {
            "{bar:28}"
        };
        let template = format!(
            "{{prefix}}  {colors}  {{binary_bytes}} of {{binary_total_bytes}}  {{binary_bytes_per_sec}}  {{eta}} left"
        );
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_prefix(what);
        Progress {
            bar,
            from: enabled.then(|| Instant::now() + BLINK),
            enabled,
            streams,
            countdown: OFTEN,
        }
    }

    /// No bar, whatever comes.
    pub(crate) fn none() -> Progress {
        Progress {
            bar: ProgressBar::hidden(),
            from: None,
            enabled: false,
            streams: Vec::new(),
            countdown: OFTEN,
        }
    }

    /// To be called for every event: shows now and then how far the reader is.
    #[inline]
    pub(crate) fn event(&mut self, reader: &Reader) {
        self.countdown -= 1;
        if self.countdown == 0 {
            self.countdown = OFTEN;
            if self.enabled {
                self.show(reader);
            }
        }
    }

    #[cold]
    fn show(&mut self, reader: &Reader) {
        let mut done = 0;
        for (i, files) in self.streams.iter().enumerate().take(reader.streams()) {
            let stream = reader.stream(i);
            let file = stream.file();
            let before = files.iter().find(|(path, _)| path == file);
            done += before.map_or(0, |(_, before)| *before) + stream.packet().offset;
        }
        self.set(done);
    }

    /// Adds to what is done.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.set(self.bar.position() + bytes);
    }

    fn set(&mut self, done: u64) {
        self.bar.set_position(done);
        if self.from.is_some_and(|from| Instant::now() >= from) {
            self.from = None;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.tick();
        }
    }

    /// Writes a line on standard error, above the bar.
    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// The size of a file, 0 if there is none.
pub(crate) fn size(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |metadata| metadata.len())
}

/// Whether this is a file on a disk.
pub(crate) fn is_file(of: impl AsFd) -> bool {
    fstat(of).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}
