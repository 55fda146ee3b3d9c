//! The thread that empties the ring of one process.
//!
//! ```text
//!   whole sub-buffers ─▶ disk        as they come, woken by the producers
//!   published records ─▶ disk        every flush period
//!   all that is left  ─▶ disk        once, when the process has ended
//! ```
//! Everything that trusts, maps, reads or decodes what the process sent happens here, so that a process can hold up
//! nobody but itself.
//!
//! Invariant: each round does a bounded amount of work whatever the shared memory claims, and the last round is one
//! that began after the process had ended.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use laneway_control::schema::MAX_SCHEMA_BYTES;
use laneway_control::{EventSchema, Hello, Rseq, decode_schemas};
use laneway_ctf::model::ClockClass;
use laneway_ringbuf::{BufferReader, Waker, clock};
use rustix::fs::{SealFlags, fcntl_get_seals, fstat};

use crate::Error;
use crate::clocks::ring_clock;
use crate::consumer::{Shared, spawn};
use crate::host::random_uuid;
use crate::metadata::Trace;
use crate::summary::{Counts, ProcessSummary};
use crate::trace::TraceWriter;

/// Packets taken from one lane before the next lane gets its turn.
const PACKETS_PER_TURN: usize = 64;

/// What a process sent when it said hello.
pub(crate) struct Application {
    pub(crate) hello: Hello,
    pub(crate) ring: OwnedFd,
    pub(crate) schemas: OwnedFd,
}

/// What a drain thread tells the front.
pub(crate) enum Report {
    /// The process is being recorded.
    Ready,
    /// It never will be. The last report.
    Refused(Error),
    /// It has ended, and this is what came of it. The last report.
    Finished(Box<ProcessSummary>),
}

/// How the front controls a drain thread.
#[derive(Clone, Debug)]
pub(crate) struct Handle(Arc<Ending>);

#[derive(Debug, Default)]
struct Ending {
    over: AtomicBool,
    waker: OnceLock<Waker>,
    fault: Mutex<Option<String>>,
}

impl Handle {
    /// The process has ended; `fault` is what it did wrong, if anything.
    pub(crate) fn end(&self, fault: Option<String>) {
        if let Some(fault) = fault {
            let mut first = self.0.fault.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(fault);
        }
        self.0.over.store(true, Ordering::Release);
        self.nudge();
    }

    /// Wakes the thread, in case it has begun to sleep just when the end came.
    pub(crate) fn nudge(&self) {
        if let Some(waker) = self.0.waker.get() {
            waker.wake();
        }
    }
}

/// Starts the thread for `application`.
pub(crate) fn start(
    application: Application,
    shared: Arc<Shared>,
    report: impl Fn(Report) + Send + 'static,
) -> Result<Handle, Error> {
    let handle = Handle(Arc::default());
    let ending = handle.0.clone();
    spawn("laneway-drain", move || {
        let work = || {
            let mut drain = Drain::prepare(application, &shared, &ending)?;
            report(Report::Ready);
            drain.run(&shared, &ending);
            Ok(drain.summarize(&ending))
        };
        // A bug here must not cost the other processes their traces.
        report(match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(process)) => Report::Finished(Box::new(process)),
            Ok(Err(e)) => Report::Refused(e),
            Err(_) => Report::Refused(Error::Bug),
        });
    })?;
    Ok(handle)
}

struct Drain {
    hello: Hello,
    /// The events, until the clock is settled and they are described for the last time.
    unsettled: Option<Vec<EventSchema>>,
    event_kinds: usize,
    reader: BufferReader,
    trace: TraceWriter,
    /// What was added to the progress as lost.
    told_lost: u64,
}

impl Drain {
    fn prepare(application: Application, shared: &Shared, ending: &Ending) -> Result<Drain, Error> {
        let Application {
            mut hello,
            ring,
            schemas,
        } = application;
        tidy_hello(&mut hello);
        let events = read_schemas(schemas)?;
        let reader = BufferReader::map(&ring)?;
        let _ = ending.waker.set(reader.waker());

        let session = &shared.session;
        let clock = session.clocks().look(hello.clock)?;
        let trace = Trace {
            uuid: random_uuid()?,
            hello: &hello,
            host: session.host(),
            created: session.created(),
        };
        let class = trace.describe(&events, clock.class);
        let directory = session.make_trace(&hello.name, hello.pid)?;
        Ok(Drain {
            event_kinds: events.len(),
            trace: TraceWriter::new(directory, trace.uuid, &class),
            unsettled: (!clock.settled).then_some(events),
            hello,
            reader,
            told_lost: 0,
        })
    }

