//! A shared ring whose consumer died, and the next one, to which its processes bring it.

mod application;

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use application::{Recording, babeltrace, channel, greeting, record_with, sealed, tick};
use laneway_consumer::{Consumer, Listener, Options, Session, SnapshotSummary, Summary};
use laneway_control::{
    Buffers, ChannelConfig, Connection, ContextFields, EventIds, EventSchema, Hello, Mode,
    Rendezvous, ToApplication, ToConsumer, encode_schemas, wait_readable,
};
use laneway_ringbuf::{Channel, ChannelSettings, LaneChoice, SharedMemory, WhenFull, clock};

fn shared() -> ChannelConfig {
    ChannelConfig {
        buffers: Buffers::Shared,
        ..channel()
    }
}

fn options() -> Options {
    Options {
        flush_period: Duration::from_millis(5),
        stop_timeout: Duration::from_millis(100),
        ..Options::default()
    }
}

fn named(name: &str) -> EventSchema {
    EventSchema {
        name: name.into(),
        ..tick()
    }
}

/// A process that was let into a shared ring. It goes on when it is told to stop.
struct Sharer {
    connection: Connection,
    hello: Hello,
    schemas: OwnedFd,
    ring: OwnedFd,
    ids: OwnedFd,
    numbers: Vec<u16>,
    channel: Channel,
}

/// Asks for the shared ring.
fn ask(meeting: &Rendezvous, events: &[EventSchema]) -> (Connection, Hello, OwnedFd) {
    let connection = Connection::connect(meeting).unwrap();
    let hello = Hello {
        slot: 0,
        ..greeting("sharer", ChannelConfig::find(meeting).unwrap())
    };
    let schemas = sealed(&encode_schemas(events).unwrap());
    let message = ToConsumer::Hello(hello.clone());
    connection.send(&message, &[schemas.as_fd()]).unwrap();
    (connection, hello, schemas)
}

fn answer(connection: &mut Connection) -> ToApplication {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(message) = connection.receive().unwrap() {
            return message;
        }
        assert!(Instant::now() < deadline, "the consumer says nothing");
        wait_readable([connection.as_fd()], Some(Duration::from_secs(1))).unwrap();
    }
}

impl Sharer {
    fn join(meeting: &Rendezvous, events: &[EventSchema]) -> Sharer {
        Sharer::let_in(ask(meeting, events), events.len())
    }

    fn let_in(asked: (Connection, Hello, OwnedFd), events: usize) -> Sharer {
        let (mut connection, mut hello, schemas) = asked;
        let ToApplication::AcceptedShared { slot } = answer(&mut connection) else {
            panic!("not let in");
        };
        let [ring, ids] = connection.take_fds().try_into().unwrap();
        let memory = SharedMemory::open(&ring).unwrap();
        (hello.ring, hello.slot) = (memory.id(), slot);
        let mut bytes = vec![0; events * 2];
        rustix::io::pread(&ids, &mut bytes, 0).unwrap();
        let numbers = EventIds::decode(&bytes, events).unwrap();
        let numbers = numbers.as_slice().to_vec();
        let channel = Channel::new();
        let settings = ChannelSettings {
            when_full: match hello.channel.mode {
                Mode::Overwrite => WhenFull::Overwrite,
                _ => WhenFull::Discard,
            },
            clock: clock::ClockKind::best(),
            slot,
            rseq: true,
            lanes: LaneChoice::Cpu,
        };
        let table = numbers.as_slice().into();
        channel.attach_shared(memory, table, settings).unwrap();
        Sharer {
            connection,
            hello,
            schemas,
            ring,
            ids,
            numbers,
            channel,
        }
    }

    /// Brings the ring to another consumer.
    fn bring(&mut self, meeting: &Rendezvous) -> ToApplication {
        self.connection = Connection::connect(meeting).unwrap();
        self.hello.resumed = true;
        let fds = [self.ring.as_fd(), self.schemas.as_fd(), self.ids.as_fd()];
        let hello = ToConsumer::Hello(self.hello.clone());
        self.connection.send(&hello, &fds).unwrap();
        answer(&mut self.connection)
    }

    /// Emits events of one of its kinds, with a context of zeroes.
    fn emit(&self, events: u64, kind: u16) {
        let context = ContextFields::of(&shared()).bytes();
        for _ in 0..events {
            // SAFETY: the channel gives as much room as was asked for.
            let zeroes = |at: NonNull<u8>| unsafe { at.write_bytes(0, context) };
            assert!(self.channel.record_by_table(kind, context, zeroes));
        }
    }
}

