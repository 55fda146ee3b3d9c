//! Finding or registering the rseq area, once per process and once per thread.
//!
//! ```text
//!                   ┌ LANEWAY_RSEQ=off ───────────────────────▶ off      ┐
//!   Rseq::get() ────┤ __rseq_size > 0 ────────────────────────▶ libc's   ├─ published as one offset
//!   (first call)    └ else rseq(2) with our own area ─┬ ok ───▶ our own  │  from the thread pointer
//!                                                     └ errno ▶ off      ┘
//!   register_thread() ── our own, thread not registered yet ──▶ rseq(2), unregister at thread exit
//! ```
//!
//! Only one area can be registered per thread, so whoever did it first owns it: glibc does since
//! 2.35, unless `GLIBC_TUNABLES=glibc.pthread.rseq=0` leaves it to others. When rseq is off, the
//! published offset leads to our own area all the same: nobody registers it, its `cpu_id` stays
//! negative, and every sequence aborts at its first compare. So no fast path has a branch for "is
//! there rseq".
//!
//! *Pinned*: the kernel may look at the last descriptor a thread armed long after the sequence is
//! over. If this crate is part of a library that can be `dlclose`d, the library is therefore made
//! to stay.
//!
//! Invariant: once a [`Rseq`] exists, the offset never changes, and holds for every thread of the
//! process.

