//! Threads that share work, traced: who waits for whom, and for how long.
//!
//! ```text
//! cargo build --release --example threads
//! laneway record -o /tmp/threads -- target/release/examples/threads
//! babeltrace2 /tmp/threads
//! ```
//! Every event carries the id of its thread, and the lane it is in is that of the CPU it
//! happened on. Threads need not be registered, started in a special way or joined for
//! their events to be there.

use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use std::{env, thread};

use laneway::trace;

/// A number to look at, and when it was put into the queue.
struct Job {
    number: u64,
    queued: Instant,
}

fn main() {
    let jobs = env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(2_000);
    let workers = thread::available_parallelism().map_or(2, |n| n.get() * 2);
    trace!("pool:start", workers, jobs);

    let (queue, job) = mpsc::sync_channel(64);
    let job = Mutex::new(job);
    let primes: u64 = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers)
            .map(|index| {
                scope.spawn({
                    let job = &job;
                    move || work(index, job)
                })
            })
            .collect();
        for number in 1_000_000..1_000_000 + jobs {
            let queued = Instant::now();
            queue
                .send(Job { number, queued })
                .expect("workers outlive the queue");
            trace!(level: Debug, "pool:queued", number, waited = queued.elapsed());
        }
        drop(queue);
        workers
            .into_iter()
            .map(|w| w.join().expect("a worker panicked"))
            .sum()
    });

    trace!("pool:stop", primes);
    println!("{primes} primes in {jobs} numbers");
}

/// Takes jobs until there are no more, and says how many were primes.
fn work(worker: usize, jobs: &Mutex<Receiver<Job>>) -> u64 {
    let mut primes = 0;
    let mut busy = Duration::ZERO;
    loop {
        let next = jobs.lock().expect("nobody panics with the lock").recv();
        let Ok(job) = next else { break };
        let began = Instant::now();
        let is_prime = is_prime(job.number);
        let took = began.elapsed();
        trace!(
            "pool:done",
            worker,
            job.number,
            is_prime,
            waited = began - job.queued,
            took
        );
        primes += u64::from(is_prime);
        busy += took;
    }
    trace!("pool:idle", worker, primes, busy);
    primes
}

fn is_prime(number: u64) -> bool {
    (2..)
        .take_while(|d| d * d <= number)
        .all(|d| !number.is_multiple_of(d))
}
