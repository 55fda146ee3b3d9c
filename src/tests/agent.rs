//! The agent and a consumer in one process: who says what when, and what becomes of the ring.
//!
//! Invariant: one test at a time, for a process has each channel once.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use laneway_control::message::Message;
use laneway_control::{
    BufferFile, Buffers, ChannelConfig, Connection, ContextFields, EventIds, Gate, Hello, Lanes,
    Mode, Rendezvous, ToApplication, ToConsumer, wait_readable,
};
use laneway_ringbuf::{BufferReader, Channel, Geometry, Header, Reading, SharedMemory};

use crate::emit::CHANNELS;
use crate::{agent, identity, memory_file, registry, trace};

const LONG: Duration = Duration::from_secs(30);

/// A directory to meet in, and the only test.
struct Place {
    directory: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Place {
    fn new() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("laneway-agent-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        // The agent of the test before may not have found out yet that its consumer is gone for good.
        let deadline = Instant::now() + LONG;
        while CHANNELS.iter().any(Channel::is_attached) {
            assert!(Instant::now() < deadline, "a ring of another test");
            thread::sleep(Duration::from_millis(10));
        }
        Place {
            directory,
            _alone: alone,
        }
    }

    fn meeting(&self) -> Rendezvous {
        Rendezvous::at(self.directory.join("socket")).unwrap()
    }

    /// Starts an agent, and waits for its first attempt.
    fn start_agent(&self) {
        let (tried, first_attempt) = mpsc::sync_channel(1);
        let meeting = self.meeting();
        thread::spawn(move || agent::run(&meeting, &tried));
        first_attempt.recv_timeout(LONG).unwrap();
    }

    /// A consumer with this channel; it dies with the value.
    fn consumer(&self, channel: &ChannelConfig) -> Consumer {
        let meeting = self.meeting();
        let _ = fs::remove_file(meeting.socket());
        channel.publish(&meeting).unwrap();
        let listener = UnixListener::bind(meeting.socket()).unwrap();
        let _gate = Gate::hold(&meeting).unwrap();
        Consumer { listener, _gate }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

struct Consumer {
    listener: UnixListener,
    _gate: Gate,
}

impl Consumer {
    fn accept(&self) -> Connection {
        let ready = wait_readable([self.listener.as_fd()], Some(LONG)).unwrap();
        assert_eq!(ready, [true], "nobody has connected");
        Connection::from_socket(self.listener.accept().unwrap().0.into())
    }

    /// The next application: what it says, and what it brings.
    fn greet(&self) -> (Connection, Hello, Vec<OwnedFd>) {
        let mut connection = self.accept();
        let ToConsumer::Hello(hello) = hear(&mut connection) else {
            panic!("not a hello");
        };
        let fds = connection.take_fds();
        assert_eq!(fds.len(), hello.fds());
        (connection, hello, fds)
    }
}

/// Waits for a message.
fn hear<M: Message>(connection: &mut Connection) -> M {
    let deadline = Instant::now() + LONG;
    loop {
        assert!(Instant::now() < deadline, "nothing is said");
        if let Some(message) = connection.receive().unwrap() {
            return message;
        }
        wait_readable([connection.as_fd()], Some(LONG)).unwrap();
    }
}

/// Makes the application leave, as a consumer that has had enough.
fn stop(mut connection: Connection) {
    connection.send(&ToApplication::Stop, &[]).unwrap();
    assert_eq!(hear::<ToConsumer>(&mut connection), ToConsumer::Stopped);
}

fn emit(n: u64) {
    trace!("agent:event", n);
}

/// Emits one that is recorded: before, callsites are not enabled yet, for that is done behind our back.
fn emit_first(n: u8, ring: &OwnedFd, id: usize) {
    let deadline = Instant::now() + LONG;
    while numbers(ring, id).is_empty() {
        assert!(Instant::now() < deadline, "it is not recorded");
        emit(n.into());
    }
}

/// The id that this process gives the event.
fn own_id() -> usize {
    let events = registry::schemas();
    let is_ours = |event: &laneway_control::EventSchema| event.full_name() == "agent:event";
    events.iter().position(is_ours).unwrap()
}

/// The contents of all records of that event in a ring, in the order of their numbers.
fn records(ring: &OwnedFd, id: usize) -> Vec<Vec<u8>> {
    let memory = SharedMemory::open_unsealed(ring).unwrap();
    let mut reader = BufferReader::of(memory, Reading::InOrder);
    let mut found = Vec::new();
    for lane in reader.lanes() {
        let Some(packet) = lane.partial_packet() else {
            continue;
        };
        let mut bytes = Vec::new();
        packet.copy_to(&mut bytes);
        let mut rest = &bytes[..];
        while let Some(word) = rest.first_chunk() {
            let header = Header::from_bits(u64::from_ne_bytes(*word));
            let record = rest.split_off(..header.record_bytes()).unwrap();
            let padding = usize::from(*record.last().unwrap());
            let start = if header.is_extended() { 18 } else { 8 };
            if usize::from(header.id()) == id {
                found.push(record[start..record.len() - padding].to_vec());
            }
        }
    }
    found.sort_by_key(|content| content[content.len() - 8]);
    found
}

/// The numbers of those records, which stand at their ends.
fn numbers(ring: &OwnedFd, id: usize) -> Vec<u8> {
    let records = records(ring, id);
    records.iter().map(|r| r[r.len() - 8]).collect()
}

#[test]
fn a_ring_outlives_its_consumer_and_is_offered_to_the_next() {
    let place = Place::new();
    let first = place.consumer(&ChannelConfig::default());
    place.start_agent();
    let (connection, hello, fds) = first.greet();
    assert!(!hello.resumed && hello.slot == 1 && hello.ring != [0; 16]);
    emit_first(0, &fds[0], own_id());
    drop((connection, first));
    emit(1);

    // The next one wants something else. It gets the old ring first.
    let other = ChannelConfig {
        sub_buffers: 2,
        ..ChannelConfig::default()
    };
    let second = place.consumer(&other);
    let (connection, again, fds) = second.greet();
    assert!(again.resumed);
    let as_before = Hello {
        resumed: true,
        ..hello
    };
    assert_eq!(again, as_before, "the same ring, with its own set-up");
    emit(2);
    assert_eq!(numbers(&fds[0], own_id()), [0, 1, 2]);
    stop(connection);

    let (connection, fresh, fds) = second.greet();
    assert!(!fresh.resumed && fresh.ring != again.ring);
    assert_eq!(fresh.channel, other);
    assert_eq!(numbers(&fds[0], own_id()), [0; 0]);
    stop(connection);
}

#[test]
fn a_shared_ring_is_joined_with_its_ids_and_comes_back_to_the_next_consumer() {
    let place = Place::new();
    let channel = ChannelConfig {
        buffers: Buffers::Shared,
        ..ChannelConfig::default()
    };
    let first = place.consumer(&channel);
    place.start_agent();
    let (connection, hello, fds) = first.greet();
    assert_eq!((hello.ring, hello.slot, fds.len()), ([0; 16], 0, 1));
    emit(0);

    let (ring, memory) = SharedMemory::create(Geometry::new(8, 65536, 4).unwrap()).unwrap();
    let events = registry::schemas().len() as u16;
    let shifted = EventIds::new((1000..1000 + events).collect()).unwrap();
    let ids = memory_file::sealed(c"ids", &shifted.encode()).unwrap();
    let accepted = ToApplication::AcceptedShared { slot: 7 };
    connection
        .send(&accepted, &[ring.as_fd(), ids.as_fd()])
        .unwrap();
    let id = 1000 + own_id();
    emit_first(1, &ring, id);
    let record = records(&ring, id).remove(0);
    let context = ContextFields::of(&channel).bytes();
    assert_eq!(record[record.len() - 8], 1);
    assert_eq!(record.len(), context + 8);
    assert_eq!(record[..4], std::process::id().to_ne_bytes());
    assert_eq!(record[4..8], identity::thread().to_ne_bytes());
    assert_eq!(record[8..24], identity::name_bytes());

    drop((connection, first));
    let second = place.consumer(&channel);
    let (connection, again, fds) = second.greet();
    assert_eq!(
        (again.resumed, again.ring, again.slot),
        (true, memory.id(), 7)
    );
    assert_eq!(fds.len(), 3);
    assert_eq!(numbers(&fds[0], id)[0], 1);
    // One that cannot go on with it is asked for another.
    let rejected = ToApplication::Rejected {
        reason: "no".into(),
    };
    connection.send(&rejected, &[]).unwrap();
    let (_connection, fresh, fds) = second.greet();
    assert_eq!((fresh.resumed, fresh.slot, fds.len()), (false, 0, 1));
}

#[test]
fn a_ring_in_a_file_says_whose_it_is_when_everybody_is_gone() {
    let place = Place::new();
    let rings = place.directory.join("rings");
    fs::create_dir(&rings).unwrap();
    let channel = ChannelConfig {
        directory: Some(rings.to_str().unwrap().into()),
        populate: true,
        ..ChannelConfig::default()
    };
    let consumer = place.consumer(&channel);
    place.start_agent();
    let (connection, hello, fds) = consumer.greet();
    emit_first(0, &fds[0], own_id());
    connection.send(&ToApplication::Trim, &[]).unwrap();
    stop(connection);

    let [file] = &BufferFile::all(&rings).unwrap()[..] else {
        panic!("not one ring");
    };
    assert_eq!(hello.buffer_file.as_deref(), file.ring().to_str());
    let (about, events) = file.read_about().unwrap();
    assert_eq!(about, hello);
    let fd = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(file.ring());
    let fd = OwnedFd::from(fd.unwrap());
    assert_eq!(events[own_id()].name, "event");
    assert_eq!(numbers(&fd, own_id()), [0]);
}

#[test]
fn who_cannot_have_a_ring_says_why_once() {
    let place = Place::new();
    let missing = place.directory.join("missing");
    let channel = ChannelConfig {
        directory: Some(missing.to_str().unwrap().into()),
        ..ChannelConfig::default()
    };
    let consumer = place.consumer(&channel);
    place.start_agent();
    let mut connection = consumer.accept();
    let ToConsumer::Unable { pid, reason, .. } = hear(&mut connection) else {
        panic!("it has no reason");
    };
    assert_eq!(pid, std::process::id());
    assert!(reason.contains("missing"), "{reason}");
    drop(connection);
    let half_a_second = Some(Duration::from_millis(500));
    let again = wait_readable([consumer.listener.as_fd()], half_a_second).unwrap();
    assert_eq!(again, [false], "it has told us already");
}

#[test]
fn a_ring_that_nobody_drains_is_given_up_but_not_a_flight_recorder() {
    for mode in [Mode::Discard, Mode::Overwrite] {
        let place = Place::new();
        let channel = ChannelConfig {
            mode,
            ..ChannelConfig::default()
        };
        let first = place.consumer(&channel);
        place.start_agent();
        let (connection, hello, _fds) = first.greet();
        drop((connection, first));
        thread::sleep(agent::ALONE + Duration::from_secs(1));
        let second = place.consumer(&channel);
        let (connection, next, _fds) = second.greet();
        let is_kept = mode == Mode::Overwrite;
        assert_eq!(next.resumed, is_kept, "{mode:?}");
        assert_eq!(next.ring == hello.ring, is_kept, "{mode:?}");
        stop(connection);
    }
}

#[test]
fn nobody_waits_for_room_while_there_is_no_consumer() {
    let place = Place::new();
    let channel = ChannelConfig {
        mode: Mode::block(LONG),
        sub_buffer_bytes: 4096,
        sub_buffers: 2,
        ..ChannelConfig::default()
    };
    crate::allow_blocking(LONG);
    let first = place.consumer(&channel);
    place.start_agent();
    let (connection, _, fds) = first.greet();
    emit_first(0, &fds[0], own_id());
    // More than there is room for: it waits, until the consumer dies.
    let (tell, over) = mpsc::channel();
    thread::spawn(move || {
        (0..10_000).for_each(emit);
        tell.send(()).unwrap();
    });
    assert!(over.recv_timeout(Duration::from_millis(300)).is_err());
    drop((connection, first));
    let end = over.recv_timeout(LONG / 2);
    crate::allow_blocking(Duration::ZERO);
    assert_eq!(end, Ok(()), "still waiting");
    let second = place.consumer(&channel);
    stop(second.greet().0);
}

#[test]
fn records_in_concurrency_lanes_name_their_cpu() {
    let place = Place::new();
    let channel = ChannelConfig {
        lanes: Lanes::Concurrency,
        ..ChannelConfig::default()
    };
    let consumer = place.consumer(&channel);
    place.start_agent();
    if laneway_rseq::Rseq::get().mm_cid().is_none() {
        let unable = hear::<ToConsumer>(&mut consumer.accept());
        assert!(matches!(unable, ToConsumer::Unable { .. }), "{unable:?}");
        return;
    }
    let (connection, _, fds) = consumer.greet();
    emit_first(7, &fds[0], own_id());
    let record = records(&fds[0], own_id()).remove(0);
    let cpu = u32::from_ne_bytes(record[..4].try_into().unwrap());
    assert!(cpu < laneway_rseq::possible_cpus(), "CPU {cpu}");
    assert_eq!(record[4..8], identity::thread().to_ne_bytes());
    assert_eq!(record.len(), 8 + 8);
    stop(connection);
}