use core::mem::offset_of;
use core::sync::atomic::{
    AtomicIsize, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::arch;
use crate::area::{
    Area, CPU_ID_REGISTRATION_FAILED, CPU_ID_UNINITIALIZED, ORIGINAL_FEATURE_BYTES, Own,
};
use crate::slot::{CpuId, MmCid};
use crate::status::{Owner, Unavailable};

const CPU_ID: usize = offset_of!(Area, cpu_id);
const MM_CID: usize = offset_of!(Area, mm_cid);

/// `RSEQ_FLAG_UNREGISTER` of `linux/rseq.h`.
const FLAG_UNREGISTER: libc::c_int = 1;
/// `AT_RSEQ_FEATURE_SIZE` of `linux/auxvec.h` (Linux 6.3).
const AT_RSEQ_FEATURE_SIZE: libc::c_ulong = 27;
/// `AT_RSEQ_ALIGN` of `linux/auxvec.h` (Linux 6.3).
const AT_RSEQ_ALIGN: libc::c_ulong = 28;

/// The offset of the area in force from the thread pointer. Only meaningful once `STATE` is not
/// `UNKNOWN`.
static OFFSET: AtomicIsize = AtomicIsize::new(0);
/// How many bytes of that area the kernel keeps up to date.
static FEATURE_BYTES: AtomicU32 = AtomicU32::new(0);
/// The choice made for the process: one of the constants below, `errno` in the upper half.
static STATE: AtomicU32 = AtomicU32::new(UNKNOWN);
/// The key whose destructor unregisters a thread, plus one; 0 before there is one.
static EXIT_KEY: AtomicU32 = AtomicU32::new(0);

const UNKNOWN: u32 = 0;
const LIBC: u32 = 1;
const OWN: u32 = 2;
const SWITCHED_OFF: u32 = 3;
const NO_ASSEMBLY: u32 = 4;
const REFUSED: u32 = 5;
const ERRNO_SHIFT: u32 = 16;

/// Proof that the process has chosen its rseq area; all primitives are methods of it.
///
/// A `Rseq` exists even where rseq does not: then every thread reads as "not registered", and every
/// primitive answers [`Aborted`](crate::NotDone::Aborted).
#[derive(Clone, Copy, Debug)]
pub struct Rseq(());

impl Rseq {
    /// The process's choice, made by the first call.
    ///
    /// The first call may make system calls and must not come from a signal handler; later ones
    /// are one load.
    #[inline]
    pub fn get() -> Self {
        // SYNC(choice): pairs with the Release in `choose_slow`; who sees the choice sees the
        // offset.
        if STATE.load(Acquire) == UNKNOWN {
            choose_slow();
        }
        Self(())
    }

    /// Bytes from the thread pointer to the area, the same for every thread of the process.
    #[inline(always)]
    pub fn offset(self) -> isize {
        OFFSET.load(Relaxed)
    }

    /// `cpu_id` as it stands in the area: compare it unsigned with the number of slots, and
    /// "no rseq in this thread" is as far out of range as a CPU that has no slot.
    #[inline(always)]
    pub fn cpu_raw(self) -> u32 {
        // SAFETY: the offset leads to this thread's area (invariant of this file).
        unsafe { arch::load::<CPU_ID>(self.offset()) }
    }

    /// The CPU this thread runs on; `None` if the thread has no rseq, or none yet
    /// ([`register_thread`](Self::register_thread)).
    #[inline(always)]
    pub fn cpu(self) -> Option<CpuId> {
        let cpu = self.cpu_raw();
        (cpu as i32 >= 0).then_some(CpuId(cpu))
    }

    /// The CPU this thread runs on or ran on when it last had rseq, and 0 if it never had: a
    /// possible CPU in any case.
    #[inline(always)]
    pub fn cpu_id_start(self) -> CpuId {
        const CPU_ID_START: usize = offset_of!(Area, cpu_id_start);
        // SAFETY: the offset leads to this thread's area.
        CpuId(unsafe { arch::load::<CPU_ID_START>(self.offset()) })
    }

    /// The NUMA node of the current CPU, where the kernel tells (Linux 6.3).
    #[inline]
    pub fn node(self) -> Option<u32> {
        const NODE_ID: usize = offset_of!(Area, node_id);
        if self.feature_bytes() < NODE_ID + 4 || self.cpu().is_none() {
            return None;
        }
        // SAFETY: the offset leads to this thread's area.
        Some(unsafe { arch::load::<NODE_ID>(self.offset()) })
    }

    /// The concurrency id of this thread, where the kernel tells (Linux 6.3).
    #[inline]
    pub fn mm_cid(self) -> Option<MmCid> {
        if self.feature_bytes() < MM_CID + 4 || self.cpu().is_none() {
            return None;
        }
        // SAFETY: the offset leads to this thread's area.
        Some(MmCid(unsafe { arch::load::<MM_CID>(self.offset()) }))
    }

    /// How many bytes of the area the kernel keeps up to date: at least 20, 28 where it knows
    /// `mm_cid`; 0 where the process has no rseq.
    #[inline]
    pub fn feature_bytes(self) -> usize {
        FEATURE_BYTES.load(Relaxed) as usize
    }

    /// The alignment the kernel wants for an area longer than 32 bytes, and 32 for this one.
    pub fn area_alignment(self) -> usize {
        // SAFETY: getauxval reads a table that never changes.
        let kernel = unsafe { libc::getauxval(AT_RSEQ_ALIGN) } as usize;
        kernel.max(align_of::<Area>())
    }

    /// What the process chose: whose area, or why none.
    ///
    /// # Errors
    /// The reason why no thread of the process has rseq.
    pub fn process(self) -> Result<Owner, Unavailable> {
        let state = STATE.load(Relaxed);
        match state & 0xffff {
            LIBC => Ok(Owner::Libc),
            OWN => Ok(Owner::Crate),
            SWITCHED_OFF => Err(Unavailable::SwitchedOff),
            NO_ASSEMBLY => Err(Unavailable::Architecture),
            _ => Err(Unavailable::from_errno((state >> ERRNO_SHIFT) as i32)),
        }
    }

    /// Makes this thread ready for sequences, if it can be: to be called off the fast path, when
    /// [`cpu_raw`](Self::cpu_raw) was out of range. Costs a system call at most once per thread.
    ///
    /// # Errors
    /// Why this thread has no rseq; it will not get it later either.
    #[cold]
    pub fn register_thread(self) -> Result<Owner, Unavailable> {
        let owner = self.process()?;
        match self.cpu_raw() {
            cpu if cpu as i32 >= 0 => return Ok(owner),
            CPU_ID_UNINITIALIZED if owner == Owner::Crate => {}
            CPU_ID_REGISTRATION_FAILED if owner == Owner::Crate => return Err(own_failure()),
            _ => return Err(Unavailable::NotThisThread),
        }
        match register_own() {
            Ok(()) => Ok(owner),
            Err(errno) => Err(Unavailable::from_errno(errno)),
        }
    }
}

/// Chooses for the process. Threads may race: each looks for itself, the first to publish wins, and
/// the facts they look at are the same. No lock, so that a fork in between leaves none behind.
#[cold]
fn choose_slow() {
    let (offset, state) = choose();
    // Racing threads store the same offset: it depends on the environment and libc only.
    OFFSET.store(offset, Relaxed);
    FEATURE_BYTES.store(feature_bytes(state), Relaxed);
    // SYNC(choice): pairs with the Acquire load in `Rseq::get`.
    let _ = STATE.compare_exchange(UNKNOWN, state, Release, Relaxed);
}

/// What the kernel keeps up to date of the area that was chosen.
fn feature_bytes(state: u32) -> u32 {
    if state != LIBC && state != OWN {
        return 0;
    }
    // SAFETY: getauxval reads a table that never changes; 0 means "no such entry": before Linux
    // 6.3.
    let kernel = unsafe { libc::getauxval(AT_RSEQ_FEATURE_SIZE) } as usize;
    // glibc's `__rseq_size` is no help: up to 2.39 it is the 32 bytes allocated, later the bytes in
    // use. Whoever registered the area registered 32 bytes at least.
    kernel.clamp(ORIGINAL_FEATURE_BYTES, size_of::<Area>()) as u32
}

fn choose() -> (isize, u32) {
    let own = arch::own_offset();
    if !arch::SUPPORTED {
        return (own, NO_ASSEMBLY);
    }
    if switched_off() {
        return (own, SWITCHED_OFF);
    }
    crate::loader::pin();
    if let Some(offset) = crate::loader::libc_area() {
        return (offset, LIBC);
    }
    match register_own() {
        Ok(()) => (own, OWN),
        Err(errno) => (own, REFUSED | (errno as u32) << ERRNO_SHIFT),
    }
}

/// `LANEWAY_RSEQ=off` (or 0), in a program that does not run with more rights than its user.
fn switched_off() -> bool {
    // SAFETY: getauxval reads a constant table. `getenv` returns NULL or a string that stays until
    // the environment is changed, which is nobody's right while other threads read it; nothing is
    // kept.
    unsafe {
        if libc::getauxval(libc::AT_SECURE) != 0 {
            return false;
        }
        let value = libc::getenv(c"LANEWAY_RSEQ".as_ptr());
        !value.is_null() && matches!(core::ffi::CStr::from_ptr(value).to_bytes(), b"off" | b"0")
    }
}

/// Registers this thread's own area; on failure marks it so that it is not tried again.
fn register_own() -> Result<(), i32> {
    let own = arch::own_offset();
    let result = match exit_key() {
        Some(key) => system_call(0).and_then(|()| {
            // SAFETY: the key exists. Any value but NULL makes libc call the destructor.
            match unsafe { libc::pthread_setspecific(key, core::ptr::dangling::<libc::c_void>()) } {
                0 => Ok(()),
                errno => {
                    // Not unregistering at exit would let the kernel write into freed memory.
                    let _ = system_call(FLAG_UNREGISTER);
                    Err(errno)
                }
            }
        }),
        None => Err(libc::EAGAIN),
    };
    // SAFETY: our own area and the word behind it, in this thread's static TLS.
    unsafe {
        match result {
            // A signal handler may have registered this thread meanwhile.
            Err(libc::EBUSY) if (arch::load::<CPU_ID>(own) as i32) >= 0 => Ok(()),
            Err(errno) => {
                arch::store::<{ offset_of!(Own, errno) }>(own, errno as u32);
                arch::store::<CPU_ID>(own, CPU_ID_REGISTRATION_FAILED);
                Err(errno)
            }
            Ok(()) => Ok(()),
        }
    }
}

/// Why this thread's own area is marked as failed.
fn own_failure() -> Unavailable {
    // SAFETY: the word behind our own area, in this thread's static TLS.
    match unsafe { arch::load::<{ offset_of!(Own, errno) }>(arch::own_offset()) } {
        0 => Unavailable::ThreadExiting,
        errno => Unavailable::from_errno(errno as i32),
    }
}

fn system_call(flags: libc::c_int) -> Result<(), i32> {
    let area = arch::address(arch::own_offset());
    // SAFETY: the area is 32 bytes at a 32-byte boundary that live as long as the thread, and
    // `leave_thread` takes it back before the thread ends.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rseq,
            area,
            size_of::<Area>() as u32,
            flags,
            arch::SIGNATURE,
        )
    };
    if result == 0 {
        return Ok(());
    }
    // SAFETY: a pointer to this thread's errno.
    Err(unsafe { *libc::__errno_location() })
}

