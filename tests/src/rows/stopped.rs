//! A thread that stands still in the middle of an event, for a second, while others use the same lane.
//!
//! ```text
//!   the thread    ── event ┤ stopped ……………………………………… ├ goes on ──
//!   others        ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─     on its CPU, lap after lap
//! ```
//! Nobody waits for it, and what the others emit is in the trace while it stands. Its own event is there when it has gone
//! on, with the time at which it began.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::instants::{self, Lane};
use super::{Buffers, Totals};
use crate::account::{Account, Found};
use crate::process::LIMIT;
use crate::random::Random;
use crate::stepping::{Stepped, SteppedEvent, Steps, Then};
use crate::{Place, eventually, lanes};

/// Threads that go on.
const OTHERS: usize = 2;

/// How long the thread stands.
const STANDS: Duration = Duration::from_millis(1500);

/// What the others have emitted at least when it goes on: more than the lane holds.
const LAPS: u64 = 4;
const SUB_BUFFER: u64 = 4096;
const SUB_BUFFERS: u64 = 8;

/// Stops a thread in the middle of an event, in a channel of that mode.
///
/// # Panics
/// The others do not get on, or an event is missing.
#[track_caller]
pub fn round(random: &mut Random, mode: &str) -> Totals {
    let (mut totals, stages) =
        instants::kill(random, Steps::Hidden, Lane::Roomy, Buffers::PerProcess, 12);
    let step = stages
        .unfinished()
        .expect("steps between reserve and publish");
    let place = Place::new();
    let mode_option = format!("--mode={mode}");
    let options = [
        &mode_option,
        "--block-timeout=60s",
        "--sub-buffer-size=4K",
        "--sub-buffers=8",
        "--flush-period=20ms",
    ];
    let daemon = place.daemon("trace", &options);
    let trace = daemon.trace.clone();
    let account = Account::create(place.dir(), "account");
    let event = SteppedEvent {
        steps: Steps::Hidden,
        before: 5,
        others: OTHERS,
    };
    let mut running = event.start(&place, &account, Then::Hold(step, STANDS));
    running.await_text("held=1");
    account.say_go();
    let of_others = || account.finished(2 + OTHERS)[2..].iter().sum::<u64>();
    let (before, written) = (of_others(), bytes_in(&trace));
    eventually("the others get on", LIMIT, || {
        assert!(
            account.finished(1) == [5],
            "it stands no more; they did {} events",
            of_others() - before
        );
        of_others() - before > LAPS * SUB_BUFFER * SUB_BUFFERS / 40
    });
    if mode != "overwrite" {
        eventually("what they emit is written", LIMIT, || {
            assert!(
                account.finished(1) == [5],
                "it stands no more, and nothing was written"
            );
            bytes_in(&trace) - written > (LAPS - 1) * SUB_BUFFER * SUB_BUFFERS
        });
    }
    let output = running.wait().succeeded();
    let stepped = Stepped::of(&output);
    let (_, summary) = daemon.finish();
    let process = summary.of(stepped.pid);
    assert_eq!(process.problems, [""; 0]);
    let _ = lanes::check(&trace);
    let found = Found::read(&process.trace);
    assert_eq!(found.events, process.counts.recorded);
    let finished = account.finished(2 + OTHERS);
    let all: u64 = finished.iter().sum();
    assert_eq!(
        process.counts.emitted, all,
        "{finished:?} finished, {:#?}, {process:#?}",
        found.lines
    );
    let lost = process.counts.lost;
    match mode {
        "block" => {
            assert_eq!(lost.total(), 0, "{process:#?}");
            for (line, &finished) in finished.iter().enumerate() {
                assert_eq!(
                    found.line(stepped.pid, line).events,
                    finished,
                    "line {line}"
                );
            }
        }
        "discard" => {
            assert_eq!(lost.total(), lost.full, "{process:#?}");
            assert!(lost.full < all / 10, "the others lose events: {process:#?}");
            assert_eq!(found.line(stepped.pid, 0).events, 6, "{process:#?}");
        }
        _ => {}
    }
    // In the middle of its event, if that is older than what the others emitted meanwhile.
    let held = found.line(stepped.pid, 0);
    let middle = (2..2 + OTHERS).any(|line| {
        let line = found.line(stepped.pid, line);
        held.events == 6 && held.last_time < line.last_time && line.run > 1000
    });
    totals.add("threads stopped", 1);
    totals.add("in the middle of an event", u64::from(middle));
    totals.add("events of others meanwhile", of_others() - before);
    totals.add("events checked", found.events);
    totals
}

/// Bytes of all streams of a session.
fn bytes_in(session: &Path) -> u64 {
    let traces = fs::read_dir(session).into_iter().flatten().flatten();
    let files = traces.flat_map(|t| fs::read_dir(t.path()).into_iter().flatten().flatten());
    files.map(|f| f.metadata().map_or(0, |m| m.len())).sum()
}
