//! A ring that this process writes to, and what consumers get to know of it.
//!
//! ```text
//!   per process   make the ring ─▶ hello [ring, schemas] ─▶ enable
//!   shared        hello [schemas] ─▶ enable: events are counted ─▶ ring and ids arrive: join
//!
//!   consumer dies ─▶ unattended: events go on, nobody waits ─▶ the next one: hello again, the same ring
//!   in the end    ─▶ leave: disable, wait until no thread is in the ring, unmap it
//! ```
//! It outlives the connection over which it came about: the descriptors of its memory stay here, so that whoever comes
//! after a dead consumer finds every event that is still in it.
//!
//! Invariant: while callsites are enabled for a channel, it has memory, or waits for it; and memory is given up only by
//! `leave`.

use std::fmt::{self, Display};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use laneway_control::{
    BufferFile, Buffers, ChannelConfig, ClockChoice, Connection, ContextFields, EventIds, Hello,
    Lanes, Mode, ToConsumer, encode_schemas,
};
use laneway_ringbuf::clock::ClockKind;
use laneway_ringbuf::{Channel, ChannelSettings, Geometry, LaneChoice, SharedMemory};
use laneway_rseq::Rseq;

use crate::emit::{self, CHANNELS};
use crate::{attach, hello, identity, memory_file, registry, waiting};

/// The producer slot of a process that has its buffer to itself.
const ONLY_SLOT: u16 = 1;

/// How long one look waits for threads to leave a ring, or for one that the consumer wants trimmed.
const LEAVE: Duration = Duration::from_millis(100);

/// Why this process cannot be recorded: a sentence.
#[derive(Debug)]
pub(crate) struct Trouble(String);

impl Trouble {
    pub(crate) fn new(reason: impl Display) -> Self {
        Trouble(reason.to_string())
    }
}

impl Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// See the text of this module.
pub(crate) struct Attachment {
    /// What the first consumer was told.
    hello: Box<Hello>,
    schemas: OwnedFd,
    events: usize,
    index: usize,
    /// None as long as a shared one has not arrived.
    ring: Option<Ring>,
}

/// Descriptors that keep a ring's memory for the next consumer.
struct Ring {
    memory: OwnedFd,
    ids: Option<OwnedFd>,
}

impl Attachment {
    /// Makes what a consumer with this channel wants, and if the ring is this process's own, begins to use it.
    pub(crate) fn make(config: ChannelConfig) -> Result<Self, Trouble> {
        if config.lanes == Lanes::Concurrency && Rseq::get().mm_cid().is_none() {
            return Err(Trouble::new(
                "this kernel gives its threads no concurrency ids, or rseq is off; use lanes by CPU",
            ));
        }
        identity::refresh();
        let events = registry::schemas();
        let schemas = encode_schemas(&events).map_err(Trouble::new)?;
        let mut attachment = Attachment {
            index: emit::index_of(ContextFields::of(&config)),
            schemas: memory_file::sealed(c"laneway-events", &schemas)
                .map_err(|e| Trouble(format!("cannot make a memory file: {e}")))?,
            events: events.len(),
            hello: Box::new(hello::new(config, clock_kind)),
            ring: None,
        };
        if attachment.hello.channel.buffers == Buffers::PerProcess
            && let Err(trouble) = attachment.make_ring(&schemas)
        {
            attachment.remove_file();
            return Err(trouble);
        }
        Ok(attachment)
    }

    fn make_ring(&mut self, schemas: &[u8]) -> Result<(), Trouble> {
        let config = &self.hello.channel;
        let lanes = laneway_rseq::possible_cpus();
        let geometry = Geometry::new(lanes, config.sub_buffer_bytes, config.sub_buffers.into())
            .map_err(Trouble::new)?;
        let (fd, memory) = match config.directory.clone() {
            None => SharedMemory::create(geometry).map_err(Trouble::new)?,
            Some(directory) => self.make_file(directory.as_ref(), geometry)?,
        };
        self.hello.ring = memory.id();
        self.hello.slot = ONLY_SLOT;
        if let Some(ring) = &self.hello.buffer_file {
            BufferFile::of(ring)
                .describe(&self.hello, schemas)
                .map_err(Trouble::new)?;
        }
        if self.hello.channel.populate {
            memory.populate().map_err(Trouble::new)?;
        }
        attach::set_mode(&self.hello.channel.mode);
        self.channel()
            .attach(memory, self.settings())
            .map_err(Trouble::new)?;
        self.ring = Some(Ring {
            memory: fd,
            ids: None,
        });
        Ok(())
    }

