//! `laneway view`: prints events.
//!
//! ```text
//!  traces ─▶ Reader ─▶ Selection ─▶ pretty | babeltrace | json ─▶ pager, pipe or file
//! ```

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use laneway_ctf::read::{Item, Notice, Reader, Trace};
use laneway_ctf::text::{
    Babeltrace, BabeltraceOptions, ClockFormat, Fields, Names, Pretty, PrettyOptions, Zone,
};

use super::json;
use super::select::{SelectArgs, Selection};
use crate::output::Paint;
use crate::progress::{Progress, is_file};

/// How often a trace that is being written is looked at.
const PERIOD: Duration = Duration::from_millis(100);

/// Bytes to collect before they are written out.
const CHUNK: usize = 64 << 10;

const EXAMPLES: &str = "\
Examples:
  laneway view trace/
  laneway view trace/ -e 'shop:*' -w 'total > 10 && who == \"al*\"'
  laneway view trace/ --since +1s --until +1.5s --cpu 0
  laneway view trace/ --format babeltrace --clock-gmt
  laneway view trace/ --json | jq .fields.total
  laneway view trace/ --follow

Exit codes: 0 success, 1 nothing could be read, 2 wrong command line, 3 parts of the trace are damaged";

/// Print the events of traces, in the order of time
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    select: SelectArgs,

    /// How to print [default: pretty on a terminal, else babeltrace]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,

    /// One JSON object for each event, as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// Wait for more at the end, and print it as it is written
    #[arg(short = 'F', long)]
    follow: bool,

    /// Stop after so many events
    #[arg(short = 'n', long, value_name = "NUMBER")]
    limit: Option<u64>,

    /// No pager
    #[arg(long)]
    no_pager: bool,

    /// Times as seconds since 1970
    #[arg(long, help_heading = "Times", group = "clock")]
    clock_seconds: bool,

    /// Times as the clock of the trace counts
    #[arg(long, help_heading = "Times", group = "clock")]
    clock_cycles: bool,

    /// Times with their date
    #[arg(long, help_heading = "Times", group = "clock")]
    clock_date: bool,

    /// Times in UTC and not in the local time zone
    #[arg(long, help_heading = "Times")]
    clock_gmt: bool,

    /// No time since the event before (babeltrace)
    #[arg(long, help_heading = "Times")]
    no_delta: bool,

    /// Where names stand before values (babeltrace): all, none, or some of payload,context,scope,header
    #[arg(long, value_name = "NAMES", help_heading = "Text", value_delimiter = ',', value_parser = NAMES, hide_possible_values = true)]
    names: Vec<String>,

    /// What else to print (babeltrace): all, none, or some of
    /// trace,trace:hostname,trace:domain,trace:procname,trace:vpid,loglevel,emf
    #[arg(long, value_name = "FIELDS", help_heading = "Text", value_delimiter = ',', value_parser = FIELDS, hide_possible_values = true)]
    fields: Vec<String>,
}

const NAMES: [&str; 7] = [
    "all", "none", "payload", "context", "ctx", "scope", "header",
];

const FIELDS: [&str; 10] = [
    "all",
    "none",
    "trace",
    "trace:hostname",
    "trace:domain",
    "trace:procname",
    "trace:vpid",
    "loglevel",
    "emf",
    "callsite",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One short line, in colours, through the pager
    Pretty,
    /// What babeltrace2 prints, character by character
    Babeltrace,
    /// One JSON object on each line
    Json,
}

impl Args {
    fn format(&self) -> Format {
        match self.format {
            _ if self.json => Format::Json,
            Some(format) => format,
            None if io::stdout().is_terminal() => Format::Pretty,
            None => Format::Babeltrace,
        }
    }

    fn clock(&self) -> ClockFormat {
        match () {
            () if self.clock_cycles => ClockFormat::Cycles,
            () if self.clock_seconds => ClockFormat::Seconds,
            () if self.clock_date => ClockFormat::Date,
            () => ClockFormat::Time,
        }
    }

    fn zone(&self) -> Zone {
        match self.clock_gmt {
            true => Zone::Utc,
            false => Zone::Offset(local_offset),
        }
    }

    fn printer(&self, color: bool) -> Printer {
        match self.format() {
            Format::Json => Printer::Json,
            Format::Pretty => Printer::Pretty(Box::new(Pretty::new(PrettyOptions {
                clock: self.clock(),
                zone: self.zone(),
                color,
            }))),
            Format::Babeltrace => Printer::Babeltrace,
        }
    }

