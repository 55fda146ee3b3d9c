//! Buffers in files whose process and consumer are gone.

mod application;

use std::fs;
use std::path::Path;
use std::time::Duration;

use application::{babeltrace, channel, greeting, tick};
use laneway_consumer::{Error, Options, Recovery, Session};
use laneway_control::{BufferFile, ChannelConfig, Hello, Mode, encode_schemas};
use laneway_ringbuf::{
    Channel, ChannelSettings, Geometry, LaneChoice, SharedMemory, WhenFull, clock,
};

/// A process that keeps its ring in a file below `directory`, and has emitted so many events.
fn process(directory: &Path, config: ChannelConfig, events: u64) -> (Channel, BufferFile) {
    let geometry = Geometry::new(2, config.sub_buffer_bytes, config.sub_buffers.into()).unwrap();
    let pid = std::process::id();
    let buffer = BufferFile::names(directory, "dead", pid).next().unwrap();
    let (_file, memory) = SharedMemory::create_file(buffer.ring(), geometry).unwrap();
    let hello = Hello {
        ring: memory.id(),
        buffer_file: Some(buffer.ring().to_string_lossy().into_owned()),
        ..greeting("dead", config.clone())
    };
    let schemas = encode_schemas(&[tick()]).unwrap();
    buffer.describe(&hello, &schemas).unwrap();
    let channel = Channel::new();
    let settings = ChannelSettings {
        when_full: match config.mode {
            Mode::Overwrite => WhenFull::Overwrite,
            _ => WhenFull::Discard,
        },
        clock: clock::ClockKind::best(),
        slot: 1,
        rseq: true,
        lanes: LaneChoice::Cpu,
    };
    channel.attach(memory, settings).unwrap();
    for _ in 0..events {
        channel.record(0, 0, |_| {});
    }
    (channel, buffer)
}

fn die(channel: &Channel) {
    assert!(channel.detach(Duration::from_secs(10)));
}

fn recovery(directory: &Path, name: &str, options: Options) -> Recovery {
    let session = Session::create(directory.join(name)).unwrap();
    Recovery::new(session, options).unwrap()
}

#[test]
fn the_buffer_of_a_dead_process_becomes_a_trace_and_is_removed() {
    for mode in [Mode::Discard, Mode::Overwrite] {
        let dir = tempfile::tempdir().unwrap();
        let config = ChannelConfig { mode, ..channel() };
        let (channel, buffer) = process(dir.path(), config, 700);
        let mut recovery = recovery(dir.path(), "trace", Options::default());
        let refused = recovery.recover(&buffer).unwrap_err();
        assert!(matches!(refused, Error::StillAlive { .. }), "{refused}");
        assert!(buffer.ring().exists());

        die(&channel);
        recovery.recover(&buffer).unwrap();
        let summary = recovery.finish();
        assert_eq!(summary.total.recorded, 700, "{mode:?}");
        assert_eq!(summary.processes[0].problems, [""; 0]);
        let (lines, complaints) = babeltrace(&summary.directory);
        assert_eq!((lines.len(), complaints.as_str()), (700, ""));
        assert!(!buffer.ring().exists() && !buffer.about().exists());
    }
}

#[test]
fn a_trace_that_was_recovered_once_is_continued_and_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let (channel, buffer) = process(dir.path(), channel(), 700);
    die(&channel);
    let keep = Options {
        keep_buffers: true,
        ..Options::default()
    };
    let mut first = recovery(dir.path(), "trace", keep);
    first.recover(&buffer).unwrap();
    let first = first.finish();
    assert!(buffer.ring().exists(), "it is kept");

    // As if the first one had been killed in the middle of its only packet.
    let lanes = fs::read_dir(&first.processes[0].trace).unwrap().flatten();
    for lane in lanes.filter(|file| file.file_name() != "metadata") {
        let file = fs::OpenOptions::new()
            .write(true)
            .open(lane.path())
            .unwrap();
        file.set_len(file.metadata().unwrap().len() - 8).unwrap();
    }
    let session = Session::resume(&first.directory).unwrap();
    let mut second = Recovery::new(session, Options::default()).unwrap();
    second.recover(&buffer).unwrap();
    let second = second.finish();
    assert_eq!(second.processes.len(), 1);
    let (lines, complaints) = babeltrace(&first.directory);
    assert_eq!(complaints, "");
    // What the ring had released is gone with the packet; what is there is there once.
    assert!(lines.len() as u64 <= 700);
    let mut unique = lines.clone();
    unique.dedup();
    assert_eq!(unique.len(), lines.len(), "no event twice");
    assert!(!buffer.ring().exists());
}

#[test]
fn a_file_that_is_no_buffer_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (channel, buffer) = process(dir.path(), channel(), 1);
    die(&channel);
    let mut recovery = recovery(dir.path(), "trace", Options::default());
    fs::write(buffer.ring(), "nothing of the kind").unwrap();
    assert!(recovery.recover(&buffer).is_err());
    fs::write(buffer.about(), "").unwrap();
    assert!(recovery.recover(&buffer).is_err());
    assert!(buffer.ring().exists() && buffer.about().exists());
}
