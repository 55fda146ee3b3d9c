//! Running programs: with a limit of time, in a process group of their own, and not longer than the test.
//!
//! Invariant: when a [`Running`] is gone, so is every process of its group.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::eventually;

/// More than anything here takes, on a machine that is busy with other things.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Environment variables that would make one run differ from another.
const FOREIGN: [&str; 7] = [
    "GLIBC_TUNABLES",
    "LANEWAY_ALLOW_BLOCK",
    "LANEWAY_LIST",
    "LANEWAY_RSEQ",
    "LANEWAY_SOCKET",
    "LD_PRELOAD",
    "XDG_RUNTIME_DIR",
];

/// A program that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    what: String,
    stdout: Gatherer,
    stderr: Gatherer,
    over: bool,
}

/// What a program has left behind.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Output {
    /// The exit code; a program that was killed has none.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The number behind `name=` in what it printed.
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    #[must_use]
    pub fn number(&self, name: &str) -> u64 {
        let number = number_in(&self.stdout, name);
        number.unwrap_or_else(|| panic!("no {name}=… in {self:?}"))
    }

    /// Itself, if the program ended with code 0.
    #[track_caller]
    #[must_use]
    pub fn succeeded(self) -> Self {
        assert!(self.status.success(), "{self:#?}");
        self
    }
}

/// Runs `command` to its end.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    Running::start(command).wait()
}

/// A command without what this process' environment says to Laneway.
#[must_use]
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for name in FOREIGN {
        command.env_remove(name);
    }
    command
}

impl Running {
    /// Starts `command` in a process group of its own; nothing to read, and all it prints is kept.
    ///
    /// # Panics
    /// It cannot be started.
    #[track_caller]
    pub fn start(command: &mut Command) -> Running {
        let what = format!("{command:?}");
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{what}: {e}"));
        Running {
            stdout: Gatherer::of(child.stdout.take().expect("it is piped")),
            stderr: Gatherer::of(child.stderr.take().expect("it is piped")),
            child,
            what,
            over: false,
        }
    }

    /// Its process id, which is also that of its group.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it runs");
    }

    /// Sends a signal to it and all that it started, as a terminal does.
    pub fn signal_group(&self, signal: Signal) {
        kill_process_group(self.pid(), signal).expect("it runs");
    }

    /// Waits until it has printed `text` on its standard output or error.
    #[track_caller]
    pub fn await_text(&mut self, text: &str) {
        let what = format!("{} prints {text:?}", self.what);
        eventually(&what, LIMIT, || {
            let printed = self.stdout.text() + &self.stderr.text();
            let ended = self.child.try_wait().expect("it is a child").is_some();
            assert!(
                !ended || printed.contains(text),
                "{} ended: {printed}",
                self.what
            );
            printed.contains(text)
        });
    }

    /// Waits until it has printed `name=…`, and gives the number.
    #[track_caller]
    pub fn await_number(&mut self, name: &str) -> u64 {
        self.await_text(&format!("{name}="));
        let mut number = None;
        eventually("the end of a line", LIMIT, || {
            number = number_in(&self.stdout.text(), name);
            number.is_some()
        });
        number.expect("it is there now")
    }

    /// Whether it has ended.
    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().expect("it is a child").is_some()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It does not end within [`LIMIT`].
    #[track_caller]
    #[must_use]
    pub fn wait(mut self) -> Output {
        let began = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("it is a child") {
                Some(status) => break status,
                None if began.elapsed() > LIMIT => {
                    let (stdout, stderr) = (self.stdout.text(), self.stderr.text());
                    panic!("not over in time: {}\n{stdout}\n{stderr}", self.what);
                }
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        self.over = true;
        Output {
            status,
            stdout: self.stdout.finish(),
            stderr: self.stderr.finish(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Also after its end: something that it started may have survived it.
        let _ = kill_process_group(self.pid(), Signal::KILL);
        if !self.over {
            let _ = self.child.wait();
        }
    }
}

/// The signal that ended a program.
#[must_use]
pub fn signal_of(status: ExitStatus) -> Option<i32> {
    status.signal()
}

/// The number in the line `name=…`, once the line is whole.
fn number_in(text: &str, name: &str) -> Option<u64> {
    let lines = text
        .split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'));
    let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    values.find_map(|value| value.parse().ok())
}

/// A thread that reads a pipe.
#[derive(Debug)]
struct Gatherer {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Gatherer {
    fn of(mut pipe: impl Read + Send + 'static) -> Gatherer {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let gathered = bytes.clone();
        let thread = std::thread::spawn(move || {
            let mut chunk = [0; 65536];
            while let Ok(n @ 1..) = pipe.read(&mut chunk) {
                gathered.lock().unwrap().extend_from_slice(&chunk[..n]);
            }
        });
        Gatherer { bytes, thread }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    /// All of it; what somebody else who holds the pipe may still write is not waited for.
    fn finish(&self) -> String {
        let began = Instant::now();
        while !self.thread.is_finished() && began.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.text()
    }
}

/// The command `outer`, which becomes `inner` when it has done what it is for: with that one's environment.
#[must_use]
pub fn becoming(mut outer: Command, inner: &Command) -> Command {
    outer.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        if let Some(value) = value {
            outer.env(name, value);
        }
    }
    outer
}
