//! Events as the command `babeltrace2` prints them, character by character.
//!
//! ```text
//!  [08:40:03.025798749] (+0.000000450) vm shop:order: { cpu_id = 1 }, { vpid = 30653 }, { id = 1, items = [ [0] = 7 ] }
//!  └ timestamp           └ delta        └ host └ name   └ packet      └ context          └ payload
//! ```
//! What is the same for every event of a class or a packet is made once and copied.
//!
//! Reference: babeltrace 2.0.4, component class `sink.text.pretty`.

use std::collections::HashMap;
use std::sync::Arc;

use super::form::{BOLD, Form, FormBuilder, RESET};
use super::header::{header, shows, trace_name};
use super::line::{Blocks, Line};
use super::options::BabeltraceOptions;
use super::stamp::Stamps;
use super::time::{BabeltraceTiming, ClockFormat, Head, TimeWriter, seconds};
use crate::read::{Event, Loss, Lost, Reader, Shared};

/// Prints the events of one reader.
pub struct Babeltrace {
    options: BabeltraceOptions,
    stamps: Stamps,
    streams: Vec<StreamTexts>,
    /// By trace, stream class and event class: streams of a class share them.
    classes: HashMap<(usize, usize, usize), Arc<ClassTexts>>,
    traces: Vec<Arc<Shared>>,
    /// How long the line before was.
    room: usize,
    /// Whether lines begin in the plain form: `[time] (+delta) `.
    plain: bool,
}

/// What is the same for many events of a stream.
#[derive(Default)]
struct StreamTexts {
    /// What its classes are those of: a trace that grows is described anew.
    shared: Option<Arc<Shared>>,
    classes: Vec<Option<Lines>>,
    timing: Option<BabeltraceTiming>,
}

/// What is the same for many events of a class in a stream.
struct Lines {
    of_class: Arc<ClassTexts>,
    /// The packet and second that the begin is of.
    packet: u64,
    head: Head,
    /// Everything before the first scope.
    begin: Blocks,
    /// The same without time and delta.
    header: Vec<u8>,
}

/// What is the same for all events of a class.
struct ClassTexts {
    /// From behind the delta to before the packet context.
    header: Vec<u8>,
    /// The packet context, if there is any field to show in it.
    packet_context: Option<Form>,
    /// The contexts and the payload.
    form: Form,
}

impl Babeltrace {
    /// A printer that has printed nothing yet.
    #[must_use]
    pub fn new(options: BabeltraceOptions) -> Self {
        let dated = matches!(options.clock, ClockFormat::Time | ClockFormat::Date);
        Babeltrace {
            plain: dated && options.delta && !options.color && !options.names.header,
            stamps: Stamps::new(&options),
            options,
            streams: Vec::new(),
            classes: HashMap::new(),
            traces: Vec::new(),
            room: 0,
        }
    }

    /// Appends an event, with a newline behind it.
    pub fn event(&mut self, out: &mut Vec<u8>, event: &Event<'_>) {
        let (index, class) = (event.stream_index(), event.class_index());
        let shared = &event.reader().shared;
        let of_trace = |texts: &&StreamTexts| match &texts.shared {
            Some(known) => Arc::ptr_eq(known, shared),
            None => false,
        };
        let texts = self.streams.get(index).filter(of_trace);
        let known = texts.and_then(|texts| texts.classes.get(class));
        if !matches!(known, Some(Some(_))) {
            self.meet(event);
        }
        let before = out.len();
        let mut line = Line::behind(std::mem::take(out), self.room + 64);
        self.line(&mut line, event);
        *out = line.finish();
        self.room = out.len() - before;
    }

    #[inline(always)]
    fn line(&mut self, line: &mut Line, event: &Event<'_>) {
        let (index, class) = (event.stream_index(), event.class_index());
        let stream = event.reader();
        let Some(texts) = self.streams.get_mut(index) else {
            return;
        };
        let Some(Some(lines)) = texts.classes.get_mut(class) else {
            return;
        };
        let ns = texts.timing.and_then(|timing| timing.ns(stream.clock));
        let delta = match (ns, self.stamps.last_ns) {
            (Some(ns), Some(last)) => ns.wrapping_sub(last) as u64,
            _ => u64::MAX,
        };
        match ns {
            Some(ns) if self.plain && delta < 1_000_000_000 && ns >= 0 => {
                let fraction = match lines.head.fraction(ns) {
                    Some(fraction) if lines.packet == stream.packets => fraction,
                    _ => lines.make_begin(&mut self.stamps.time, event, ns),
                };
                let from = line.at();
                line.blocks(&lines.begin);
                lines.head.put(line, from, fraction, delta as u32);
                self.stamps.last_ns = Some(ns);
            }
            _ => {
                self.stamps.begin_line(line, &self.options, event, ns);
                lines.make_header(event);
                line.text(&lines.header);
            }
        }
        let (mut cursor, slots) = (event.context_cursor(), stream.slots());
        // The event was gone past without an error, and filling takes the same steps.
        if lines.of_class.form.fill(line, &mut cursor, slots).is_err() {
            line.byte(b'\n');
        }
    }

