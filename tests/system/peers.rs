//! Peers that are none: a daemon refuses them, says why, and goes on serving others; an application runs on.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use laneway_tests::{Place, run};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// A hello of another version of the protocol.
fn other_version() -> Vec<u8> {
    [
        &20_u32.to_le_bytes()[..],
        b"laneway\0",
        &99_u32.to_le_bytes(),
        &[7; 8],
    ]
    .concat()
}

/// A hello as it should be, but for the two descriptors that belong to it.
#[rustfmt::skip]
const HELLO: &[u8] = &[
    88, 0, 0, 0, b'l', b'a', b'n', b'e', b'w', b'a', b'y', 0, 3, 0, 0, 0,
    0, 251, 0x67, 0x12, // Hello, pid
    13, b'/', b'u', b's', b'r', b'/', b'b', b'i', b'n', b'/', b's', b'h', b'o', b'p',
    4, b's', b'h', b'o', b'p',
    5, b'0', b'.', b'1', b'.', b'0',
    1, 2, b'n', b'o', 0, 1, // rseq, clock, allow_block
    8, b'c', b'h', b'a', b'n', b'n', b'e', b'l', b'0', 0, 252, 0, 0, 4, 0, 8, 1, 0, 0, 0, 0, 0, // the channel
    b'0', b'1', b'2', b'3', b'4', b'5', b'6', b'7', b'8', b'9', b'a', b'b', b'c', b'd', b'e', b'f', // the ring
    1, 0, 0, // slot, resumed, buffer_file
];

/// Sends this to the daemon, and no more; gives its answer.
#[track_caller]
fn answer_to(place: &Place, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(place.socket()).expect("it listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a time");
    // It may have had enough before the end.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn peers_that_speak_something_else_are_refused_and_others_served() {
    let place = Place::new();
    let daemon = place.daemon("trace", &[]);
    let oversized = [&u32::MAX.to_le_bytes()[..], &[b'x'; 100_000]].concat();
    let too_long = [
        &(64 * 1024 + 1_u32).to_le_bytes()[..],
        b"laneway\0\x01\0\0\0",
    ]
    .concat();
    for (what, bytes, says) in [
        (
            "a browser",
            &b"GET / HTTP/1.1\r\nHost: laneway\r\n\r\n"[..],
            "does not speak",
        ),
        ("zeros", &[0; 64], "does not speak"),
        ("an oversized message", &oversized, "does not speak"),
        ("a message just too long", &too_long, "does not speak"),
        ("half a hello", &HELLO[..40], "in the middle of a message"),
        ("half a length", &HELLO[..2], "in the middle of a message"),
        ("another version", &other_version(), "version 99"),
        ("a hello without descriptors", HELLO, "0 file descriptors"),
    ] {
        let answer = answer_to(&place, bytes);
        assert!(answer.contains(says), "{what}: {answer:?}");
        let _ = run(place.application("bad_ends").arg("once")).succeeded();
    }
    let _ = answer_to(&place, b"");
    let trace = daemon.trace.clone();
    let (output, summary) = daemon.finish();
    assert_eq!(summary.total.recorded, 8, "{summary:#?}");
    assert_eq!(laneway_tests::events::events(&trace).len(), 8);
    let times: u64 = summary.refused.iter().map(|r| r.times).sum();
    assert_eq!(times, 8, "{summary:#?}");
    assert!(output.stderr.contains("version 99"), "{}", output.stderr);
}

/// Sends the hello with these descriptors; gives the answer.
#[track_caller]
fn answer_to_hello_with(place: &Place, descriptors: &[OwnedFd]) -> String {
    let mut stream = UnixStream::connect(place.socket()).expect("it listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a time");
    let numbers: Vec<_> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let bytes = size_of_val(&numbers[..]) as u32;
    let mut part = libc::iovec {
        iov_base: HELLO.as_ptr().cast_mut().cast(),
        iov_len: HELLO.len(),
    };
    // Aligned, and room for any number of descriptors that is sent here.
    let mut control = [0_u64; 64];
    // SAFETY: a message of one part that is read only, and a control buffer that is large enough for its one header and the
    // numbers behind it; valid when zeroed.
    let sent = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(bytes) as usize;
        let header = libc::CMSG_FIRSTHDR(&message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(bytes) as usize;
        let place = libc::CMSG_DATA(header).cast();
        std::ptr::copy_nonoverlapping(numbers.as_ptr(), place, numbers.len());
        libc::sendmsg(stream.as_raw_fd(), &message, libc::MSG_NOSIGNAL)
    };
    assert_eq!(sent, HELLO.len() as isize, "it is sent");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Memory with these bytes in it, that can or cannot change any more.
fn memory(bytes: &[u8], sealed: bool) -> OwnedFd {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create("rubbish", flags).expect("a memory file"));
    file.write_all(bytes).expect("it takes some bytes");
    if sealed {
        let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        fcntl_add_seals(&file, seals).expect("it can be sealed");
    }
    file.into()
}

