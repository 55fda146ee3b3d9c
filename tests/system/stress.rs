//! Many threads on few CPUs, moved about from outside: every event exactly once, in order, or counted as lost.
//!
//! `LANEWAY_STRESS=10` makes ten times as many events as usual.

use std::fs;
use std::time::{Duration, Instant};

use laneway_tests::events::babeltrace_lines;
use laneway_tests::process::LIMIT;
use laneway_tests::summary::Process;
use laneway_tests::{Place, Record, Recorded, Running, lanes};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

const THREADS: usize = 8;

/// How many events each thread emits.
fn events() -> usize {
    let factor = std::env::var("LANEWAY_STRESS").map_or(1, |n| n.parse().expect("a number"));
    1_000_000 * factor
}

const BLOCK: [&str; 2] = ["--mode=block", "--block-timeout=60s"];

#[test]
fn where_threads_wait_for_room_every_event_is_there_exactly_once() {
    let recorded = run(Record::program("many_threads").options(BLOCK), events());
    assert_eq!(recorded.output.number("libc_rseq"), 1);
    assert_complete(&recorded, events());
    let process = recorded.process();
    assert_eq!(process.rseq_off, None);
    let restartable = process.lanes.iter().filter(|lane| !lane.atomic);
    assert!(restartable.count() >= 2, "both CPUs: {process:#?}");
}

#[test]
fn where_there_is_no_room_every_event_is_there_once_or_counted() {
    // A ring so small that it must overflow.
    let small = ["--sub-buffer-size=4K", "--sub-buffers=2"];
    let recorded = run(Record::program("many_threads").options(small), events());
    let process = recorded.process();
    let lost = process.counts.lost;
    assert_eq!(lost.total(), lost.full, "{process:#?}");
    assert!(lost.full > 0, "the test tests nothing: {process:#?}");
    assert!(process.counts.recorded > 0, "{process:#?}");
    let found = Found::of(&recorded, events());
    assert!(found.warnings.contains("discarded"), "{}", found.warnings);
}

#[test]
fn threads_with_an_area_of_the_crates_own_lose_nothing() {
    let events = events() / 4;
    let record = Record::program("many_threads")
        .options(BLOCK)
        .env("GLIBC_TUNABLES", "glibc.pthread.rseq=0");
    let recorded = run(record, events);
    assert_eq!(recorded.output.number("libc_rseq"), 0);
    assert_complete(&recorded, events);
    let process = recorded.process();
    assert_eq!(process.rseq_off, None);
    let (atomic, restartable) = by_kind(&process);
    assert!(atomic < restartable / 100, "{process:#?}");
}

#[test]
fn threads_without_restartable_sequences_lose_nothing_and_the_trace_says_so() {
    let events = events() / 4;
    let record = Record::program("many_threads")
        .options(BLOCK)
        .env("LANEWAY_RSEQ", "off");
    let recorded = run(record, events);
    assert_complete(&recorded, events);
    let process = recorded.process();
    let why = process.rseq_off.as_deref().unwrap_or_default();
    assert!(why.contains("LANEWAY_RSEQ=off"), "{process:#?}");
    assert_eq!(by_kind(&process), (recorded.summary().total.recorded, 0));
    let metadata = fs::read_to_string(process.trace.join("metadata")).expect("metadata");
    assert!(metadata.contains("rseq_off = \"switched off by LANEWAY_RSEQ=off"));
}

#[test]
fn other_clocks_and_records_without_a_thread_lose_nothing_either() {
    let events = events() / 8;
    for option in ["--clock=monotonic", "--no-thread-id"] {
        let record = Record::program("many_threads").options(BLOCK);
        let recorded = run(record.options([option]), events);
        assert_complete(&recorded, events);
    }
}

#[test]
fn consumers_may_come_and_go_while_threads_emit() {
    let place = Place::new();
    let threads = THREADS.to_string();
    let mut program = Running::start(
        place
            .application("many_threads")
            // Without a consumer an event takes a quarter of a nanosecond: enough for the whole test.
            .args([&threads, "1000000000000"]),
    );
    let _ = program.await_number("pid");
    let mut next = [0; THREADS];
    for round in 0..10 {
        let daemon = place.daemon(&format!("trace{round}"), &["--sub-buffer-size=16K"]);
        daemon.await_events();
        let trace = daemon.trace.clone();
        let (_, summary) = daemon.finish();
        let process = summary.process();
        // On a machine that is busy with other things, a thread may not run for long in the middle of an event.
        let late = |problem: &String| problem.contains("it did not stop within");
        assert!(
            process.problems.iter().all(late),
            "round {round}: {process:#?}"
        );
        let streams = lanes::check(&trace);
        let records: u64 = streams.iter().map(|stream| stream.records).sum();
        assert_eq!(records, process.counts.recorded);
        assert!(records > 0, "round {round}: the test tests nothing");
        let mut total = 0;
        babeltrace_lines(&trace, |line| {
            let [thread, n] = numbers_at_the_end(line);
            assert!(
                n >= next[thread],
                "round {round}: {n} of thread {thread} after {}",
                next[thread]
            );
            next[thread] = n + 1;
            total += 1;
        });
        assert_eq!(total, records);
    }
    assert!(!program.is_over());
}