    /// A ring in a file of the channel's directory, under the first name that is free.
    fn make_file(
        &mut self,
        directory: &Path,
        geometry: Geometry,
    ) -> Result<(OwnedFd, SharedMemory), Trouble> {
        for file in BufferFile::names(directory, &self.hello.name, self.hello.pid) {
            match SharedMemory::create_file(file.ring(), geometry) {
                Ok(made) => {
                    self.hello.buffer_file = Some(file.ring().to_string_lossy().into_owned());
                    return Ok(made);
                }
                Err(laneway_ringbuf::Error::Memory { source, .. })
                    if source.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => {
                    let _ = file.remove();
                    return Err(Trouble(format!("{e}, in {}", directory.display())));
                }
            }
        }
        Err(Trouble(format!(
            "{} is full of buffers that nobody removed; run `laneway recover` on it",
            directory.display()
        )))
    }

    /// Begins to use the ring of a shared session.
    pub(crate) fn join(&mut self, slot: u16, fds: Vec<OwnedFd>) -> Result<(), Trouble> {
        let [memory_fd, ids_fd] = <[OwnedFd; 2]>::try_from(fds)
            .map_err(|fds| Trouble(format!("a shared ring came with {} descriptors", fds.len())))?;
        let memory = SharedMemory::open(&memory_fd).map_err(Trouble::new)?;
        // One byte more than there should be, so that too many are noticed.
        let table = memory_file::read(&ids_fd, self.events * 2 + 1)
            .map_err(|e| Trouble(format!("cannot read the event ids: {e}")))?;
        let ids = EventIds::decode(&table, self.events).map_err(Trouble::new)?;
        self.hello.ring = memory.id();
        self.hello.slot = slot;
        attach::set_mode(&self.hello.channel.mode);
        self.channel()
            .attach_shared(memory, ids.as_slice().into(), self.settings())
            .map_err(Trouble::new)?;
        self.ring = Some(Ring {
            memory: memory_fd,
            ids: Some(ids_fd),
        });
        self.channel().count_waited(waiting::end());
        Ok(())
    }

    fn settings(&self) -> ChannelSettings {
        ChannelSettings {
            when_full: attach::when_full(),
            clock: clock_kind(self.hello.channel.clock),
            slot: self.hello.slot,
            rseq: true,
            lanes: match self.hello.channel.lanes {
                Lanes::Cpu => LaneChoice::Cpu,
                Lanes::Concurrency => LaneChoice::Concurrency,
            },
        }
    }

    /// Tells a consumer of it.
    pub(crate) fn say_hello(&self, connection: &Connection) -> Result<(), laneway_control::Error> {
        let mut fds = vec![self.schemas.as_fd()];
        if let Some(ring) = &self.ring {
            fds.insert(0, ring.memory.as_fd());
            fds.extend(ring.ids.as_ref().map(OwnedFd::as_fd));
        }
        connection.send(&ToConsumer::Hello(Hello::clone(&self.hello)), &fds)
    }

    /// Whether there is a ring already.
    pub(crate) fn has_ring(&self) -> bool {
        self.ring.is_some()
    }

    /// Lets callsites write to the ring; as long as it is not there, they are counted.
    pub(crate) fn enable(&self) {
        if !self.has_ring() {
            waiting::begin();
        }
        registry::set_enabled(1 << self.index, true);
    }

    /// The consumer is gone without a word: nobody waits for room any more, and all else goes on.
    pub(crate) fn unattended(&mut self) {
        self.hello.resumed = true;
        if !self.is_flight_recorder() {
            attach::set_mode(&Mode::Discard);
        }
        self.channel().stop_blocking();
    }

    /// There is a consumer again.
    pub(crate) fn attended(&self) {
        attach::set_mode(&self.hello.channel.mode);
        self.channel().set_when_full(attach::when_full());
    }

    /// Whether the ring is of use though nobody drains it.
    pub(crate) fn is_flight_recorder(&self) -> bool {
        self.hello.channel.mode == Mode::Overwrite
    }

    /// Gives memory that is not needed now back to the kernel. Not that of a shared ring: what this process holds still,
    /// others may be about to open.
    pub(crate) fn trim(&self) -> u64 {
        match self.hello.channel.buffers {
            Buffers::PerProcess => self.channel().give_back_idle(LEAVE),
            Buffers::Shared => 0,
        }
    }

    /// Makes all threads leave the ring, and unmaps it.
    pub(crate) fn leave(self) {
        registry::set_enabled(1 << self.index, false);
        waiting::end();
        self.channel().stop_blocking();
        // A thread that is stopped in the middle of an event keeps the ring, and us.
        while !self.channel().detach(LEAVE) {}
    }

    /// Removes the ring's file, if it has one: nobody will ever read it.
    pub(crate) fn remove_file(&self) {
        if let Some(ring) = &self.hello.buffer_file {
            let _ = BufferFile::of(ring).remove();
        }
    }

    fn channel(&self) -> &'static Channel {
        &CHANNELS[self.index]
    }
}

fn clock_kind(choice: ClockChoice) -> ClockKind {
    match choice {
        ClockChoice::Auto => ClockKind::best(),
        ClockChoice::Tsc => ClockKind::Tsc,
        ClockChoice::Monotonic => ClockKind::Monotonic,
    }
}