#[test]
fn peers_that_send_descriptors_of_anything_else_are_refused_and_others_served() {
    let place = Place::new();
    let daemon = place.daemon("trace", &[]);
    let file = |path: &str| OwnedFd::from(File::open(path).expect("it is there"));
    let pipe = || rustix::pipe::pipe().expect("a pipe").0;
    let rubbish: Vec<u8> = (0..100_000_u32).map(|i| (i * 7919) as u8).collect();
    let cases: Vec<(&str, Vec<OwnedFd>)> = vec![
        ("one descriptor", vec![file("/dev/null")]),
        ("three", vec![file("/dev/null"), file("/dev/null"), pipe()]),
        ("twenty", (0..20).map(|_| file("/dev/null")).collect()),
        ("nothing", vec![file("/dev/null"), file("/dev/null")]),
        (
            "zeros without end",
            vec![file("/dev/zero"), file("/dev/zero")],
        ),
        ("directories", vec![file("/"), file("/tmp")]),
        ("pipes that nobody writes to", vec![pipe(), pipe()]),
        (
            "memory that can change",
            vec![memory(&rubbish, false), memory(&rubbish, false)],
        ),
        (
            "memory without a byte",
            vec![memory(b"", true), memory(b"", true)],
        ),
        (
            "memory with rubbish",
            vec![memory(&rubbish, true), memory(&rubbish, true)],
        ),
    ];
    let number = cases.len() as u64;
    for (what, descriptors) in cases {
        let began = Instant::now();
        let answer = answer_to_hello_with(&place, &descriptors);
        assert!(!answer.is_empty(), "{what}: no reason is told");
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{what}: it takes long"
        );
        let _ = run(place.application("bad_ends").arg("once")).succeeded();
    }
    let (_, summary) = daemon.finish();
    assert_eq!(summary.total.recorded, number, "{summary:#?}");
    let times: u64 = summary.refused.iter().map(|r| r.times).sum();
    assert_eq!(times, number, "{summary:#?}");
}

#[test]
fn peers_that_say_nothing_or_little_hold_nobody_up() {
    let place = Place::new();
    let daemon = place.daemon("trace", &[]);
    let mut silent = Vec::new();
    for i in 0..200 {
        let mut stream = UnixStream::connect(place.socket()).expect("it listens");
        stream
            .write_all(&HELLO[..i % 60])
            .expect("it takes some bytes");
        silent.push(stream);
    }
    let began = Instant::now();
    let output = run(place.application("bad_ends").args(["for-a-while", "0.1"])).succeeded();
    assert!(began.elapsed() < Duration::from_secs(5));
    let (_, summary) = daemon.finish();
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "the end waits for nobody"
    );
    assert_eq!(summary.total.recorded, output.number("emitted"));
    drop(silent);
}

#[test]
fn an_application_runs_on_whatever_its_consumer_says() {
    // The file that a real daemon leaves next to its socket, for an application to come so far.
    let real = Place::new();
    let daemon = real.daemon("trace", &[]);
    let channel = fs::read(real.dir().join("socket.channel")).expect("it is there");
    let _ = daemon.finish();
    for answer in [
        &b""[..],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        &[0xff; 4096],
        b"\x01\0\0\0\x02",
        b"\x01\0\0\0",
        b"\x06\0\0\0\x01\x04full",
    ] {
        let place = Place::new();
        fs::write(place.dir().join("socket.channel"), &channel).expect("a file can be written");
        let listener = UnixListener::bind(place.socket()).expect("a socket");
        let consumer = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("an application");
            let _ = stream.write_all(answer);
            let mut hello = [0; 12];
            stream.read_exact(&mut hello).expect("it says hello");
            hello
        });
        let output = run(place.application("bad_ends").args(["for-a-while", "0.1"])).succeeded();
        assert!(output.number("emitted") > 10);
        assert_eq!(output.stderr, "");
        assert_eq!(&consumer.join().expect("no panic")[4..], b"laneway\0");
    }
}

#[test]
fn an_application_ignores_a_channel_file_that_is_rubbish() {
    let place = Place::new();
    let _listener = UnixListener::bind(place.socket()).expect("a socket");
    for rubbish in [&b""[..], &[0xff; 5000], b"laneway"] {
        fs::write(place.dir().join("socket.channel"), rubbish).expect("a file can be written");
        let output = run(place.application("bad_ends").arg("once")).succeeded();
        assert_eq!(output.stderr, "");
    }
}
