//! `laneway recover`: what was in memory when a program and its consumer were both killed.

use std::path::{Path, PathBuf};

use anyhow::Context;
use laneway_consumer::{Error, Options, Recovery, Session};
use laneway_control::BufferFile;

use crate::channel::FormatArg;
use crate::output::OutputArgs;

const EXAMPLES: &str = "\
Examples:
  laneway daemon -o trace --buffer-directory /dev/shm/rings      and a power cut for both, but not for the machine
  laneway recover /dev/shm/rings --resume trace                  goes on with the traces in `trace`
  laneway recover /dev/shm/rings -o rest                         only what was in memory, into traces of its own
  laneway recover /dev/shm/rings/shop-4711.ring -o rest --keep

Exit codes: 1 if a buffer could not be recovered, such as that of a program that still runs.";

/// Recover the buffers of programs that died together with their consumer
///
/// Reads the files that `--buffer-directory` keeps, completes the traces with what was in memory, cuts off what a killed
/// consumer left half written, and removes the buffers that it has recovered.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Buffers (NAME-PID.ring), or directories of them
    #[arg(required = true, value_name = "BUFFER")]
    buffers: Vec<PathBuf>,

    /// Write new traces into DIR; made here, refused if it exists
    #[arg(short, long, value_name = "DIR", required_unless_present = "resume")]
    output: Option<PathBuf>,

    /// Go on with the traces in DIR, which the consumer was recording into
    #[arg(long, value_name = "DIR", conflicts_with = "output")]
    resume: Option<PathBuf>,

    /// Leave the buffers where they are
    #[arg(long)]
    keep: bool,

    /// What traces are written in
    #[arg(long, value_enum, default_value_t = FormatArg::Ctf1_8)]
    trace_format: FormatArg,

    #[command(flatten)]
    tell: OutputArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let buffers = find(&args.buffers)?;
    let session = match (&args.resume, &args.output) {
        (Some(directory), _) => Session::resume(directory)?,
        (None, Some(directory)) => Session::create(directory)?,
        (None, None) => anyhow::bail!("nowhere to write to: say -o DIR or --resume DIR"),
    };
    let options = Options {
        keep_buffers: args.keep,
        trace_format: args.trace_format.into(),
        ..Options::default()
    };
    let mut recovery = Recovery::new(session, options)?;
    let mut failed = false;
    for buffer in &buffers {
        if let Err(e) = recovery.recover(buffer) {
            failed = true;
            recovery.refuse(&e);
        }
    }
    let summary = recovery.finish();
    args.tell.tell(&summary, None)?;
    if summary.processes.is_empty() && args.resume.is_none() {
        // Nothing is in it.
        let _ = std::fs::remove_dir(&summary.directory);
    }
    Ok(u8::from(failed))
}

/// All buffers that were named, or lie in directories that were.
fn find(paths: &[PathBuf]) -> anyhow::Result<Vec<BufferFile>> {
    let mut buffers = Vec::new();
    for path in paths {
        if !path.is_dir() {
            anyhow::ensure!(path.exists(), "there is no {}", path.display());
            buffers.push(named(path));
            continue;
        }
        let found: Result<_, Error> = BufferFile::all(path).map_err(Error::from);
        buffers.extend(found.with_context(|| format!("cannot look into {}", path.display()))?);
    }
    anyhow::ensure!(!buffers.is_empty(), "there is no buffer to recover");
    Ok(buffers)
}

/// Either of the two files of a buffer names it.
fn named(path: &Path) -> BufferFile {
    BufferFile::of(path.with_extension("ring"))
}