/// How many events are in atomic lanes, and how many in the others.
fn by_kind(process: &Process) -> (u64, u64) {
    let sum = |atomic| {
        let lanes = process.lanes.iter().filter(|lane| lane.atomic == atomic);
        lanes.map(|lane| lane.counts.recorded).sum()
    };
    (sum(true), sum(false))
}

/// Every one of `events` of each thread is there, and nobody complains.
#[track_caller]
fn assert_complete(recorded: &Recorded, events: usize) {
    let process = recorded.process();
    assert_eq!(process.counts.lost.total(), 0, "{process:#?}");
    let found = Found::of(recorded, events);
    assert_eq!(found.warnings, "", "babeltrace2 warns");
    assert_eq!(found.total, (THREADS * events) as u64);
    assert!(found.seen.iter().flatten().all(|seen| *seen));
}

/// Runs the threads, moves them about, and checks what must always hold.
fn run(record: Record, events: usize) -> Recorded {
    let recorded = record
        .args([THREADS.to_string(), events.to_string()])
        .run_with(|running| {
            let moves = move_about(running);
            // How many is a matter of how busy the machine is: each thread once, or it tests nothing.
            let enough = THREADS as u64;
            assert!(moves >= enough, "only {moves} migrations");
        });
    let output = &recorded.output;
    assert!(output.status.success(), "{output:#?}");
    let process = recorded.process();
    assert_eq!(process.problems, [""; 0]);
    assert_eq!(process.counts.emitted, output.number("emitted"));
    assert_eq!(process.counts.lost.unfinished, 0);
    let streams = lanes::check(&recorded.trace);
    let sum = |count: fn(&lanes::Stream) -> u64| streams.iter().map(count).sum::<u64>();
    assert_eq!(sum(|s| s.records), process.counts.recorded);
    assert_eq!(sum(|s| s.discarded), process.counts.lost.total());
    recorded
}

/// Binds threads of the program to one CPU after the other, until it ends; says how often.
fn move_about(running: &mut Running) -> u64 {
    let pid = running.await_number("pid");
    let allowed = sched_getaffinity(None).expect("it is known");
    let cpus: Vec<_> = (0..CpuSet::MAX_CPU)
        .filter(|&cpu| allowed.is_set(cpu))
        .collect();
    assert!(cpus.len() > 1, "this test needs two CPUs");
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut moves = 0;
    let began = Instant::now();
    let limit = LIMIT * u32::try_from(events() / 1_000_000).expect("a small factor");
    while !running.is_over() {
        assert!(began.elapsed() < limit, "it does not get on");
        let threads: Vec<_> = fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        for thread in threads {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let mut set = CpuSet::new();
            set.set(cpus[random as usize % 2]);
            // It may just have ended.
            moves += u64::from(sched_setaffinity(Pid::from_raw(thread), &set).is_ok());
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    moves
}

/// What babeltrace2 says is in the trace.
struct Found {
    total: u64,
    /// For each thread, which of its events.
    seen: Vec<Vec<bool>>,
    warnings: String,
}

impl Found {
    /// Reads the trace; no event may be there twice, and those of each thread must be in order.
    #[track_caller]
    fn of(recorded: &Recorded, events: usize) -> Found {
        let mut seen = vec![vec![false; events]; THREADS];
        let mut next = [0; THREADS];
        let mut total = 0;
        let warnings = babeltrace_lines(&recorded.trace, |line| {
            let [thread, n] = numbers_at_the_end(line);
            assert!(!seen[thread][n], "twice: {n} of thread {thread}");
            assert!(
                n >= next[thread],
                "{n} of thread {thread} after {}",
                next[thread]
            );
            seen[thread][n] = true;
            next[thread] = n + 1;
            total += 1;
        });
        assert_eq!(total, recorded.process().counts.recorded);
        Found {
            total,
            seen,
            warnings,
        }
    }
}

/// `[…] { thread = 3, n = 17 }`; done by hand, because there are millions.
#[track_caller]
fn numbers_at_the_end(line: &[u8]) -> [usize; 2] {
    let at = line.iter().rposition(|&b| b == b'{').expect("an event");
    let mut numbers = line[at..]
        .split(|b| !b.is_ascii_digit())
        .filter_map(|digits| {
            let mut number = None;
            for digit in digits {
                number = Some(number.unwrap_or(0) * 10 + usize::from(digit - b'0'));
            }
            number
        });
    [(); 2].map(|()| numbers.next().expect("a number"))
}
