//! When and where a process meets a consumer.
//!
//! ```text
//!   constructor ─▶ start ─▶ agent thread ─▶ consumer there?  ring, hello, enable
//!                    │                          │ no: watch for one
//!                    └─ waits for the agent ────┘
//!                       only where a consumer has left its channel file
//!   fork ─▶ child: its first event starts an agent again (see `family`)
//! ```
//! The agent thread does everything, in a table of file descriptors of its own; the
//! application's table never holds one of ours. The constructor waits for the agent's
//! first attempt (not for the consumer, who may be busy or stopped), so that a program
//! that ends after a millisecond has been recorded from its first event to its last.
//!
//! Invariant: whatever fails here, the program runs on as if Laneway were not there.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;
use std::{mem, ptr};

use laneway_control::{Connection, Mode, Rendezvous};
use laneway_ringbuf::WhenFull;

use crate::attachment::Trouble;
use crate::emit::CHANNELS;
use crate::{agent, bare_thread, blocking, family, hello, report, startup};

/// How long the constructor gives the agent for its first attempt. It takes a
/// fraction of a millisecond, and most of a second where eight threads want each CPU
/// (to fence restartable sequences takes an RCU grace period); the limit is for a
/// machine that cannot run it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The agent's stack: it calls the encoder of the event descriptions.
const STACK_BYTES: usize = 256 << 10;

/// How long the consumer's channel wants a full lane to block, in ns; 0: not at all.
static CHANNEL_BLOCKS_NS: AtomicU64 = AtomicU64::new(0);

/// The same where a full lane overwrites its oldest events.
const OVERWRITES: u64 = u64::MAX;

/// Starts the agent. Called once before `main`, and once in the child of a fork.
pub(crate) fn start() {
    let Some(meeting) = prepare() else { return };
    let expected = meeting.channel_file().exists();
    let (tried, first_attempt) = mpsc::sync_channel(1);
    let blocked = BlockedSignals::new();
    let place = meeting.clone();
    let agent = bare_thread::spawn(c"laneway", STACK_BYTES, move || {
        agent::run(&place, &tried);
    });
    drop(blocked);
    match agent {
        Ok(()) if expected => drop(first_attempt.recv_timeout(PATIENCE)),
        Ok(()) => {}
        Err(e) => give_up(
            &meeting,
            &Trouble::new(format_args!("it can have no thread: {e}")),
        ),
    }
}

/// What has to be done once, and not again in a child: other threads of its parent, which it has not got, may have been
/// holding any lock. Says where to meet.
fn prepare() -> Option<Rendezvous> {
    static MEETING: OnceLock<Option<Rendezvous>> = OnceLock::new();
    let prepare = || {
        let meeting = match startup::is_secure() {
            true => Rendezvous::without_env(),
            false => Rendezvous::from_env(),
        };
        let meeting = meeting
            .inspect_err(|e| report::say(format_args!("this process is not recorded: {e}")))
            .ok()?;
        // Before there is a thread: the loader's lock may be ours now, and not the agent's.
        laneway_rseq::Rseq::get();
        startup::pin_library();
        family::prepare();
        Some(meeting)
    };
    MEETING.get_or_init(prepare).clone()
}

/// There is no agent and will be none; a consumer that is there gets to know why.
fn give_up(meeting: &Rendezvous, trouble: &Trouble) {
    report::say(format_args!("this process is not recorded: {trouble}"));
    if let Ok(connection) = Connection::connect(meeting) {
        let _ = connection.send(&hello::unable(trouble), &[]);
    }
}

/// What a full lane does: as the consumer wants and the program allows.
pub(crate) fn when_full() -> WhenFull {
    let wanted = CHANNEL_BLOCKS_NS.load(Ordering::Relaxed);
    if wanted == OVERWRITES {
        return WhenFull::Overwrite;
    }
    match Duration::from_nanos(wanted).min(blocking::limit()) {
        Duration::ZERO => WhenFull::Discard,
        limit => WhenFull::Block(limit),
    }
}

/// The consumer's channel has this mode.
pub(crate) fn set_mode(mode: &Mode) {
    let limit = match mode {
        Mode::Discard => 0,
        Mode::Block { timeout_ns } => (*timeout_ns).min(OVERWRITES - 1),
        Mode::Overwrite => OVERWRITES,
    };
    CHANNEL_BLOCKS_NS.store(limit, Ordering::Relaxed);
}

/// The program has changed what it allows.
pub(crate) fn blocking_changed() {
    for channel in &CHANNELS {
        channel.set_when_full(when_full());
    }
}

/// Keeps signals from a thread that is born while this lives: they are the program's.
struct BlockedSignals(libc::sigset_t);

impl BlockedSignals {
    fn new() -> Self {
        // SAFETY: both sets are on the stack; sigfillset initialises one, the call the
        // other.
        unsafe {
            let mut all: libc::sigset_t = mem::zeroed();
            let mut before: libc::sigset_t = mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
            BlockedSignals(before)
        }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: the set was filled by `new`.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, ptr::null_mut()) };
    }
}
