//! Events as the command `babeltrace2` prints them, character by character.
//!
//! ```text
//!  [08:40:03.025798749] (+0.000000450) vm shop:order: { cpu_id = 1 }, { vpid = 30653 }, { id = 1, items = [ [0] = 7 ] }
//!  └ timestamp           └ delta        └ host └ name   └ packet      └ context          └ payload
//! ```
//! What is the same for every event of a class or a packet is made once and copied.
//!
//! Reference: babeltrace 2.0.4, component class `sink.text.pretty`.

use super::fields::{BOLD, EVENT, FieldPrinter, Frame, RESET, TIME, UNKNOWN, colored, name_equal};
use super::number::{padded, unsigned};
use super::template::{Template, TemplateBuilder};
use super::time::{BabeltraceTiming, ClockFormat, TimeWriter, Zone, seconds};
use crate::model::{EnvValue, FieldClass, Scope, Structure};
use crate::read::{Event, Loss, Lost, Reader, Stream};

/// What to print, and how. The default is what `babeltrace2 --clock-gmt` prints.
#[derive(Clone, Debug)]
pub struct BabeltraceOptions {
    /// How times are shown.
    pub clock: ClockFormat,
    /// Where times of the day are those of.
    pub zone: Zone,
    /// The time since the event before.
    pub delta: bool,
    /// Names before values.
    pub names: Names,
    /// What of the trace and the event class is shown.
    pub fields: Fields,
    /// Colours, as on a terminal.
    pub color: bool,
}

/// Where names stand before values.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// In payloads.
    pub payload: bool,
    /// In contexts.
    pub context: bool,
    /// In front of timestamp, host and event name.
    pub header: bool,
    /// In front of the scopes.
    pub scope: bool,
}

/// What of the trace and the event class is shown.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    /// The name of the trace.
    pub trace: bool,
    /// The host it was made on.
    pub hostname: bool,
    /// The domain of the tracer.
    pub domain: bool,
    /// The name of the process, if the whole trace is of one.
    pub procname: bool,
    /// The id of the process, if the whole trace is of one.
    pub vpid: bool,
    /// The log level.
    pub loglevel: bool,
    /// The link to the event's model.
    pub emf: bool,
}

impl Default for BabeltraceOptions {
    fn default() -> Self {
        BabeltraceOptions {
            clock: ClockFormat::Time,
            zone: Zone::Utc,
            delta: true,
            names: Names {
                payload: true,
                context: true,
                header: false,
                scope: false,
            },
            fields: Fields {
                trace: false,
                hostname: true,
                domain: false,
                procname: true,
                vpid: true,
                loglevel: false,
                emf: false,
            },
            color: false,
        }
    }
}

/// Prints events.
pub struct Babeltrace {
    options: BabeltraceOptions,
    time: TimeWriter,
    last_ns: Option<i64>,
    last_cycles: Option<u64>,
    delta_ns: Option<u64>,
    delta_cycles: Option<u64>,
    streams: Vec<StreamTexts>,
    frames: Vec<Frame>,
    /// Whether lines begin in the plain form: `[time] (+delta) `.
    quick: bool,
}

/// What is the same for many events of a stream.
#[derive(Default)]
struct StreamTexts {
    classes: Vec<Option<ClassTexts>>,
    timing: Option<BabeltraceTiming>,
    /// The packet that `context` is of: how many the stream had come to.
    packet: Option<u64>,
    /// The packet context, with what stands before it.
    context: Vec<u8>,
    /// Whether there is any field to show in packet contexts.
    shows_context: bool,
}

/// What is the same for all events of a class.
struct ClassTexts {
    /// From behind the delta to before the first scope.
    header: Box<[u8]>,
    /// The contexts and the payload, if they are flat.
    template: Option<Template>,
}

impl Babeltrace {
    /// A printer that has printed nothing yet.
    #[must_use]
    pub fn new(options: BabeltraceOptions) -> Self {
        let dated = matches!(options.clock, ClockFormat::Time | ClockFormat::Date);
        Babeltrace {
            quick: dated && options.delta && !options.color && !options.names.header,
            time: TimeWriter::new(options.clock, options.zone),
            options,
            last_ns: None,
            last_cycles: None,
            delta_ns: None,
            delta_cycles: None,
            streams: Vec::new(),
            frames: Vec::new(),
        }
    }

