//! `laneway daemon`: records every application of this user that comes along, until it is told to end.

use std::os::fd::AsFd;
use std::path::PathBuf;

use laneway_consumer::{Consumer, Listener, Session};
use laneway_control::{Rendezvous, wait_readable};

use crate::channel::ChannelArgs;
use crate::output::{OutputArgs, ProgressLine};
use crate::signals::Arrivals;
use crate::snapshots::SnapshotRequests;

const EXAMPLES: &str = "\
Examples:
  laneway daemon -o trace         and start, or have started, any program with `trace!` in it
  laneway daemon -o trace --socket /run/user/1000/mine
  LANEWAY_SOCKET=/run/user/1000/mine ./app
  laneway daemon -o trace --resume      after a daemon that was killed: nothing that is in memory is lost
  laneway daemon -o trace --mode overwrite     and when something is odd: pkill -USR1 -x laneway

Ctrl-C or SIGTERM ends it: applications are asked to stop, and run on; all traces are completed.";

/// Record all applications of this user, in the foreground
///
/// Applications that run already are picked up, and so are those that start later. It listens at
/// $LANEWAY_SOCKET, or else at $XDG_RUNTIME_DIR/laneway/socket, or else at /tmp/laneway-UID/socket, where
/// applications look for it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where to record; made here, refused if it exists
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,

    /// Go on in DIR, if it exists: with the traces of applications that outlived an earlier daemon
    #[arg(long)]
    resume: bool,

    /// Where to listen, instead of the well-known place
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,

    #[command(flatten)]
    channel: ChannelArgs,

    #[command(flatten)]
    tell: OutputArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let config = args.channel.config()?;
    let options = args.channel.options()?;
    let meeting = match &args.socket {
        Some(path) => Rendezvous::at(path)?,
        None => Rendezvous::from_env()?,
    };
    let mut signals = Arrivals::for_daemon()?;
    let mut snapshots = SnapshotRequests::new(&args.channel)?;
    // Whoever cannot listen has not made a directory.
    let listener = Listener::bind(&meeting, &config)?;
    let session = match args.resume && args.output.exists() {
        true => Session::resume(&args.output)?,
        false => Session::create(&args.output)?,
    };
    let consumer = Consumer::start(session, listener, options)?;
    let mut progress = args.tell.progress();
    args.tell.note(&format!(
        "listening on {}, recording into {}; Ctrl-C ends it",
        meeting.socket().display(),
        args.output.display()
    ));
    loop {
        let fds = [signals.as_fd(), snapshots.as_fd()];
        wait_readable(fds, Some(ProgressLine::PERIOD))?;
        snapshots.serve(&consumer, &mut progress);
        if signals.take() > 0 {
            break;
        }
        progress.show(consumer.progress());
    }
    drop(progress);
    let summary = consumer.finish();
    let nothing = summary.processes.is_empty()
        && summary.processes_not_listed == 0
        && summary.shared.is_none();
    let hint = nothing.then_some("laneway: no application came\n");
    args.tell.tell(&summary, hint)?;
    Ok(0)
}
