//! Paired measurements: everything in turn, many rounds, the median of each.
//!
//! The machine is shared and its speed changes; what is measured in the same round
//! changes together, so a ratio of medians over rounds is worth more than a time.

use std::time::Instant;

const ROUNDS: usize = 301;

/// Iterations in one round of one row: a fraction of a millisecond.
const ITERATIONS: u64 = 20_000;

/// One thing to measure: it does something that many times.
pub struct Row<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Does it `n` times.
    pub run: Box<dyn FnMut(u64) + 'a>,
}

impl std::fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<'a> Row<'a> {
    /// A row named `name`.
    pub fn new(name: &'a str, run: impl FnMut(u64) + 'a) -> Self {
        Row {
            name,
            run: Box::new(run),
        }
    }
}

/// Nanoseconds per iteration of each row, the median over all rounds.
pub fn compare(rows: &mut [Row<'_>]) -> Vec<f64> {
    let mut times = vec![Vec::with_capacity(ROUNDS); rows.len()];
    for round in 0..ROUNDS + 10 {
        for (row, times) in rows.iter_mut().zip(&mut times) {
            let start = Instant::now();
            (row.run)(ITERATIONS);
            let ns = start.elapsed().as_secs_f64() * 1e9 / ITERATIONS as f64;
            if round >= 10 {
                times.push(ns);
            }
        }
    }
    times.iter_mut().map(|times| median(times)).collect()
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Prints the rows, each with its ratio to the first one and its distance from it.
pub fn print_table(title: &str, rows: &[Row<'_>], ns: &[f64]) {
    println!("\n{title}");
    println!("  {:<28} {:>9} {:>9} {:>10}", "", "ns", "ratio", "ns more");
    for (row, &time) in rows.iter().zip(ns) {
        let (ratio, more) = (time / ns[0], time - ns[0]);
        println!("  {:<28} {time:>9.2} {ratio:>9.3} {more:>10.2}", row.name);
    }
}