    /// Appends an event, with a newline behind it.
    pub fn event(&mut self, out: &mut Vec<u8>, event: &Event<'_>) {
        let (index, class) = (event.stream_index(), event.class_index());
        if self
            .streams
            .get(index)
            .is_none_or(|texts| !matches!(texts.classes.get(class), Some(Some(_))))
        {
            self.meet(event);
        }
        let texts = &self.streams[index];
        if texts.shows_context && texts.packet != Some(event.stream().packets()) {
            self.show_packet(event);
        }
        self.timestamp(out, event);
        let texts = &self.streams[index];
        let Some(Some(of_class)) = texts.classes.get(class) else {
            return;
        };
        out.extend_from_slice(&of_class.header);
        if texts.shows_context {
            out.extend_from_slice(&texts.context);
        }
        if let Some(template) = &of_class.template
            && template.fill(out, &mut event.context_cursor())
        {
            return;
        }
        let mut first = !texts.shows_context;
        let names = self.options.names;
        self.scope(out, event, Scope::EventContext, names.context, &mut first);
        self.scope(out, event, Scope::OwnContext, names.context, &mut first);
        self.scope(out, event, Scope::Payload, names.payload, &mut first);
        out.push(b'\n');
    }

    /// Makes what is the same for all events of this class.
    #[cold]
    fn meet(&mut self, event: &Event<'_>) {
        let (index, class) = (event.stream_index(), event.class_index());
        let stream = event.stream();
        if self.streams.len() <= index {
            self.streams.resize_with(index + 1, StreamTexts::default);
        }
        let clocked = stream.clock().is_some();
        let mut header = Vec::new();
        self.make_header(
            &mut header,
            stream,
            event,
            !(clocked && self.options.names.header),
        );
        let shows_context = stream.class().packet_context.as_ref().is_some_and(shows);
        let template = self.make_template(event, !shows_context);
        let texts = &mut self.streams[index];
        texts.shows_context = shows_context;
        texts.timing = stream.clock().and_then(BabeltraceTiming::new);
        if texts.classes.len() <= class {
            texts.classes.resize_with(class + 1, || None);
        }
        texts.classes[class] = Some(ClassTexts {
            header: header.into(),
            template,
        });
    }

    fn make_template(&self, event: &Event<'_>, mut first: bool) -> Option<Template> {
        let names = self.options.names;
        if self.options.color || names.scope {
            return None;
        }
        let mut builder = TemplateBuilder::new();
        let nodes = event.nodes();
        for (node, names) in nodes
            .into_iter()
            .zip([names.context, names.context, names.payload])
        {
            if let Some(node) = node {
                if !first {
                    builder.text(b", ");
                }
                first = false;
                builder.scope(node, names)?;
            }
        }
        builder.text(b"\n");
        Some(builder.finish())
    }

    fn timestamp(&mut self, out: &mut Vec<u8>, event: &Event<'_>) {
        let Some(cycles) = event.cycles() else {
            return;
        };
        let timing = self
            .streams
            .get(event.stream_index())
            .and_then(|texts| texts.timing);
        let ns = timing.and_then(|timing| timing.ns(cycles));
        if let (Some(ns), true) = (ns, self.quick) {
            let delta = self.last_ns.map(|last| ns.wrapping_sub(last) as u64);
            self.last_ns = Some(ns);
            return self.time.line_begin(out, ns, delta);
        }
        let named = self.options.names.header;
        match named {
            true => name_equal(out, "timestamp", self.options.color, BOLD),
            false => out.push(b'['),
        }
        if self.options.color {
            out.extend_from_slice(TIME.as_bytes());
        }
        let of_cycles = self.options.clock == ClockFormat::Cycles;
        if of_cycles {
            padded::<20>(out, cycles);
            self.delta_cycles = self.last_cycles.map(|last| cycles.wrapping_sub(last));
            self.last_cycles = Some(cycles);
        } else {
            match ns {
                Some(ns) => {
                    self.time.write(out, ns);
                    self.delta_ns = self.last_ns.map(|last| ns.wrapping_sub(last) as u64);
                    self.last_ns = Some(ns);
                }
                None => out.extend_from_slice(b"Error"),
            }
        }
        if self.options.color {
            out.extend_from_slice(RESET.as_bytes());
        }
        if !named {
            out.extend_from_slice(b"] ");
        }
        if !self.options.delta {
            return;
        }
        match named {
            true => {
                out.extend_from_slice(b", ");
                name_equal(out, "delta", self.options.color, BOLD);
            }
            false => out.push(b'('),
        }
        match (of_cycles, self.delta_cycles, self.delta_ns) {
            (true, None, _) => out.extend_from_slice(b"+????????????"),
            (true, Some(delta), _) => {
                out.push(b'+');
                padded::<12>(out, delta);
            }
            (false, _, None) => out.extend_from_slice(b"+?.?????????"),
            (false, _, Some(delta)) => {
                out.push(b'+');
                unsigned(out, delta / 1_000_000_000);
                out.push(b'.');
                padded::<9>(out, delta % 1_000_000_000);
            }
        }
        if !named {
            out.extend_from_slice(b") ");
        }
    }

