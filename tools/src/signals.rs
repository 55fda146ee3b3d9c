//! Signals that must not end the command before the trace is complete.
//!
//! Invariant: a signal that was ignored when the command was started (`nohup`, or a shell's `&`) stays so, here and in
//! the programs that are run, which inherit it.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGXFSZ};

/// Signals turned into bytes: it can be read when one has arrived.
#[derive(Debug)]
pub(crate) struct Arrivals(UnixStream);

impl Arrivals {
    /// SIGTERM only; what a terminal sends to all its programs (Ctrl-C, Ctrl-\, hang-up) is caught and does nothing:
    /// it is meant for the recorded program, which gets it, too. SIGXFSZ is caught so that a limit on file sizes is
    /// an error like a full disk.
    pub(crate) fn for_record() -> anyhow::Result<Arrivals> {
        for signal in [SIGINT, SIGQUIT, SIGHUP, SIGXFSZ] {
            ignore(signal)?;
        }
        Arrivals::of(&[SIGTERM])
    }

    /// SIGINT, SIGTERM and SIGHUP: all say that it is time to finish.
    pub(crate) fn for_daemon() -> anyhow::Result<Arrivals> {
        ignore(SIGXFSZ)?;
        Arrivals::of(&[SIGINT, SIGTERM, SIGHUP])
    }

    /// SIGUSR1: somebody wants a snapshot.
    pub(crate) fn for_snapshots() -> anyhow::Result<Arrivals> {
        Arrivals::of(&[SIGUSR1])
    }

    fn of(signals: &[i32]) -> anyhow::Result<Arrivals> {
        let (read, write) = UnixStream::pair().context("cannot make a socket pair")?;
        read.set_nonblocking(true)?;
        let already_ignored = ignored();
        for &signal in signals {
            if already_ignored & bit(signal) == 0 {
                signal_hook::low_level::pipe::register(signal, write.try_clone()?)
                    .context("cannot catch signals")?;
            }
        }
        Ok(Arrivals(read))
    }

    /// How many have arrived since this was last asked.
    pub(crate) fn take(&mut self) -> usize {
        self.0.read(&mut [0; 64]).unwrap_or(0)
    }
}

/// Does nothing about a signal, unlike SIG_IGN, which the programs that are run would inherit.
fn ignore(signal: i32) -> anyhow::Result<()> {
    if ignored() & bit(signal) != 0 {
        return Ok(());
    }
    let flag = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal, flag).context("cannot catch signals")?;
    Ok(())
}

/// The signals that this process ignores, a [`bit`] for each (proc_pid_status(5), `SigIgn`).
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

impl AsFd for Arrivals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
