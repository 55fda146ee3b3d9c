//! `laneway record`: runs a program and records what it and its children do.
//!
//! ```text
//!   private directory ── socket ──▶ consumer ──▶ DIR
//!            │
//!            └ LANEWAY_SOCKET ─▶ program (and whatever it starts)
//! ```
//! Signals: what the terminal sends goes to the program by itself; SIGTERM is passed on. Either way the trace is
//! finished when the program has ended. SIGUSR1 is for this command alone: it asks for a snapshot.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

use anyhow::{Context, anyhow};
use laneway_consumer::{Consumer, Listener, Session, Summary};
use laneway_control::rendezvous::SOCKET_VARIABLE;
use laneway_control::{Rendezvous, wait_readable};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tempfile::TempDir;

use crate::channel::ChannelArgs;
use crate::elf;
use crate::exit;
use crate::output::{OutputArgs, ProgressLine, default_directory};
use crate::signals::Arrivals;
use crate::snapshots::SnapshotRequests;

const EXAMPLES: &str = "\
Examples:
  laneway record -- ./app --its-own option
  laneway record -o trace --sub-buffers 32 -- ./app
  LANEWAY_ALLOW_BLOCK=1 laneway record --mode block -- ./app
  laneway record --mode overwrite -o trace -- ./app     and when something is odd: pkill -USR1 -x laneway
  babeltrace2 trace";

/// Run a program and record the events it emits
///
/// The program's children are recorded as well, each into a trace of its own. The exit code is the program's.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The program and its arguments
    #[arg(required = true, last = true, value_name = "PROGRAM")]
    pub(crate) program: Vec<OsString>,

    /// Where to record; made here, refused if it exists [default: laneway-PROGRAM-DATE-TIME]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,

    #[command(flatten)]
    channel: ChannelArgs,

    #[command(flatten)]
    tell: OutputArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let program = args.program[0].to_string_lossy();
    let directory = match &args.output {
        Some(directory) => directory.clone(),
        None => default_directory(&program),
    };
    let mut recorder = Recorder::start(directory, &args.channel)?;
    let mut command = Command::new(&args.program[0]);
    command.args(&args.program[1..]);
    let status = match recorder.run(&mut command, args.tell.progress()) {
        Ok(status) => status,
        Err(Failure::NotStarted(e)) => {
            let directory = recorder.discard();
            let _ = fs::remove_dir(directory);
            eprintln!("laneway: cannot run {program}: {}", why_not(&program, &e));
            return Ok(exit::of_spawn_error(e.kind()));
        }
        Err(Failure::Other(e)) => return Err(e),
    };
    let summary = recorder.finish();
    let hint = nothing_attached(&summary, &args.program[0]);
    args.tell.tell(&summary, hint.as_deref())?;
    Ok(exit::of_program(status))
}

/// A consumer at a private place, and the programs that are run for it.
#[derive(Debug)]
pub(crate) struct Recorder {
    consumer: Consumer,
    socket: PathBuf,
    signals: Arrivals,
    snapshots: SnapshotRequests,
    _private: TempDir,
}

/// Why a program did not run to its end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It could not be started.
    NotStarted(std::io::Error),
    /// Something went wrong here.
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(e: anyhow::Error) -> Self {
        Failure::Other(e)
    }
}

impl Recorder {
    /// Begins to record into `directory`.
    pub(crate) fn start(directory: PathBuf, channel: &ChannelArgs) -> anyhow::Result<Recorder> {
        let config = channel.config()?;
        let options = channel.options()?;
        let session = Session::create(directory)?;
        let (private, meeting) = private_place()?;
        let listener = Listener::bind(&meeting, &config)?;
        Ok(Recorder {
            signals: Arrivals::for_record()?,
            snapshots: SnapshotRequests::new(channel)?,
            consumer: Consumer::start(session, listener, options)?,
            socket: meeting.socket().to_owned(),
            _private: private,
        })
    }

