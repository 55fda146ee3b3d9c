//! `laneway daemon`, as a test uses it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{LIMIT, Output, Running, command};
use crate::summary::Summary;
use crate::{eventually, laneway, program, scratch};

/// A place where a daemon and applications meet, and where traces go.
#[derive(Debug)]
pub struct Place(TempDir);

/// A daemon that runs.
#[derive(Debug)]
pub struct Daemon {
    /// Its process.
    pub running: Running,
    /// The session's directory.
    pub trace: PathBuf,
    json: PathBuf,
}

impl Place {
    /// A fresh one.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Place {
        Place(scratch())
    }

    /// Where the socket is, or will be.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.0.path().join("socket")
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.0.path()
    }

    /// One of the programs of `src/bin`, to be started so that it looks for a daemon here.
    #[must_use]
    pub fn application(&self, name: &str) -> Command {
        let mut command = command(program(name));
        command.env("LANEWAY_SOCKET", self.socket());
        command
    }

    /// A daemon here that records into `trace`; it listens when this returns.
    #[track_caller]
    #[must_use]
    pub fn daemon(&self, trace: &str, options: &[&str]) -> Daemon {
        let trace = self.0.path().join(trace);
        let json = trace.with_extension("json");
        let mut running = Running::start(&mut self.daemon_command(&trace, options));
        running.await_text("listening on");
        Daemon {
            running,
            trace,
            json,
        }
    }

    /// The command line of a daemon here.
    #[must_use]
    pub fn daemon_command(&self, trace: &Path, options: &[&str]) -> Command {
        let mut command = command(laneway());
        command
            .arg("daemon")
            .arg("--socket")
            .arg(self.socket())
            .arg("-o")
            .arg(trace)
            .arg(format!("--json={}", trace.with_extension("json").display()))
            .args(options);
        command
    }
}

impl Daemon {
    /// Waits until events of any process are in the trace; says how long it took.
    #[track_caller]
    pub fn await_events(&self) -> Duration {
        let size = || -> u64 {
            let traces = fs::read_dir(&self.trace).into_iter().flatten().flatten();
            let files = traces.flat_map(|t| fs::read_dir(t.path()).into_iter().flatten().flatten());
            let lanes = files.filter(|f| f.file_name().to_string_lossy().starts_with("lane_"));
            lanes.map(|f| f.metadata().map_or(0, |m| m.len())).sum()
        };
        eventually("events in the trace", LIMIT, || size() > 0)
    }

    /// Ends it by SIGTERM; it must end with code 0.
    #[track_caller]
    #[must_use]
    pub fn finish(self) -> (Output, Summary) {
        self.running.signal(Signal::TERM);
        let output = self.running.wait().succeeded();
        let json = fs::read_to_string(&self.json).expect("a summary");
        (output, Summary::parse(&json))
    }
}
