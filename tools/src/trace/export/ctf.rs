//! CTF from CTF: other metadata, a slice, a selection.
//!
//! Field classes stay what they are, so nothing is lost on the way; packets are written anew.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use laneway_ctf::model::TraceClass;
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
    let mut texts = Vec::new();
    for trace in traces {
        texts.push(metadata(trace.class(), format)?);
    }
    // One directory for each trace, and a stream file where its like was.
    let mut files: Vec<PathBuf> = Vec::new();
    for (i, (trace, text)) in traces.iter().zip(&texts).enumerate() {
        let directory = match traces.len() {
            1 => to.to_owned(),
            _ => to.join(directory_name(trace, i)),
        };
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make the directory {}", directory.display()))?;
        write(&directory.join("metadata"), text)?;
        for stream in trace.streams() {
            let name = stream.files[0].file_name().unwrap_or_default();
            files.push(directory.join(name));
        }
    }
    let whole = selection.is_everything();
    let mut copies = Vec::new();
    for path in &files {
        let file =
            File::create_new(path).with_context(|| format!("cannot write {}", path.display()))?;
        copies.push(StreamCopy::new(BufWriter::new(file), !whole));
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

/// A name for the directory of a trace among others.
fn directory_name(trace: &Trace, number: usize) -> String {
    let name = trace
        .path()
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    format!("{number:02}-{}", name.unwrap_or_else(|| "trace".to_owned()))
}

fn write(path: &Path, text: &[u8]) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
