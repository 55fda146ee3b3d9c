//! What the tests of the command share: a directory, the command, and what came out.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The command under test.
pub(crate) const LANEWAY: &str = env!("CARGO_BIN_EXE_laneway");

/// A directory of its own, where the command runs.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
}

/// How a run of the command ended.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A small tree for the workload to walk over.
    pub(crate) fn tree(&self) -> PathBuf {
        let tree = self.path("tree");
        fs::create_dir_all(tree.join("sub")).unwrap();
        fs::write(tree.join("one"), "line\n").unwrap();
        fs::write(tree.join("sub/two"), "line\nline\n").unwrap();
        tree
    }

    /// The command with nothing of this machine's own in its environment, so that no daemon of the user interferes.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(LANEWAY);
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_remove("LANEWAY_SOCKET")
            .env_remove("LANEWAY_ALLOW_BLOCK")
            .env("XDG_RUNTIME_DIR", self.dir.path());
        command
    }

    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        self.command(args).output().unwrap().into()
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Run {
        Run {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Run {
    /// The summary that `--json` printed.
    pub(crate) fn summary(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:?}\n{}", self.stderr))
    }

    #[track_caller]
    pub(crate) fn fails_with(&self, code: i32, message: &str) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        assert!(self.stderr.contains(message), "{}", self.stderr);
    }
}

/// A number in a summary: `total.lost.storage`.
#[track_caller]
pub(crate) fn number(summary: &Value, path: &str) -> u64 {
    path.split('.')
        .try_fold(summary, |value, key| value.get(key))
        .and_then(Value::as_u64)
        .unwrap_or_else(|| panic!("no number {path} in {summary}"))
}

/// The traced program: `burst` events from each of its threads, more than two, at full speed.
pub(crate) fn workload(tree: &Path, burst: u64) -> Vec<String> {
    let tree = tree.display().to_string();
    [
        LANEWAY,
        "demo-workload",
        &tree,
        "--burst",
        &burst.to_string(),
    ]
    .map(str::to_owned)
    .to_vec()
}

/// What babeltrace2 makes of a trace: how many lines, and its warnings and errors.
pub(crate) fn babeltrace(directory: &Path) -> (u64, String) {
    let output = Command::new("babeltrace2")
        .arg(directory)
        .output()
        .expect("babeltrace2 is installed");
    let lines = output.stdout.iter().filter(|byte| **byte == b'\n').count();
    (lines as u64, String::from_utf8(output.stderr).unwrap())
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal to a process, or with a negative number to a group.
pub(crate) fn kill(signal: &str, process: i64) {
    let status = Command::new("kill")
        .args(["-s", signal, "--", &process.to_string()])
        .stderr(Stdio::inherit())
        .status()
        .unwrap();
    assert!(status.success());
}

/// A process that does not outlive its test.
pub(crate) struct Guard(pub(crate) Option<Child>);

impl Guard {
    pub(crate) fn spawn(command: &mut Command) -> Guard {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Guard(Some(command.spawn().unwrap()))
    }

    pub(crate) fn pid(&self) -> i64 {
        i64::from(self.0.as_ref().expect("it runs").id())
    }

    pub(crate) fn finish(mut self) -> Run {
        let child = self.0.take().expect("it runs");
        child.wait_with_output().unwrap().into()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
