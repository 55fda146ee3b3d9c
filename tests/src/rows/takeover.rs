//! Consumers that are killed at random moments, and taken over from by others, while applications go on.
//!
//! ```text
//!   application   ── events ── events ── events ── events ── events ──▶
//!   consumer      ── killed    --resume ── killed       --resume ──▶      one trace
//! ```
//! Every event is in the trace once, or counted as lost. Nobody waits for a consumer that is dead, so some may be lost while
//! there is none; half a packet at the end of a file is repaired.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Totals;
use super::shared::{self, Emitter};
use crate::account::{Account, Found};
use crate::random::Random;
use crate::summary::Summary;
use crate::{Place, Running, eventually, lanes};

const THREADS: usize = 2;

/// What each thread emits: more than there is time for.
const EVENTS: u64 = 1 << 40;

/// A thread waits for so many turns of an empty loop between two events: some 30 µs.
const SPINS: u64 = 1000;

/// The longest time one consumer lives, and the longest one there is none.
const REIGN: Duration = Duration::from_millis(200);
const GAP: Duration = Duration::from_millis(20);

/// How long an application may take to attach on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Kills `kills` consumers of two applications.
///
/// # Panics
/// An event is missing that was not lost for want of room, or is there twice.
#[track_caller]
pub fn round(random: &mut Random, kills: u64) -> Totals {
    let place = Place::new();
    let trace = place.dir().join("trace");
    let flush = format!("--flush-period={}ms", random.choose(&[1, 5, 50]));
    // With few sub-buffers there is no room left while there is no consumer.
    let number = format!("--sub-buffers={}", random.choose(&[2, 16]));
    let mode = *random.choose(&["--mode=discard", "--mode=block"]);
    let options = [
        mode,
        "--block-timeout=60s",
        "--sub-buffer-size=16K",
        &number,
        &flush,
    ];
    let mut daemon = start(&place, &trace, &options, false);
    let applications = [0, 1].map(|number| {
        let account = Account::create(place.dir(), &format!("account{number}"));
        let mut command = place.application("accountable");
        command
            .arg(account.path())
            .args([THREADS as u64, EVENTS, 0, SPINS].map(|n| n.to_string()));
        (Running::start(&mut command), account)
    });
    // Who starts when there is no consumer emits into nothing until there is one.
    for (application, _) in &applications {
        let began = Instant::now();
        while !trace.join(trace_of(application)).exists() {
            assert!(began.elapsed() < PATIENCE, "it does not attach");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    for _ in 0..kills {
        std::thread::sleep(random.time(REIGN));
        daemon.signal(Signal::KILL);
        let _ = daemon.wait();
        std::thread::sleep(random.time(GAP));
        daemon = start(&place, &trace, &options, true);
    }
    std::thread::sleep(REIGN);
    let killed = applications.map(|(application, account)| {
        application.signal(Signal::KILL);
        let pid = application.pid().as_raw_nonzero().get().unsigned_abs();
        let _ = application.wait();
        (pid, account)
    });
    let summary = finish(daemon, &trace);
    let streams = lanes::check(&trace);
    let found = Found::read(&trace);
    let mut totals = Totals::default();
    for (pid, account) in killed {
        let process = summary.of(pid);
        assert_eq!(process.problems, [""; 0]);
        let lost = process.counts.lost;
        assert_eq!(lost.total(), lost.full + lost.unfinished, "{process:#?}");
        assert!(lost.unfinished <= THREADS as u64, "{process:#?}");
        let finished = account.finished(THREADS);
        let all: u64 = finished.iter().sum();
        let there: u64 = (0..THREADS).map(|line| found.line(pid, line).events).sum();
        let emitted = there + lost.full + lost.unfinished;
        assert!(
            (all..=all + THREADS as u64).contains(&emitted),
            "{finished:?} finished, {there} found: {process:#?}"
        );
        totals.add("events lost and counted", lost.full);
    }
    let records: u64 = streams.iter().map(|stream| stream.records).sum();
    assert_eq!(records, found.events);
    totals.add("kills of consumers", kills);
    totals.add("events checked", found.events);
    totals
}

/// When an application dies: its consumer dies, too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dies {
    Before,
    Meanwhile,
    Behind,
}

/// Kills `kills` consumers of a shared buffer, and with each an application: before it, while there is none, or behind it.
///
/// # Panics
/// An event is missing or there twice, though there was room for all, or an application is not let in again.
#[track_caller]
pub fn round_in_shared_buffer(random: &mut Random, kills: u64) -> Totals {
    let place = Place::new();
    let trace = place.dir().join("trace");
    let flush = format!("--flush-period={}ms", random.choose(&[1, 5, 50]));
    let mode = *random.choose(&["--mode=discard", "--mode=block"]);
    let options = [
        "--buffers=shared",
        mode,
        "--block-timeout=60s",
        // Room for what is emitted while there is no consumer.
        "--sub-buffer-size=1M",
        "--sub-buffers=16",
        &flush,
    ];
    let mut daemon = start(&place, &trace, &options, false);
    let mut started = 0;
    let mut emitter = |spins| {
        started += 1;
        Emitter::start(&place, &format!("account{started}"), spins)
    };
    let survivors = [emitter(SPINS), emitter(SPINS)];
    let mut dead = Vec::new();
    for _ in 0..kills {
        let mut victim = Some(emitter(SPINS / 4));
        let began = || victim.as_ref().is_some_and(Emitter::has_begun);
        eventually("its first event", PATIENCE, began);
        let dies = *random.choose(&[Dies::Before, Dies::Meanwhile, Dies::Behind]);
        let mut kill = |now: Dies| {
            if now == dies {
                dead.extend(victim.take().map(Emitter::kill));
            }
        };
        std::thread::sleep(random.time(REIGN));
        kill(Dies::Before);
        daemon.signal(Signal::KILL);
        let _ = daemon.wait();
        std::thread::sleep(random.time(GAP));
        kill(Dies::Meanwhile);
        daemon = start(&place, &trace, &options, true);
        std::thread::sleep(random.time(GAP * 2));
        kill(Dies::Behind);
    }
    std::thread::sleep(REIGN);
    dead.extend(survivors.map(Emitter::kill));
    let summary = finish(daemon, &trace);
    let streams = lanes::check(&trace);
    let found = Found::read(&trace);
    let shared = summary.shared.as_ref().expect("a shared buffer");
    assert_eq!(shared.problems, [""; 0]);
    assert!(summary.refused.is_empty(), "{summary:#?}");
    for process in &shared.processes {
        assert_eq!(process.problems, [""; 0], "{summary:#?}");
    }
    let mut files = fs::read_dir(&trace).expect("a session").flatten();
    assert!(
        files.all(|file| file.file_name() == "shared"),
        "the journal stays"
    );
    let in_the_middle: u64 = dead.iter().map(|dead| dead.check(&found)).sum();
    let lost = summary.total.lost;
    assert_eq!(
        lost.total(),
        lost.unfinished + lost.before_attach,
        "{summary:#?}"
    );
    assert!(lost.unfinished <= in_the_middle, "{summary:#?}");
    let records: u64 = streams.iter().map(|stream| stream.records).sum();
    assert_eq!(
        (records, summary.total.recorded),
        (found.events, found.events)
    );
    let mut totals = Totals::default();
    totals.add("kills of consumers", kills);
    totals.add("kills", started);
    totals.add("unfinished", lost.unfinished);
    totals.add("events checked", found.events);
    totals
}

/// Kills a process in the middle of an event in a shared buffer when its consumer is dead: the next one buries it, and those
/// who live lose nothing.
///
/// # Panics
/// The event is not counted as that process' own, or something of the others is missing.
#[track_caller]
pub fn burial(random: &mut Random) -> Totals {
    let step = shared::middle(random);
    let place = Place::new();
    let trace = place.dir().join("trace");
    let options = ["--buffers=shared", "--sub-buffers=16", "--flush-period=5ms"];
    let daemon = start(&place, &trace, &options, false);
    let (stepper, pid) = shared::hold(&place, step);
    let other = shared::emit_on_its_cpu(&place, pid);
    eventually("the other one gets on", PATIENCE, || other.has_begun());
    daemon.signal(Signal::KILL);
    let _ = daemon.wait();
    shared::kill_held(pid);
    shared::end_stepper(stepper);
    let daemon = start(&place, &trace, &options, true);
    std::thread::sleep(REIGN);
    let other = other.kill();
    let summary = finish(daemon, &trace);
    let _ = lanes::check(&trace);
    let found = Found::read(&trace);
    let pid = u32::try_from(pid).expect("a process id");
    let shared = summary.shared.as_ref().expect("a shared buffer");
    let (events, unfinished) = (found.line(pid, 0).events, shared.of(pid).unfinished);
    // A thread that was preempted has more steps to the same place, so it may not have been in the middle.
    let beside = unfinished == 0 && (5..=6).contains(&events);
    assert!(beside || (events, unfinished) == (5, 1), "{summary:#?}");
    assert!(shared.of(other.pid).unfinished <= THREADS as u64);
    let others: u64 = shared.processes.iter().map(|p| p.unfinished).sum();
    assert_eq!(summary.total.lost.unfinished, others, "{summary:#?}");
    assert!(found.line(other.pid, 0).events > 0);
    let mut totals = Totals::default();
    totals.add("events checked", found.events);
    totals.add("kills of consumers", 1);
    totals.add(
        match beside {
            true => "kills beside an event",
            false => "kills in the middle of an event",
        },
        1,
    );
    totals
}

/// The directory in which an application is recorded.
fn trace_of(application: &Running) -> String {
    format!("accountable-{}", application.pid())
}

/// A consumer that listens.
#[track_caller]
fn start(place: &Place, trace: &Path, options: &[&str], resume: bool) -> Running {
    let mut command = place.daemon_command(trace, options);
    if resume {
        command.arg("--resume");
    }
    let mut daemon = Running::start(&mut command);
    daemon.await_text("listening on");
    daemon
}

/// Ends a consumer; says what it has to say.
#[track_caller]
fn finish(daemon: Running, trace: &Path) -> Summary {
    daemon.signal(Signal::TERM);
    let _ = daemon.wait().succeeded();
    let json = fs::read_to_string(trace.with_extension("json")).expect("a summary");
    Summary::parse(&json)
}