    fn babeltrace(&self, color: bool) -> Babeltrace {
        let mut options = BabeltraceOptions {
            clock: self.clock(),
            zone: self.zone(),
            delta: !self.no_delta,
            color,
            ..BabeltraceOptions::default()
        };
        if !self.names.is_empty() {
            let has = |name: &str| self.names.iter().any(|n| n == name || n == "all");
            options.names = Names {
                payload: has("payload"),
                context: has("context") || has("ctx"),
                header: has("header"),
                scope: has("scope"),
            };
        }
        if !self.fields.is_empty() {
            let has = |name: &str| self.fields.iter().any(|f| f == name || f == "all");
            options.fields = Fields {
                trace: has("trace"),
                hostname: has("trace:hostname"),
                domain: has("trace:domain"),
                procname: has("trace:procname"),
                vpid: has("trace:vpid"),
                loglevel: has("loglevel"),
                emf: has("emf"),
            };
        }
        Babeltrace::new(options)
    }
}

/// The distance of the local time zone from UTC at a second since 1970, in seconds.
fn local_offset(second: i64) -> i32 {
    let at = Timestamp::from_second(second).unwrap_or_default();
    TimeZone::system().to_offset(at).seconds()
}

enum Printer {
    Pretty(Box<Pretty>),
    /// The printer is there anyway, as it prints losses, too.
    Babeltrace,
    Json,
}

/// Where the text goes.
struct Output {
    pager: Option<Child>,
    buffer: Vec<u8>,
}

impl Output {
    fn new(pager: bool) -> Self {
        Output {
            pager: pager.then(start_pager).flatten(),
            buffer: Vec::with_capacity(2 * CHUNK),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.pager.as_mut().and_then(|pager| pager.stdin.as_mut()) {
            Some(stdin) => stdin.write_all(&self.buffer)?,
            None => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&self.buffer)?;
                stdout.flush()?;
            }
        }
        self.buffer.clear();
        Ok(())
    }

    fn close(mut self) {
        if let Some(mut pager) = self.pager.take() {
            drop(pager.stdin.take());
            let _ = pager.wait();
        }
    }
}

/// The user's pager, if there is one that can be started.
fn start_pager() -> Option<Child> {
    let chosen = ["LANEWAY_PAGER", "PAGER"]
        .into_iter()
        .find_map(std::env::var_os);
    let words = match &chosen {
        Some(command) if command.is_empty() || command == "cat" => return None,
        Some(command) => command.to_string_lossy().into_owned(),
        None => "less".to_owned(),
    };
    let mut command = Command::new("sh");
    command.arg("-c").arg(words).stdin(Stdio::piped());
    // What git does: quit if it fits the screen, let colours through, leave the screen as it is.
    if std::env::var_os("LESS").is_none() {
        command.env("LESS", "FRX");
    }
    command.spawn().ok()
}

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    match view(args) {
        // Whoever read our output has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(0),
        other => other,
    }
}

/// Whether an error comes from writing to somebody who no longer reads.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}

fn view(args: &Args) -> anyhow::Result<u8> {
    let zone = if args.clock_gmt {
        TimeZone::UTC
    } else {
        TimeZone::system()
    };
    let (traces, mut selection) = args.select.open(&zone)?;
    let paged = io::stdout().is_terminal()
        && !args.no_pager
        && !args.follow
        && args.format() == Format::Pretty;
    let color = Paint::for_stdout().is_on();
    let mut viewer = Viewer {
        args,
        printer: args.printer(color),
        losses: args.babeltrace(Paint::for_stderr().is_on()),
        babeltrace: args.babeltrace(color),
        output: Output::new(paged),
        printed: 0,
        seen: HashMap::new(),
        damaged: false,
        progress: match is_file(io::stdout()) && !args.follow {
            true => Progress::of("print", &traces),
            false => Progress::none(),
        },
    };
    let reader = selection.reader(&traces);
    if args.follow {
        viewer.follow(traces, reader, &mut selection)?;
    } else {
        viewer.print(reader, &mut selection)?;
    }
    viewer.output.flush().context("cannot write")?;
    let code = if viewer.damaged { 3 } else { 0 };
    viewer.output.close();
    Ok(code)
}

