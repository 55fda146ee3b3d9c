//! A terminal of one's own, with a program in its foreground.
//!
//! What is typed goes through the kernel's line discipline: Ctrl-C becomes a SIGINT for the foreground process group.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::eventually;
use crate::process::LIMIT;

/// A pseudo-terminal and what runs on it.
#[derive(Debug)]
pub struct Terminal {
    screen: File,
    child: Child,
    text: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Runs a command in the foreground of a new terminal, with all three standard streams on it.
    ///
    /// # Panics
    /// There is no terminal to be had, or no `setsid` of util-linux.
    #[must_use]
    pub fn run(command: &Command) -> Terminal {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("a pseudo-terminal");
        grantpt(&screen).expect("it is ours");
        unlockpt(&screen).expect("it is ours");
        let name = ptsname(&screen, Vec::new()).expect("it has a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let tty = File::from(rustix::fs::open(name, flags, Mode::empty()).expect("a terminal"));
        let stream = || Stdio::from(tty.try_clone().expect("a descriptor"));
        let mut session = Command::new("setsid");
        session
            .args(["--ctty", "--wait"])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            set(&mut session, name, value);
        }
        let child = session
            .stdin(stream())
            .stdout(stream())
            .stderr(stream())
            .spawn()
            .expect("setsid can be run");
        let screen = File::from(screen);
        let text = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, shown) = (screen.try_clone().expect("a descriptor"), text.clone());
        // It ends with an error when the last program has closed the terminal.
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut chunk) {
                shown.lock().unwrap().extend_from_slice(&chunk[..n]);
            }
        });
        Terminal {
            screen,
            child,
            text,
        }
    }

    /// Waits until this can be seen on it.
    #[track_caller]
    pub fn await_text(&self, text: &str) {
        eventually(text, LIMIT, || self.text().contains(text));
    }

    /// Types.
    pub fn type_in(&mut self, keys: &[u8]) {
        self.screen.write_all(keys).expect("a terminal takes keys");
    }

    /// Waits for the end of the program; gives its exit code and all that was shown.
    #[track_caller]
    pub fn wait(mut self) -> (Option<i32>, String) {
        let mut status = None;
        eventually("the program ends", LIMIT, || {
            status = self.child.try_wait().expect("it is a child");
            status.is_some()
        });
        // The last of it may still be on its way.
        std::thread::sleep(std::time::Duration::from_millis(50));
        (status.and_then(|s| s.code()), self.text())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Closing the terminal hangs up what still runs on it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn set(command: &mut Command, name: &OsStr, value: Option<&OsStr>) {
    match value {
        Some(value) => command.env(name, value),
        None => command.env_remove(name),
    };
}
