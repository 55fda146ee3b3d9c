//! The structures with few threads and few turns: small enough for Miri, which runs them without
//! rseq and looks at every access, and for thread sanitizer.
//!
//! `cargo +nightly miri test -p laneway-rseq --test fallback`

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use laneway_rseq::{Backing, Counter, CpuBuffer, CpuId, CpuLock, FreeList, Taken, possible_cpus};

const THREADS: usize = 4;
const TURNS: usize = if cfg!(miri) { 12 } else { 2000 };

fn in_threads(work: impl Fn(usize) + Sync) {
    std::thread::scope(|s| {
        for thread in 0..THREADS {
            let work = &work;
            s.spawn(move || (0..TURNS).for_each(|_| work(thread)));
        }
    });
}

#[test]
fn a_counter_counts() {
    let counter = Counter::new(Backing::Private).unwrap();
    in_threads(|thread| counter.add(thread as u64));
    counter.add(0u64.wrapping_sub(1));
    assert_eq!(counter.sum(), (TURNS * (1 + 2 + 3) - 1) as u64);
}

#[test]
fn a_lock_excludes() {
    let lock = CpuLock::new(2, Backing::Private).unwrap();
    in_threads(|_| {
        let words = lock.lock();
        let value = words[0].load(Relaxed);
        words[0].store(value + 1, Relaxed);
        assert_eq!(words[1].load(Relaxed), value);
        words[1].store(value + 1, Relaxed);
    });
    let sum: u64 = lock.all().map(|words| words[0].load(Relaxed)).sum();
    assert_eq!(sum, (THREADS * TURNS) as u64);
}

#[test]
fn a_lock_that_is_held_is_not_tried_in_vain_for_ever() {
    let lock = CpuLock::new(0, Backing::Private).unwrap();
    let all: Vec<_> = std::iter::from_fn(|| lock.try_lock()).take(1000).collect();
    // A local and a remote one for every CPU at most; at least one.
    assert!((1..=2 * possible_cpus() as usize).contains(&all.len()));
    drop(all);
    assert!(lock.try_lock().is_some());
}

#[test]
fn what_protects_plain_memory_protects_it_by_happens_before() {
    // Not atomics: Miri and thread sanitizer see a race here if an order is missing. The boxes go
    // through the buffer as addresses.
    let buffer = CpuBuffer::<1>::new(3, Backing::Private).unwrap();
    in_threads(|thread| {
        let item = Arc::into_raw(Arc::new(Mutex::new(vec![thread])));
        if let Err([address]) = buffer.push([item.expose_provenance() as u64]) {
            assert_eq!(address, item as u64);
            // SAFETY: from `into_raw` above, and not pushed.
            drop(unsafe { Arc::from_raw(item) });
        }
        if let Some([address]) = buffer.pop() {
            let item = std::ptr::with_exposed_provenance::<Mutex<Vec<usize>>>(address as usize);
            // SAFETY: only such addresses are pushed, and each is popped once.
            let item = unsafe { Arc::from_raw(item) };
            assert_eq!(Arc::strong_count(&item), 1);
            assert!(item.lock().unwrap()[0] < THREADS);
        }
    });
    for cpu in 0..possible_cpus() {
        std::thread::scope(|s| {
            s.spawn(|| {
                pin(cpu);
                while let Some([address]) = buffer.pop() {
                    let item =
                        std::ptr::with_exposed_provenance::<Mutex<Vec<usize>>>(address as usize);
                    // SAFETY: as above.
                    drop(unsafe { Arc::from_raw(item) });
                }
            });
        });
    }
}

/// Where there are CPUs to speak of.
fn pin(cpu: u32) {
    #[cfg(not(miri))]
    // SAFETY: a set of our own.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu as usize, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set);
    }
    #[cfg(miri)]
    let _ = cpu;
}

#[test]
fn items_of_several_words_come_out_as_they_went_in() {
    let buffer = CpuBuffer::<3>::new(4, Backing::Private).unwrap();
    assert_eq!(buffer.capacity(), 4);
    in_threads(|thread| {
        let _ = buffer.push([thread as u64; 3]);
        if let Some(item) = buffer.pop() {
            assert_eq!(item, [item[0]; 3]);
        }
    });
}

#[test]
fn a_list_gives_out_each_element_once() {
    let list = FreeList::new(6, Backing::Private).unwrap();
    (0..6).for_each(|index| list.push(index));
    let held: Vec<Mutex<()>> = (0..6).map(|_| Mutex::new(())).collect();
    in_threads(|thread| {
        if thread == 0 {
            let (Taken::Elements(mut chain) | Taken::Asked(mut chain)) = list.take_from(CpuId(0));
            if let Some(index) = chain.next() {
                drop(held[index].try_lock().expect("nobody else has it"));
                list.push(index);
            }
            return; // the rest is pushed back
        }
        if let Some(index) = list.pop() {
            let guard = held[index].try_lock().expect("nobody else has it");
            std::thread::yield_now();
            drop(guard);
            list.push(index);
        }
    });
}
