//! Where the text goes: to standard output, or through the user's pager.

use std::io::{self, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::SIGINT;

/// Bytes to collect before they are written out.
pub(super) const CHUNK: usize = 64 << 10;

/// Where the text goes.
pub(super) struct Output {
    pager: Option<Child>,
    /// What was not written yet.
    pub(super) buffer: Vec<u8>,
}

impl Output {
    pub(super) fn new(pager: bool) -> Self {
        Output {
            pager: pager.then(start_pager).flatten(),
            buffer: Vec::with_capacity(2 * CHUNK),
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self.pager.as_mut().and_then(|pager| pager.stdin.as_mut()) {
            Some(stdin) => stdin.write_all(&self.buffer)?,
            None => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&self.buffer)?;
                stdout.flush()?;
            }
        }
        self.buffer.clear();
        Ok(())
    }

    pub(super) fn close(mut self) {
        if let Some(mut pager) = self.pager.take() {
            drop(pager.stdin.take());
            let _ = pager.wait();
        }
    }
}

/// The user's pager, if there is one that can be started.
fn start_pager() -> Option<Child> {
    let chosen = ["LANEWAY_PAGER", "PAGER"]
        .into_iter()
        .find_map(std::env::var_os);
    let words = match &chosen {
        Some(command) if command.is_empty() || command == "cat" => return None,
        Some(command) => command.to_string_lossy().into_owned(),
        None => "less".to_owned(),
    };
    let mut command = Command::new("sh");
    command.arg("-c").arg(words).stdin(Stdio::piped());
    // Quit if it fits the screen, let colours through, one line for each event, leave the screen as it is.
    if std::env::var_os("LESS").is_none() {
        command.env("LESS", "FRSX");
    }
    // Ctrl-C is for the pager, which stops what it does: it would be left alone with the terminal if it ended us.
    let _ = signal_hook::flag::register(SIGINT, Arc::new(AtomicBool::new(false)));
    command.spawn().ok()
}
