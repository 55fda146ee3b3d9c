//! Every kind of death, one after the other in a random order, for as long as it is told.
//!
//! ```sh
//!   cargo run --release -p laneway-tests --bin soak -- --minutes 60
//! ```
//! It needs babeltrace2, and root for what only root can do; one CPU is enough, some hundred megabytes of memory, and as
//! much of the directory for temporary files, which it empties again after each round.
//!
//! Each minute it says what it has done by then, and at the end the totals of each kind. It stops at the first thing that is
//! not as it must be, and says with which seed it began (`--seed N` begins with it; when a process is preempted and killed
//! is up to the machine all the same).

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use laneway_tests::random::Random;
use laneway_tests::rows::{KINDS, Totals};

/// How often it says how far it is.
const REPORT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let Some(Orders {
        minutes,
        seed,
        only,
    }) = Orders::parse(std::env::args().skip(1))
    else {
        eprintln!("usage: soak [--minutes N] [--seed N] [--only KIND]…");
        eprintln!("kinds: {}", KINDS.map(|(name, _)| name).join(" "));
        return ExitCode::from(2);
    };
    let kinds: Vec<_> = KINDS
        .into_iter()
        .filter(|(name, _)| only.is_empty() || only.iter().any(|wanted| wanted == name))
        .collect();
    println!("soak: {minutes} minutes, seed {seed}");
    let (began, mut told) = (Instant::now(), Instant::now());
    let mut random = Random::new(seed);
    let mut totals: BTreeMap<&str, Totals> = BTreeMap::new();
    let mut failed = false;
    while began.elapsed().as_secs_f64() < minutes * 60.0 {
        let (name, round) = random.choose(&kinds);
        // The message of a panic is on standard error by then.
        match catch_unwind(AssertUnwindSafe(|| round(&mut random))) {
            Ok(more) => {
                let sum = totals.entry(*name).or_default();
                sum.merge(&more);
                sum.add("rounds", 1);
            }
            Err(_) => {
                println!("soak: FAILED in {name}, seed {seed}");
                failed = true;
                break;
            }
        }
        if told.elapsed() >= REPORT {
            told = Instant::now();
            let sum = sum(&totals);
            println!(
                "soak: {:.0} min: {sum}",
                began.elapsed().as_secs_f64() / 60.0
            );
        }
    }
    println!(
        "soak: over after {:.1} min",
        began.elapsed().as_secs_f64() / 60.0
    );
    for (name, of_kind) in &totals {
        println!("  {name:<14} {of_kind}");
    }
    println!("  {:<14} {}", "all", sum(&totals));
    match failed {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

fn sum(totals: &BTreeMap<&str, Totals>) -> Totals {
    let mut sum = Totals::default();
    for of_kind in totals.values() {
        sum.merge(of_kind);
    }
    sum
}

/// What the command line says.
struct Orders {
    minutes: f64,
    seed: u64,
    only: Vec<String>,
}

impl Orders {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Orders> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let mut orders = Orders {
            minutes: 60.0,
            seed: now.map_or(1, |now| now.as_secs()),
            only: Vec::new(),
        };
        while let Some(option) = arguments.next() {
            let value = arguments.next()?;
            match option.as_str() {
                "--minutes" => orders.minutes = value.parse().ok()?,
                "--seed" => orders.seed = value.parse().ok()?,
                "--only" if KINDS.iter().any(|(name, _)| *name == value) => {
                    orders.only.push(value);
                }
                _ => return None,
            }
        }
        Some(orders)
    }
}
