//! `laneway demo`: records a real workload, this very command in a second process, and shows what came of it.

pub(crate) mod workload;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use clap::Parser;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use laneway_ctf::read::{Item, Reader};
use laneway_ctf::text::{Pretty, PrettyOptions, Zone};

use crate::channel::ChannelArgs;
use crate::exit;
use crate::output::{OutputArgs, Paint, default_directory};
use crate::record::{Failure, Recorder};

const EXAMPLES: &str = "\
Examples:
  laneway demo
  laneway demo ~/src -o trace";

/// Record a workload that this command brings along, and show the trace
///
/// A second process walks over a directory tree with more threads than there are CPUs and counts the lines of every
/// file it may read, with an event for each file and directory; then all its threads emit events as fast as they can.
/// Nothing is installed or changed, and no rights are needed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The tree to walk over
    #[arg(value_name = "PATH", default_value = "/usr")]
    path: PathBuf,

    /// Where to record; made here, refused if it exists [default: laneway-demo-DATE-TIME]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,

    #[command(flatten)]
    tell: OutputArgs,
}

/// The channel of the demo: in block mode, so that the burst at its end is recorded without a gap.
#[derive(Debug, Parser)]
struct DemoChannel {
    #[command(flatten)]
    channel: ChannelArgs,
}

/// Events that are shown.
const SHOWN: usize = 12;

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    if !args.path.is_dir() {
        bail!("{} is not a directory to walk over", args.path.display());
    }
    let directory = args
        .output
        .clone()
        .unwrap_or_else(|| default_directory("demo"));
    let channel = [
        "demo",
        "--mode",
        "block",
        "--block-timeout",
        "10s",
        "--sub-buffers",
        "16",
    ];
    let channel = DemoChannel::try_parse_from(channel)?.channel;
    let own = std::env::current_exe().context("cannot find this command")?;

    args.tell.note(&format!(
        "recording a walk over {} by a second process …",
        args.path.display()
    ));
    let mut recorder = Recorder::start(directory, &channel)?;
    let mut workload = Command::new(&own);
    workload.arg("demo-workload").arg(&args.path);
    let status = match recorder.run(&mut workload, args.tell.progress()) {
        Ok(status) => status,
        Err(Failure::NotStarted(e)) => bail!("cannot run {}: {e}", own.display()),
        Err(Failure::Other(e)) => return Err(e),
    };
    let summary = recorder.finish();
    args.tell.tell(&summary, None)?;
    if !status.success() {
        return Ok(exit::of_program(status));
    }
    if summary.total.recorded == 0 {
        bail!("the workload ran, and nothing was recorded");
    }
    println!("\nThe first events:");
    io::stdout().write_all(&first_events(&summary.directory, Paint::for_stdout())?)?;
    let paint = Paint::for_stderr();
    args.tell.say(&format!(
        "\nNow try\n  {}\n  {}\n",
        paint.bold(&format!(
            "{} view {} -w 'lines > 10000'",
            own.display(),
            summary.directory.display()
        )),
        paint.bold(&format!("{0} events {0}", own.display())),
    ));
    Ok(0)
}

/// The beginning of the trace as text.
fn first_events(directory: &Path, paint: Paint) -> anyhow::Result<Vec<u8>> {
    let mut reader = Reader::open(directory)?;
    let mut printer = Pretty::new(PrettyOptions {
        zone: Zone::Offset(local_offset),
        color: paint.is_on(),
        ..PrettyOptions::default()
    });
    let mut text = Vec::new();
    let mut shown = 0;
    while shown < SHOWN
        && let Some(item) = reader.next_item()
    {
        if let Item::Event(event) = item {
            printer.event(&mut text, &event);
            shown += 1;
        }
    }
    Ok(text)
}

/// Seconds that clocks here are ahead of Greenwich at a second since 1970.
fn local_offset(second: i64) -> i32 {
    let time = Timestamp::from_second(second).unwrap_or_default();
    TimeZone::system().to_offset(time).seconds()
}