/// As if the consumer had been killed now: what it leaves of its session, in another directory.
fn kill(recording: Recording) -> (tempfile::TempDir, Rendezvous) {
    let Recording {
        dir,
        meeting,
        consumer,
    } = recording;
    let (from, to) = (dir.path().join("trace"), dir.path().join("left"));
    for below in ["", "shared"] {
        let Ok(files) = fs::read_dir(from.join(below)) else {
            continue;
        };
        fs::create_dir_all(to.join(below)).unwrap();
        for file in files.flatten() {
            if file.file_type().unwrap().is_file() {
                fs::copy(file.path(), to.join(below).join(file.file_name())).unwrap();
            }
        }
    }
    let _ = consumer.finish();
    (dir, meeting)
}

fn resume(dir: &Path, meeting: &Rendezvous) -> Consumer {
    resume_with(dir, meeting, &shared())
}

fn resume_with(dir: &Path, meeting: &Rendezvous, channel: &ChannelConfig) -> Consumer {
    let listener = Listener::bind(meeting, channel).unwrap();
    let session = Session::resume(dir.join("left")).unwrap();
    Consumer::start(session, listener, options()).unwrap()
}

fn begin() -> Recording {
    record_with(tempfile::tempdir().unwrap(), "trace", &shared(), options())
}

