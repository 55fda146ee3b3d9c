//! Several traces as one sequence of events, in the order of time.
//!
//! ```text
//!  stream 0   ─5──────9────────▶ ┐
//!  stream 1   ──6─7──────────12─▶ ├─ heap by time of the next event ─▶ 5 6 7 8 9 12
//!  stream 2   ─────8────────────▶ ┘
//! ```
//! Every stream is at its next event, and the stream whose event is the earliest is at the top of a heap. Only that one
//! is moved on. What else streams come to on their way, losses and damage, is told before the event that follows it.
//!
//! Invariant: as long as every stream's events are in order, so is the whole.

mod event;
mod renew;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

pub use event::{Event, Stream};

use super::index::index_of;
use super::packet::{Packet, probe};
use super::source::Source;
use super::stream::{Step, StreamReader};
use super::trace::{StreamFiles, Trace};
use crate::error::{Damage, Error, MetadataError};
use crate::model::TraceClass;

/// Bytes to have at hand of all streams together, as a rule.
const WINDOWS: usize = 64 << 20;

/// Streams whose files are kept open.
const MAX_OPEN: usize = 256;

/// Reads the events of all streams of some traces in the order of time.
///
/// ```no_run
/// use laneway_ctf::read::{Item, Reader, Trace};
///
/// let traces = laneway_ctf::read::find_traces("session")?
///     .iter()
///     .map(Trace::open)
///     .collect::<Result<Vec<_>, _>>()?;
/// let mut reader = Reader::new(&traces);
/// while let Some(item) = reader.next_item() {
///     if let Item::Event(event) = item {
///         println!("{:?} {}", event.ns(), event.name());
///     }
/// }
/// # Ok::<(), laneway_ctf::Error>(())
/// ```
pub struct Reader {
    streams: Vec<StreamReader>,
    /// Streams that are at an event: the time, and the index.
    heap: Vec<(i64, u32)>,
    /// The stream whose event was handed out last has to be moved on first.
    moved: bool,
    pending: VecDeque<Notice>,
    /// Packets that ended before this time are passed over.
    since: Option<i64>,
}

/// Something that is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Events were lost.
    Lost(Loss),
    /// A part of a stream cannot be read.
    Damage(Box<Damage>),
}

/// What a stream lost, by its own count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Index of the stream in the reader.
    pub stream: usize,
    /// Events or packets.
    pub what: Lost,
    /// How many, if that is known.
    pub count: Option<u64>,
    /// From when, by the stream's clock.
    pub begin: Option<u64>,
    /// Until when.
    pub end: Option<u64>,
}

/// What can be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Events.
    Events,
    /// Whole packets.
    Packets,
}

/// What a reader comes to.
pub enum Item<'a> {
    /// An event.
    Event(Event<'a>),
    /// Something else.
    Notice(Notice),
}

impl Reader {
    /// A reader at the begin of these traces.
    #[must_use]
    pub fn new(traces: &[Trace]) -> Self {
        Reader::since(traces, None)
    }

    /// The same, but packets that say they ended before a time are passed over: their events are not read.
    #[must_use]
    pub fn since(traces: &[Trace], since: Option<i64>) -> Self {
        let count: usize = traces.iter().map(|trace| trace.streams().len()).sum();
        let window = (WINDOWS / count.max(1)).clamp(16 << 10, 256 << 10);
        let mut streams = Vec::with_capacity(count);
        let mut refused = Vec::new();
        for trace in traces {
            for stream in trace.streams() {
                let files = stream.files.clone();
                let keep_open = count <= MAX_OPEN;
                let shared = trace.shared.clone();
                let mut reader = StreamReader::new(shared, stream.class, files, window, keep_open);
                reader.id = stream.id_or_number;
                streams.push(reader);
            }
            let damages = trace.refused().iter().cloned();
            refused.extend(damages.map(|damage| Notice::Damage(Box::new(damage))));
        }
        let mut reader = Reader::of_streams(streams, since);
        reader.pending.extend(refused);
        reader
    }

    /// A reader of one stream of a trace alone.
    #[must_use]
    pub fn of_stream(trace: &Trace, index: usize) -> Self {
        let streams = trace.streams().get(index).into_iter().map(|stream| {
            let files = stream.files.clone();
            let mut reader =
                StreamReader::new(trace.shared.clone(), stream.class, files, 256 << 10, true);
            reader.id = stream.id_or_number;
            reader
        });
        Reader::of_streams(streams.collect(), None)
    }

