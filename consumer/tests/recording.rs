//! A consumer, applications of all kinds of manners, and babeltrace2 as the judge of what is on the disk.

mod application;

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use application::{
    Application, Recording, babeltrace, channel, eventually, hello, record, sealed, tick,
};
use laneway_consumer::Options;
use laneway_control::{
    Connection, EventSchema, Field, FieldType, ToApplication, ToConsumer, encode_schemas,
};

fn quick() -> Options {
    Options {
        flush_period: Duration::from_millis(50),
        hello_timeout: Duration::from_millis(200),
        stop_timeout: Duration::from_millis(300),
        ..Options::default()
    }
}

#[test]
fn an_application_that_is_gone_before_the_consumer_looks_is_recorded_in_full() {
    let recording = record(Options::default());
    drop(Application::start(&recording.meeting, "short", 10));
    let summary = recording.consumer.finish();
    assert_eq!(summary.total.recorded, 10);
    assert_eq!(summary.total.emitted, 10);
    assert_eq!(summary.refused, []);
    let process = &summary.processes[0];
    assert_eq!((process.name.as_str(), process.event_kinds), ("short", 1));
    assert!(process.problems.is_empty(), "{:?}", process.problems);

    let (lines, complaints) = babeltrace(&summary.directory);
    assert_eq!(complaints, "");
    assert_eq!(lines.len(), 10);
    assert!(lines[0].contains("test:tick"), "{}", lines[0]);
}

#[test]
fn what_is_lost_is_counted_and_told_in_the_trace() {
    let recording = record(Options::default());
    let lap = 4 * 4096 / 16; // records of 16 bytes
    drop(Application::start(&recording.meeting, "fast", 3 * lap));
    let summary = recording.consumer.finish();
    let total = summary.total;
    assert_eq!(total.emitted, 3 * lap);
    assert!(total.lost.full >= lap, "{total:?}");
    assert_eq!(total.recorded + total.lost.total(), total.emitted);
    let (lines, complaints) = babeltrace(&summary.directory);
    assert_eq!(lines.len() as u64, total.recorded);
    assert!(
        complaints.contains("discarded"),
        "babeltrace2 says nothing of the loss: {complaints}"
    );
}

#[test]
fn a_partly_filled_sub_buffer_is_on_disk_after_the_flush_period() {
    let recording = record(quick());
    let application = Application::start(&recording.meeting, "slow", 1);
    let progress = || recording.consumer.progress().recorded;
    eventually("the first event is written", || progress() == 1);
    application.emit(1);
    eventually("the second event is written", || progress() == 2);
    let (lines, complaints) = babeltrace(&recording.dir.path().join("trace"));
    assert_eq!((lines.len(), complaints.as_str()), (2, ""));
    drop(application);
    assert_eq!(recording.consumer.finish().total.recorded, 2);
}

#[test]
fn an_application_is_told_that_it_is_accepted_and_when_to_stop() {
    let recording = record(Options::default());
    let mut application = Application::start(&recording.meeting, "polite", 1);
    assert_eq!(application.answer(), ToApplication::Accepted);
    application.emit(1);
    let finish = std::thread::spawn(|| recording.consumer.finish());
    assert_eq!(application.answer(), ToApplication::Stop);
    application.emit(1);
    application
        .connection
        .send(&ToConsumer::Stopped, &[])
        .unwrap();
    let summary = finish.join().unwrap();
    assert_eq!(summary.total.recorded, 3);
    assert!(summary.processes[0].problems.is_empty());
}

#[test]
fn an_application_that_does_not_stop_is_left_behind_with_a_word() {
    let recording = record(quick());
    let application = Application::start(&recording.meeting, "stubborn", 5);
    let summary = recording.consumer.finish();
    assert_eq!(summary.total.recorded, 5);
    let problem = &summary.processes[0].problems[0];
    assert!(problem.contains("did not stop within 0.3 s"), "{problem}");
    drop(application);
}