    fn make_header(&self, out: &mut Vec<u8>, stream: Stream<'_>, event: &Event<'_>, start: bool) {
        let named = self.options.names.header;
        let color = self.options.color;
        let fields = self.options.fields;
        let trace = stream.trace_class();
        let mut colon = false;
        let put = |out: &mut Vec<u8>, name: &str, value: &str, colon: &mut bool| {
            if !start {
                out.extend_from_slice(b", ");
            }
            if named {
                name_equal(out, name, color, BOLD);
            } else if *colon {
                out.push(b':');
            }
            out.extend_from_slice(value.as_bytes());
            *colon = true;
        };
        if fields.trace {
            let mut never = false;
            put(out, "trace", &trace_name(stream), &mut never);
            if named {
                out.extend_from_slice(b", ");
            }
        }
        for (shown, name, key) in [
            (fields.hostname, "trace:hostname", "hostname"),
            (fields.domain, "trace:domain", "domain"),
            (fields.procname, "trace:procname", "procname"),
        ] {
            if let (true, Some(EnvValue::Text(text))) = (shown, trace.env(key)) {
                put(out, name, text, &mut colon);
            }
        }
        if let (true, Some(EnvValue::Integer(vpid))) = (fields.vpid, trace.env("vpid")) {
            put(out, "trace:vpid", &format!("({vpid})"), &mut colon);
        }
        let class = event.class();
        if let (true, Some(name)) = (fields.loglevel, class.log_level.and_then(log_level_name)) {
            let level = class.log_level.unwrap_or_default();
            put(out, "loglevel", &format!("{name} ({level})"), &mut colon);
        }
        if let (true, Some(uri)) = (fields.emf, &class.emf_uri) {
            put(out, "model.emf.uri", uri, &mut colon);
        }
        if colon && !named {
            out.push(b' ');
        }
        if !start {
            out.extend_from_slice(b", ");
        }
        if named {
            name_equal(out, "name", color, BOLD);
        }
        let (shown, with) = match &class.name {
            Some(name) => (name.as_str(), EVENT),
            None => ("<unknown>", UNKNOWN),
        };
        colored(out, shown.as_bytes(), color, with);
        out.extend_from_slice(if named { b", " } else { b": " });
    }

    /// Makes the packet context's text, which is the same for all events of the packet.
    #[cold]
    fn show_packet(&mut self, event: &Event<'_>) {
        let index = event.stream_index();
        let mut context = std::mem::take(&mut self.streams[index].context);
        context.clear();
        let (names, mut first) = (self.options.names.context, true);
        self.scope(&mut context, event, Scope::PacketContext, names, &mut first);
        let texts = &mut self.streams[index];
        texts.context = context;
        texts.packet = Some(event.stream().packets());
    }

    fn scope(
        &mut self,
        out: &mut Vec<u8>,
        event: &Event<'_>,
        scope: Scope,
        names: bool,
        first: &mut bool,
    ) {
        if !event.has(scope) {
            return;
        }
        if !*first {
            out.extend_from_slice(b", ");
        }
        *first = false;
        if self.options.names.scope {
            let name = match scope {
                Scope::PacketContext => "stream.packet.context",
                Scope::EventContext => "stream.event.context",
                Scope::OwnContext => "event.context",
                _ => "event.fields",
            };
            name_equal(out, name, self.options.color, BOLD);
        }
        self.frames.clear();
        let mut printer = FieldPrinter {
            out,
            names,
            color: self.options.color,
            frames: &mut self.frames,
        };
        event.visit(scope, &mut printer);
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
            _ => self.time.write(out, ns),
        }
    }
}

/// The name that babeltrace gives a trace.
fn trace_name(stream: Stream<'_>) -> String {
    let host = match stream.trace_class().env("hostname") {
        Some(EnvValue::Text(host)) => Some(host.as_str()),
        _ => None,
    };
    let parts: Vec<_> = host.into_iter().chain(stream.below()).collect();
    parts.join("/")
}

fn log_level_name(level: i64) -> Option<&'static str> {
    let names = [
        "TRACE_EMERG",
        "TRACE_ALERT",
        "TRACE_CRIT",
        "TRACE_ERR",
        "TRACE_WARNING",
        "TRACE_NOTICE",
        "TRACE_INFO",
        "TRACE_DEBUG_SYSTEM",
        "TRACE_DEBUG_PROGRAM",
        "TRACE_DEBUG_PROCESS",
        "TRACE_DEBUG_MODULE",
        "TRACE_DEBUG_UNIT",
        "TRACE_DEBUG_FUNCTION",
        "TRACE_DEBUG_LINE",
        "TRACE_DEBUG",
    ];
    names.get(usize::try_from(level).ok()?).copied()
}

/// Whether any field of a packet context is for users: those with a role are not shown.
fn shows(structure: &Structure) -> bool {
    structure.fields.is_empty()
        || structure
            .fields
            .iter()
            .any(|field| shows_class(&field.class))
}

fn shows_class(class: &FieldClass) -> bool {
    match class {
        FieldClass::Integer(class) => class.roles.is_empty(),
        FieldClass::VarInteger(class) => class.roles.is_empty(),
        FieldClass::Structure(class) => shows(class),
        FieldClass::Array(class) => shows_class(&class.element),
        _ => true,
    }
}
