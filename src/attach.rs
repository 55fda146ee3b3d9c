//! When and where a process meets a consumer.
//!
//! ```text
//!   constructor ─▶ start ─▶ agent thread ─▶ consumer there?  ring, hello, enable
//!                    │                          │ no: watch for one
//!                    └─ waits for the agent ────┘
//!                       only where a consumer has left its channel file
//!   fork ─▶ child: forgets its parent's ring; its first event starts an agent again
//! ```
//! The agent thread does everything, in a table of file descriptors of its own; the
//! application's table never holds one of ours. The constructor waits for the agent's
//! first attempt (not for the consumer, who may be busy or stopped), so that a program
//! that ends after a millisecond has been recorded from its first event to its last.
//!
//! Invariant: whatever fails here, the program runs on as if Laneway were not there.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use std::{mem, ptr};

use laneway_control::{Mode, Rendezvous};
use laneway_ringbuf::WhenFull;

use crate::emit::{self, CHANNELS};
use crate::{agent, bare_thread, blocking, startup};

/// How long the constructor gives the agent for its first attempt. It takes a
/// fraction of a millisecond; the limit is for a machine that cannot run it.
const PATIENCE: Duration = Duration::from_secs(1);

/// The agent's stack: it calls the encoder of the event descriptions.
const STACK_BYTES: usize = 256 << 10;

/// Whether this process was forked from one that traced, and has no agent yet.
static FORKED: AtomicBool = AtomicBool::new(false);

/// How long the consumer's channel wants a full lane to block, in ns; 0: not at all.
static CHANNEL_BLOCKS_NS: AtomicU64 = AtomicU64::new(0);

/// Starts the agent. Called once before `main`, and once in the child of a fork.
pub(crate) fn start() {
    let meeting = match startup::is_secure() {
        true => Rendezvous::without_env(),
        false => Rendezvous::from_env(),
    };
    let Ok(meeting) = meeting else { return };
    // Before there is a thread: the loader's lock may be ours now, and not the agent's.
    laneway_rseq::Rseq::get();
    startup::pin_library();
    at_fork();
    let expected = meeting.channel_file().exists();
    let (tried, first_attempt) = mpsc::sync_channel(1);
    let blocked = BlockedSignals::new();
    let agent = bare_thread::spawn(c"laneway", STACK_BYTES, move || {
        agent::run(&meeting, &tried);
    });
    drop(blocked);
    if agent.is_ok() && expected {
        let _ = first_attempt.recv_timeout(PATIENCE);
    }
}

/// In the child of a fork that emits for the first time: attaches it as a process of
/// its own. Says whether it is worth trying again.
pub(crate) fn resume_in_child() -> bool {
    if !FORKED.load(Ordering::Relaxed) || !FORKED.swap(false, Ordering::Relaxed) {
        return false;
    }
    start();
    true
}

/// What a full lane does: as the consumer wants and the program allows.
pub(crate) fn when_full() -> WhenFull {
    let wanted = Duration::from_nanos(CHANNEL_BLOCKS_NS.load(Ordering::Relaxed));
    match wanted.min(blocking::limit()) {
        Duration::ZERO => WhenFull::Discard,
        limit => WhenFull::Block(limit),
    }
}

/// The consumer's channel has this mode.
pub(crate) fn set_mode(mode: &Mode) {
    let limit = match mode {
        Mode::Discard | Mode::Overwrite => 0,
        Mode::Block { timeout_ns } => *timeout_ns,
    };
    CHANNEL_BLOCKS_NS.store(limit, Ordering::Relaxed);
}

/// The program has changed what it allows.
pub(crate) fn blocking_changed() {
    for channel in &CHANNELS {
        channel.set_when_full(when_full());
    }
}

/// Makes sure that no child of a fork writes as its parent.
fn at_fork() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.swap(true, Ordering::Relaxed) {
        // SAFETY: the handler is a function that stays: the library is pinned.
        unsafe { libc::pthread_atfork(None, None, Some(forked)) };
    }
}

/// In the child, before fork returns.
extern "C" fn forked() {
    emit::forget_thread_id();
    let mut was_attached = false;
    for channel in &CHANNELS {
        was_attached |= channel.is_attached();
        channel.forget_in_child();
    }
    // A child that was forked by one that has not emitted yet stands where its parent stood.
    FORKED.fetch_or(was_attached, Ordering::Relaxed);
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
