//! Processes that share a buffer, some of which die in the middle of an event.
//!
//! ```text
//!   lane 1  ▕■■■■■■■■▏▕■■ ╳ ■■■▏▕■■■■■■■■▏▕■■■      ╳ reserved by one that is dead: counted as its own, and gone
//!                          └─┴── of others: in the trace a few milliseconds after the death
//! ```
//! The others lose nothing and do not wait.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::instants::{self, Lane};
use super::{Buffers, Totals};
use crate::account::{Account, Found};
use crate::process::LIMIT;
use crate::random::Random;
use crate::stepping::{SteppedEvent, Steps, Then};
use crate::{Place, Running, eventually, lanes, process, program};

/// Threads of each process.
pub(super) const THREADS: usize = 2;

/// The longest time one lives that is killed.
const LIFE: Duration = Duration::from_millis(5);

/// Far more than it takes from a death until the lane flows again; the bound is 10 ms on a machine that has nothing else to
/// do.
const FLOWS_AGAIN: Duration = Duration::from_secs(2);

const OPTIONS: [&str; 5] = [
    "--buffers=shared",
    "--mode=block",
    "--block-timeout=60s",
    "--sub-buffer-size=4K",
    "--flush-period=20ms",
];

/// A process that emits until it is killed.
pub(super) struct Emitter {
    running: Running,
    account: Account,
    pid: u32,
}