    /// Makes what is the same for all events of this class.
    #[cold]
    fn meet(&mut self, event: &Event<'_>) {
        let (index, class) = (event.stream_index(), event.class_index());
        let shared = &event.reader().shared;
        let known = self.traces.iter().position(|t| Arc::ptr_eq(t, shared));
        let trace = known.unwrap_or_else(|| {
            self.traces.push(shared.clone());
            self.traces.len() - 1
        });
        let key = (trace, event.reader().class, class);
        let texts = match self.classes.get(&key) {
            Some(texts) => texts.clone(),
            None => {
                let texts = Arc::new(self.class_texts(event));
                self.classes.insert(key, texts.clone());
                texts
            }
        };
        if self.streams.len() <= index {
            self.streams.resize_with(index + 1, StreamTexts::default);
        }
        let stream = &mut self.streams[index];
        if !stream
            .shared
            .as_ref()
            .is_some_and(|s| Arc::ptr_eq(s, shared))
        {
            *stream = StreamTexts::default();
            stream.shared = Some(shared.clone());
        }
        stream.timing = event.stream().clock().and_then(BabeltraceTiming::new);
        if stream.classes.len() <= class {
            stream.classes.resize_with(class + 1, || None);
        }
        stream.classes[class] = Some(Lines {
            of_class: texts,
            // No packet has this number: they are counted from 1.
            packet: 0,
            head: Head::NONE,
            begin: Blocks::default(),
            header: Vec::new(),
        });
    }

    fn class_texts(&self, event: &Event<'_>) -> ClassTexts {
        let (names, color) = (self.options.names, self.options.color);
        let clocked = event.stream().clock().is_some();
        let mut text = Vec::new();
        header(&self.options, &mut text, event, !(clocked && names.header));

        let context = event.stream().class().packet_context.as_ref();
        let node = event.reader().packet_context_node();
        let packet_context = node.filter(|_| context.is_some_and(shows)).map(|node| {
            let mut builder = FormBuilder::new(color);
            if names.scope {
                builder.scope_name("stream.packet.context");
            }
            builder.scope(node, names.context);
            builder.finish()
        });
        let mut builder = FormBuilder::new(color);
        let mut first = packet_context.is_none();
        let scopes = [
            ("stream.event.context", names.context),
            ("event.context", names.context),
            ("event.fields", names.payload),
        ];
        for (node, (name, with_names)) in event.nodes().into_iter().zip(scopes) {
            let Some(node) = node else { continue };
            if !first {
                builder.text(b", ");
            }
            first = false;
            if names.scope {
                builder.scope_name(name);
            }
            builder.scope(node, with_names);
        }
        builder.text(b"\n");
        ClassTexts {
            header: text,
            packet_context,
            form: builder.finish(),
        }
    }

    /// Appends the line that `babeltrace2` writes to its standard error about lost events.
    pub fn loss(&mut self, out: &mut Vec<u8>, reader: &Reader, loss: &Loss) {
        let stream = reader.stream(loss.stream);
        let trace = stream.trace_class();
        let what = match loss.what {
            Lost::Events => "event",
            Lost::Packets => "packet",
        };
        let (yellow, bold, reset) = match self.options.color {
            true => ("\x1b[33m", BOLD, RESET),
            false => ("", "", ""),
        };
        out.extend_from_slice(format!("{yellow}{bold}WARNING{reset}{yellow}: ").as_bytes());
        match loss.count {
            None => out.extend_from_slice(format!("Tracer may have discarded {what}s ").as_bytes()),
            Some(count) => {
                let plural = if count == 1 { "" } else { "s" };
                out.extend_from_slice(
                    format!("Tracer discarded {count} {what}{plural} ").as_bytes(),
                );
            }
        }
        let ns = |cycles: Option<u64>| BabeltraceTiming::new(stream.clock()?)?.ns(cycles?);
        match (ns(loss.begin), ns(loss.end)) {
            (Some(begin), Some(end)) => {
                out.extend_from_slice(b"between [");
                self.time(out, begin);
                out.extend_from_slice(b"] and [");
                self.time(out, end);
                out.push(b']');
            }
            _ => out.extend_from_slice(b"(unknown time range)"),
        }
        let uuid = match trace.uuid {
            Some(uuid) => format!("(UUID: {uuid})"),
            None => "(no UUID)".to_owned(),
        };
        let file = std::path::absolute(stream.first_file()).unwrap_or_default();
        let line = format!(
            " in trace \"{}\" {uuid} within stream \"{}\" (stream class ID: {}, stream ID: {}).{reset}\n",
            trace_name(stream),
            file.display(),
            stream.class().id,
            stream.id(),
        );
        out.extend_from_slice(line.as_bytes());
    }

    fn time(&mut self, out: &mut Vec<u8>, ns: i64) {
        match self.options.clock {
            ClockFormat::Seconds => seconds(out, ns),
            _ => self.stamps.time.write(out, ns),
        }
    }
}

impl Lines {
    /// Makes what stands before the first scope in this packet and second. The fraction of the second.
    #[cold]
    fn make_begin(&mut self, time: &mut TimeWriter, event: &Event<'_>, ns: i64) -> u32 {
        self.make_header(event);
        let mut begin = Vec::new();
        self.head = time.head(&mut begin, ns);
        begin.extend_from_slice(&self.header);
        self.begin = Blocks::new(&begin);
        self.head.fraction(ns).unwrap_or(0)
    }

    /// Makes what stands between the time and the first scope in this packet.
    fn make_header(&mut self, event: &Event<'_>) {
        let stream = event.reader();
        if self.packet == stream.packets {
            return;
        }
        self.packet = stream.packets;
        self.head = Head::NONE;
        self.header.clone_from(&self.of_class.header);
        let context = &self.of_class.packet_context;
        if let (Some(form), Ok(mut cursor)) = (context, stream.packet_context_cursor()) {
            let mut line = Line::behind(std::mem::take(&mut self.header), 0);
            // It was read when the packet was entered.
            let _ = form.fill(&mut line, &mut cursor, stream.slots());
            self.header = line.finish();
        }
    }
}
