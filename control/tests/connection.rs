//! Two ends of a real socket.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use laneway_control::message::{ClockKind, Hello, MAX_FDS, Rseq};
use laneway_control::{
    ChannelConfig, Connection, Error, Rendezvous, ToApplication, ToConsumer, wait_readable,
};

fn hello() -> ToConsumer {
    ToConsumer::Hello(Hello {
        pid: std::process::id(),
        exe: "/usr/bin/shop".into(),
        name: "shop".into(),
        version: "0.1.0".into(),
        rseq: Rseq::Active,
        clock: ClockKind::Tsc,
        allow_block: false,
        channel: ChannelConfig::default(),
        ring: [7; 16],
        slot: 1,
        resumed: false,
        buffer_file: None,
    })
}

fn file(text: &str) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    file
}

fn text(fd: OwnedFd) -> String {
    let mut text = String::new();
    File::from(fd).read_to_string(&mut text).unwrap();
    text
}

fn meet() -> (tempfile::TempDir, Rendezvous, UnixListener) {
    let dir = tempfile::tempdir().unwrap();
    let meeting = Rendezvous::at(dir.path().join("socket")).unwrap();
    let listener = UnixListener::bind(meeting.socket()).unwrap();
    (dir, meeting, listener)
}

fn accept(listener: &UnixListener) -> Connection {
    Connection::from_socket(listener.accept().unwrap().0.into())
}

#[test]
fn a_hello_and_its_files_arrive_though_the_application_is_gone() {
    let (_dir, meeting, listener) = meet();
    let application = Connection::connect(&meeting).unwrap();
    let files = [file("ring"), file("schemas")];
    application
        .send(&hello(), &[files[0].as_fd(), files[1].as_fd()])
        .unwrap();
    drop((application, files));

    let mut consumer = accept(&listener);
    assert_eq!(consumer.receive::<ToConsumer>().unwrap(), Some(hello()));
    let texts: Vec<String> = consumer.take_fds().into_iter().map(text).collect();
    assert_eq!(texts, ["ring", "schemas"]);
    assert!(matches!(
        consumer.receive::<ToConsumer>(),
        Err(Error::Closed)
    ));
}

#[test]
fn a_shared_ring_and_its_ids_come_with_the_answer() {
    let (_dir, meeting, listener) = meet();
    let mut application = Connection::connect(&meeting).unwrap();
    application.send(&hello(), &[]).unwrap();
    let mut consumer = accept(&listener);
    assert!(consumer.receive::<ToConsumer>().unwrap().is_some());
    let files = [file("ring"), file("ids")];
    let answer = ToApplication::AcceptedShared { slot: 3 };
    consumer
        .send(&answer, &[files[0].as_fd(), files[1].as_fd()])
        .unwrap();
    assert_eq!(application.receive().unwrap(), Some(answer));
    let texts: Vec<String> = application.take_fds().into_iter().map(text).collect();
    assert_eq!(texts, ["ring", "ids"]);
}

#[test]
fn nothing_that_an_application_does_waits_for_the_consumer() {
    let (_dir, meeting, listener) = meet();
    // The consumer does nothing at all, and still the application connects, speaks and listens.
    let mut application = Connection::connect(&meeting).unwrap();
    application.send(&hello(), &[]).unwrap();
    assert!(application.receive::<ToApplication>().unwrap().is_none());
    let timeout = Some(Duration::from_millis(1));
    let readable = wait_readable([application.as_fd()], timeout).unwrap();
    assert_eq!(readable, [false]);

    let consumer = accept(&listener);
    consumer.send(&ToApplication::Stop, &[]).unwrap();
    let readable = wait_readable([application.as_fd()], None).unwrap();
    assert_eq!(readable, [true]);
    assert_eq!(application.receive().unwrap(), Some(ToApplication::Stop));
}

#[test]
fn both_ends_know_whom_they_speak_to() {
    let (_dir, meeting, listener) = meet();
    let application = Connection::connect(&meeting).unwrap();
    let consumer = accept(&listener);
    for end in [&application, &consumer] {
        let peer = end.peer().unwrap();
        assert_eq!(peer.pid, std::process::id());
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
    }
}

#[test]
fn a_place_without_a_listener_is_told_from_a_failure() {
    let (_dir, meeting, listener) = meet();
    drop(listener);
    let stale = Connection::connect(&meeting);
    assert!(matches!(stale, Err(Error::NobodyThere { .. })));
    std::fs::remove_file(meeting.socket()).unwrap();
    let missing = Connection::connect(&meeting);
    assert!(matches!(missing, Err(Error::NobodyThere { .. })));
}

#[test]
fn a_full_backlog_is_an_error_and_not_a_wait() {
    let (_dir, meeting, listener) = meet();
    rustix::net::listen(&listener, 1).unwrap();
    let mut waiting = Vec::new();
    let error = loop {
        match Connection::connect(&meeting) {
            Ok(connection) => waiting.push(connection),
            Err(error) => break error,
        }
        assert!(waiting.len() < 100, "the backlog never fills");
    };
    assert!(matches!(error, Error::Busy { .. }), "{error}");
}

#[test]
fn a_peer_that_sends_half_a_message_and_goes_is_told() {
    let (mut peer, socket) = UnixStream::pair().unwrap();
    let mut consumer = Connection::from_socket(socket.into());
    peer.write_all(b"\x40\0\0\0lane").unwrap();
    assert!(consumer.receive::<ToConsumer>().unwrap().is_none());
    drop(peer);
    assert!(matches!(
        consumer.receive::<ToConsumer>(),
        Err(Error::HalfMessage)
    ));
}

#[test]
fn a_peer_that_does_not_read_is_given_up() {
    let (_peer, socket) = UnixStream::pair().unwrap();
    let consumer = Connection::from_socket(socket.into());
    let error = (0..100_000)
        .find_map(|_| consumer.send(&ToApplication::Stop, &[]).err())
        .expect("a socket's buffer is finite");
    assert!(matches!(error, Error::PeerDoesNotRead), "{error}");
}

#[test]
fn superfluous_file_descriptors_end_the_connection_and_are_closed() {
    let (application, consumer) = UnixStream::pair().unwrap();
    let application = Connection::from_socket(application.into());
    let mut consumer = Connection::from_socket(consumer.into());
    let (read_end, write_end) = rustix::pipe::pipe().unwrap();
    for message in [hello(), ToConsumer::Stopped] {
        application
            .send(&message, &[write_end.as_fd(); MAX_FDS])
            .unwrap();
    }
    drop(write_end);
    assert_eq!(consumer.receive::<ToConsumer>().unwrap(), Some(hello()));
    assert_eq!(consumer.take_fds().len(), MAX_FDS);
    let error = consumer.receive::<ToConsumer>().unwrap_err();
    assert!(matches!(error, Error::TooManyFds), "{error}");
    drop((application, consumer));
    // Whoever holds no write end of a pipe reads its end of file.
    assert_eq!(rustix::io::read(&read_end, &mut [0; 1]).unwrap(), 0);
}