impl Emitter {
    #[track_caller]
    pub(super) fn start(place: &Place, name: &str, spins: u64) -> Emitter {
        let account = Account::create(place.dir(), name);
        let mut command = place.application("accountable");
        command
            .arg(account.path())
            .args([THREADS as u64, 0, 0, spins].map(|n| n.to_string()));
        let running = Running::start(&mut command);
        let pid = running.pid().as_raw_nonzero().get().unsigned_abs();
        Emitter {
            running,
            account,
            pid,
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.account
            .finished(THREADS)
            .iter()
            .any(|&events| events > 0)
    }

    pub(super) fn kill(self) -> Dead {
        self.running.signal(Signal::KILL);
        let _ = self.running.wait();
        Dead {
            account: self.account,
            pid: self.pid,
        }
    }
}

/// What one leaves.
pub(super) struct Dead {
    account: Account,
    pub(super) pid: u32,
}

impl Dead {
    /// All it had finished since it was let in is there; says how many of its threads may have been in the middle of an
    /// event. (The ring comes from the consumer: what a process emits before it has it is not recorded.)
    #[track_caller]
    pub(super) fn check(&self, found: &Found) -> u64 {
        let mut in_the_middle = 0;
        for (thread, finished) in self.account.finished(THREADS).into_iter().enumerate() {
            let line = found.line(self.pid, thread);
            if line.events == 0 {
                in_the_middle += 1;
                continue;
            }
            assert!(line.is_contiguous(), "{line:?}");
            let one_more = line.end.wrapping_sub(finished);
            assert!(
                one_more <= 1,
                "thread {thread}: {finished} finished, {line:?}"
            );
            in_the_middle += 1 - one_more;
        }
        in_the_middle
    }
}

/// Kills `kills` processes at random moments that share a buffer with each other and with two that live on.
///
/// # Panics
/// Something is missing, doubled or not counted.
#[track_caller]
pub fn kill(random: &mut Random, kills: u64) -> Totals {
    let place = Place::new();
    let daemon = place.daemon("trace", &OPTIONS);
    let trace = daemon.trace.clone();
    let survivors = ["survivor0", "survivor1"].map(|name| Emitter::start(&place, name, 300));
    let mut dead = Vec::new();
    for number in 0..kills {
        let victim = Emitter::start(&place, &format!("account{number}"), 0);
        eventually("its first event", LIMIT, || victim.has_begun());
        std::thread::sleep(random.time(LIFE));
        dead.push(victim.kill());
    }
    dead.extend(survivors.map(Emitter::kill));
    let (_, summary) = daemon.finish();
    let _ = lanes::check(&trace);
    let found = Found::read(&trace);
    let mut totals = Totals::default();
    let mut unfinished = 0;
    let shared = summary.shared.as_ref().expect("a shared buffer");
    assert_eq!(shared.problems, [""; 0]);
    for dead in &dead {
        let in_the_middle = dead.check(&found);
        // One that was killed before it was let in is not listed.
        for process in shared.processes.iter().filter(|p| p.pid == dead.pid) {
            assert_eq!(process.problems, [""; 0]);
            assert!(process.unfinished <= in_the_middle, "{process:#?}");
            unfinished += process.unfinished;
        }
    }
    let lost = summary.total.lost;
    assert_eq!(
        lost.total(),
        lost.unfinished + lost.before_attach,
        "{summary:#?}"
    );
    assert_eq!(
        lost.unfinished, unfinished,
        "not of any process: {summary:#?}"
    );
    assert_eq!(found.events, summary.total.recorded);
    totals.add("kills", kills + 2);
    totals.add("unfinished", unfinished);
    totals.add("events checked", found.events);
    totals
}

/// Kills a process in the middle of an event, while another one emits on its CPU, and measures how long it takes until
/// what the other one has emitted behind that event is written.
///
/// # Panics
/// It takes very long, or something is missing.
#[track_caller]
pub fn flow(random: &mut Random) -> (Totals, Duration) {
    let step = middle(random);
    let place = Place::new();
    let daemon = place.daemon("trace", &OPTIONS);
    let trace = daemon.trace.clone();
    let (stepper, pid) = hold(&place, step);
    let other = emit_on_its_cpu(&place, pid);
    let laps = || other.account.finished(THREADS).iter().sum::<u64>() > 4 * 8 * 4096 / 40;
    eventually("the other one gets on", LIMIT, laps);
    // What lies behind the event waits for it: more than the others are late, it is later.
    let before = late_bytes(&trace);
    let killed = Instant::now();
    kill_held(pid);
    while late_bytes(&trace) == before && killed.elapsed() < FLOWS_AGAIN {
        std::thread::sleep(Duration::from_micros(100));
    }
    let took = killed.elapsed();
    end_stepper(stepper);
    let other = other.kill();
    let (_, summary) = daemon.finish();
    let _ = lanes::check(&trace);
    let found = Found::read(&trace);
    let _ = other.check(&found);
    let pid = u32::try_from(pid).expect("a process id");
    let shared = summary.shared.as_ref().expect("a shared buffer");
    let (events, unfinished) = (found.line(pid, 0).events, shared.of(pid).unfinished);
    let mut totals = Totals::default();
    totals.add("events checked", found.events);
    // A thread that was preempted has more steps to the same place, so it may not have been in the middle.
    let beside = unfinished == 0 && (5..=6).contains(&events);
    if beside {
        totals.add("kills beside an event", 1);
        return (totals, Duration::ZERO);
    }
    assert_eq!((events, unfinished), (5, 1), "{shared:#?}");
    assert!(took < FLOWS_AGAIN, "the lane does not flow again");
    totals.add("kills in the middle of an event", 1);
    (totals, took)
}

/// After how many steps an event in a shared buffer is reserved and not yet published.
#[track_caller]
pub(super) fn middle(random: &mut Random) -> u64 {
    let (_, stages) = instants::kill(random, Steps::Hidden, Lane::Roomy, Buffers::Shared, 12);
    let steps = stages.unfinished();
    steps.expect("steps between reserve and publish")
}

/// Holds a process so many steps into its sixth event: the stepper, and the process.
#[track_caller]
pub(super) fn hold(place: &Place, step: u64) -> (Running, u64) {
    let account = Account::create(place.dir(), "stepped");
    let event = SteppedEvent {
        steps: Steps::Hidden,
        before: 5,
        others: 0,
    };
    let mut stepper = event.start(place, &account, Then::Hold(step, LIMIT));
    let pid = stepper.await_number("pid");
    stepper.await_text("held=1");
    (stepper, pid)
}

/// Kills the process that a stepper holds.
pub(super) fn kill_held(pid: u64) {
    let target = i32::try_from(pid).ok().and_then(Pid::from_raw);
    kill_process(target.expect("a process id"), Signal::KILL).expect("it stands");
}

/// Ends the stepper of a process that was killed. It would look after it when the time is over.
pub(super) fn end_stepper(stepper: Running) {
    stepper.signal(Signal::KILL);
    let _ = stepper.wait();
}

/// Another process, bound to the CPU of that one.
#[track_caller]
pub(super) fn emit_on_its_cpu(place: &Place, pid: u64) -> Emitter {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it stands");
    let cpu = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let cpu = cpu.expect("a list").trim();
    assert!(cpu.parse::<u32>().is_ok(), "one CPU: {cpu}");
    let account = Account::create(place.dir(), "other");
    let mut command: Command = process::command("taskset");
    command
        .args(["--cpu-list", cpu])
        .arg(program("accountable"))
        .arg(account.path())
        .args([THREADS as u64, 0, 0, 300].map(|n| n.to_string()))
        .env("LANEWAY_SOCKET", place.socket());
    let running = Running::start(&mut command);
    let pid = running.pid().as_raw_nonzero().get().unsigned_abs();
    Emitter {
        running,
        account,
        pid,
    }
}

/// Bytes of what was written later than what came after it.
fn late_bytes(session: &Path) -> u64 {
    let traces = fs::read_dir(session).into_iter().flatten().flatten();
    let files = traces.flat_map(|t| fs::read_dir(t.path()).into_iter().flatten().flatten());
    let late = files.filter(|file| file.file_name().to_string_lossy().contains("late"));
    late.map(|f| f.metadata().map_or(0, |m| m.len())).sum()
}
