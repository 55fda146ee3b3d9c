//! Threads whose registration is refused, or taken away under them.

use std::mem::size_of;

use super::*;
use crate::area::Area;
use crate::{Backing, Counter, CpuBuffer, CpuLock, FreeList, Owner, Unavailable};

const REGISTER: libc::c_int = 0;
const UNREGISTER: libc::c_int = 1;

/// rseq(2) as it is.
fn system_call(area: usize, bytes: usize, flags: libc::c_int, signature: u32) -> Result<(), i32> {
    // SAFETY: the callers name areas that live as long as the thread, or none.
    match unsafe { libc::syscall(libc::SYS_rseq, area, bytes as u32, flags, signature) } {
        0 => Ok(()),
        // SAFETY: this thread's errno.
        _ => Err(unsafe { *libc::__errno_location() }),
    }
}

#[test]
fn the_kernel_says_what_it_always_said_of_a_wrong_registration() {
    let Some(rseq) = rseq() else { return };
    let (area, bytes) = (arch::address(rseq.offset()), size_of::<Area>());
    let right = arch::SIGNATURE;
    assert_eq!(
        system_call(area, bytes, REGISTER, right),
        Err(libc::EBUSY),
        "as it is"
    );
    assert_eq!(
        system_call(area + 32, bytes, REGISTER, right),
        Err(libc::EINVAL),
        "another area"
    );
    assert_eq!(
        system_call(area, bytes - 1, REGISTER, right),
        Err(libc::EINVAL),
        "another size"
    );
    assert_eq!(
        system_call(area, bytes, REGISTER, !right),
        Err(libc::EPERM),
        "another signature"
    );
    assert_eq!(
        system_call(area, bytes, 1 << 20, right),
        Err(libc::EINVAL),
        "unknown flags"
    );
    assert_eq!(
        system_call(area, bytes, UNREGISTER, !right),
        Err(libc::EPERM),
        "not ours"
    );
    assert!(rseq.cpu().is_some(), "none of that took it away");
}

#[test]
fn an_area_of_our_own_is_refused_where_libc_has_one() {
    let Some(rseq) = rseq() else { return };
    if rseq.process() != Ok(Owner::Libc) {
        return;
    }
    let own = arch::address(arch::own_offset());
    let refused = system_call(own, size_of::<Area>(), REGISTER, arch::SIGNATURE);
    assert_eq!(refused, Err(libc::EINVAL));
}

#[test]
fn a_thread_that_lost_its_registration_goes_on_without_and_gets_it_back() {
    let Some(rseq) = rseq() else { return };
    let (area, bytes) = (arch::address(rseq.offset()), size_of::<Area>());
    if system_call(area, bytes, UNREGISTER, arch::SIGNATURE).is_err() {
        return; // a libc that registered more bytes than that
    }
    assert_eq!(rseq.cpu(), None);
    assert_eq!(rseq.mm_cid(), None);
    if rseq.process() == Ok(Owner::Libc) {
        assert_eq!(rseq.register_thread(), Err(Unavailable::NotThisThread));
        let counter = Counter::new(Backing::Private).unwrap();
        let list = FreeList::new(3, Backing::Private).unwrap();
        let lock = CpuLock::new(1, Backing::Private).unwrap();
        let buffer = CpuBuffer::<2>::new(3, Backing::Private).unwrap();
        (0..100).for_each(|_| counter.add(2));
        assert_eq!(counter.sum(), 200);
        // Nothing holds this thread on its CPU, so what it pushed may be on another one's remote
        // side.
        list.push(2);
        assert!(list.pop().is_none_or(|index| index == 2));
        lock.lock()[0].fetch_add(1, Relaxed);
        assert_eq!(
            lock.all().map(|words| words[0].load(Relaxed)).sum::<u64>(),
            1
        );
        buffer.push([1, 2]).unwrap();
        assert_eq!(buffer.pop(), Some([1, 2]));
        assert_eq!(system_call(area, bytes, REGISTER, arch::SIGNATURE), Ok(()));
    } else {
        assert_eq!(rseq.register_thread(), Ok(Owner::Crate));
    }
    assert!(rseq.cpu().is_some());
}

#[test]
fn concurrency_ids_are_told_apart_by_sequences_too() {
    let Some(rseq) = rseq() else { return };
    let Some(cid) = rseq.mm_cid() else { return }; // before Linux 6.3
    let word = AtomicU64::new(0);
    assert!((0..1000).any(|_| rseq.add(rseq.mm_cid().unwrap(), &word, 1).is_ok()));
    assert_eq!(word.load(Relaxed), 1);
    let other = crate::MmCid(cid.0 + 1000);
    assert!((0..100).all(|_| rseq.add(other, &word, 1).is_err()));
    assert!(cid.0 < crate::possible_cpus());
    assert!(rseq.node().is_some());
}
