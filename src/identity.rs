//! Who this process is, as its records and its hello say.
//!
//! ```text
//!   agent ── refresh, before it attaches ──▶ PROCESS, NAME ──▶ each record of a shared buffer
//! ```
//! Invariant: no record is written between a fork and the `refresh` of the child's own agent, so none names the parent.

use std::cell::Cell;
use std::fs;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use laneway_control::PROCNAME_BYTES;
use laneway_rseq::Rseq;

static PROCESS: AtomicI32 = AtomicI32::new(0);

/// The name's bytes, in two words.
static NAME: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

thread_local! {
    /// This thread's id; 0 until it is first needed.
    static THREAD: Cell<i32> = const { Cell::new(0) };
}

/// Finds out who this process is.
pub(crate) fn refresh() {
    PROCESS.store(std::process::id().cast_signed(), Ordering::Relaxed);
    let name = name();
    let mut bytes = [0; PROCNAME_BYTES];
    // The last byte stays NUL, and no character is cut.
    let len = name.floor_char_boundary(PROCNAME_BYTES - 1);
    bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
    let (words, _) = bytes.as_chunks::<8>();
    for (word, bytes) in NAME.iter().zip(words) {
        word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
    }
}

/// The process's short name now.
pub(crate) fn name() -> String {
    let name = fs::read("/proc/self/comm").unwrap_or_default();
    String::from_utf8_lossy(name.trim_ascii_end()).into_owned()
}

/// The process's id at the last [`refresh`].
#[inline]
pub(crate) fn process() -> i32 {
    PROCESS.load(Ordering::Relaxed)
}

/// The process's short name at the last [`refresh`], as records hold it.
#[inline]
pub(crate) fn name_bytes() -> [u8; PROCNAME_BYTES] {
    let mut bytes = [0; PROCNAME_BYTES];
    for (word, bytes) in NAME.iter().zip(bytes.as_chunks_mut::<8>().0) {
        *bytes = word.load(Ordering::Relaxed).to_ne_bytes();
    }
    bytes
}

/// The calling thread's id.
#[inline(always)]
pub(crate) fn thread() -> i32 {
    match THREAD.get() {
        0 => thread_slow(),
        id => id,
    }
}

#[cold]
fn thread_slow() -> i32 {
    // SAFETY: no arguments, and it cannot fail.
    let id = unsafe { libc::gettid() };
    THREAD.set(id);
    id
}

/// In the child of a fork: its only thread has another id than the one that forked.
pub(crate) fn forget_thread() {
    THREAD.set(0);
}

/// The CPU that the calling thread runs on.
pub(crate) fn cpu() -> u32 {
    match Rseq::get().cpu() {
        Some(cpu) => cpu.0,
        // SAFETY: no arguments; a negative answer means the system cannot say.
        None => unsafe { libc::sched_getcpu() }.max(0).cast_unsigned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_get_the_name_that_the_system_knows() {
        refresh();
        assert_eq!(process().cast_unsigned(), std::process::id());
        let bytes = name_bytes();
        let len = bytes
            .iter()
            .position(|&b| b == 0)
            .expect("a NUL at the end");
        assert_eq!(std::str::from_utf8(&bytes[..len]).unwrap(), name());
        assert_eq!(bytes[len..], [0; 16][len..], "nothing behind it");
    }

    #[test]
    fn a_thread_is_known_by_its_own_id() {
        let ours = thread();
        assert_eq!(ours, thread());
        let theirs = std::thread::spawn(thread).join().unwrap();
        assert_ne!(ours, theirs);
    }
}
