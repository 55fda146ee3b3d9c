//! Several processes on one memory, some without rseq, some killed; forks; threads that end.
//!
//! ```text
//!   this test ── memfd ──▶ children: rseq by libc │ rseq by this crate │ rseq off
//! ```
//!
//! A child is this test binary once more, told by the environment what to be.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::process::{Child, Command};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

use laneway_rseq::{
    Backing, Barrier, Counter, CpuBuffer, CpuId, CpuLock, Error, FreeList, Memory, Owner, Rseq,
    Shape, Taken, possible_cpus,
};

const ROLE: &str = "LANEWAY_TEST_ROLE";
const FDS: &str = "LANEWAY_TEST_FDS";
const TURNS: u64 = 20_000;
const THREADS: u64 = 3;
const ELEMENTS: usize = 100;

/// How a child comes by rseq.
const WAYS: [(&str, &str); 3] = [
    ("LANEWAY_TEST", "as usual"),
    ("GLIBC_TUNABLES", "glibc.pthread.rseq=0"),
    ("LANEWAY_RSEQ", "off"),
];

fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// Starts this binary again for the test `name`, as `role`, with descriptors of ours.
fn child(name: &str, role: &str, way: (&str, &str), fds: &[BorrowedFd<'_>]) -> Child {
    // SAFETY: duplicates of open descriptors, this time without close-on-exec.
    let copies: Vec<i32> = fds
        .iter()
        .map(|fd| unsafe { libc::dup(fd.as_raw_fd()) })
        .collect();
    let list: Vec<String> = copies.iter().map(i32::to_string).collect();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(FDS, list.join(","))
        .env_remove("LANEWAY_RSEQ")
        .env(way.0, way.1)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    for copy in copies {
        // SAFETY: the duplicate, which nobody else knows.
        unsafe { libc::close(copy) };
    }
    child
}

fn inherited() -> Vec<OwnedFd> {
    let list = std::env::var(FDS).unwrap();
    // SAFETY: the parent opened these for us, and nobody else here knows them.
    list.split(',')
        .map(|fd| unsafe { OwnedFd::from_raw_fd(fd.parse().unwrap()) })
        .collect()
}

/// What all processes work on.
struct Common {
    counter: Counter,
    lock: CpuLock,
    list: FreeList,
    buffer: CpuBuffer<2>,
    /// Per thread of any child: the adds it knows to be finished.
    finished: Memory,
}

const FINISHED: u64 = 77;

impl Common {
    fn new() -> Self {
        let shape = Shape {
            kind: FINISHED,
            words: 1,
            common: 64,
        };
        Self {
            counter: Counter::new(Backing::Shared).unwrap(),
            lock: CpuLock::new(2, Backing::Shared).unwrap(),
            list: FreeList::new(ELEMENTS, Backing::Shared).unwrap(),
            buffer: CpuBuffer::new(50, Backing::Shared).unwrap(),
            finished: Memory::new(shape, Backing::Shared).unwrap(),
        }
    }

    fn fds(&self) -> [BorrowedFd<'_>; 5] {
        [
            self.counter.fd(),
            self.lock.fd(),
            self.list.fd(),
            self.buffer.fd(),
            self.finished.fd(),
        ]
        .map(Option::unwrap)
    }

    fn attach() -> Self {
        let mut fds = inherited().into_iter();
        let mut next = || fds.next().unwrap();
        Self {
            counter: Counter::attach(next()).unwrap(),
            lock: CpuLock::attach(next()).unwrap(),
            list: FreeList::attach(next()).unwrap(),
            buffer: CpuBuffer::attach(next()).unwrap(),
            finished: Memory::attach(next(), FINISHED).unwrap(),
        }
    }

    /// One thread's turns; for ever with `None`.
    fn work(&self, thread: u64, turns: Option<u64>) {
        let finished = &self.finished.common()[thread as usize];
        for turn in (0u64..).take_while(|&turn| turns.is_none_or(|turns| turn < turns)) {
            self.counter.add(1);
            finished.store(turn + 1, SeqCst);
            if turns.is_some() {
                // Whoever is killed with a lock keeps it: only for those who live.
                let words = self.lock.lock();
                let value = words[0].load(Relaxed);
                words[0].store(value + 1, Relaxed);
                assert_eq!(words[1].load(Relaxed), value);
                words[1].store(value + 1, Relaxed);
            }
            if let Some(index) = self.list.pop() {
                self.list.push(index);
            }
            let item = thread << 32 | turn;
            if self.buffer.push([item, !item]).is_ok()
                && let Some([item, check]) = self.buffer.pop()
            {
                assert_eq!(item, !check);
            }
        }
    }

    fn threads(&self, first: u64, turns: Option<u64>) {
        std::thread::scope(|s| {
            for thread in first..first + THREADS {
                s.spawn(move || self.work(thread, turns));
            }
        });
    }

    /// Everything that is in any list, taken out.
    fn drain(&self) -> Vec<usize> {
        let mut all = Vec::new();
        for cpu in (0..possible_cpus()).map(CpuId) {
            std::thread::scope(|s| {
                s.spawn(|| {
                    pin(cpu);
                    all.extend(std::iter::from_fn(|| self.list.pop()));
                });
            });
        }
        all.sort_unstable();
        all
    }
}

fn pin(cpu: CpuId) {
    // SAFETY: a set of our own.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu.index(), &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set);
    }
}

