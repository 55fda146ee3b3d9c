//! The sequences under attack: tests that need the points between their instructions, which only
//! this crate's test build has.
//!
//! ```text
//!   points      each sequence, interrupted at each of its points by a signal, a preemption, a migration
//!   registered  threads whose registration is refused, or taken away under them
//!   stress      the structures, with delays, yields, sleeps and signals at all points at once
//! ```
//!
//! They mirror the intent of the kernel's `tools/testing/selftests/rseq`: `param_test`,
//! `basic_percpu_ops_test`. `LANEWAY_RSEQ_STRESS=n` makes the stress n times as long.

mod points;
mod registered;
mod stress;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Once, OnceLock};

use crate::arch;
use crate::area::Own;
use crate::registration::Rseq;
use crate::slot::CpuId;

/// What a point does with this thread's value of it.
#[derive(Clone, Copy)]
enum Inject {
    Nothing,
    /// Counts down from that: about a cycle each.
    Delay(u32),
    /// Traps: SIGTRAP, whose handler is `on_trap`.
    Trap,
}

/// Sets what happens at a point of every sequence that this thread runs from now on.
fn inject<const POINT: usize>(what: Inject) {
    let value = match what {
        Inject::Nothing => 0,
        Inject::Delay(loops) => loops,
        Inject::Trap => u32::MAX,
    };
    let own = arch::own_offset();
    // SAFETY: the words of this thread behind its own area that are there for that.
    unsafe {
        match POINT {
            1 => arch::store::<{ field(1) }>(own, value),
            2 => arch::store::<{ field(2) }>(own, value),
            3 => arch::store::<{ field(3) }>(own, value),
            4 => arch::store::<{ field(4) }>(own, value),
            5 => arch::store::<{ field(5) }>(own, value),
            6 => arch::store::<{ field(6) }>(own, value),
            _ => arch::store::<{ field(7) }>(own, value),
        }
    }
}

const fn field(point: usize) -> usize {
    std::mem::offset_of!(Own, inject) + 4 * point
}

/// The same for a point that is not known before.
fn inject_at(point: usize, what: Inject) {
    match point {
        1 => inject::<1>(what),
        2 => inject::<2>(what),
        3 => inject::<3>(what),
        4 => inject::<4>(what),
        5 => inject::<5>(what),
        6 => inject::<6>(what),
        7 => inject::<7>(what),
        _ => unreachable!("no point {point}"),
    }
}

/// Registers this thread; `None` where there are no sequences to test.
fn rseq() -> Option<Rseq> {
    let rseq = Rseq::get();
    rseq.register_thread().ok().map(|_| rseq)
}

/// Traps seen by all threads.
static TRAPS: AtomicU64 = AtomicU64::new(0);

/// A counter that signal handlers add to with sequences of their own.
fn handler_counter() -> &'static crate::Counter {
    static COUNTER: OnceLock<crate::Counter> = OnceLock::new();
    COUNTER.get_or_init(|| crate::Counter::new(crate::Backing::Private).unwrap())
}

/// Makes SIGTRAP and SIGUSR1 run `on_signal`.
fn install_handlers() {
    type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::ucontext_t);
    static ONCE: Once = Once::new();
    handler_counter();
    ONCE.call_once(|| {
        for signal in [libc::SIGTRAP, libc::SIGUSR1] {
            // SAFETY: a handler that only uses what may be used in one: atomics and sequences.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = on_signal as Handler as usize;
                action.sa_flags = libc::SA_RESTART | libc::SA_SIGINFO;
                libc::sigaction(signal, &raw const action, std::ptr::null_mut());
            }
        }
    });
}

/// Runs a sequence of its own on top of the interrupted one.
extern "C" fn on_signal(signal: libc::c_int, _: *mut libc::siginfo_t, at: *mut libc::ucontext_t) {
    if signal != libc::SIGTRAP {
        handler_counter().add(1);
        return;
    }
    TRAPS.fetch_add(1, Relaxed);
    // SAFETY: the context is the kernel's, for us to change.
    unsafe { step_over(at) };
    // Otherwise the handler's own sequence would trap in turn, and so on for ever. An `add` has the
    // points 1 to 4.
    let own = arch::own_offset();
    // SAFETY: this thread's words for it.
    let saved = unsafe {
        [
            arch::load::<{ field(1) }>(own),
            arch::load::<{ field(2) }>(own),
            arch::load::<{ field(3) }>(own),
            arch::load::<{ field(4) }>(own),
        ]
    };
    (1..=4).for_each(|point| inject_at(point, Inject::Nothing));
    handler_counter().add(1);
    // SAFETY: as above.
    unsafe {
        arch::store::<{ field(1) }>(own, saved[0]);
        arch::store::<{ field(2) }>(own, saved[1]);
        arch::store::<{ field(3) }>(own, saved[2]);
        arch::store::<{ field(4) }>(own, saved[3]);
    }
}

/// Goes on behind the trap. x86-64 does so by itself; aarch64 would run into the same `brk` again,
/// unless the kernel has already set the thread to the abort handler.
///
/// # Safety
/// `at` is the context that a signal handler was given.
unsafe fn step_over(at: *mut libc::ucontext_t) {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the context is the caller's; the program counter leads to an instruction.
    unsafe {
        const BRK_0: u32 = 0xd420_0000;
        let pc = &mut (*at).uc_mcontext.pc;
        if (*pc as *const u32).read() == BRK_0 {
            *pc += 4;
        }
    }
    #[cfg(not(target_arch = "aarch64"))]
    let _ = at;
}

/// Lets this thread run on one CPU only. (Tests may; the library never does.)
fn pin(thread: libc::pid_t, cpu: CpuId) {
    // SAFETY: a set of our own.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu.index(), &mut set);
        libc::sched_setaffinity(thread, size_of_val(&set), &raw const set);
    }
}

/// The CPUs this process may use.
fn allowed() -> Vec<CpuId> {
    // SAFETY: a set of our own.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(libc::getpid(), size_of_val(&set), &raw mut set);
        set
    };
    (0..libc::CPU_SETSIZE as u32)
        // SAFETY: below the set's size.
        .filter(|&cpu| unsafe { libc::CPU_ISSET(cpu as usize, &set) })
        .map(CpuId)
        .collect()
}

fn thread_id() -> libc::pid_t {
    // SAFETY: no arguments.
    unsafe { libc::gettid() }
}