    /// Opens all traces in `path` and below it.
    ///
    /// # Errors
    /// If there is none, or one cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Ok(Reader::new(&Trace::open_all(path)?))
    }

    /// A reader of streams that are no files: of each a name, and where its bytes come from.
    ///
    /// # Errors
    /// If the class describes what cannot be decoded. Streams whose first packet makes no sense become notices.
    pub fn of_sources(
        class: TraceClass,
        sources: Vec<(PathBuf, Box<dyn Source>)>,
    ) -> Result<Self, Error> {
        let trace =
            Trace::from_class(Path::new(""), class, None).map_err(|message| Error::Metadata {
                path: PathBuf::new(),
                source: MetadataError::Class(message),
            })?;
        let mut streams = Vec::new();
        let mut refused = Vec::new();
        for (name, mut source) in sources {
            match probe(&trace.shared, source.as_mut()) {
                Ok(None) => {}
                Ok(Some((class, _))) => {
                    streams.push(StreamReader::of_source(
                        trace.shared.clone(),
                        class,
                        name,
                        source,
                    ));
                }
                Err(reason) => refused.push(Notice::Damage(Box::new(Damage {
                    skipped: source.len().unwrap_or(0),
                    file: name,
                    packet: 0,
                    bit: 0,
                    field: None,
                    reason,
                }))),
            }
        }
        let mut reader = Reader::of_streams(streams, None);
        reader.pending.extend(refused);
        Ok(reader)
    }

    pub(crate) fn of_streams(streams: Vec<StreamReader>, since: Option<i64>) -> Self {
        let mut reader = Reader {
            heap: Vec::with_capacity(streams.len()),
            streams,
            moved: false,
            pending: VecDeque::new(),
            since,
        };
        for i in 0..reader.streams.len() {
            if let Some(time) = reader.advance(i) {
                reader.heap.push((time, i as u32));
            }
        }
        reader.heap.sort_unstable();
        reader
    }

    /// The next event, or what else there is to know before it; `None` at the end.
    pub fn next_item(&mut self) -> Option<Item<'_>> {
        if self.moved {
            self.moved = false;
            self.move_top();
        }
        if !self.pending.is_empty() {
            return self.pending.pop_front().map(Item::Notice);
        }
        let (ns, stream) = *self.heap.first()?;
        self.moved = true;
        let index = stream as usize;
        Some(Item::Event(Event {
            stream: &self.streams[index],
            index,
            ns,
        }))
    }

    /// Moves the stream at the top on, and to its new place.
    #[inline(always)]
    fn move_top(&mut self) {
        let Some(&(_, stream)) = self.heap.first() else {
            return;
        };
        let index = stream as usize;
        let quick = self.streams.get_mut(index).and_then(|s| s.step_ahead());
        match quick.or_else(|| self.advance(index)) {
            Some(time) => self.heap[0] = (time, stream),
            None => {
                self.heap.swap_remove(0);
            }
        }
        self.sift_down();
    }

    #[inline(always)]
    fn sift_down(&mut self) {
        let heap = self.heap.as_mut_slice();
        let Some(&moved) = heap.first() else {
            return;
        };
        let mut at = 0;
        loop {
            let left = 2 * at + 1;
            let Some(&(mut least)) = heap.get(left) else {
                break;
            };
            let mut child = left;
            if let Some(&right) = heap.get(left + 1)
                && right < least
            {
                (child, least) = (left + 1, right);
            }
            if moved <= least {
                break;
            }
            heap[at] = least;
            at = child;
        }
        heap[at] = moved;
    }

    /// Moves a stream to its next event, whose time this is.
    #[inline(never)]
    fn advance(&mut self, index: usize) -> Option<i64> {
        loop {
            let stream = &mut self.streams[index];
            match stream.step() {
                Ok(Step::Event) => return Some(stream.ns),
                Ok(Step::Packet) => self.enter_packet(index),
                Ok(Step::End) => return None,
                Err(damage) => self.pending.push_back(Notice::Damage(damage)),
            }
        }
    }

    #[cold]
    fn enter_packet(&mut self, index: usize) {
        let stream = &mut self.streams[index];
        if let (Some(since), Some(end)) = (self.since, stream.packet_end_ns())
            && end < since
        {
            stream.skip_packet();
            return;
        }
        let losses = losses(index, &stream.packet, stream.previous.as_ref());
        self.pending
            .extend(losses.into_iter().flatten().map(Notice::Lost));
    }

    /// Takes the files for growing ones: a packet that is not whole yet is no damage, but the end for now.
    pub fn follow(&mut self) {
        for stream in &mut self.streams {
            stream.following = true;
        }
    }

    /// Goes on where the streams ended: something may have been written since.
    pub fn resume(&mut self) {
        let ended: Vec<_> = (0..self.streams.len() as u32)
            .filter(|i| !self.heap.iter().any(|(_, stream)| stream == i))
            .collect();
        for i in ended {
            if let Some(time) = self.advance(i as usize) {
                self.heap.push((time, i));
            }
        }
        self.heap.sort_unstable();
    }

    /// The class of the trace that a stream belongs to.
    #[must_use]
    pub fn trace_class(&self, stream: usize) -> &TraceClass {
        &self.streams[stream].shared.class
    }

    /// The stream of this index.
    #[must_use]
    pub fn stream(&self, index: usize) -> Stream<'_> {
        Stream {
            reader: &self.streams[index],
        }
    }

    /// How many streams there are.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Takes the reader apart into its streams, each with whether it is at an event that nobody has seen, and what
    /// nobody has been told.
    pub(crate) fn into_streams(mut self) -> (Vec<(StreamReader, bool)>, VecDeque<Notice>) {
        if self.moved {
            self.moved = false;
            self.move_top();
        }
        let mut at_event = vec![false; self.streams.len()];
        for (_, stream) in &self.heap {
            at_event[*stream as usize] = true;
        }
        (
            self.streams.into_iter().zip(at_event).collect(),
            self.pending,
        )
    }
}