#[test]
fn processes_with_and_without_rseq_share_every_structure() {
    const NAME: &str = "processes_with_and_without_rseq_share_every_structure";
    if let Some(role) = role() {
        return Common::attach().threads(role.parse().unwrap(), Some(TURNS));
    }
    let common = Common::new();
    (0..ELEMENTS).for_each(|index| common.list.push(index));
    let children: Vec<Child> = (1..)
        .zip(WAYS)
        .map(|(n, way)| child(NAME, &(n * THREADS).to_string(), way, &common.fds()))
        .collect();
    common.threads(0, Some(TURNS));
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let total = THREADS * (WAYS.len() as u64 + 1) * TURNS;
    assert_eq!(common.counter.sum(), total);
    assert_eq!(
        common
            .lock
            .all()
            .map(|words| words[1].load(Relaxed))
            .sum::<u64>(),
        total
    );
    assert_eq!(common.drain(), (0..ELEMENTS).collect::<Vec<_>>());
    assert_eq!(common.list.capacity(), ELEMENTS);
}

#[test]
fn a_process_that_is_killed_loses_what_it_held_and_nothing_else() {
    const NAME: &str = "a_process_that_is_killed_loses_what_it_held_and_nothing_else";
    if let Some(role) = role() {
        return Common::attach().threads(role.parse().unwrap(), None);
    }
    let common = Common::new();
    (0..ELEMENTS).for_each(|index| common.list.push(index));
    let mut expected = 0;
    const ROUNDS: u64 = 12;
    for round in 0..ROUNDS {
        common
            .finished
            .common()
            .iter()
            .for_each(|word| word.store(0, SeqCst));
        let way = WAYS[round as usize % WAYS.len()];
        let mut child = child(NAME, "0", way, &common.fds());
        while common.finished.common()[0].load(SeqCst) < 100 {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_micros(300 * (round + 1)));
        child.kill().unwrap();
        child.wait().unwrap();
        let finished: u64 = common
            .finished
            .common()
            .iter()
            .map(|word| word.load(SeqCst))
            .sum();
        expected += finished;
        let sum = common.counter.sum();
        assert!(
            (expected..=expected + THREADS).contains(&sum),
            "{expected} adds had finished, the sum is {sum}"
        );
        expected = sum;
    }
    let left = common.drain();
    let lost = ELEMENTS - left.len();
    assert!(
        left.is_sorted_by(|a, b| a < b),
        "an element is there twice: {left:?}"
    );
    assert!(lost <= (ROUNDS * THREADS) as usize, "{lost} elements lost");
}

#[test]
fn a_child_of_fork_goes_on_with_sequences() {
    if role().is_none() {
        for way in &WAYS[..2] {
            let mut child = child("a_child_of_fork_goes_on_with_sequences", "fork", *way, &[]);
            assert!(child.wait().unwrap().success(), "{way:?}");
        }
        return;
    }
    let rseq = Rseq::get();
    if rseq.register_thread().is_err() {
        return;
    }
    let shape = Shape {
        kind: 1,
        words: 1,
        common: 0,
    };
    let memory = Memory::new(shape, Backing::Shared).unwrap();
    let add = || {
        memory
            .try_local(|cpu, words| rseq.add(cpu, &words[0], 1))
            .is_some()
    };
    assert!((0..1000).all(|_| add()));
    let barrier = Barrier::register().ok();
    // SAFETY: the child calls nothing but sequences, the barrier it inherited, and _exit.
    match unsafe { libc::fork() } {
        0 => {
            let all = (0..1000).all(|_| add())
                && barrier.is_none_or(|barrier| barrier.restart_all().is_ok());
            // SAFETY: ends the child without running anything of its parent's.
            unsafe { libc::_exit(if all && rseq.cpu().is_some() { 0 } else { 1 }) };
        }
        pid => {
            let mut status = 0;
            // SAFETY: our own child.
            assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
            assert_eq!(status, 0);
        }
    }
    let sum: u64 = memory.slots().map(|slot| slot.local[0].load(SeqCst)).sum();
    assert_eq!(sum, 2000, "every add of both was a sequence");
}

