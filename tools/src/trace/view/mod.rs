//! `laneway view`: prints events.
//!
//! ```text
//!  traces ─▶ Reader ─▶ Selection ─▶ pretty | babeltrace | json ─▶ pager, pipe or file
//! ```

mod output;
mod viewer;

use std::io::{self, IsTerminal};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use laneway_ctf::read::Trace;
use laneway_ctf::text::{
    Babeltrace, BabeltraceOptions, ClockFormat, Fields, Names, Pretty, PrettyOptions, Zone,
};

use self::output::Output;
use self::viewer::{Printer, Viewer};
use super::select::SelectArgs;
use crate::output::Paint;
use crate::progress::{Progress, is_file};

const EXAMPLES: &str = "\
Examples:
  laneway view trace/
  laneway view trace/ -e 'shop:*' -w 'total > 10 && who == \"al*\"'
  laneway view trace/ --since +1s --until +1.5s --cpu 0
  laneway view trace/ --format babeltrace --clock-gmt
  laneway view trace/ --json | jq .fields.total
  laneway view trace/ --follow

Exit codes:
  0  success
  1  nothing could be read
  2  the command line is wrong
  3  parts of the trace are damaged: what could be read was printed";

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

    fn printer(&self, traces: &[Trace], color: bool) -> Printer {
        match self.format() {
            Format::Json => Printer::Json,
            Format::Pretty => Printer::Pretty(Box::new(Pretty::new(PrettyOptions {
                clock: self.clock(),
                zone: self.zone(),
                process: are_of_several(traces),
                color,
            }))),
            Format::Babeltrace => Printer::Babeltrace(Box::new(self.babeltrace(color))),
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

/// Whether the events of the traces may be of more than one process.
fn are_of_several(traces: &[Trace]) -> bool {
    let in_context = |trace: &Trace| {
        let streams = trace.class().streams.iter();
        let mut contexts = streams.flat_map(|s| [&s.packet_context, &s.event_context]);
        contexts.any(|context| {
            let context = context.as_ref();
            context.is_some_and(|c| c.get("vpid").is_some() || c.get("procname").is_some())
        })
    };
    traces.len() > 1 || traces.iter().any(in_context)
}

/// The distance of the local time zone from UTC at a second since 1970, in seconds.
fn local_offset(second: i64) -> i32 {
    let at = Timestamp::from_second(second).unwrap_or_default();
    TimeZone::system().to_offset(at).seconds()
}

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let zone = if args.clock_gmt {
        TimeZone::UTC
    } else {
        TimeZone::system()
    };
    let (traces, selection) = args.select.open(&zone)?;
    let paged = io::stdout().is_terminal()
        && !args.no_pager
        && !args.follow
        && args.format() == Format::Pretty;
    let color = Paint::for_stdout().is_on();
    let mut viewer = Viewer {
        printer: args.printer(&traces, color),
        losses: args.babeltrace(Paint::for_stderr().is_on()),
        output: Output::new(paged),
        progress: match is_file(io::stdout()) && !args.follow {
            true => Progress::of("print", &traces),
            false => Progress::none(),
        },
        left: args.limit,
        damaged: false,
        selection,
    };
    if args.follow {
        viewer.follow(&args.select.paths)?;
    } else {
        let mut reader = viewer.selection.reader(&traces);
        viewer.print(&mut reader)?;
    }
    viewer.finish()
}
