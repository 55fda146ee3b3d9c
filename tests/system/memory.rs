//! The memory that a ring really takes: what the CPUs that ran have written, and nothing for those that did not.

use std::fs;
use std::io::Write;
use std::time::Duration;

use laneway_tests::account::Account;
use laneway_tests::process::LIMIT;
use laneway_tests::{Place, Running, eventually};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

const SUB_BUFFER: u64 = 64 << 10;
const SUB_BUFFERS: u64 = 8;

/// Bytes of one lane with its control block, and of the buffer's header.
const LANE: u64 = SUB_BUFFER * SUB_BUFFERS + 4096;
const HEADER: u64 = 4096;

/// What /proc/PID/smaps says of the rings of a process, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    rss: u64,
    pss: u64,
    size: u64,
}

impl Used {
    /// Looks, and says what it saw where it is seen.
    #[track_caller]
    fn of(pid: Pid, what: &str) -> Used {
        let used = Used::look(pid);
        let [rss, pss, size] = [used.rss, used.pss, used.size].map(|bytes| bytes >> 10);
        let _ = writeln!(std::io::stderr(), "{what}: {rss} KiB of {size} (Pss {pss})");
        used
    }

    #[track_caller]
    fn look(pid: Pid) -> Used {
        let smaps = fs::read_to_string(format!("/proc/{}/smaps", pid.as_raw_nonzero()));
        let mut used = Used::default();
        let mut ours = false;
        for line in smaps.expect("it lives").lines() {
            let (name, rest) = line.split_once(' ').expect("a name and a value");
            let field = match name {
                "Rss:" => &mut used.rss,
                "Pss:" => &mut used.pss,
                "Size:" => &mut used.size,
                _ => {
                    if !name.ends_with(':') {
                        ours = rest.contains("/memfd:laneway");
                    }
                    continue;
                }
            };
            if ours {
                let kib = rest.trim().strip_suffix(" kB").expect("a size");
                *field += 1024 * kib.trim().parse::<u64>().expect("a number");
            }
        }
        assert!(used.size > 0, "it has no ring");
        used
    }
}

/// Threads that emit for ever into lanes of that kind, once each of them has filled a lane by itself.
#[track_caller]
fn run(place: &Place, threads: usize, cpus: Option<&CpuSet>) -> (Running, Account) {
    let account = Account::create(place.dir(), "account");
    let mut command = place.application("accountable");
    command
        .arg(account.path())
        .args([&threads.to_string(), "0", "0", "100"]);
    let application = Running::start(&mut command);
    if let Some(cpus) = cpus {
        let pid = application.pid().as_raw_nonzero();
        // Its threads may not have begun yet: whoever comes later inherits it.
        for _ in 0..20 {
            for task in fs::read_dir(format!("/proc/{pid}/task"))
                .expect("it lives")
                .flatten()
            {
                let task = task.file_name().to_str().and_then(|name| name.parse().ok());
                let _ = sched_setaffinity(task.and_then(Pid::from_raw), cpus);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let enough = SUB_BUFFER * SUB_BUFFERS / 30;
    let begun = || account.finished(threads).iter().sum::<u64>() > enough * 4;
    eventually("the lanes are full", LIMIT, begun);
    (application, account)
}

fn options() -> [String; 3] {
    [
        format!("--sub-buffer-size={SUB_BUFFER}"),
        format!("--sub-buffers={SUB_BUFFERS}"),
        "--flush-period=10ms".to_owned(),
    ]
}

/// The first CPU of this process alone.
fn one_cpu() -> CpuSet {
    let all = sched_getaffinity(None).expect("it is known");
    let first = (0..CpuSet::MAX_CPU).find(|&cpu| all.is_set(cpu));
    let mut one = CpuSet::new();
    one.set(first.expect("a CPU"));
    one
}

#[test]
fn a_ring_takes_the_memory_of_the_cpus_that_ran() {
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    for (threads, what) in [(1, "one thread, wherever it runs"), (64, "64 threads")] {
        let place = Place::new();
        let options = options();
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        let daemon = place.daemon("trace", &options);
        let (application, _) = run(&place, threads, None);
        let used = Used::of(application.pid(), what);
        assert!(used.rss <= HEADER + cpus * (2 * LANE), "{what}: {used:?}");
        drop(application);
        let _ = daemon.finish();
    }
    let place = Place::new();
    let options = options();
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let daemon = place.daemon("trace", &options);
    let (application, _) = run(&place, 64, Some(&one_cpu()));
    let what = "64 threads on one CPU";
    let used = Used::of(application.pid(), what);
    // One lane; and where a thread was before it was told to stay, a page or two of another one.
    assert!(used.rss <= HEADER + 2 * LANE, "{what}: {used:?}");
    assert!(used.rss >= SUB_BUFFER, "it tests nothing: {used:?}");
    assert!(used.pss <= used.rss);
    drop(application);
    let _ = daemon.finish();
}

#[test]
fn a_process_that_sleeps_gives_back_what_it_does_not_use() {
    let place = Place::new();
    let options = options();
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let daemon = place.daemon("trace", &options);
    let account = Account::create(place.dir(), "account");
    let mut command = place.application("accountable");
    let events = SUB_BUFFER * SUB_BUFFERS / 20;
    command
        .arg(account.path())
        .args([2, events, 0, 100, 100].map(|n| n.to_string()));
    let application = Running::start(&mut command);
    let through = || account.finished(2) == [events; 2];
    eventually("it is through", LIMIT, through);
    let awake = Used::of(application.pid(), "just fallen asleep");
    let mut asleep = awake;
    let took = eventually("it gives back its memory", LIMIT, || {
        asleep = Used::look(application.pid());
        asleep.rss <= HEADER + 2 * (SUB_BUFFER + 2 * 4096)
    });
    let _ = writeln!(
        std::io::stderr(),
        "{took:?} later: {} KiB",
        asleep.rss >> 10
    );
    drop(application);
    let _ = daemon.finish();
}