#[test]
fn threads_come_and_go_and_may_still_count_when_they_end() {
    if role().is_none() {
        for way in WAYS {
            let name = "threads_come_and_go_and_may_still_count_when_they_end";
            let mut child = child(name, "threads", way, &[]);
            assert!(child.wait().unwrap().success(), "{way:?}");
        }
        return;
    }
    static COUNTER: std::sync::OnceLock<Counter> = std::sync::OnceLock::new();
    struct AtExit;
    impl Drop for AtExit {
        fn drop(&mut self) {
            COUNTER.get().unwrap().add(1);
        }
    }
    thread_local!(static AT_EXIT: AtExit = const { AtExit });

    COUNTER
        .set(Counter::new(Backing::Private).unwrap())
        .unwrap();
    let body = || {
        AT_EXIT.with(|_| ());
        COUNTER.get().unwrap().add(1);
        if Rseq::get().process() == Ok(Owner::Crate) {
            assert!(Rseq::get().cpu().is_some(), "registered by its first add");
        }
    };
    for _ in 0..100 {
        // Joined one by one: the end of a scope does not wait for destructors.
        let threads: Vec<_> = (0..20).map(|_| std::thread::spawn(body)).collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    }
    assert_eq!(COUNTER.get().unwrap().sum(), 4000);
}

#[test]
fn memory_that_is_not_what_it_should_be_is_refused() {
    let refused = |fd: BorrowedFd<'_>, kind| {
        let error = Memory::attach(fd.try_clone_to_owned().unwrap(), kind).unwrap_err();
        assert!(matches!(error, Error::NotOurs { .. }), "{error}");
    };
    let shape = Shape {
        kind: 5,
        words: 3,
        common: 9,
    };
    let memory = Memory::new(shape, Backing::Shared).unwrap();
    let fd = memory.fd().unwrap();
    assert_eq!(
        Memory::attach(fd.try_clone_to_owned().unwrap(), 5)
            .unwrap()
            .sizes(),
        (3, 9)
    );
    refused(fd, 6);
    let counter = Counter::attach(fd.try_clone_to_owned().unwrap()).unwrap_err();
    assert!(matches!(counter, Error::NotOurs { .. }), "{counter}");

    // SAFETY: a C string; the descriptor is ours.
    let unsealed = unsafe { OwnedFd::from_raw_fd(libc::memfd_create(c"x".as_ptr(), 0)) };
    refused(std::os::fd::AsFd::as_fd(&unsealed), 5);

    // Every claim of the header, spoilt in turn.
    for (word, value) in [
        (0, 0),
        (2, 0),
        (2, 1 << 40),
        (3, u64::MAX),
        (4, 1 << 20),
        (5, 12345),
    ] {
        let memory = Memory::new(shape, Backing::Shared).unwrap();
        let fd = memory.fd().unwrap();
        // SAFETY: the header page of a mapping we made, written before anybody attaches.
        unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let (flags, raw) = (libc::MAP_SHARED, fd.as_raw_fd());
            let page = libc::mmap(std::ptr::null_mut(), 4096, access, flags, raw, 0);
            page.cast::<u64>().add(word).write(value);
            libc::munmap(page, 4096);
        }
        let error = Memory::attach(fd.try_clone_to_owned().unwrap(), 5).unwrap_err();
        assert!(
            matches!(error, Error::NotOurs { .. } | Error::TooLarge { .. }),
            "{error}"
        );
    }
}

#[test]
fn a_list_in_shared_memory_comes_over_when_its_cpu_is_asked() {
    let list = FreeList::new(10, Backing::Shared).unwrap();
    let cpu = CpuId(0);
    let on_cpu = |work: &(dyn Fn() + Sync)| {
        std::thread::scope(|s| {
            s.spawn(|| {
                pin(cpu);
                work();
            });
        });
    };
    on_cpu(&|| (0..10).for_each(|index| list.push(index)));
    let Taken::Asked(chain) = list.take_from(cpu) else {
        panic!("there is no barrier")
    };
    let early = chain.count(); // without rseq they are on the remote side all along
    // Whoever passes by moves the list; what he pops comes from the other side already.
    let popped = std::sync::atomic::AtomicUsize::new(0);
    on_cpu(&|| {
        popped.fetch_add(list.pop().is_some().into(), SeqCst);
    });
    let Taken::Asked(chain) = list.take_from(cpu) else {
        panic!("there is no barrier")
    };
    assert_eq!(early + chain.count() + popped.load(SeqCst), 10);
}
