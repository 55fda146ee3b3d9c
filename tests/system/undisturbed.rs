//! A traced program cannot tell that it is traced.

use std::process::Command;

use laneway_tests::privilege::is_root;
use laneway_tests::{Output, Place, Record, process, program, run};

/// What the program says without a consumer.
fn alone(arguments: &[&str]) -> Output {
    let place = Place::new();
    run(place.application("witness").args(arguments))
}

#[track_caller]
fn assert_same(traced: &Output, alone: &Output) {
    for (line, other) in traced.stdout.lines().zip(alone.stdout.lines()) {
        assert_eq!(line, other);
    }
    assert_eq!(traced.stdout, alone.stdout);
    assert_eq!(traced.code(), alone.code());
}

#[test]
fn descriptors_signals_affinity_and_errno_are_as_without_a_consumer() {
    let alone = alone(&[]);
    assert_eq!(alone.code(), Some(7));
    assert!(alone.stdout.starts_with("first descriptor: 3\n"));
    assert!(alone.stdout.contains("SigBlk:") && alone.stdout.contains("Cpus_allowed:"));
    assert!(alone.stdout.contains("errno changed: 0\n"));
    let recorded = Record::program("witness").run();
    assert_same(&recorded.output, &alone);
    let counts = recorded.process().counts;
    assert!(
        counts.lost.too_large == 4 && counts.recorded > 1000,
        "{counts:?}"
    );
}

#[test]
fn errno_survives_events_that_wait_for_room_and_get_none() {
    // A consumer that happens to be quick enough leaves nobody waiting: then again.
    for _ in 0..50 {
        let recorded = Record::program("witness")
            .args(["errno"])
            .env("LANEWAY_ALLOW_BLOCK", "1")
            .options(["--mode=block", "--block-timeout=1us"])
            .options(["--sub-buffer-size=4K", "--sub-buffers=2"])
            .run();
        let output = &recorded.output;
        assert_eq!(output.code(), Some(0), "{output:#?}");
        assert!(output.stdout.contains("errno changed: 0\n"), "{output:#?}");
        if recorded.process().counts.lost.timed_out > 0 {
            return;
        }
    }
    panic!("the test tests nothing");
}

#[test]
fn what_the_program_has_set_before_stays() {
    let dressed = |inner: &mut Command| {
        // A blocked signal, an ignored one, one CPU, another priority, more descriptors, and a directory.
        let mut shell = process::command("sh");
        shell
            .args([
                "-c",
                "trap '' USR1; cd /; exec 9</dev/null; exec nice -n 3 taskset -c 0 \"$@\"",
                "sh",
            ])
            .arg(inner.get_program())
            .args(inner.get_args());
        shell
    };
    let place = Place::new();
    let mut without = dressed(&mut Command::new(program("witness")));
    let alone = run(without.env("LANEWAY_SOCKET", place.socket()));
    assert!(alone.stdout.contains("priority: 3"), "{}", alone.stdout);
    let with = dressed(&mut Command::new(program("witness")));
    let recorded = Record::command(with.get_program())
        .args(with.get_args())
        .run();
    assert_same(&recorded.output, &alone);
    assert!(recorded.process().counts.recorded > 1000);
}

#[test]
fn a_program_that_closes_all_descriptors_goes_on_being_traced() {
    let alone = alone(&["close"]);
    assert!(alone.stdout.contains("closed: 0\n"), "{}", alone.stdout);
    assert!(alone.stdout.contains("first descriptor after it: 3\n"));
    let recorded = Record::program("witness")
        .args(["close"])
        .options(["--mode=block", "--block-timeout=60s"])
        .run();
    assert_same(&recorded.output, &alone);
    let events = recorded.events();
    let numbers = events
        .iter()
        .filter(|e| e.name == "witness:after")
        .map(|e| e.number("n"));
    assert!(numbers.eq(0..recorded.output.number("after")));
}

#[test]
fn a_signal_that_the_program_blocks_hits_no_other_thread() {
    let recorded = Record::program("witness").args(["blocked-signal"]).run();
    let output = &recorded.output;
    assert_eq!(output.code(), Some(0), "{output:#?}");
    assert!(output.stdout.contains("waited for: 10\n"), "{output:#?}");
    assert_eq!(recorded.events().len(), 2);
}

#[test]
fn a_program_that_gives_up_its_rights_gives_up_all_of_them_and_goes_on_being_traced() {
    if !is_root("a program that gives up its rights") {
        return;
    }
    let recorded = Record::program("witness").args(["give-up-root"]).run();
    let output = &recorded.output;
    assert_eq!(output.code(), Some(0), "{output:#?}");
    assert!(output.stdout.contains("given up: 0\n"), "{output:#?}");
    let numbers: Vec<_> = recorded.events().iter().map(|e| e.number("n")).collect();
    assert_eq!(numbers, [0, 1]);
}

#[test]
fn without_a_consumer_nothing_is_waited_for_and_only_the_gate_left_behind() {
    let place = Place::new();
    let began = std::time::Instant::now();
    let output = run(place.application("bad_ends").arg("once"));
    let took = began.elapsed();
    assert_eq!(
        (
            output.code(),
            output.stdout.as_str(),
            output.stderr.as_str()
        ),
        (Some(0), "", "")
    );
    assert!(took < std::time::Duration::from_secs(5), "{took:?}");
    let left = std::fs::read_dir(place.dir()).expect("it is there");
    let left: Vec<_> = left
        .map(|entry| entry.expect("a file").file_name())
        .collect();
    assert!(left.iter().all(|name| name == "socket.gate"), "{left:?}");
}
