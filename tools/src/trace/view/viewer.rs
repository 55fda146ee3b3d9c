//! Events on their way from the reader to the output.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use laneway_ctf::read::{Event, Item, Notice, Reader, Trace};
use laneway_ctf::text::{Babeltrace, Pretty};

use super::output::{CHUNK, Output};
use crate::progress::Progress;
use crate::trace::json;
use crate::trace::select::Selection;

/// How often a trace that is being written is looked at.
const PERIOD: Duration = Duration::from_millis(100);

/// Prints the events that were selected.
pub(super) struct Viewer {
    pub(super) printer: Printer,
    /// Prints what was lost, in whatever format the events are.
    pub(super) losses: Babeltrace,
    pub(super) output: Output,
    pub(super) selection: Selection,
    pub(super) progress: Progress,
    /// How many events may still be printed.
    pub(super) left: Option<u64>,
    /// Whether any part of the traces could not be read.
    pub(super) damaged: bool,
}

pub(super) enum Printer {
    Pretty(Box<Pretty>),
    Babeltrace(Box<Babeltrace>),
    Json,
}

/// Whether to go on.
#[derive(PartialEq, Eq)]
pub(super) enum Go {
    On,
    Enough,
}

impl Viewer {
    /// Prints what there is.
    pub(super) fn print(&mut self, reader: &mut Reader) -> anyhow::Result<Go> {
        if self.left == Some(0) {
            return Ok(Go::Enough);
        }
        loop {
            self.progress.event(reader);
            match reader.next_item() {
                None => return Ok(Go::On),
                Some(Item::Event(event)) => {
                    if self.selection.is_over(&event) {
                        return Ok(Go::Enough);
                    }
                    if self.selection.takes(&event) && self.event(&event)? == Go::Enough {
                        return Ok(Go::Enough);
                    }
                }
                Some(Item::Notice(Notice::Lost(loss))) => {
                    let mut line = Vec::new();
                    self.losses.loss(&mut line, reader, &loss);
                    self.tell(String::from_utf8_lossy(&line).trim_end())?;
                }
                Some(Item::Notice(Notice::Damage(damage))) => {
                    self.damaged = true;
                    self.tell(&format!("laneway: {damage}"))?;
                }
            }
        }
    }

    fn event(&mut self, event: &Event<'_>) -> anyhow::Result<Go> {
        let out = &mut self.output.buffer;
        match &mut self.printer {
            Printer::Pretty(printer) => printer.event(out, event),
            Printer::Babeltrace(printer) => printer.event(out, event),
            Printer::Json => {
                serde_json::to_writer(&mut *out, &json::event(event))?;
                out.push(b'\n');
            }
        }
        if out.len() >= CHUNK {
            self.flush()?;
        }
        if let Some(left) = &mut self.left {
            *left -= 1;
            if *left == 0 {
                return Ok(Go::Enough);
            }
        }
        Ok(Go::On)
    }

    /// Says something on standard error, behind the events before it.
    fn tell(&mut self, line: &str) -> anyhow::Result<()> {
        self.flush()?;
        self.progress.say(line);
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.output.flush().context("cannot write")
    }

    /// Prints what there is, and then what comes, until somebody ends it.
    pub(super) fn follow(&mut self, paths: &[PathBuf]) -> anyhow::Result<()> {
        let mut known: Vec<Trace> = Vec::new();
        let mut reader = self.selection.reader(&known);
        loop {
            reader.mark();
            if let Some(now) = changed(paths, &known) {
                reader.renew(&now);
                if std::mem::replace(&mut known, now).is_empty() {
                    continue;
                }
            }
            reader.resume();
            if self.print(&mut reader)? == Go::Enough {
                return Ok(());
            }
            self.flush()?;
            std::thread::sleep(PERIOD);
        }
    }

    /// Writes out the rest. The exit code.
    pub(super) fn finish(mut self) -> anyhow::Result<u8> {
        self.flush()?;
        self.output.close();
        Ok(if self.damaged { 3 } else { 0 })
    }
}

/// The traces as they are now, if that is not as they were.
fn changed(paths: &[PathBuf], before: &[Trace]) -> Option<Vec<Trace>> {
    let mut now = Vec::new();
    for path in paths {
        // Metadata that is just being written makes no sense yet.
        now.extend(Trace::open_all(path).ok()?);
    }
    let same = now.len() == before.len()
        && now.iter().zip(before).all(|(now, before)| {
            now.streams() == before.streams() && now.class() == before.class()
        });
    (!same).then_some(now)
}