fn eventual_snapshot(consumer: &Consumer) -> SnapshotSummary {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(snapshot) = consumer.complete_snapshots().pop() {
            return snapshot;
        }
        assert!(Instant::now() < deadline, "no snapshot");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn names(directory: &Path) -> Vec<String> {
    let files = fs::read_dir(directory).unwrap().flatten();
    let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn only_shared(summary: &Summary) -> (u64, usize) {
    let shared = summary.shared.as_ref().expect("a shared ring");
    assert_eq!(shared.trace, summary.directory.join("shared"));
    (shared.counts.recorded, shared.processes.len())
}

#[test]
fn the_processes_of_a_ring_go_on_and_newcomers_join_them() {
    let first = begin();
    let mut early = Sharer::join(&first.meeting, &[named("a"), named("b")]);
    let mut late = Sharer::join(&first.meeting, &[named("b"), named("c")]);
    assert_eq!(
        (&early.numbers[..], &late.numbers[..]),
        (&[0, 1][..], &[1, 2][..])
    );
    let (dir, meeting) = kill(first);
    early.emit(10, 0);
    late.emit(20, 1);

    let second = resume(dir.path(), &meeting);
    // Who comes first waits until it is known which ring it is.
    let newcomer = ask(&meeting, &[named("c"), named("d")]);
    assert_eq!(late.bring(&meeting), ToApplication::Accepted);
    assert_eq!(early.bring(&meeting), ToApplication::Accepted);
    let newcomer = Sharer::let_in(newcomer, 2);
    assert_eq!(newcomer.numbers, [2, 3]);
    assert_eq!(newcomer.hello.ring, early.hello.ring);
    let slots = [&early, &late, &newcomer].map(|sharer| sharer.hello.slot);
    assert_eq!(slots, [1, 2, 3]);
    newcomer.emit(5, 1);
    early.emit(1, 1);
    let summary = second.finish();
    assert!(summary.refused.is_empty(), "{summary:#?}");
    assert_eq!(only_shared(&summary), (36, 3));
    let (lines, complaints) = babeltrace(&summary.directory);
    assert_eq!((lines.len(), complaints.as_str()), (36, ""));
    for (name, events) in [("a", 10), ("b", 1), ("c", 20), ("d", 5)] {
        let found = lines
            .iter()
            .filter(|l| l.contains(&format!("test:{name}:")));
        assert_eq!(found.count(), events, "{name}");
    }
    assert_eq!(names(&dir.path().join("left")), ["shared"], "no journal");
}

#[test]
fn a_process_that_does_not_come_back_is_told_of() {
    let first = begin();
    let mut present = Sharer::join(&first.meeting, &[named("a")]);
    let absent = Sharer::join(&first.meeting, &[named("b")]);
    let (dir, meeting) = kill(first);
    absent.emit(3, 0);
    let second = resume(dir.path(), &meeting);
    assert_eq!(present.bring(&meeting), ToApplication::Accepted);
    absent.emit(4, 0);
    let summary = second.finish();
    assert_eq!(only_shared(&summary), (7, 2), "it lives, and writes");
    let shared = summary.shared.unwrap();
    let problems = shared.processes.iter().flat_map(|p| &p.problems);
    assert!(
        problems.clone().all(|p| p.contains("did not stop")),
        "{shared:#?}"
    );
    assert_eq!(
        problems.count(),
        2,
        "nor does the other one stop: {shared:#?}"
    );
}

#[test]
fn what_is_not_as_the_journal_has_it_is_refused_and_harms_nobody() {
    let first = begin();
    let mut honest = Sharer::join(&first.meeting, &[named("a"), named("b")]);
    let mut waiting = Sharer::join(&first.meeting, &[named("a"), named("b")]);
    let other = begin();
    let mut foreign = Sharer::join(&other.meeting, &[named("a"), named("b")]);
    let (dir, meeting) = kill(first);
    honest.emit(10, 0);
    let second = resume(dir.path(), &meeting);
    let refused = |answer: ToApplication, reason: &str| match answer {
        ToApplication::Rejected { reason: found } => assert!(found.contains(reason), "{found}"),
        other => panic!("{other:?}"),
    };
    refused(foreign.bring(&meeting), "not this session's");
    foreign.hello.ring = honest.hello.ring;
    refused(foreign.bring(&meeting), "not the one it says");
    // What is right about it does not help it.
    let slot = std::mem::replace(&mut honest.hello.slot, 7);
    refused(honest.bring(&meeting), "not this session's");
    honest.hello.slot = slot;
    let schemas = sealed(&encode_schemas(&[named("b"), named("a")]).unwrap());
    let schemas = std::mem::replace(&mut honest.schemas, schemas);
    refused(honest.bring(&meeting), "do not have the numbers");
    honest.schemas = schemas;
    assert_eq!(honest.bring(&meeting), ToApplication::Accepted);
    // With a slot that somebody still has to come for, only the memory is another.
    foreign.hello.slot = waiting.hello.slot;
    refused(foreign.bring(&meeting), "not this session's");
    assert_eq!(waiting.bring(&meeting), ToApplication::Accepted);
    honest.emit(5, 1);
    let summary = second.finish();
    assert_eq!(only_shared(&summary), (15, 2));
    let (lines, complaints) = babeltrace(&summary.directory);
    assert_eq!((lines.len(), complaints.as_str()), (15, ""));
    let _ = other.consumer.finish();
}

#[test]
fn where_nobody_brings_the_ring_there_is_a_new_one() {
    let first = begin();
    let silent = Sharer::join(&first.meeting, &[named("a")]);
    let (dir, meeting) = kill(first);
    silent.emit(3, 0);
    let second = resume(dir.path(), &meeting);
    let newcomer = Sharer::join(&meeting, &[named("b")]);
    assert_ne!(newcomer.hello.ring, silent.hello.ring);
    newcomer.emit(5, 0);
    let summary = second.finish();
    let shared = summary.shared.unwrap();
    assert_eq!(shared.trace, dir.path().join("left/shared-2"));
    assert_eq!(shared.counts.recorded, 5);
}

#[test]
fn a_flight_recorder_of_all_processes_outlives_its_consumer() {
    let config = ChannelConfig {
        mode: Mode::Overwrite,
        ..shared()
    };
    let dir = tempfile::tempdir().unwrap();
    let first = record_with(dir, "trace", &config, options());
    let mut one = Sharer::join(&first.meeting, &[named("a")]);
    let two = Sharer::join(&first.meeting, &[named("b")]);
    // Much more than there is room for, and then what is to be seen.
    two.emit(100_000, 0);
    one.emit(7, 0);
    two.emit(5, 0);
    first.consumer.snapshot();
    let snapshot = eventual_snapshot(&first.consumer);
    let counts = |directory: &Path| {
        let (lines, complaints) = babeltrace(directory);
        let mut complaints = complaints.lines().filter(|line| !line.is_empty());
        assert!(complaints.all(|line| line.contains("discarded")));
        ["a", "b"].map(|name| {
            let name = format!("test:{name}:");
            lines.iter().filter(|line| line.contains(&name)).count()
        })
    };
    let [a, b] = counts(&snapshot.directory.join("shared"));
    assert_eq!((a, snapshot.processes), (7, 2));
    assert_eq!((a + b) as u64, snapshot.counts.recorded);
    assert_eq!(snapshot.counts.emitted, 100_012);
    assert!((6..100_000).contains(&b), "{b} of the others");

    let (dir, meeting) = kill(first);
    one.emit(3, 0);
    // A consumer that would empty the ring cannot have it.
    let other = resume_with(dir.path(), &meeting, &shared());
    let answer = one.bring(&meeting);
    assert!(
        matches!(answer, ToApplication::Rejected { .. }),
        "{answer:?}"
    );
    let _ = other.finish();
    let second = resume_with(dir.path(), &meeting, &config);
    assert_eq!(one.bring(&meeting), ToApplication::Accepted);
    one.emit(1, 0);
    drop(two);
    let summary = second.finish();
    let ring = summary.shared.as_ref().expect("a shared ring");
    assert_eq!(ring.trace, dir.path().join("left/end/shared"));
    let [a, b] = counts(&ring.trace);
    assert_eq!((a, (a + b) as u64), (11, ring.counts.recorded));
    assert_eq!(ring.counts.emitted, 100_016);
    assert_eq!(ring.counts.lost.total(), ring.counts.lost.overwritten);
    assert_eq!(names(&dir.path().join("left")), ["end"]);
}
