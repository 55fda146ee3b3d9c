//! Applications that are killed at a random moment, from their first instruction on.
//!
//! Of each thread every event is in the trace whose `trace!` had returned, and of the one it was in nothing or all. Where
//! it is nothing, and there was something of it in the ring already, it is counted as unfinished, with its process.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use super::Totals;
use crate::account::{Account, Found};
use crate::process::{LIMIT, signal_of};
use crate::random::Random;
use crate::summary::{Process, Summary};
use crate::{Place, Running, eventually, lanes};

/// Threads of each application.
const THREADS: usize = 3;

/// The longest time one lives: of every fourth from its first instruction on, of the others from its first event on.
const YOUTH: Duration = Duration::from_millis(15);
const LIFE: Duration = Duration::from_millis(5);

/// An application that was killed.
#[derive(Debug)]
struct Victim {
    pid: u32,
    account: Account,
}

/// Kills `kills` applications of one daemon, and checks what they left.
///
/// # Panics
/// Something is missing, doubled or not counted.
#[track_caller]
pub fn round(random: &mut Random, kills: u64) -> Totals {
    let place = Place::new();
    let flush = format!("--flush-period={}ms", random.choose(&[1, 3, 20, 1000]));
    let size = format!("--sub-buffer-size={}K", random.choose(&[4, 4, 16, 256]));
    let options = ["--mode=block", "--block-timeout=60s", &flush, &size];
    let daemon = place.daemon("trace", &options);
    let trace = daemon.trace.clone();
    let victims: Vec<_> = (0..kills).map(|n| kill_one(&place, random, n)).collect();
    let (_, summary) = daemon.finish();
    let found = read(&summary, &trace);
    let mut totals = Totals::default();
    for victim in victims {
        totals.merge(&victim.check(&summary, &found));
    }
    assert_eq!(
        found.events, summary.total.recorded,
        "events of somebody else"
    );
    totals.add("events checked", found.events);
    totals
}

fn kill_one(place: &Place, random: &mut Random, number: u64) -> Victim {
    let account = Account::create(place.dir(), &format!("account{number}"));
    let application = Running::start(
        place
            .application("accountable")
            .arg(account.path())
            .args([&THREADS.to_string(), "0"]),
    );
    if number.is_multiple_of(4) {
        std::thread::sleep(random.time(YOUTH));
    } else {
        let begun = || account.finished(THREADS).iter().any(|&events| events > 0);
        eventually("its first event", LIMIT, begun);
        std::thread::sleep(random.time(LIFE));
    }
    application.signal(Signal::KILL);
    let pid = application.pid().as_raw_nonzero().get().unsigned_abs();
    assert_eq!(signal_of(application.wait().status), Some(9));
    Victim { pid, account }
}

/// All events of all of them; where nobody has any there is nothing to be read.
#[track_caller]
fn read(summary: &Summary, trace: &Path) -> Found {
    match summary.total.recorded {
        0 => Found::default(),
        _ => {
            let _ = lanes::check(trace);
            Found::read(trace)
        }
    }
}

impl Victim {
    #[track_caller]
    fn check(&self, summary: &Summary, found: &Found) -> Totals {
        let mut totals = Totals::default();
        totals.add("kills", 1);
        let finished = self.account.finished(THREADS);
        let mut of_us = summary.processes.iter().filter(|p| p.pid == self.pid);
        let Some(process) = of_us.next() else {
            assert_eq!(finished, [0; THREADS], "it traced, and nobody knows");
            totals.add("before they attached", 1);
            return totals;
        };
        assert!(of_us.next().is_none(), "twice: {summary:#?}");
        let unfinished = unfinished_only(process);
        let mut not_begun = 0;
        for (thread, &finished) in finished.iter().enumerate() {
            let line = found.line(self.pid, thread);
            assert!(line.is_contiguous() && line.first == 0, "{line:?}");
            let one_more = line.events.wrapping_sub(finished);
            assert!(
                one_more <= 1,
                "thread {thread}: {finished} finished, {line:?}"
            );
            not_begun += 1 - one_more;
            totals.add("published, not noted", one_more);
        }
        // A thread whose event is in the trace does not have an unfinished one as well.
        assert!(unfinished <= not_begun, "{finished:?}, {process:#?}");
        totals.add("unfinished", unfinished);
        totals
    }
}

/// The unfinished events of a process that has lost no others, and with which nothing is wrong.
#[track_caller]
pub(crate) fn unfinished_only(process: &Process) -> u64 {
    assert_eq!(process.problems, [""; 0]);
    let lost = process.counts.lost;
    assert_eq!(lost.total(), lost.unfinished, "{process:#?}");
    lost.unfinished
}
