//! `laneway record`, as a test uses it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::events::{Event, babeltrace, events};
use crate::process::{Output, Running, command};
use crate::summary::{Process, Summary};
use crate::{laneway, program, scratch};

/// A recording that is being prepared.
#[derive(Debug)]
pub struct Record {
    dir: TempDir,
    options: Vec<OsString>,
    program: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    output: Option<PathBuf>,
}

/// A recording that is over.
#[derive(Debug)]
pub struct Recorded {
    /// What `laneway record` and the program printed, and how they ended.
    pub output: Output,
    /// The session's directory.
    pub trace: PathBuf,
    json: PathBuf,
    dir: TempDir,
}

impl Record {
    /// Records one of the programs of `src/bin`.
    #[must_use]
    pub fn program(name: &str) -> Record {
        Record::command(program(name))
    }

    /// Records any program.
    #[must_use]
    pub fn command(path: impl Into<OsString>) -> Record {
        Record {
            dir: scratch(),
            options: Vec::new(),
            program: vec![path.into()],
            environment: Vec::new(),
            output: None,
        }
    }

    /// Adds arguments of the program.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        let args = args.into_iter().map(|a| a.as_ref().to_owned());
        self.program.extend(args);
        self
    }

    /// Adds options of `laneway record`.
    #[must_use]
    pub fn options<A: AsRef<OsStr>>(mut self, options: impl IntoIterator<Item = A>) -> Self {
        let options = options.into_iter().map(|a| a.as_ref().to_owned());
        self.options.extend(options);
        self
    }

    /// Sets an environment variable of both.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let variable = (name.as_ref().to_owned(), value.as_ref().to_owned());
        self.environment.push(variable);
        self
    }

    /// Records into this directory, and not into one that goes with the test.
    #[must_use]
    pub fn into_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.output = Some(directory.into());
        self
    }

    /// A directory for the program.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Records to the end.
    #[track_caller]
    #[must_use]
    pub fn run(self) -> Recorded {
        self.run_with(|_| {})
    }

    /// Records to the end, and does something while it runs.
    #[track_caller]
    pub fn run_with(self, meanwhile: impl FnOnce(&mut Running)) -> Recorded {
        let mut running = Running::start(&mut self.to_command());
        meanwhile(&mut running);
        let output = running.wait();
        Recorded {
            output,
            trace: self.trace(),
            json: self.json(),
            dir: self.dir,
        }
    }

    fn to_command(&self) -> Command {
        let mut json = OsString::from("--json=");
        json.push(self.json());
        let mut command = command(laneway());
        command
            .arg("record")
            .arg("-o")
            .arg(self.trace())
            .arg(json)
            .args(&self.options)
            .arg("--")
            .args(&self.program)
            .envs(self.environment.iter().cloned());
        command
    }

    fn trace(&self) -> PathBuf {
        let default = || self.dir.path().join("trace");
        self.output.clone().unwrap_or_else(default)
    }

    fn json(&self) -> PathBuf {
        self.dir.path().join("summary.json")
    }
}

impl Recorded {
    /// The summary.
    #[track_caller]
    #[must_use]
    pub fn summary(&self) -> Summary {
        let json = std::fs::read_to_string(&self.json);
        Summary::parse(&json.unwrap_or_else(|e| panic!("no summary: {e}\n{:#?}", self.output)))
    }

    /// The summary of the only process.
    #[track_caller]
    #[must_use]
    pub fn process(&self) -> Process {
        let mut summary = self.summary();
        assert_eq!(summary.processes.len(), 1, "{summary:#?}");
        summary.processes.remove(0)
    }

    /// All events, about which babeltrace2 must not have one word to say; and their number is that of the summary,
    /// which must have lost none.
    #[track_caller]
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let summary = self.summary();
        assert_eq!(summary.total.lost.total(), 0, "{summary:#?}");
        let events = events(&self.trace);
        assert_eq!(events.len() as u64, summary.total.recorded);
        events
    }

    /// All events, and what babeltrace2 said of those that were lost.
    #[track_caller]
    #[must_use]
    pub fn events_and_warnings(&self) -> (Vec<Event>, String) {
        let mut events = Vec::new();
        let warnings = babeltrace(&self.trace, |event| events.push(event));
        assert_eq!(events.len() as u64, self.summary().total.recorded);
        (events, warnings)
    }

    /// Where the program was and the summary is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}
