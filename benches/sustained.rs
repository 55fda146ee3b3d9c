//! One thread that emits as fast as it can, one consumer that writes to disk, nothing lost.
//!
//! `cargo bench -p laneway-benches --bench sustained [-- DIR]` records 200 million events of
//! two u64 into DIR (default: a temporary directory) and prints what came of it; then it
//! copies as many bytes from shared memory to a file in the same place, to compare; then it
//! times single events.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use laneway::trace;
use laneway_benches::{again, role};
use laneway_consumer::{Consumer, Listener, Options, Session, Summary};
use laneway_control::{ChannelConfig, Mode, Rendezvous};
use laneway_ringbuf::clock::{self, Calibration, ClockKind};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::time::{ClockId, clock_gettime};

const EVENTS: u64 = 200_000_000;
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
    let ticks_per_ns = Calibration::measure(kind, Duration::from_millis(50)).frequency_hz as f64 / 1e9;
    let mut times = vec![0_u32; TIMED_EVENTS];
    let mut before = clock::now(kind);
    for (i, time) in times.iter_mut().enumerate() {
        trace!("bench:two", a = i as u64, b = i as u64 + 1);
        let now = clock::now(kind);
        *time = u32::try_from(now - before).unwrap_or(u32::MAX);
        before = now;
    }
    times.sort_unstable();
    let at = |share: f64| f64::from(times[((times.len() - 1) as f64 * share) as usize]) / ticks_per_ns;
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
    let status = again(role, meeting.socket()).status().expect("this program starts again");
    assert!(status.success());
    let summary = consumer.finish();
    (summary, cpu_seconds() - before)
}

/// What this process, its children left out, has used of all CPUs.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// CPU seconds of copying `bytes` bytes from shared memory to a file in `dir`, in pieces
/// of the size of a sub-buffer.
fn copy(bytes: u64, dir: &Path) -> f64 {
    let piece = ChannelConfig::default().sub_buffer_bytes;
    let memory = memfd_create("copy", MemfdFlags::CLOEXEC).expect("a memory file");
    let mut memory = File::from(memory);
    memory.write_all(&vec![7; piece as usize]).expect("room in memory");
    let path = dir.join("copy");
    let mut file = File::create(&path).expect("a file");
    let mut buffer = vec![0; piece as usize];
    rustix::io::pread(&memory, &mut buffer[..], 0).expect("what was written");
    let before = cpu_seconds();
    for _ in 0..bytes / piece {
        file.write_all(&buffer).expect("room on the disk");
    }
    let seconds = cpu_seconds() - before;
    let _ = memory.read(&mut [0]);
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

    let (summary, consumer) = record("all", &trace);
    let bytes = summary.total.bytes;
    println!("recorded      {} events, {:.2} GB", summary.total.recorded, bytes as f64 / 1e9);
    println!("lost          {}", summary.total.lost.total());
    assert_eq!(summary.total.recorded, EVENTS, "nothing may be lost");
    std::fs::remove_dir_all(&trace).expect("the trace just recorded");
    let copied = copy(bytes, &dir);
    let per_gb = |seconds: f64| seconds / (bytes as f64 / 1e9);
    println!("consumer      {:.3} CPU s per GB", per_gb(consumer));
    println!("plain copy    {:.3} CPU s per GB", per_gb(copied));
    println!("ratio         {:.2}", consumer / copied);

    let (summary, _) = record("each", &trace);
    assert_eq!(summary.total.recorded, TIMED_EVENTS as u64);
    std::fs::remove_dir_all(&trace).expect("the trace just recorded");
}
