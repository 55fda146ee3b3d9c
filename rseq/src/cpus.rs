//! The CPUs a thread can ever run on.
//!
//! ```text
//!   /sys/devices/system/cpu/possible   "0-63"  or  "0,2-5"   →  one more than the highest number
//! ```
//!
//! *Possible* and not *online* or *allowed*: CPUs come and go, and a mask can be widened from
//! outside, but a thread never runs on a number that is not possible. Nothing here asks for or
//! changes an affinity.
//!
//! Source: kernel `Documentation/admin-guide/cputopology.rst`.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::slot::CpuId;

/// How many per-CPU slots cover every CPU of the machine: one more than the highest possible
/// number. At least 1.
///
/// The first call reads a file, without allocating; later ones are one load.
pub fn possible_cpus() -> u32 {
    static KNOWN: AtomicU32 = AtomicU32::new(0);
    match KNOWN.load(Relaxed) {
        0 => {
            let count = read_possible().or_else(configured).unwrap_or(1);
            KNOWN.store(count, Relaxed);
            count
        }
        known => known,
    }
}

/// The CPU this thread runs on, asked without rseq: for those that have none.
pub fn current_cpu() -> CpuId {
    if cfg!(any(miri, loom)) {
        return CpuId(0);
    }
    // SAFETY: no arguments, no memory.
    let cpu = unsafe { libc::sched_getcpu() };
    CpuId(u32::try_from(cpu).unwrap_or(0)) // ENOSYS: every kernel this code runs on has it
}

fn read_possible() -> Option<u32> {
    if cfg!(any(miri, loom)) {
        return Some(2);
    }
    let mut text = [0u8; 1024];
    // SAFETY: a C string, a buffer of the stated length, a descriptor of our own.
    let length = unsafe {
        let path = c"/sys/devices/system/cpu/possible";
        let file = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if file < 0 {
            return None;
        }
        let length = libc::read(file, text.as_mut_ptr().cast(), text.len());
        libc::close(file);
        usize::try_from(length).ok()?
    };
    highest(&text[..length])?.checked_add(1)
}

/// Without /sys, as in some containers.
fn configured() -> Option<u32> {
    // SAFETY: no memory.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) };
    u32::try_from(count).ok().filter(|&count| count > 0)
}

/// The highest number in a list like `0,2-5`.
fn highest(list: &[u8]) -> Option<u32> {
    list.split(|byte| !byte.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map(|digits| core::str::from_utf8(digits).ok()?.parse().ok())
        .max()?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_number_of_a_cpu_list_counts() {
        assert_eq!(highest(b"0\n"), Some(0));
        assert_eq!(highest(b"0-63\n"), Some(63));
        assert_eq!(highest(b"0,2-5,4\n"), Some(5));
        assert_eq!(highest(b"\n"), None);
    }

    #[test]
    fn the_current_cpu_is_a_possible_one() {
        assert!(current_cpu().0 < possible_cpus());
    }
}
