//! `laneway demo`: records a real workload, this very command in a second process, and shows what came of it.

pub(crate) mod workload;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use clap::Parser;

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

    /// Where to record; made here, refused if it exists [default: laneway-demo-<date>-<time>]
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
    let paint = Paint::for_stderr();
    args.tell.say(&format!(
        "\nNow try\n  {}\n  {}\n",
        paint.bold(&format!(
            "babeltrace2 {} | less",
            summary.directory.display()
        )),
        paint.bold(&format!("{0} events {0}", own.display())),
    ));
    Ok(0)
}
