//! CTF from CTF: other metadata, a slice, a selection, several traces as one.
//!
//! ```text
//!  a/lane_0  a/lane_1 ┐      DIR/metadata       of one trace as it was, of several merged
//!  b/lane_0           ┴─▶    DIR/a-lane_0  DIR/a-lane_1  DIR/b-lane_0
//! ```
//! Field classes stay what they are, so nothing is lost on the way; packets are written anew.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use laneway_ctf::merge::Merged;
use laneway_ctf::model::{TraceClass, Uuid};
use laneway_ctf::read::{Item, Notice, StreamCopy, Trace};
use laneway_ctf::{ctf2, tsdl};

use super::Outcome;
use crate::progress::Progress;
use crate::trace::select::Selection;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Tsdl,
    Json,
}

/// Metadata in a format.
fn metadata(class: &TraceClass, format: Format) -> Result<Vec<u8>> {
    match format {
        Format::Json => Ok(ctf2::write(class)),
        Format::Tsdl => {
            let class =
                tsdl::lower(class).map_err(|e| anyhow!("CTF 1.8 cannot hold this trace: {e}"))?;
            Ok(tsdl::write(&class).into_bytes())
        }
    }
}

pub(super) fn export(
    traces: &[Trace],
    selection: &mut Selection,
    format: Format,
    to: &Path,
    progress: &mut Progress,
) -> Result<Outcome> {
    let classes: Vec<_> = traces.iter().map(Trace::class).collect();
    let merged = match classes[..] {
        [_] => None,
        _ => Some(Merged::new(&classes, random_uuid()?)),
    };
    let class = merged.as_ref().map_or(traces[0].class(), Merged::class);
    let path = to.join("metadata");
    fs::write(&path, metadata(class, format)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    let whole = selection.is_everything();
    let mut files: Vec<PathBuf> = Vec::new();
    let mut copies = Vec::new();
    for (i, trace) in traces.iter().enumerate() {
        for stream in trace.streams() {
            let path = to.join(file_name(trace, &stream.files[0], merged.is_some(), &files));
            let file = File::create_new(&path)
                .with_context(|| format!("cannot write {}", path.display()))?;
            let file = BufWriter::new(file);
            copies.push(match &merged {
                None => StreamCopy::new(file, !whole),
                Some(merged) => {
                    let prologue = merged.prologue(i, stream.class, files.len() as u64);
                    StreamCopy::into_merged(file, !whole, prologue)
                }
            });
            files.push(path);
        }
    }
    let mut reader = selection.reader(traces);
    let mut outcome = Outcome::default();
    loop {
        progress.event(&reader);
        match reader.next_item() {
            None => break,
            Some(Item::Event(event)) if selection.is_over(&event) => break,
            Some(Item::Event(event)) if selection.takes(&event) => {
                let index = event.stream_index();
                copies[index]
                    .event(&event)
                    .with_context(|| format!("cannot write {}", files[index].display()))?;
                outcome.events += 1;
            }
            Some(Item::Notice(Notice::Damage(damage))) => outcome.damage.push(damage.to_string()),
            Some(Item::Event(_) | Item::Notice(Notice::Lost(_))) => {}
        }
    }
    for (i, copy) in copies.into_iter().enumerate() {
        let done = copy.finish(reader.stream(i));
        done.with_context(|| format!("cannot write {}", files[i].display()))?;
    }
    Ok(outcome)
}

/// A name for a stream file: its own, and among those of several traces with that of its trace in front.
fn file_name(trace: &Trace, file: &Path, merged: bool, taken: &[PathBuf]) -> String {
    let last = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let own = match merged {
        true => format!("{}-{}", last(trace.path()), last(file)),
        false => last(file),
    };
    let mut name = own.clone();
    let mut number = 2;
    while taken.iter().any(|path| last(path) == name) {
        name = format!("{own}-{number}");
        number += 1;
    }
    name
}

/// An identity for a trace that never was before.
fn random_uuid() -> Result<Uuid> {
    let path = "/proc/sys/kernel/random/uuid";
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    text.trim()
        .parse()
        .with_context(|| format!("{path} is odd"))
}