    fn run(&mut self, shared: &Shared, ending: &Ending) {
        let period = shared.options.flush_period;
        let mut flush_at = Instant::now() + period;
        loop {
            let over = ending.over.load(Ordering::Acquire);
            self.take_whole(shared);
            if over {
                self.take_rest(shared);
                return self.settle_clock_now(shared);
            }
            if Instant::now() >= flush_at {
                self.settle_clock(shared);
                self.take_published(shared);
                flush_at = Instant::now() + period;
            }
            let limit = flush_at.saturating_duration_since(Instant::now());
            self.reader.wait(limit.max(Duration::from_micros(1)));
        }
    }

    /// Whole sub-buffers, of each lane in its turn.
    fn take_whole(&mut self, shared: &Shared) {
        for lane in self.reader.lanes() {
            let atomic = lane.is_atomic();
            for _ in 0..PACKETS_PER_TURN {
                let Some(packet) = lane.next_packet() else {
                    break;
                };
                let gain = self.trace.take(packet, atomic);
                count(shared, gain);
            }
        }
        self.count_lost(shared);
    }

    /// What is published in sub-buffers that are still being filled.
    fn take_published(&mut self, shared: &Shared) {
        for lane in self.reader.lanes() {
            let atomic = lane.is_atomic();
            if let Some(packet) = lane.partial_packet() {
                let gain = self.trace.take(packet, atomic);
                count(shared, gain);
            }
        }
    }

    /// Everything there is. Nobody writes any more; should somebody do so all the same, he is left behind after a lap.
    fn take_rest(&mut self, shared: &Shared) {
        let channel = &self.hello.channel;
        let lap = channel
            .sub_buffer_bytes
            .saturating_mul(u64::from(channel.sub_buffers).saturating_add(1));
        for lane in self.reader.lanes() {
            let atomic = lane.is_atomic();
            let mut taken = 0_u64;
            while taken <= lap {
                let Some(packet) = lane.final_packet() else {
                    break;
                };
                taken = taken.saturating_add(packet.record_bytes());
                let gain = self.trace.take(packet, atomic);
                count(shared, gain);
            }
        }
        self.count_lost(shared);
    }

    /// Writes the metadata for the last time, if the clock is settled by now.
    fn settle_clock(&mut self, shared: &Shared) {
        if self.unsettled.is_some()
            && let Ok(clock) = shared.session.clocks().look(self.hello.clock)
            && clock.settled
        {
            self.describe_again(clock.class, shared);
        }
    }

    /// The same, but waits until it is.
    fn settle_clock_now(&mut self, shared: &Shared) {
        if self.unsettled.is_some()
            && let Ok(clock) = shared.session.clocks().settle(self.hello.clock)
        {
            self.describe_again(clock, shared);
        }
    }

    fn describe_again(&mut self, clock: ClockClass, shared: &Shared) {
        if let Some(events) = self.unsettled.take() {
            let trace = Trace {
                uuid: self.trace.uuid(),
                hello: &self.hello,
                host: shared.session.host(),
                created: shared.session.created(),
            };
            self.trace.describe_again(&trace.describe(&events, clock));
        }
    }

    fn count_lost(&mut self, shared: &Shared) {
        let lanes = self.reader.lanes().iter();
        let lost = lanes.fold(0_u64, |sum, lane| sum.saturating_add(lane.lost().total()));
        let more = lost.saturating_sub(self.told_lost);
        shared.progress.lost.fetch_add(more, Ordering::Relaxed);
        self.told_lost += more;
    }

