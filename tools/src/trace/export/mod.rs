//! `laneway export`: turns traces into other formats.
//!
//! ```text
//!  ctf-1.8, ctf-2   directories: any input into either, sliced and filtered
//!  perfetto         a protobuf trace for ui.perfetto.dev and its SQL
//!  chrome           JSON trace events for chrome://tracing
//!  json, csv        one line for each event
//! ```
//! Output goes to a file (or standard output) that did not exist, or into a new directory.

mod chrome;
mod csv;
mod ctf;
mod perfetto;

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use jiff::tz::TimeZone;
use laneway_ctf::read::{Event, Item, Notice, Trace};

use super::json;
use super::select::{SelectArgs, Selection};
use super::view::is_broken_pipe;
use crate::units::count;

const EXAMPLES: &str = "\
Examples:
  laneway export trace/ --to perfetto -o trace.pftrace
  laneway export trace/ --to ctf-1.8 -o slice/ --since +1s --until +2s
  laneway export trace/ --to csv -e 'shop:order' > orders.csv

Exit codes: 0 success, 1 nothing could be exported, 2 wrong command line, 3 parts of the trace are damaged";

/// Convert traces into another format
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    select: SelectArgs,

    /// The format
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: To,

    /// Where to: a file, or for CTF a directory, that does not exist yet; standard output if not given
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum To {
    #[value(name = "ctf-1.8")]
    Ctf18,
    #[value(name = "ctf-2")]
    Ctf2,
    Perfetto,
    Chrome,
    Json,
    Csv,
}

/// Writes events in some format.
pub(super) trait Exporter {
    fn event(&mut self, event: &Event<'_>) -> anyhow::Result<()>;
    fn finish(&mut self) -> anyhow::Result<()>;
}

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    match export(args) {
        Err(error) if is_broken_pipe(&error) => Ok(0),
        other => other,
    }
}

fn export(args: &Args) -> anyhow::Result<u8> {
    let (traces, mut selection) = args.select.open(&TimeZone::system())?;
    let format = match args.to {
        To::Ctf18 => Some(ctf::Format::Tsdl),
        To::Ctf2 => Some(ctf::Format::Json),
        _ => None,
    };
    if let Some(format) = format {
        let Some(directory) = &args.output else {
            bail!("CTF is a directory: say where with -o DIR");
        };
        ensure!(
            !directory.exists(),
            "{} exists already",
            directory.display()
        );
        let outcome = ctf::export(&traces, &mut selection, format, directory)?;
        return Ok(end(outcome.events, &outcome.damage, args.output.as_deref()));
    }
    let out = open(args.output.as_deref())?;
    let mut exporter: Box<dyn Exporter> = match args.to {
        To::Perfetto => {
            ensure!(
                args.output.is_some() || !io::stdout().is_terminal(),
                "a protobuf trace is no text for a terminal: say where with -o FILE"
            );
            Box::new(perfetto::Perfetto::new(out))
        }
        To::Chrome => Box::new(chrome::Chrome::new(out)?),
        To::Csv => Box::new(csv::Csv::new(out, &traces)?),
        _ => Box::new(JsonLines { out }),
    };
    let (events, damage) = drive(&traces, &mut selection, exporter.as_mut())?;
    exporter.finish().context("cannot write")?;
    Ok(end(events, &damage, args.output.as_deref()))
}

/// Says what was done; the exit code.
fn end(events: u64, damage: &[String], output: Option<&Path>) -> u8 {
    for damage in damage {
        eprintln!("laneway: {damage}");
    }
    if let Some(path) = output {
        eprintln!(
            "laneway: {} events written to {}",
            count(events),
            path.display()
        );
    }
    if damage.is_empty() { 0 } else { 3 }
}

fn drive(
    traces: &[Trace],
    selection: &mut Selection,
    exporter: &mut dyn Exporter,
) -> anyhow::Result<(u64, Vec<String>)> {
    let mut reader = selection.reader(traces);
    let (mut events, mut damages) = (0, Vec::new());
    while let Some(item) = reader.next_item() {
        match item {
            Item::Event(event) if selection.is_over(&event) => break,
            Item::Event(event) if selection.takes(&event) => {
                exporter.event(&event).context("cannot write")?;
                events += 1;
            }
            Item::Notice(Notice::Damage(damage)) => damages.push(damage.to_string()),
            Item::Event(_) | Item::Notice(Notice::Lost(_)) => {}
        }
    }
    Ok((events, damages))
}

pub(super) type Out = BufWriter<Box<dyn Write>>;

fn open(path: Option<&Path>) -> anyhow::Result<Out> {
    let to: Box<dyn Write> = match path {
        None => Box::new(io::stdout()),
        Some(path) => {
            let mut options = OpenOptions::new();
            let file = options.write(true).create_new(true).open(path);
            Box::new(file.map_err(|e| match e.kind() {
                io::ErrorKind::AlreadyExists => {
                    anyhow::anyhow!("{} exists already", path.display())
                }
                _ => anyhow::Error::new(e).context(format!("cannot write {}", path.display())),
            })?)
        }
    };
    Ok(BufWriter::with_capacity(256 << 10, to))
}

struct JsonLines {
    out: Out,
}

impl Exporter for JsonLines {
    fn event(&mut self, event: &Event<'_>) -> anyhow::Result<()> {
        serde_json::to_writer(&mut self.out, &json::event(event))?;
        Ok(self.out.write_all(b"\n")?)
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        Ok(self.out.flush()?)
    }
}

/// Makes a directory and those above it.
pub(super) fn make_directory(path: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(path)
        .with_context(|| format!("cannot make the directory {}", path.display()))
}
