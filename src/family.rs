//! Children: each is a process of its own, and never writes as its parent.
//!
//! ```text
//!   fork(3) ─────▶ handler `forked`: forget the parent's ring, lead all callsites to `resume`
//!   clone(2), bare ▶ the kernel wipes the channels: events fail, and `resume` finds the mark gone ─▶ forked
//!   first event ─▶ resume: start an agent
//!   vfork(2), posix_spawn(3) ─▶ nothing: the child is its parent until it is another program
//! ```
//! An agent is a thread, so a child has none; and as most children become another program at once, they get one only when
//! they emit. That the parent had no consumer then is no reason to have none for ever: think of a daemon that forks twice
//! at its start, and is to be recorded days later.
//!
//! The child of a bare clone(2) is found out by an event that fails, so it has to have had a parent that was recorded.
//!
//! Invariant: between its fork and its own agent's work no child records anything.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::emit::{CHANNELS, FORKED};
use crate::{attach, entry, identity, waiting};

/// Whether this process is a child that has no agent yet.
static ORPHANED: AtomicBool = AtomicBool::new(false);

/// Whether the kernel wipes channels and mark in children.
static WIPED_IN_CHILDREN: AtomicBool = AtomicBool::new(false);

/// Whether this process came about behind everybody's back.
static FOUNDLING: AtomicBool = AtomicBool::new(false);

/// Not 0 in a process that has been seen to be one. A page of its own, which children get wiped.
static MARK: Mark = Mark(AtomicU32::new(0));

#[repr(align(4096))]
struct Mark(AtomicU32);

/// Makes sure that children can be told from their parent; called once.
pub(crate) fn prepare() {
    // SAFETY: the handler is a function that stays: the library is pinned.
    unsafe { libc::pthread_atfork(None, None, Some(forked)) };
    // Old kernels cannot: there a child of a bare clone(2) is taken for its parent.
    let wiped = wipe_mark() && CHANNELS.iter().all(|channel| channel.wipe_on_fork());
    MARK.0.store(1, Ordering::Relaxed);
    WIPED_IN_CHILDREN.store(wiped, Ordering::Relaxed);
}

/// After an event that was not recorded: if that is because this is a child which emits for the first time, attaches it as
/// a process of its own. Says whether it is worth trying again.
pub(crate) fn resume() -> bool {
    if WIPED_IN_CHILDREN.load(Ordering::Relaxed)
        && MARK.0.load(Ordering::Relaxed) == 0
        && MARK.0.swap(1, Ordering::Relaxed) == 0
    {
        FOUNDLING.store(true, Ordering::Relaxed);
        forked();
    }
    if FOUNDLING.load(Ordering::Relaxed) {
        // Whichever thread was cloned still takes itself for its parent's, and is perhaps not the first that emits.
        identity::forget_thread();
    }
    if !ORPHANED.load(Ordering::Relaxed) || !ORPHANED.swap(false, Ordering::Relaxed) {
        return false;
    }
    entry::all().for_each(|(entry, _)| entry.disable(FORKED));
    attach::start();
    true
}

/// In the child, before fork returns.
extern "C" fn forked() {
    MARK.0.store(1, Ordering::Relaxed);
    identity::forget_thread();
    waiting::end();
    CHANNELS
        .iter()
        .for_each(|channel| channel.forget_in_child());
    ORPHANED.store(true, Ordering::Relaxed);
    entry::all().for_each(|(entry, _)| entry.enable(FORKED));
}

fn wipe_mark() -> bool {
    let page = ptr::from_ref(&MARK).cast_mut().cast();
    // SAFETY: changes nothing in this process; in a child the page is zeroes, of which all are a valid number.
    unsafe { libc::madvise(page, size_of::<Mark>(), libc::MADV_WIPEONFORK) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `child` in a child of a bare system call, of which no handler hears; it says whether all was well.
    fn in_bare_child(child: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child looks at a few words and ends, without running anything of its parent's.
        unsafe {
            match libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) {
                0 => libc::_exit(i32::from(!child())),
                pid => {
                    let mut status = -1;
                    assert_eq!(i64::from(libc::waitpid(pid as i32, &mut status, 0)), pid);
                    status == 0
                }
            }
        }
    }

    #[test]
    fn a_child_that_nobody_hears_of_finds_the_mark_gone() {
        prepare();
        assert!(WIPED_IN_CHILDREN.load(Ordering::Relaxed), "an old kernel");
        assert!(in_bare_child(|| MARK.0.load(Ordering::Relaxed) == 0));
        assert_eq!(MARK.0.load(Ordering::Relaxed), 1);
    }
}