    fn summarize(mut self, ending: &Ending) -> ProcessSummary {
        let now = clock::now(ring_clock(self.hello.clock));
        let mut counts = Counts::default();
        counts.lost.before_attach = self.hello.lost_before_attach;
        counts.settle();
        let mut lanes = Vec::new();
        let mut problems = Vec::new();
        for lane in self.reader.lanes() {
            let summary = self.trace.close(lane, now);
            counts += summary.counts;
            if lane.damaged_bytes() > 0 {
                problems.push(format!(
                    "{} bytes in the lane of CPU {} were no records and are not in the trace",
                    lane.damaged_bytes(),
                    lane.cpu()
                ));
            }
            lanes.push(summary);
        }
        lanes.sort_by_key(|lane| (lane.atomic, lane.cpu));
        problems.extend(self.trace.trouble().map(str::to_owned));
        let mut fault = ending.fault.lock().unwrap_or_else(PoisonError::into_inner);
        problems.extend(fault.take());
        ProcessSummary {
            pid: self.hello.pid,
            name: self.hello.name,
            exe: self.hello.exe,
            trace: self.trace.directory().to_owned(),
            clock: ring_clock(self.hello.clock).name(),
            rseq_off: match self.hello.rseq {
                Rseq::Active => None,
                Rseq::Off(reason) => Some(reason),
            },
            allow_block: self.hello.allow_block,
            event_kinds: self.event_kinds,
            counts,
            lanes,
            problems,
        }
    }
}

fn count(shared: &Shared, (bytes, events): (u64, u64)) {
    let progress = &shared.progress;
    progress.bytes.fetch_add(bytes, Ordering::Relaxed);
    progress.recorded.fetch_add(events, Ordering::Relaxed);
}

/// Texts that go into every summary and every metadata are kept to a sensible length, and harmless to a terminal.
fn tidy_hello(hello: &mut Hello) {
    hello.name = tidy(&hello.name, 255);
    hello.exe = tidy(&hello.exe, 4096);
    hello.version = tidy(&hello.version, 64);
    hello.channel.name = tidy(&hello.channel.name, 64);
    if let Rseq::Off(reason) = &mut hello.rseq {
        *reason = tidy(reason, 1024);
    }
}

/// A text of an application, as far as it can be shown to people.
pub(crate) fn tidy(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].replace(char::is_control, "\u{fffd}")
}

/// Reads the event descriptions from a memory file that can change no more.
fn read_schemas(fd: OwnedFd) -> Result<Vec<EventSchema>, Error> {
    // Only memory files have seals; reading from anything else might take for ever.
    let sealed = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW;
    if !fcntl_get_seals(&fd).is_ok_and(|seals| seals.contains(sealed)) {
        return Err(Error::SchemasNotSealed);
    }
    let stat = fstat(&fd).map_err(Error::system("look at the event descriptions"))?;
    let bytes = stat.st_size.cast_unsigned();
    let limit = MAX_SCHEMA_BYTES as u64;
    if bytes > limit {
        return Err(Error::SchemasTooLarge { bytes, limit });
    }
    let mut all = vec![0; bytes as usize];
    File::from(fd)
        .read_exact_at(&mut all, 0)
        .map_err(Error::system("read the event descriptions"))?;
    Ok(decode_schemas(&all)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use laneway_control::encode_schemas;
    use rustix::fs::{MemfdFlags, fcntl_add_seals, memfd_create};
    use std::io::Write;

    fn memory(bytes: &[u8], seals: SealFlags) -> OwnedFd {
        let fd = memfd_create("schemas", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap();
        let mut file = File::from(fd);
        file.write_all(bytes).unwrap();
        fcntl_add_seals(&file, seals).unwrap();
        file.into()
    }

    #[test]
    fn descriptions_are_read_from_a_sealed_memory_file() {
        let bytes = encode_schemas(&[]).unwrap();
        let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW;
        assert_eq!(read_schemas(memory(&bytes, seals)).unwrap(), []);
    }

    #[test]
    fn descriptions_that_can_still_change_are_refused() {
        let bytes = encode_schemas(&[]).unwrap();
        let file = memory(&bytes, SealFlags::SHRINK | SealFlags::GROW);
        assert!(matches!(read_schemas(file), Err(Error::SchemasNotSealed)));
    }

    #[test]
    fn a_pipe_in_place_of_the_descriptions_is_refused_and_not_waited_for() {
        let (read_end, _write_end) = rustix::pipe::pipe().unwrap();
        assert!(matches!(
            read_schemas(read_end),
            Err(Error::SchemasNotSealed)
        ));
    }

    #[test]
    fn a_huge_file_of_nothing_is_not_read() {
        let file = File::from(memory(b"", SealFlags::empty()));
        file.set_len(MAX_SCHEMA_BYTES as u64 + 1).unwrap();
        let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW;
        fcntl_add_seals(&file, seals).unwrap();
        assert!(matches!(
            read_schemas(file.into()),
            Err(Error::SchemasTooLarge { .. })
        ));
    }
}