struct Viewer<'a> {
    args: &'a Args,
    printer: Printer,
    babeltrace: Babeltrace,
    losses: Babeltrace,
    output: Output,
    printed: u64,
    /// How many events of each file have been seen, for when the trace is opened anew.
    seen: HashMap<PathBuf, u64>,
    damaged: bool,
    progress: Progress,
}

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Go {
    On,
    Enough,
}

impl Viewer<'_> {
    fn print(&mut self, mut reader: Reader, selection: &mut Selection) -> anyhow::Result<()> {
        self.drain(&mut reader, selection, &HashMap::new())?;
        Ok(())
    }

    /// Prints what there is, but for the first `skip` events of each file.
    fn drain(
        &mut self,
        reader: &mut Reader,
        selection: &mut Selection,
        skip: &HashMap<PathBuf, u64>,
    ) -> anyhow::Result<Go> {
        let mut left: Vec<u64> = match self.args.follow {
            true => (0..reader.streams())
                .map(|i| {
                    skip.get(reader.stream(i).first_file())
                        .copied()
                        .unwrap_or(0)
                })
                .collect(),
            false => Vec::new(),
        };
        loop {
            self.progress.event(reader);
            match reader.next_item() {
                None => break,
                Some(Item::Event(event)) => {
                    if self.args.follow {
                        if let Some(left) =
                            left.get_mut(event.stream_index()).filter(|left| **left > 0)
                        {
                            *left -= 1;
                            continue;
                        }
                        *self
                            .seen
                            .entry(event.stream().first_file().to_owned())
                            .or_default() += 1;
                    }
                    if selection.is_over(&event) {
                        return Ok(Go::Enough);
                    }
                    if !selection.takes(&event) {
                        continue;
                    }
                    let out = &mut self.output.buffer;
                    match &mut self.printer {
                        Printer::Pretty(pretty) => pretty.event(out, &event),
                        Printer::Babeltrace => self.babeltrace.event(out, &event),
                        Printer::Json => {
                            serde_json::to_writer(&mut *out, &json::event(&event))?;
                            out.push(b'\n');
                        }
                    }
                    self.printed += 1;
                    if self.output.buffer.len() >= CHUNK {
                        self.output.flush().context("cannot write")?;
                    }
                    if self.args.limit.is_some_and(|limit| self.printed >= limit) {
                        return Ok(Go::Enough);
                    }
                }
                Some(Item::Notice(Notice::Lost(loss))) => {
                    let mut line = Vec::new();
                    self.losses.loss(&mut line, reader, &loss);
                    self.output.flush().context("cannot write")?;
                    self.progress.say(String::from_utf8_lossy(&line).trim_end());
                }
                Some(Item::Notice(Notice::Damage(damage))) => {
                    self.damaged = true;
                    self.output.flush().context("cannot write")?;
                    self.progress.say(&format!("laneway: {damage}"));
                }
            }
        }
        Ok(Go::On)
    }

    /// Prints what there is, and then what comes, until somebody ends it.
    fn follow(
        &mut self,
        traces: Vec<Trace>,
        reader: Reader,
        selection: &mut Selection,
    ) -> anyhow::Result<()> {
        let (mut reader, mut traces) = (reader, traces);
        let mut skip = HashMap::new();
        loop {
            reader.follow();
            if self.drain(&mut reader, selection, &skip)? == Go::Enough {
                return Ok(());
            }
            self.output.flush().context("cannot write")?;
            std::thread::sleep(PERIOD);
            // New event classes, streams and processes are seen by opening everything anew.
            match reopen(&self.args.select.paths, &traces) {
                Some(newer) => {
                    traces = newer;
                    skip = self.seen.clone();
                    reader = selection.reader(&traces);
                }
                None => {
                    skip.clear();
                    reader.resume();
                }
            }
        }
    }
}

/// The traces as they are now, if that is not as they were.
fn reopen(paths: &[PathBuf], before: &[Trace]) -> Option<Vec<Trace>> {
    let mut now = Vec::new();
    for path in paths {
        now.extend(Trace::open_all(path).ok()?);
    }
    let same = now.len() == before.len()
        && now.iter().zip(before).all(|(now, before)| {
            now.streams() == before.streams() && now.class() == before.class()
        });
    (!same).then_some(now)
}
