//! The fallback in all its interleavings, as loom finds them.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p laneway-rseq --release --test loom`
//!
//! Loom runs no assembly: every sequence aborts, and all threads meet on the remote side of one
//! CPU.

#![cfg(loom)]

use std::sync::Arc;

use laneway_rseq::{Backing, Counter, CpuBuffer, CpuId, CpuLock, FreeList, Taken};
use loom::sync::atomic::Ordering::Relaxed;
use loom::thread;

fn model(test: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(test);
}

#[test]
fn every_add_is_in_the_sum() {
    model(|| {
        let counter = Arc::new(Counter::new(Backing::Private).unwrap());
        let other = counter.clone();
        let adding = thread::spawn(move || other.add(2));
        counter.add(1);
        let early = counter.sum();
        assert!(early == 1 || early == 3);
        adding.join().unwrap();
        assert_eq!(counter.sum(), 3);
    });
}

#[test]
fn one_holds_the_lock_and_the_next_sees_what_he_did() {
    model(|| {
        let lock = Arc::new(CpuLock::new(1, Backing::Private).unwrap());
        let add = |lock: &CpuLock| {
            let words = lock.lock();
            let value = words[0].load(Relaxed);
            words[0].store(value + 1, Relaxed);
        };
        let other = lock.clone();
        let adding = thread::spawn(move || add(&other));
        add(&lock);
        adding.join().unwrap();
        assert_eq!(
            lock.all().map(|words| words[0].load(Relaxed)).sum::<u64>(),
            2
        );
    });
}

#[test]
fn two_threads_never_pop_the_same_element() {
    model(|| {
        let list = Arc::new(FreeList::new(2, Backing::Private).unwrap());
        list.push(0);
        list.push(1);
        let other = list.clone();
        // Takes one and gives it back: the other's pop must not be taken in (ABA).
        let popping = thread::spawn(move || {
            let first = other.pop();
            let second = other.pop();
            if let Some(index) = first {
                other.push(index);
            }
            second
        });
        let mine = list.pop();
        let his = popping.join().unwrap();
        assert!(mine.is_none() || mine != his);
        let mut all: Vec<usize> = std::iter::from_fn(|| list.pop())
            .chain(mine)
            .chain(his)
            .collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1]);
    });
}

#[test]
fn what_is_taken_from_a_list_is_nobody_elses() {
    model(|| {
        let list = Arc::new(FreeList::new(3, Backing::Private).unwrap());
        list.push(0);
        list.push(1);
        let other = list.clone();
        let pushing = thread::spawn(move || {
            other.push(2);
            other.pop()
        });
        let (Taken::Elements(chain) | Taken::Asked(chain)) = list.take_from(CpuId(0));
        let mut all: Vec<usize> = chain.collect();
        all.extend(pushing.join().unwrap());
        all.extend(std::iter::from_fn(|| list.pop()));
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2]);
    });
}

#[test]
fn an_item_is_popped_once_and_whole() {
    model(|| {
        let buffer = Arc::new(CpuBuffer::<2>::new(2, Backing::Private).unwrap());
        let both = |buffer: &CpuBuffer<2>, item: u64| {
            // Who finds the side locked gets his item back.
            let pushed = buffer.push([item, !item]).is_ok();
            (pushed, buffer.pop())
        };
        let other = buffer.clone();
        let pushing = thread::spawn(move || both(&other, 7));
        let (pushed, mine) = both(&buffer, 8);
        let (too, his) = pushing.join().unwrap();
        let left = std::iter::from_fn(|| buffer.pop());
        let found: Vec<[u64; 2]> = left.chain(mine).chain(his).collect();
        assert!(
            found.iter().all(|[item, check]| *item == !check),
            "torn: {found:?}"
        );
        assert_eq!(found.len(), usize::from(pushed) + usize::from(too));
        assert!(
            found.len() < 2 || found[0] != found[1],
            "popped twice: {found:?}"
        );
    });
}
