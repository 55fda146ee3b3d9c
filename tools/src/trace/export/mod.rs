//! `laneway export`: turns traces into other formats.
//!
//! ```text
//!  ctf-1.8, ctf-2   directories: any input into either, sliced and filtered
//!  perfetto         a protobuf trace for ui.perfetto.dev and its SQL
//!  chrome           JSON trace events for chrome://tracing
//!  json, csv        one line for each event
//!  parquet          a directory of one table for each event, typed columns
//! ```
//! Output goes to a file (or standard output) that did not exist, or into a new directory. What could not be finished is
//! not left behind.

mod chrome;
mod csv;
mod ctf;
#[cfg(feature = "parquet")]
mod parquet;
mod perfetto;
mod target;

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::ensure;
use jiff::tz::TimeZone;
use laneway_ctf::read::{Event, Item, Notice, Trace};

use self::target::Target;
use super::json;
use super::select::{SelectArgs, Selection};
use crate::progress::Progress;
use crate::units::count;

const EXAMPLES: &str = "\
Examples:
  laneway export trace/ --to perfetto -o trace.pftrace
  laneway export trace/ --to ctf-1.8 -o slice/ --since +1s --until +2s
  laneway export trace/ --to csv -e 'shop:order' > orders.csv
  laneway export trace/ other/ --to ctf-2 -o both/ -w 'id < 100'
  laneway export trace/ --to parquet -o tables/

Exit codes:
  0  success
  1  nothing could be exported
  2  the command line is wrong
  3  parts of the trace are damaged: what could be read was exported";

/// Convert traces into another format
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    select: SelectArgs,

    /// The format
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: To,

    /// Where to: a file, or a directory for ctf-1.8, ctf-2 and parquet, that does not exist yet [default: standard
    /// output]
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,

    /// Along what Perfetto shows the events; `thread,cpu` for both
    #[arg(
        long,
        value_enum,
        value_name = "TRACK",
        value_delimiter = ',',
        default_value = "thread",
        help_heading = "Perfetto"
    )]
    tracks: Vec<perfetto::Track>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum To {
    /// A directory: CTF 1.8, which babeltrace2 and Trace Compass read
    #[value(name = "ctf-1.8")]
    Ctf18,
    /// A directory: CTF 2, with metadata in JSON
    #[value(name = "ctf-2")]
    Ctf2,
    /// A file for ui.perfetto.dev and its SQL
    Perfetto,
    /// A file of JSON trace events, for chrome://tracing
    Chrome,
    /// One JSON object for each event, as `view --json`
    Json,
    /// One line for each event, one column for each field
    Csv,
    /// A directory: one table for each event, with typed columns, for DuckDB, pandas and the like
    Parquet,
}

impl To {
    /// Whether the output is a directory and not a file.
    fn is_directory(self) -> bool {
        match self {
            To::Ctf18 | To::Ctf2 | To::Parquet => true,
            To::Perfetto | To::Chrome | To::Json | To::Csv => false,
        }
    }
}

/// Writes events in some format.
pub(super) trait Exporter {
    fn event(&mut self, event: &Event<'_>) -> anyhow::Result<()>;
    fn finish(&mut self) -> anyhow::Result<()>;
}

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    ensure!(
        args.to != To::Parquet || cfg!(feature = "parquet"),
        "this command was built without its feature `parquet`: cargo install --path tools --features parquet"
    );
    let (traces, mut selection) = args.select.open(&TimeZone::system())?;
    let target = match &args.output {
        Some(path) if args.to.is_directory() => Target::directory(path)?,
        Some(path) => Target::file(path)?,
        None => {
            ensure!(
                !args.to.is_directory(),
                "this format is a directory: say where with -o DIR"
            );
            ensure!(
                args.to != To::Perfetto || !io::stdout().is_terminal(),
                "a protobuf trace is no text for a terminal: say where with -o FILE"
            );
            Target::stdout()
        }
    };
    let mut progress = match target.is_apart() {
        true => Progress::of("export", &traces),
        false => Progress::none(),
    };
    let outcome = match args.to {
        To::Ctf18 => ctf::export(
            &traces,
            &mut selection,
            ctf::Format::Tsdl,
            target.path(),
            &mut progress,
        ),
        To::Ctf2 => ctf::export(
            &traces,
            &mut selection,
            ctf::Format::Json,
            target.path(),
            &mut progress,
        ),
        _ => {
            let mut exporter: Box<dyn Exporter> = match args.to {
                #[cfg(feature = "parquet")]
                To::Parquet => Box::new(parquet::Parquet::new(target.path())),
                To::Perfetto => Box::new(perfetto::Perfetto::new(target.open()?, &args.tracks)),
                To::Chrome => Box::new(chrome::Chrome::new(target.open()?)?),
                To::Csv => Box::new(csv::Csv::new(target.open()?, &traces)?),
                _ => Box::new(JsonLines {
                    out: target.open()?,
                }),
            };
            let driven = drive(&traces, &mut selection, exporter.as_mut(), &mut progress);
            driven.map_err(|e| target.blamed_for(e))
        }
    }?;
    drop(progress);
    target.keep();
    for damage in &outcome.damage {
        eprintln!("laneway: {damage}");
    }
    if let Some(path) = &args.output {
        eprintln!(
            "laneway: {} events written to {}",
            count(outcome.events),
            path.display()
        );
    }
    Ok(if outcome.damage.is_empty() { 0 } else { 3 })
}

/// What was written, and what could not be read.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) events: u64,
    pub(super) damage: Vec<String>,
}

fn drive(
    traces: &[Trace],
    selection: &mut Selection,
    exporter: &mut dyn Exporter,
    progress: &mut Progress,
) -> anyhow::Result<Outcome> {
    let mut reader = selection.reader(traces);
    let mut outcome = Outcome::default();
    loop {
        progress.event(&reader);
        match reader.next_item() {
            None => break,
            Some(Item::Event(event)) if selection.is_over(&event) => break,
            Some(Item::Event(event)) if selection.takes(&event) => {
                exporter.event(&event)?;
                outcome.events += 1;
            }
            Some(Item::Notice(Notice::Damage(damage))) => outcome.damage.push(damage.to_string()),
            Some(Item::Event(_) | Item::Notice(Notice::Lost(_))) => {}
        }
    }
    exporter.finish()?;
    Ok(outcome)
}

/// Where text and bytes go.
pub(super) type Out = BufWriter<Box<dyn Write>>;

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
