//! Reading a large trace, against babeltrace2 on the same trace in the same run.
//!
//! ```console
//! $ cargo bench -p laneway-ctf --bench against_babeltrace2 [-- EVENTS [DIR]]
//!            babeltrace2       laneway-ctf
//! count      2.49 s            0.14 s            17.8 ×
//! text       7.81 s            0.74 s            10.6 ×
//! ```
//! Times are CPU times of one thread, user and system, the best of three; both write text to /dev/null. With DIR, an
//! existing trace is read, such as one that LTTng recorded.

use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use laneway_ctf::read::{Item, Reader};
use laneway_ctf::text::{Babeltrace, BabeltraceOptions};

mod generate;

/// What `main` of the child process is to do; the parent measures it as it measures babeltrace2.
const CHILD: &str = "LANEWAY_CTF_BENCH";

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    if let Ok(what) = std::env::var(CHILD) {
        return child(&what, args.next().unwrap_or_default().as_ref());
    }
    let events: u64 = args
        .next()
        .map_or(Ok(10_000_000), |events| events.parse())?;
    let temporary = tempfile::tempdir()?;
    let dir = match args.next() {
        Some(dir) => PathBuf::from(dir),
        None => {
            let dir = temporary.path().join("trace");
            generate::generate(&dir, events)?;
            dir
        }
    };
    println!("{:10} {:17} {:17}", "", "babeltrace2", "laneway-ctf");
    for (what, options) in [
        ("count", vec!["-c", "sink.utils.counter"]),
        ("text", vec!["--clock-gmt"]),
    ] {
        let theirs = best(|| {
            let mut command = Command::new("babeltrace2");
            command.arg(&dir).args(&options);
            command
        })?;
        let ours = best(|| {
            let mut command = Command::new(std::env::current_exe().unwrap_or_default());
            command.arg(&dir).env(CHILD, what);
            command
        })?;
        println!(
            "{what:10} {:17} {:17} {:5.1} ×",
            format!("{theirs:.2} s"),
            format!("{ours:.2} s"),
            theirs / ours
        );
    }
    Ok(())
}

/// CPU seconds of the best of three runs.
fn best(command: impl Fn() -> Command) -> Result<f64, Box<dyn Error>> {
    let mut best = f64::MAX;
    for _ in 0..3 {
        let before = children_seconds()?;
        let status = command()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if !status.success() {
            return Err(format!("{:?}: {status}", command()).into());
        }
        best = best.min(children_seconds()? - before);
    }
    Ok(best)
}

/// CPU seconds of all children that have ended: fields 16 and 17 of /proc/self/stat, in ticks of 10 ms. See proc(5).
fn children_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: Result<Vec<u64>, _> = fields
        .split_whitespace()
        .skip(13)
        .take(2)
        .map(str::parse)
        .collect();
    Ok(ticks?.iter().sum::<u64>() as f64 / 100.0)
}

fn child(what: &str, dir: &Path) -> Result<(), Box<dyn Error>> {
    let mut reader = Reader::open(dir)?;
    if what == "count" {
        println!("{}", reader.count().total());
        return Ok(());
    }
    let mut printer = Babeltrace::new(BabeltraceOptions::default());
    let mut stdout = std::io::stdout().lock();
    let mut out = Vec::new();
    while let Some(item) = reader.next_item() {
        if let Item::Event(event) = item {
            printer.event(&mut out, &event);
            if out.len() > 1 << 16 {
                stdout.write_all(&out)?;
                out.clear();
            }
        }
    }
    Ok(stdout.write_all(&out)?)
}
