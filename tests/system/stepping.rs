//! A debugger that stops after every instruction of a `trace!` aborts every restartable sequence in it, for ever:
//! the event must get into the trace on another way, and the program on.

use laneway_tests::Place;
use laneway_tests::account::{Account, Found};
use laneway_tests::stepping::{SteppedEvent, Steps, Then};

/// More instructions than a `trace!` may have, in a debug build and on the slow path, which prepares a sub-buffer.
const TOO_MANY: u64 = 100_000;

#[test]
fn single_stepping_through_an_event_makes_progress() {
    const BEFORE: u64 = 2;
    let place = Place::new();
    let daemon = place.daemon("trace", &["--sub-buffer-size=4K"]);
    let trace = daemon.trace.clone();
    let account = Account::create(place.dir(), "account");
    let event = SteppedEvent {
        steps: Steps::Plain,
        before: BEFORE,
        others: 0,
    };
    let stepped = event.run(&place, &account, Then::Count);
    let (_, summary) = daemon.finish();
    assert!(stepped.over, "no end in sight: {stepped:?}");
    assert!((50..TOO_MANY).contains(&stepped.steps), "{stepped:?}");
    let process = summary.of(stepped.pid);
    assert_eq!(process.rseq_off, None);
    assert_eq!(process.counts.lost.total(), 0, "{process:#?}");
    let line = Found::read(&trace).line(stepped.pid, 0);
    assert!(line.is_contiguous() && line.events == BEFORE + 1);
    let count = |atomic| {
        let lanes = process.lanes.iter().filter(|lane| lane.atomic == atomic);
        lanes.map(|lane| lane.counts.recorded).sum::<u64>()
    };
    assert_eq!(count(true), 1, "the stepped one: {process:#?}");
    assert_eq!(count(false), BEFORE, "the others: {process:#?}");
}
