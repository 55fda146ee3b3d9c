//! The thread that deals with consumers, so that nobody else has to.
//!
//! ```text
//!            ┌───────── consumer gone, or stopped us ──────────┐
//!            ▼                                                 │
//!   try to connect ── nobody ─▶ wait at the gate ─▶ try ─▶ attached
//! ```
//! Attaching: make the ring, hand it to the channel, say hello with the ring and the
//! descriptions of all events, enable the callsites. Detaching: disable them, wait until
//! no thread is in the ring, unmap it, say so.
//!
//! Invariant: this thread never touches the application's file descriptors, nor blocks
//! anybody else.

use std::ffi::CString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use std::{fs, io, panic, process};

use laneway_control::{
    ChannelConfig, ClockChoice, ClockKind, Connection, Gate, Hello, Rendezvous, Rseq,
    ToApplication, ToConsumer, encode_schemas, wait_readable,
};
use laneway_ringbuf::clock;
use laneway_ringbuf::{Channel, ChannelSettings, Geometry, LaneChoice, SharedMemory};

use crate::emit::{CHANNELS, WITH_THREAD_ID};
use crate::{attach, blocking, fd_table, registry};

/// The producer slot of a process that has its buffer to itself.
const ONLY_SLOT: u16 = 1;

/// How long we leave a consumer alone that is there and did not take us, or had enough of
/// us; longer after each failure.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long one look waits for threads to leave a ring.
const LEAVE: Duration = Duration::from_millis(100);

/// The body of the agent thread; it tells `tried` when its first attempt is over.
pub(crate) fn run(meeting: &Rendezvous, tried: &SyncSender<()>) {
    fd_table::make_private();
    // A panic here is a defect of ours; it ends the agent and nothing else.
    let _ = panic::catch_unwind(|| {
        let first = Session::begin(meeting);
        let _ = tried.try_send(());
        if let Some(session) = first {
            session.serve();
        }
        serve_all(meeting)
    });
}

/// Serves one consumer after the other, until there can be none any more.
fn serve_all(meeting: &Rendezvous) {
    let mut pause = SHORTEST_PAUSE;
    while let Ok(gate) = Gate::wait(meeting) {
        match Session::begin(meeting) {
            Some(session) => {
                pause = SHORTEST_PAUSE;
                session.serve();
            }
            None => pause = (pause * 2).min(LONGEST_PAUSE),
        }
        // A consumer that did not want us may still be there.
        if gate.wait_until_left(pause).is_err() {
            return;
        }
    }
}

/// The time with one consumer.
struct Session {
    connection: Connection,
    channel: &'static Channel,
    bit: u32,
}

impl Session {
    /// Attaches to the consumer at `meeting`, if there is one.
    fn begin(meeting: &Rendezvous) -> Option<Self> {
        let config = ChannelConfig::find(meeting).ok()?;
        let connection = Connection::connect(meeting).ok()?;
        let index = if config.thread_ids { WITH_THREAD_ID } else { 0 };
        let channel = &CHANNELS[index];
        let kind = clock_kind(config.clock);
        attach::set_mode(&config.mode);
        let settings = ChannelSettings {
            when_full: attach::when_full(),
            clock: kind,
            slot: ONLY_SLOT,
            rseq: true,
            lanes: LaneChoice::Cpu,
        };
        let lanes = laneway_rseq::possible_cpus();
        let geometry =
            Geometry::new(lanes, config.sub_buffer_bytes, config.sub_buffers.into()).ok()?;
        let schemas = schema_file().ok()?;
        let (ring, memory) = SharedMemory::create(geometry).ok()?;
        channel.attach(memory, settings).ok()?;
        let session = Session {
            connection,
            channel,
            bit: 1 << index,
        };
        let hello = ToConsumer::Hello(hello(config, kind));
        if session
            .connection
            .send(&hello, &[ring.as_fd(), schemas.as_fd()])
            .is_err()
        {
            session.leave();
            return None;
        }
        registry::set_enabled(session.bit, true);
        Some(session)
    }

    /// Stays until the consumer is gone or has had enough.
    fn serve(mut self) {
        loop {
            if wait_readable([self.connection.as_fd()], None).is_err() {
                break;
            }
            match self.connection.receive::<ToApplication>() {
                Ok(Some(ToApplication::Accepted | ToApplication::Trim)) | Ok(None) => {}
                Ok(Some(ToApplication::Stop)) => {
                    self.leave();
                    let _ = self.connection.send(&ToConsumer::Stopped, &[]);
                    // Until the consumer closes: it is the one that has more to do.
                    self.await_close();
                    return;
                }
                Ok(Some(ToApplication::Rejected { .. } | ToApplication::AcceptedShared { .. }))
                | Err(_) => break,
            }
        }
        self.leave();
    }

    /// Makes all threads leave the ring, and unmaps it.
    fn leave(&self) {
        registry::set_enabled(self.bit, false);
        self.channel.stop_blocking();
        // A thread that is stopped in the middle of an event keeps the ring, and us.
        while !self.channel.detach(LEAVE) {}
    }

    fn await_close(&mut self) {
        while wait_readable([self.connection.as_fd()], None).is_ok()
            && self.connection.receive::<ToApplication>().is_ok()
        {}
    }
}

fn hello(channel: ChannelConfig, kind: clock::ClockKind) -> Hello {
    let rseq = match laneway_rseq::Rseq::get().process() {
        Ok(_) => Rseq::Active,
        Err(reason) => Rseq::Off(reason.to_string()),
    };
    let exe = fs::read_link("/proc/self/exe").unwrap_or_default();
    let name = fs::read_to_string("/proc/self/comm").unwrap_or_default();
    Hello {
        pid: process::id(),
        exe: exe.to_string_lossy().into_owned(),
        name: name.trim_end().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        rseq,
        clock: match kind {
            clock::ClockKind::Tsc => ClockKind::Tsc,
            clock::ClockKind::Monotonic => ClockKind::Monotonic,
        },
        allow_block: !blocking::limit().is_zero(),
        lost_before_attach: 0,
        channel,
        ring: random_id(),
        slot: ONLY_SLOT,
        resumed: false,
        buffer_file: None,
    }
}

fn random_id() -> [u8; 16] {
    let mut id = [0; 16];
    // SAFETY: the array has room for as many bytes; what is missing stays zero.
    unsafe { libc::getrandom(id.as_mut_ptr().cast(), id.len(), libc::GRND_NONBLOCK) };
    id
}

fn clock_kind(choice: ClockChoice) -> clock::ClockKind {
    match choice {
        ClockChoice::Auto => clock::ClockKind::best(),
        ClockChoice::Tsc => clock::ClockKind::Tsc,
        ClockChoice::Monotonic => clock::ClockKind::Monotonic,
    }
}

/// The descriptions of all events, in a sealed memory file.
fn schema_file() -> io::Result<OwnedFd> {
    let schemas = encode_schemas(&registry::schemas()).map_err(io::Error::other)?;
    let name = CString::new("laneway-events").expect("no NUL in it");
    // SAFETY: a C string and valid flags; the result is checked and, being fresh, ours.
    let mut file = unsafe {
        match libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) {
            fd if fd < 0 => return Err(io::Error::last_os_error()),
            fd => File::from_raw_fd(fd),
        }
    };
    file.write_all(&schemas)?;
    let seals = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: fcntl on a descriptor we own, with an integer argument.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } {
        0 => Ok(file.into()),
        _ => Err(io::Error::last_os_error()),
    }
}
