//! One thread that emits as fast as it can, one consumer that writes to disk, nothing lost.
//!
//! `cargo bench -p laneway-benches --bench sustained [-- DIR]` records 200 million events of
//! two u64 into DIR (default: a temporary directory) and prints what came of it; copies as
//! many bytes from memory to a file in the same place, to compare; both a few times in turns,
//! because a disk's cache is not always as fast; and then times single events.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use laneway::trace;
use laneway_benches::{again, role};
use laneway_consumer::{Consumer, Listener, Options, Session, Summary};
use laneway_control::{ChannelConfig, Mode, Rendezvous};
use laneway_ringbuf::clock::{self, Calibration, ClockKind};
use rustix::time::{ClockId, clock_gettime};

const EVENTS: u64 = 200_000_000;
const ROUNDS: usize = 3;
const TIMED_EVENTS: usize = 20_000_000;

fn emit_all() {
    let start = Instant::now();
    for i in 0..EVENTS {
        trace!("bench:two", a = i, b = i + 1);
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "emitted       {EVENTS} events in {seconds:.3} s: {:.1} M/s, {:.2} ns each",
        EVENTS as f64 / seconds / 1e6,
        seconds / EVENTS as f64 * 1e9
    );
}

/// The time of single events, the clock that is read between two of them included.
fn time_each() {
    let kind = ClockKind::best();
    let ticks_per_ns =
        Calibration::measure(kind, Duration::from_millis(50)).frequency_hz as f64 / 1e9;
    let mut times = vec![0_u32; TIMED_EVENTS];
    let mut before = clock::now(kind);
    for (i, time) in times.iter_mut().enumerate() {
        trace!("bench:two", a = i as u64, b = i as u64 + 1);
        let now = clock::now(kind);
        *time = u32::try_from(now - before).unwrap_or(u32::MAX);
        before = now;
    }
    times.sort_unstable();
    let at =
        |share: f64| f64::from(times[((times.len() - 1) as f64 * share) as usize]) / ticks_per_ns;
    println!(
        "one event     median {:.0} ns, 99% {:.0} ns, 99.99% {:.0} ns, worst {:.1} µs (with one more reading of the clock)",
        at(0.5),
        at(0.99),
        at(0.9999),
        at(1.0) / 1e3
    );
}

/// Runs this program in `role`, recorded into `dir`; with the CPU seconds that took here.
fn record(role: &str, dir: &Path) -> (Summary, f64) {
    let private = tempfile::tempdir().expect("a temporary directory");
    let meeting = Rendezvous::at(private.path().join("socket")).expect("a short path");
    let config = ChannelConfig {
        mode: Mode::block(Duration::from_secs(30)),
        ..ChannelConfig::default()
    };
    let before = cpu_seconds();
    let listener = Listener::bind(&meeting, &config).expect("a listener");
    let session = Session::create(dir).expect("a directory that does not exist");
    let consumer = Consumer::start(session, listener, Options::default()).expect("a consumer");
    let status = again(role, meeting.socket())
        .status()
        .expect("this program starts again");
    assert!(status.success());
    let summary = consumer.finish();
    (summary, cpu_seconds() - before)
}

/// What this process, its children left out, has used of all CPUs.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// CPU seconds of copying `bytes` bytes from memory to a file in `dir`, in pieces of the
/// size of a sub-buffer, from as much memory as a lane has.
fn copy(bytes: u64, dir: &Path) -> f64 {
    let config = ChannelConfig::default();
    let piece = config.sub_buffer_bytes as usize;
    let memory = vec![7_u8; piece * config.sub_buffers as usize];
    let path = dir.join("copy");
    let mut file = File::create(&path).expect("a file");
    let before = cpu_seconds();
    for piece in memory.chunks(piece).cycle().take(bytes as usize / piece) {
        file.write_all(piece).expect("room on the disk");
    }
    let seconds = cpu_seconds() - before;
    std::fs::remove_file(&path).expect("the file just made");
    seconds
}

fn main() {
    match role().as_deref() {
        Some("all") => return emit_all(),
        Some("each") => return time_each(),
        Some(other) => panic!("no role {other:?}"),
        None => {}
    }
    if !std::env::args().any(|arg| arg == "--bench") {
        return; // `cargo test` builds benches and runs them once
    }
    let given = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let dir = given.map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let trace = dir.join("trace");

    // As many bytes as the traces will have, so that no round is the first to use the pages.
    let bytes = EVENTS * 32;
    copy(bytes, &dir);
    let (mut consumer, mut copied) = (f64::INFINITY, f64::INFINITY);
    let per_gb = |seconds: f64| seconds / (bytes as f64 / 1e9);
    for round in 1..=ROUNDS {
        println!("round {round}");
        let (summary, seconds) = record("all", &trace);
        let (recorded, lost) = (summary.total.recorded, summary.total.lost.total());
        println!(
            "recorded      {recorded} events, {} bytes, {lost} lost",
            summary.total.bytes
        );
        assert_eq!(recorded, EVENTS, "nothing may be lost");
        std::fs::remove_dir_all(&trace).expect("the trace just recorded");
        let plain = copy(bytes, &dir);
        println!("consumer      {:.3} CPU s per GB", per_gb(seconds));
        println!("plain copy    {:.3} CPU s per GB", per_gb(plain));
        consumer = consumer.min(seconds);
        copied = copied.min(plain);
    }
    println!("best consumer / best copy: {:.2}", consumer / copied);

    let (summary, _) = record("each", &trace);
    assert_eq!(summary.total.recorded, TIMED_EVENTS as u64);
    std::fs::remove_dir_all(&trace).expect("the trace just recorded");
}