#[test]
fn many_applications_come_and_go_and_are_merged_by_time() {
    let recording = record(quick());
    let meeting = recording.meeting.clone();
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let meeting = meeting.clone();
            std::thread::spawn(move || {
                for _ in 0..10 {
                    drop(Application::start(&meeting, &format!("app{n}"), 7));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let summary = recording.consumer.finish();
    assert_eq!(summary.processes.len(), 40);
    assert_eq!(summary.total.recorded, 280);
    let (lines, complaints) = babeltrace(&summary.directory);
    assert_eq!((lines.len(), complaints.as_str()), (280, ""));
    let times: Vec<&str> = lines.iter().map(|line| &line[..20]).collect();
    assert!(times.is_sorted(), "events of all traces are in one order");
}

#[test]
fn a_lane_that_only_lost_events_has_a_stream_that_says_so() {
    let recording = record(Options::default());
    let application = Application::start(&recording.meeting, "big", 1);
    let too_large = 8192; // more than a sub-buffer
    assert!(!application.channel.record(0, too_large, |_| {}));
    drop(application);
    let summary = recording.consumer.finish();
    assert_eq!(summary.total.lost.too_large, 1);
    assert_eq!(summary.total.emitted, 2);
}

#[test]
fn too_many_applications_are_refused_with_the_limit() {
    let recording = record(Options {
        max_processes: 1,
        ..quick()
    });
    let mut first = Application::start(&recording.meeting, "first", 1);
    assert_eq!(first.answer(), ToApplication::Accepted);
    let mut second = Application::start(&recording.meeting, "second", 1);
    let ToApplication::Rejected { reason } = second.answer() else {
        panic!("the second was not rejected");
    };
    assert!(
        reason.contains("1 applications are attached already"),
        "{reason}"
    );
    drop((first, second));
    let summary = recording.consumer.finish();
    assert_eq!(summary.processes.len(), 1);
    assert_eq!(summary.refused[0].reason, reason);
}

#[test]
fn names_that_no_trace_format_foresaw_do_not_spoil_the_trace() {
    let names = [
        "struct",
        "int",
        "_x",
        "__x",
        "x y",
        "a.b",
        "r#type",
        "\"",
        "\\",
        "*/",
        "ünï",
        "日本",
        "1st",
        "-",
        "_a_length",
        "a",
        "_a_tag",
        ";};",
    ];
    let fields = |ty: FieldType| names.map(|name| Field::new(name, ty.clone())).to_vec();
    let byte = || Box::new(FieldType::Unsigned { bits: 8 });
    let mut events = vec![tick()];
    for ty in [
        FieldType::Bool,
        FieldType::Bytes,
        FieldType::Sequence { element: byte() },
        FieldType::Optional(byte()),
        FieldType::Struct(fields(FieldType::Optional(byte()))),
        FieldType::Array {
            len: 2,
            element: Box::new(FieldType::Struct(fields(FieldType::Str))),
        },
    ] {
        events.push(EventSchema {
            name: format!("odd {}", events.len()),
            provider: "\"quoted\\".into(),
            fields: fields(ty),
            ..tick()
        });
    }
    let recording = record(Options::default());
    let odd = "../odd\" \n name";
    drop(Application::describing(&recording.meeting, odd, 3, &events));
    let summary = recording.consumer.finish();
    assert_eq!(summary.refused, []);
    let (lines, complaints) = babeltrace(&summary.directory);
    assert_eq!((lines.len(), complaints.as_str()), (3, ""));
}

/// What became of a peer that did this, when a well-behaved application ran beside it.
fn refusal(misbehave: impl FnOnce(&Recording)) -> String {
    let recording = record(quick());
    let mut good = Application::start(&recording.meeting, "good", 3);
    misbehave(&recording);
    assert_eq!(good.answer(), ToApplication::Accepted);
    good.emit(3);
    drop(good);
    let summary = recording.consumer.finish();
    assert_eq!(
        summary.total.recorded, 6,
        "the good one is recorded in full"
    );
    assert_eq!(summary.processes.len(), 1);
    let (lines, complaints) = babeltrace(&summary.directory);
    assert_eq!((lines.len(), complaints.as_str()), (6, ""));
    let reasons: Vec<_> = summary.refused.into_iter().map(|r| r.reason).collect();
    assert!(reasons.len() <= 1, "{reasons:?}");
    reasons.into_iter().next().unwrap_or_default()
}

fn send_bytes(bytes: &[u8]) -> impl FnOnce(&Recording) {
    move |recording| {
        let mut socket = UnixStream::connect(recording.meeting.socket()).unwrap();
        socket.write_all(bytes).unwrap();
    }
}

#[test]
fn rubbish_half_and_oversized_messages_are_refused_by_name() {
    let reason = refusal(send_bytes(b"GET / HTTP/1.1\r\n\r\n"));
    assert!(
        reason.contains("does not speak Laneway's protocol"),
        "{reason}"
    );
    let reason = refusal(send_bytes(b"\x40\0\0\0laneway\0\x01"));
    assert!(reason.contains("in the middle of a message"), "{reason}");
    let reason = refusal(send_bytes(b"\x10\0\0\0laneway\0\x63\0\0\0\0\0\0\0"));
    assert!(reason.contains("speaks version 99"), "{reason}");
    let reason = refusal(send_bytes(b"\x10\0\0\0laneway\0\x03\0\0\0\xff\xff\xff\xff"));
    assert!(reason.contains("cannot decode"), "{reason}");
    let reason = refusal(send_bytes(b""));
    assert_eq!(reason, "", "a peer that only looks in is no fault");
}

#[test]
fn a_peer_that_says_nothing_is_sent_away() {
    let mut silent = None;
    let reason = refusal(|recording| {
        silent = Some(UnixStream::connect(recording.meeting.socket()).unwrap());
        std::thread::sleep(Duration::from_millis(400));
    });
    assert!(reason.contains("did not say hello"), "{reason}");
}

#[test]
fn a_hello_without_its_files_is_refused() {
    for given in 0..2 {
        let reason = refusal(|recording| {
            let peer = Connection::connect(&recording.meeting).unwrap();
            let file = sealed(b"");
            let fds = vec![file.as_fd(); given];
            peer.send(&hello("bare", channel()), &fds).unwrap();
        });
        assert!(
            reason.contains(&format!("{given} file descriptors")),
            "{reason}"
        );
    }
}

#[test]
fn a_ring_that_is_none_is_refused() {
    let reason = refusal(|recording| {
        let peer = Connection::connect(&recording.meeting).unwrap();
        let schemas = sealed(&encode_schemas(&[tick()]).unwrap());
        let fds = [schemas.as_fd(), schemas.as_fd()];
        peer.send(&hello("wrong", channel()), &fds).unwrap();
    });
    assert!(reason.contains("shared memory"), "{reason}");
}

#[test]
fn descriptions_that_are_rubbish_are_refused() {
    let reason = refusal(|recording| {
        let peer = Connection::connect(&recording.meeting).unwrap();
        let rubbish = sealed(&[0xff; 100]);
        let fds = [rubbish.as_fd(), rubbish.as_fd()];
        peer.send(&hello("wrong", channel()), &fds).unwrap();
    });
    assert!(!reason.is_empty());
}

#[test]
fn a_second_hello_ends_the_recording_with_a_word() {
    let recording = record(quick());
    let mut application = Application::start(&recording.meeting, "twice", 2);
    assert_eq!(application.answer(), ToApplication::Accepted);
    let again = hello("twice", channel());
    application.connection.send(&again, &[]).unwrap();
    let progress = || recording.consumer.progress().attached;
    eventually("it is cut off", || progress() == 0);
    let summary = recording.consumer.finish();
    assert_eq!(summary.total.recorded, 2);
    let problem = &summary.processes[0].problems[0];
    assert!(problem.contains("cannot decode"), "{problem}");
}
