//! Signals that must not end the command before the trace is complete.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXFSZ};

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

    fn of(signals: &[i32]) -> anyhow::Result<Arrivals> {
        let (read, write) = UnixStream::pair().context("cannot make a socket pair")?;
        read.set_nonblocking(true)?;
        for signal in signals {
            signal_hook::low_level::pipe::register(*signal, write.try_clone()?)
                .context("cannot catch signals")?;
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
    let flag = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal, flag).context("cannot catch signals")?;
    Ok(())
}

impl AsFd for Arrivals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
