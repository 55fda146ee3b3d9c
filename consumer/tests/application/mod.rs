//! An application as the consumer sees one, made of the same parts but without the `laneway` crate.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use laneway_consumer::{Consumer, Listener, Options, Session};
use laneway_control::{
    ChannelConfig, ClockKind, Connection, EventSchema, Hello, Level, Mode, Rendezvous, Rseq,
    ToApplication, ToConsumer, encode_schemas, wait_readable,
};
use laneway_ringbuf::{
    Channel, ChannelSettings, Geometry, LaneChoice, SharedMemory, WhenFull, clock,
};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// A consumer in a directory of its own.
pub(crate) struct Recording {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) meeting: Rendezvous,
    pub(crate) consumer: Consumer,
}

pub(crate) fn channel() -> ChannelConfig {
    ChannelConfig {
        thread_ids: false,
        sub_buffer_bytes: 4096,
        sub_buffers: 4,
        ..ChannelConfig::default()
    }
}

pub(crate) fn record(options: Options) -> Recording {
    let dir = tempfile::tempdir().unwrap();
    record_in(dir, "trace", options)
}

pub(crate) fn record_in(dir: tempfile::TempDir, trace: &str, options: Options) -> Recording {
    record_with(dir, trace, &channel(), options)
}

/// The same with a channel of one's own.
pub(crate) fn record_with(
    dir: tempfile::TempDir,
    trace: &str,
    channel: &ChannelConfig,
    options: Options,
) -> Recording {
    let meeting = Rendezvous::at(dir.path().join("socket")).unwrap();
    let listener = Listener::bind(&meeting, channel).unwrap();
    let session = Session::create(dir.path().join(trace)).unwrap();
    Recording {
        consumer: Consumer::start(session, listener, options).unwrap(),
        meeting,
        dir,
    }
}

/// A process' side: a ring that is traced into, and the socket.
pub(crate) struct Application {
    pub(crate) connection: Connection,
    pub(crate) channel: Box<Channel>,
    hello: Hello,
    files: [OwnedFd; 2],
}

impl Application {
    /// Makes a ring, emits `before` events into it, and says hello.
    pub(crate) fn start(meeting: &Rendezvous, name: &str, before: u64) -> Application {
        Application::describing(meeting, name, before, &[tick()])
    }

    /// The same with other descriptions, of which the first is that of the events.
    pub(crate) fn describing(
        meeting: &Rendezvous,
        name: &str,
        before: u64,
        events: &[EventSchema],
    ) -> Application {
        let connection = Connection::connect(meeting).unwrap();
        let config = ChannelConfig::find(meeting).unwrap();
        let buffers = u64::from(config.sub_buffers);
        let geometry = Geometry::new(2, config.sub_buffer_bytes, buffers).unwrap();
        let (ring, memory) = SharedMemory::create(geometry).unwrap();
        let channel = Box::new(Channel::new());
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
        let hello = Hello {
            ring: memory.id(),
            ..greeting(name, config)
        };
        channel.attach(memory, settings).unwrap();
        let application = Application {
            connection,
            channel,
            hello,
            files: [ring, sealed(&encode_schemas(events).unwrap())],
        };
        application.emit(before);
        application.greet();
        application
    }

    /// Offers its ring to another consumer, as one does whose own has died.
    pub(crate) fn rejoin(&mut self, meeting: &Rendezvous) {
        self.connection = Connection::connect(meeting).unwrap();
        self.hello.resumed = true;
        self.greet();
    }

    fn greet(&self) {
        let fds = [self.files[0].as_fd(), self.files[1].as_fd()];
        let hello = ToConsumer::Hello(self.hello.clone());
        self.connection.send(&hello, &fds).unwrap();
    }

    /// Emits events without fields.
    pub(crate) fn emit(&self, events: u64) {
        for _ in 0..events {
            self.channel.record(0, 0, |_| {});
        }
    }

    /// Waits for what the consumer says.
    pub(crate) fn answer(&mut self) -> ToApplication {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(message) = self.connection.receive().unwrap() {
                return message;
            }
            assert!(Instant::now() < deadline, "the consumer says nothing");
            wait_readable([self.connection.as_fd()], Some(Duration::from_secs(1))).unwrap();
        }
    }
}

pub(crate) fn hello(name: &str, channel: ChannelConfig) -> ToConsumer {
    ToConsumer::Hello(greeting(name, channel))
}

pub(crate) fn greeting(name: &str, channel: ChannelConfig) -> Hello {
    Hello {
        pid: std::process::id(),
        exe: format!("/usr/bin/{name}"),
        name: name.into(),
        version: "0.1.0".into(),
        rseq: Rseq::Active,
        clock: match clock::ClockKind::best() {
            clock::ClockKind::Tsc => ClockKind::Tsc,
            clock::ClockKind::Monotonic => ClockKind::Monotonic,
        },
        allow_block: false,
        channel,
        ring: [0; 16],
        slot: 1,
        resumed: false,
        buffer_file: None,
    }
}

pub(crate) fn tick() -> EventSchema {
    EventSchema {
        provider: "test".into(),
        name: "tick".into(),
        level: Level::Info,
        file: "test.rs".into(),
        line: 1,
        module: "test".into(),
        fields: vec![],
    }
}

pub(crate) fn sealed(bytes: &[u8]) -> OwnedFd {
    let flags = MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC;
    let mut file = File::from(memfd_create("schemas", flags).unwrap());
    file.write_all(bytes).unwrap();
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW;
    fcntl_add_seals(&file, seals).unwrap();
    file.into()
}

/// Waits until `condition` holds.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What babeltrace2 makes of a trace: its lines, and its warnings and errors.
pub(crate) fn babeltrace(directory: &Path) -> (Vec<String>, String) {
    let output = Command::new("babeltrace2")
        .arg(directory)
        .output()
        .expect("babeltrace2 is installed");
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines.lines().map(str::to_owned).collect();
    (lines, String::from_utf8(output.stderr).unwrap())
}
