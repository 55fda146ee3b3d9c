//! What one `trace!` costs its thread, next to reading the clock.
//!
//! `cargo bench -p laneway-benches --bench event` runs criterion's benches and then
//! prints a table of ratios, measured in turns in one run: with restartable sequences, with
//! atomic lanes, and with nobody interested.

use std::hint::black_box;
use std::path::Path;

use criterion::Criterion;
use laneway::trace;
use laneway_benches::{Row, again, compare, drain_to_nowhere, print_table, role};
use laneway_ringbuf::clock::{self, ClockKind};

fn clock_reads(n: u64) {
    let kind = ClockKind::best();
    for _ in 0..n {
        black_box(clock::now(kind));
    }
}

/// A load and a branch that is not taken, as often: what a disabled event is held
/// against.
fn loads(n: u64) {
    static WORD: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    for i in 0..n {
        if WORD.load(std::sync::atomic::Ordering::Relaxed) != 0 {
            never(i);
        }
        black_box(i);
    }
}

#[cold]
#[inline(never)]
fn never(i: u64) {
    black_box(i);
}

fn no_field(n: u64) {
    for i in 0..n {
        trace!("bench:empty");
        black_box(i);
    }
}

fn two_u64(n: u64) {
    for i in 0..n {
        trace!("bench:two", a = i, b = i + 1);
        black_box(i);
    }
}

fn u64_and_text(n: u64) {
    let text = black_box("sixteen letters.");
    for i in 0..n {
        trace!("bench:text", a = i, text);
        black_box(i);
    }
}

fn events() -> Vec<Row<'static>> {
    vec![
        Row::new("no field", no_field),
        Row::new("two u64", two_u64),
        Row::new("u64 + 16-byte string", u64_and_text),
    ]
}

fn table(title: &str, base: Row<'static>) {
    let mut rows = vec![base];
    rows.extend(events());
    let ns = compare(&mut rows);
    print_table(title, &rows, &ns);
}

fn criterion() {
    let mut criterion = Criterion::default()
        .sample_size(50)
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2))
        .configure_from_args();
    let mut rows = vec![Row::new("clock read", clock_reads)];
    rows.extend(events());
    for row in &mut rows {
        let name = row.name;
        criterion.bench_function(name, |bencher| {
            bencher.iter_custom(|n| {
                let start = std::time::Instant::now();
                (row.run)(n);
                start.elapsed()
            });
        });
    }
    criterion.final_summary();
}

fn main() {
    match role().as_deref() {
        Some("criterion") => return criterion(),
        Some("rseq") => return table("rseq lanes", Row::new("clock read", clock_reads)),
        Some("atomic") => return table("atomic lanes", Row::new("clock read", clock_reads)),
        Some("disabled") => return table("disabled", Row::new("load and branch", loads)),
        Some(other) => panic!("no role {other:?}"),
        None => {}
    }
    if !std::env::args().any(|arg| arg == "--bench") {
        return; // `cargo test` builds benches and runs them once
    }
    let traced = |role: &str, rseq: &str| {
        drain_to_nowhere(|socket| {
            let status = again(role, socket).env("LANEWAY_RSEQ", rseq).status();
            assert!(status.expect("this program starts again").success());
        })
        .expect("a consumer");
    };
    traced("criterion", "on");
    traced("rseq", "on");
    traced("atomic", "off");
    let nobody = Path::new("/nonexistent/socket");
    assert!(
        again("disabled", nobody)
            .status()
            .expect("this program starts again")
            .success()
    );
}