/// What was lost between two packets of a stream.
pub(crate) fn losses(stream: usize, packet: &Packet, before: Option<&Packet>) -> [Option<Loss>; 2] {
    let since = before.and_then(|before| before.end);
    let events = match (packet.discarded, before.and_then(|before| before.discarded)) {
        (Some(now), Some(then)) if now != then => Some(Loss {
            stream,
            what: Lost::Events,
            count: Some(now.wrapping_sub(then)),
            begin: since,
            end: packet.end,
        }),
        // A counter that does not begin at 0: when and how many is anybody's guess.
        (Some(now), None) if now != 0 => Some(Loss {
            stream,
            what: Lost::Events,
            count: None,
            begin: packet.begin,
            end: packet.end,
        }),
        _ => None,
    };
    let packets = match (packet.sequence, before.and_then(|before| before.sequence)) {
        (Some(now), Some(then)) if now.wrapping_sub(then) > 1 => Some(Loss {
            stream,
            what: Lost::Packets,
            count: Some(now.wrapping_sub(then) - 1),
            begin: since,
            end: packet.begin,
        }),
        _ => None,
    };
    [events, packets]
}

/// When the first packet of some traces begins and the last one ends, by what their headers say; `None` if no header says.
#[must_use]
pub fn span(traces: &[Trace]) -> Option<(i64, i64)> {
    let mut span: Option<(i64, i64)> = None;
    for trace in traces {
        for stream in trace.streams() {
            let Some((begin, end)) = stream_span(trace, stream) else {
                continue;
            };
            let (first, last) = span.unwrap_or((begin, end));
            span = Some((first.min(begin), last.max(end)));
        }
    }
    span
}

/// The same of one stream: by its indexes, if all its files have one, else by its packets.
fn stream_span(trace: &Trace, stream: &StreamFiles) -> Option<(i64, i64)> {
    let plan = &trace.shared.plan.streams[stream.class];
    let timing = trace.shared.class.clocks[plan.clock?].timing()?;
    let indexes: Option<Vec<_>> = stream.files.iter().map(|file| index_of(file)).collect();
    let mut cycles: Option<(u64, u64)> = None;
    let mut add = |begin: u64, end: u64| {
        let (first, last) = cycles.unwrap_or((begin, end));
        cycles = Some((first.min(begin), last.max(end)));
    };
    if let Some(indexes) = indexes {
        indexes
            .iter()
            .flatten()
            .for_each(|entry| add(entry.begin, entry.end));
    } else {
        let shared = trace.shared.clone();
        let mut reader =
            StreamReader::new(shared, stream.class, stream.files.clone(), 1 << 12, false);
        loop {
            match reader.step() {
                Ok(Step::End) => break,
                Ok(Step::Packet) => {
                    if let (Some(begin), Some(end)) = (reader.packet.begin, reader.packet.end) {
                        add(begin, end);
                    }
                    reader.skip_packet();
                }
                Ok(Step::Event) | Err(_) => {}
            }
        }
    }
    let (begin, end) = cycles?;
    timing.ns(begin).zip(timing.ns(end))
}

impl StreamReader {
    /// When the packet at hand ended.
    fn packet_end_ns(&self) -> Option<i64> {
        self.clock_class()?.ns_from_origin(self.packet.end?)
    }
}