/// The key whose destructor unregisters threads: made once, by whoever comes first.
fn exit_key() -> Option<libc::pthread_key_t> {
    // SYNC(exit key): a key is a number, and nothing else is published with it.
    let known = EXIT_KEY.load(Relaxed);
    if known != 0 {
        return Some(known - 1);
    }
    let mut key = 0;
    // SAFETY: `key` is writable and `leave_thread` is a function that stays (pinned).
    if unsafe { libc::pthread_key_create(&raw mut key, Some(leave_thread)) } != 0 {
        return None;
    }
    match EXIT_KEY.compare_exchange(0, key + 1, Relaxed, Relaxed) {
        Ok(_) => Some(key),
        Err(winner) => {
            // SAFETY: our own key, which no thread has used.
            unsafe { libc::pthread_key_delete(key) };
            Some(winner - 1)
        }
    }
}

/// Runs when a thread that we registered exits, after the destructors of its thread locals; what
/// comes later falls back.
extern "C" fn leave_thread(_: *mut libc::c_void) {
    let own = arch::own_offset();
    let _ = system_call(FLAG_UNREGISTER);
    // SAFETY: our own area, which the kernel no longer writes.
    unsafe {
        arch::store::<CPU_ID>(own, CPU_ID_REGISTRATION_FAILED);
        arch::store::<MM_CID>(own, CPU_ID_UNINITIALIZED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_area_is_the_one_the_kernel_keeps_up_to_date() {
        let rseq = Rseq::get();
        if rseq.register_thread().is_err() {
            return; // the fallback is tested elsewhere
        }
        // Between the two reads the thread may move; not a thousand times in a row.
        let agree = (0..1000).any(|_| {
            // SAFETY: no arguments.
            let kernel = unsafe { libc::sched_getcpu() };
            rseq.cpu_raw() == kernel as u32
        });
        assert!(agree);
        assert!(rseq.feature_bytes() >= ORIGINAL_FEATURE_BYTES);
    }

    #[test]
    fn our_own_area_starts_unregistered_in_every_thread_and_is_aligned() {
        if !arch::SUPPORTED || Rseq::get().process() == Ok(Owner::Crate) {
            return;
        }
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    let own = arch::own_offset();
                    assert_eq!(arch::address(own) % 32, 0);
                    // SAFETY: our own area.
                    assert_eq!(unsafe { arch::load::<CPU_ID>(own) }, CPU_ID_UNINITIALIZED);
                });
            }
        });
    }
}