    /// Runs a program to its end.
    pub(crate) fn run(
        &mut self,
        command: &mut Command,
        mut progress: ProgressLine,
    ) -> Result<ExitStatus, Failure> {
        let mut child = command
            .env(SOCKET_VARIABLE, &self.socket)
            .spawn()
            .map_err(Failure::NotStarted)?;
        let pidfd = pidfd(&child)?;
        loop {
            let fds = [pidfd.as_fd(), self.signals.as_fd(), self.snapshots.as_fd()];
            let [ended, signal, _] =
                wait_readable(fds, Some(ProgressLine::PERIOD)).map_err(anyhow::Error::from)?;
            if signal && self.signals.take() > 0 {
                // If it has just ended there is nobody to be told.
                let _ = pidfd_send_signal(&pidfd, Signal::TERM);
            }
            self.snapshots.serve(&self.consumer, &mut progress);
            if ended {
                break;
            }
            progress.show(self.consumer.progress());
        }
        let status = child.wait().context("cannot wait for the program")?;
        Ok(status)
    }

    /// Completes the traces.
    pub(crate) fn finish(self) -> Summary {
        self.consumer.finish()
    }

    /// Gives up; says where there is nothing now.
    fn discard(self) -> PathBuf {
        self.consumer.finish().directory
    }
}

fn pidfd(child: &Child) -> anyhow::Result<OwnedFd> {
    let pid = Pid::from_child(child);
    pidfd_open(pid, PidfdFlags::empty()).context("cannot watch the program")
}

/// A directory for nobody else, short enough for a socket.
fn private_place() -> anyhow::Result<(TempDir, Rendezvous)> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let candidates = [runtime, Some(std::env::temp_dir()), Some("/tmp".into())];
    let mut last = anyhow!("no directory for a socket");
    for candidate in candidates.into_iter().flatten() {
        match private_place_in(&candidate) {
            Ok(place) => return Ok(place),
            Err(e) => last = e,
        }
    }
    Err(last)
}

fn private_place_in(directory: &Path) -> anyhow::Result<(TempDir, Rendezvous)> {
    let private = tempfile::Builder::new()
        .prefix("laneway-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(directory)
        .with_context(|| format!("cannot make a directory in {}", directory.display()))?;
    let meeting = Rendezvous::at(private.path().join("socket"))?;
    Ok((private, meeting))
}

fn why_not(program: &str, e: &std::io::Error) -> String {
    match e.kind() {
        ErrorKind::NotFound if program.contains('/') => "there is no such file".to_owned(),
        ErrorKind::NotFound => {
            "no such program in PATH; write ./NAME for one in this directory".to_owned()
        }
        ErrorKind::PermissionDenied => {
            "it is not executable, or a directory on the way cannot be entered".to_owned()
        }
        _ => e.to_string(),
    }
}

/// What to say when the program ran and no event came.
fn nothing_attached(summary: &Summary, program: &std::ffi::OsStr) -> Option<String> {
    let listed = !summary.processes.is_empty() || summary.processes_not_listed > 0;
    if listed || summary.shared.is_some() {
        return None;
    }
    let name = program.to_string_lossy();
    let mut text = format!(
        "laneway: nothing attached, so there is nothing in {}\n",
        summary.directory.display()
    );
    if !summary.refused.is_empty() {
        return Some(text); // the reasons are there
    }
    text += &match elf::look_up(program).map(|path| elf::inspect(&path)) {
        Some(Ok(binary)) if binary.has_callsites => format!(
            "  {name} has events, but did not reach this consumer: it may clear its environment, run with other rights\n  \
             (setuid), or have been built with another version of laneway\n"
        ),
        Some(Ok(_)) => format!(
            "  {name} contains no `trace!`, and nothing that it ran or loaded emitted an event: add `laneway` to its\n  \
             dependencies and `trace!(\"name:event\")` to its code\n"
        ),
        _ => {
            format!("  {name} is a script or the like, and nothing that it ran emitted an event\n")
        }
    };
    Some(text)
}
