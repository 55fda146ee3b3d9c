//! A debugger that stops after every instruction of a `trace!` aborts every restartable sequence in it, for ever:
//! the event must get into the trace on another way, and the program on.

use std::fs;

use laneway_tests::{Record, program, scratch};

/// More instructions than a `trace!` may have, in a debug build and on the slow path.
const TOO_MANY: u64 = 200_000;

/// What gdb is told: to step from the one function to the other.
fn script() -> String {
    format!(
        "set pagination off
set confirm off
set startup-with-shell off
set language c
break stepping_begins
run
set logging file /dev/null
set logging redirect on
set logging enabled on
python
end = int(gdb.parse_and_eval('(unsigned long) &stepping_ends'))
steps = 0
while int(gdb.parse_and_eval('(unsigned long) $pc')) != end and steps < {TOO_MANY}:
    gdb.execute('stepi', to_string=True)
    steps += 1
gdb.execute('set logging enabled off')
print('steps=%d' % steps)
end
continue
"
    )
}

#[test]
fn single_stepping_through_an_event_makes_progress() {
    let dir = scratch();
    let commands = dir.path().join("commands.gdb");
    fs::write(&commands, script()).expect("a file can be written");
    let recorded = Record::command("gdb")
        .args(["-nx", "-batch", "-x"])
        .args([
            commands.as_os_str(),
            "--args".as_ref(),
            program("stepped").as_os_str(),
        ])
        .run();
    let output = &recorded.output;
    // gdb's own code says nothing: that a thread is gone at the end of the program is an error to it.
    let steps = output.number("steps");
    assert!(steps > 50, "the test tests nothing: {output:#?}");
    assert!(steps < TOO_MANY, "no end in sight: {output:#?}");
    let events = recorded.events();
    let numbers: Vec<_> = events.iter().map(|e| e.number("n")).collect();
    assert_eq!(numbers, [1, 2, 3]);
    let process = recorded.process();
    assert_eq!(process.rseq_off, None);
    let count = |atomic| {
        let lanes = process.lanes.iter().filter(|lane| lane.atomic == atomic);
        lanes.map(|lane| lane.counts.recorded).sum::<u64>()
    };
    assert_eq!(count(true), 1, "the stepped one: {process:#?}");
    assert_eq!(count(false), 2, "the others: {process:#?}");
}
