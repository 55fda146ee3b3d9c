//! A flight recorder: what is in memory, when somebody asks for it and when it is over.

mod application;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use application::{Application, Recording, babeltrace, channel, eventually, record_with};
use laneway_consumer::{Options, SnapshotSummary};
use laneway_control::{ChannelConfig, Mode, ToApplication};

fn overwriting() -> Recording {
    let channel = ChannelConfig {
        mode: Mode::Overwrite,
        ..channel()
    };
    let options = Options {
        flush_period: Duration::from_millis(20),
        stop_timeout: Duration::from_millis(300),
        ..Options::default()
    };
    record_with(tempfile::tempdir().unwrap(), "trace", &channel, options)
}

fn attach(recording: &Recording, name: &str, events: u64) -> Application {
    let mut application = Application::start(&recording.meeting, name, events);
    assert_eq!(application.answer(), ToApplication::Accepted);
    application
}

fn snapshot(recording: &Recording) -> SnapshotSummary {
    recording.consumer.snapshot();
    let mut complete = Vec::new();
    let complete = std::cell::RefCell::new(&mut complete);
    eventually("a snapshot", || {
        let mut complete = complete.borrow_mut();
        complete.extend(recording.consumer.complete_snapshots());
        !complete.is_empty()
    });
    complete.into_inner().remove(0)
}

/// Events that babeltrace2 finds, and it must not have one word to say.
#[track_caller]
fn events(directory: &Path) -> u64 {
    let (lines, complaints) = babeltrace(directory);
    assert_eq!(complaints, "");
    lines.len() as u64
}

#[test]
fn a_snapshot_holds_the_newest_events_and_counts_the_overwritten_ones() {
    let recording = overwriting();
    let lap = 4 * 4096 / 16; // records of 16 bytes
    let first = attach(&recording, "first", 5 * lap);
    let second = attach(&recording, "second", 7);

    let one = snapshot(&recording);
    assert_eq!((one.number, one.processes), (1, 2));
    assert_eq!(one.directory, recording.dir.path().join("trace/snapshot-1"));
    assert_eq!(one.problems, [""; 0]);
    assert_eq!(one.counts.emitted, 5 * lap + 7);
    assert!(one.counts.lost.overwritten >= 3 * lap, "{one:?}");
    assert_eq!(one.counts.lost.total(), one.counts.lost.overwritten);
    assert!(one.counts.recorded > lap / 2, "{one:?}");
    assert_eq!(events(&one.directory), one.counts.recorded);

    second.emit(1);
    let two = snapshot(&recording);
    assert_eq!((two.number, two.counts.emitted), (2, 5 * lap + 8));
    assert_eq!(events(&two.directory), two.counts.recorded);
    assert_eq!(events(&one.directory), one.counts.recorded, "it stays");

    drop((first, second));
    let summary = recording.consumer.finish();
    assert_eq!(summary.snapshots, [one, two]);
    assert_eq!(summary.total.emitted, 5 * lap + 8);
    let end = recording.dir.path().join("trace/end");
    for process in &summary.processes {
        assert_eq!(process.trace.parent(), Some(&*end));
        assert_eq!(process.problems, [""; 0]);
        assert_eq!(events(&process.trace), process.counts.recorded);
    }
}

#[test]
fn snapshots_while_a_process_traces_at_full_speed_are_valid_traces() {
    let recording = overwriting();
    let application = attach(&recording, "fast", 1);
    let over = AtomicBool::new(false);
    let taken: Vec<_> = std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    application.emit(1000);
                }
            });
        }
        let pause = || std::thread::sleep(Duration::from_millis(20));
        let taken = (0..10).map(|_| (pause(), recording.consumer.snapshot()));
        let asked = taken.count();
        let mut complete = Vec::new();
        for _ in 0..1000 {
            pause();
            complete.extend(recording.consumer.complete_snapshots());
            if complete.len() == asked {
                break;
            }
        }
        // Before anything can fail: the scope waits for the threads.
        over.store(true, Ordering::Relaxed);
        complete
    });
    assert_eq!(taken.len(), 10);
    for (number, taken) in (1..).zip(taken) {
        assert_eq!((taken.number, &taken.problems[..]), (number, &[][..]));
        assert!(taken.counts.recorded > 0, "{taken:?}");
        assert_eq!(events(&taken.directory), taken.counts.recorded);
    }
    drop(application);
    let summary = recording.consumer.finish();
    assert!(summary.total.lost.overwritten > 0, "{summary:#?}");
    assert_eq!(events(&summary.processes[0].trace), summary.total.recorded);
}

#[test]
fn a_snapshot_of_nothing_is_told_and_leaves_nothing() {
    let recording = overwriting();
    let none = snapshot(&recording);
    assert_eq!((none.number, none.processes), (1, 0));
    assert!(!none.directory.exists());
    assert_eq!(recording.consumer.finish().snapshots, [none]);
}

#[test]
fn a_snapshot_that_the_disk_does_not_take_says_so_and_the_process_goes_on() {
    let recording = overwriting();
    let application = attach(&recording, "one", 10);
    // A file where the snapshot's directory should be: refused to everybody, root included.
    let in_the_way = recording.dir.path().join("trace/end");
    fs::write(&in_the_way, "").unwrap();
    drop(application);
    let process = &recording.consumer.finish().processes[0];
    assert_eq!(
        (process.counts.recorded, process.counts.lost.storage),
        (0, 10)
    );
    assert_eq!(process.counts.emitted, 10);
    assert!(process.problems[0].contains("cannot make"), "{process:?}");
}
