//! Events for people: one short line each.
//!
//! ```text
//!  08:40:03.025798749 +450ns   1 30653 shop:order id=1 who="alice é" items=[7] st=PAID
//! ```

use super::number::{integer, quoted, signed, unsigned};
use super::time::{ClockFormat, TimeWriter, Zone};
use crate::model::{Base, BitArray, EnvValue, Integer, Scope};
use crate::read::{Event, Visitor};

/// How to print.
#[derive(Clone, Debug, Default)]
pub struct PrettyOptions {
    /// How times are shown.
    pub clock: ClockFormat,
    /// Where times of the day are those of.
    pub zone: Zone,
    /// Which process an event is of: for traces of several.
    pub process: bool,
    /// Colours, as on a terminal.
    pub color: bool,
}

/// Prints events, one short line each.
pub struct Pretty {
    options: PrettyOptions,
    time: TimeWriter,
    last_ns: Option<i64>,
    thread: FindThread,
    /// The most that a process took.
    process_width: usize,
}

/// The most elements of an array, and bytes of a blob, that are shown.
const MOST: u64 = 16;

/// What of an event's context has a column of its own: thread and CPU always, the process if that is shown.
const SHOWN: [&str; 6] = ["vtid", "tid", "cpu_id", "vpid", "pid", "procname"];

const DIM: &[u8] = b"\x1b[2m";
const NAME: &[u8] = b"\x1b[1;35m";
const KEY: &[u8] = b"\x1b[36m";
const RESET: &[u8] = b"\x1b[0m";

impl Pretty {
    /// A printer that has printed nothing yet.
    #[must_use]
    pub fn new(options: PrettyOptions) -> Self {
        Pretty {
            time: TimeWriter::new(options.clock, options.zone),
            options,
            last_ns: None,
            thread: FindThread::default(),
            process_width: 0,
        }
    }

    /// Appends an event, with a newline behind it.
    pub fn event(&mut self, out: &mut Vec<u8>, event: &Event<'_>) {
        self.thread.clear();
        event.visit(Scope::PacketContext, &mut self.thread);
        event.visit(Scope::EventContext, &mut self.thread);
        let color = self.options.color;
        let paint = |out: &mut Vec<u8>, with: &[u8]| {
            if color {
                out.extend_from_slice(with);
            }
        };
        paint(out, DIM);
        match (event.ns(), self.options.clock) {
            (_, ClockFormat::Cycles) => unsigned(out, event.cycles().unwrap_or(0)),
            (Some(ns), _) => {
                self.time.write(out, ns);
                out.push(b' ');
                let delta = self.last_ns.map(|last| ns.saturating_sub(last));
                self.last_ns = Some(ns);
                column(out, 8, |out| delta_text(out, delta));
            }
            (None, _) => out.push(b'-'),
        }
        paint(out, RESET);
        out.push(b' ');
        column(out, 3, |out| match self.thread.cpu {
            Some(cpu) => unsigned(out, cpu),
            None => out.push(b'-'),
        });
        if let Some(thread) = self.thread.thread {
            out.push(b' ');
            column(out, 7, |out| signed(out, thread));
        }
        if self.options.process {
            self.process(out, event);
        }
        out.push(b' ');
        paint(out, NAME);
        let name = match event.name() {
            "" => "<unknown>",
            name => name,
        };
        out.extend_from_slice(name.as_bytes());
        paint(out, RESET);
        let mut printer = Short {
            out,
            color,
            depth: Vec::new(),
            hidden: &[],
        };
        for scope in [Scope::EventContext, Scope::OwnContext, Scope::Payload] {
            printer.hidden = match scope {
                Scope::EventContext if self.options.process => &SHOWN[..],
                Scope::EventContext => &SHOWN[..3],
                _ => &[],
            };
            event.visit(scope, &mut printer);
        }
        out.push(b'\n');
    }
}

impl Pretty {
    /// Appends the process: ` shop(4711)`, aligned with those before.
    fn process(&mut self, out: &mut Vec<u8>, event: &Event<'_>) {
        let from = out.len();
        out.push(b' ');
        let trace = event.stream().trace_class();
        match (&self.thread.name, trace.env("procname")) {
            (Some(name), _) => out.extend_from_slice(name),
            (None, Some(EnvValue::Text(name))) => out.extend_from_slice(name.as_bytes()),
            _ => {}
        }
        let process = match trace.env("vpid") {
            Some(EnvValue::Integer(id)) => self.thread.process.or(Some(*id)),
            _ => self.thread.process,
        };
        if let Some(process) = process {
            out.push(b'(');
            signed(out, process);
            out.push(b')');
        }
        let width = out.len() - from;
        self.process_width = self.process_width.max(width);
        out.resize(from + self.process_width, b' ');
    }
}

/// Appends what `f` writes, spaces before it to `width` characters.
fn column(out: &mut Vec<u8>, width: usize, f: impl FnOnce(&mut Vec<u8>)) {
    let from = out.len();
    f(out);
    let written = out.len() - from;
    if written < width {
        out.splice(from..from, std::iter::repeat_n(b' ', width - written));
    }
}

fn delta_text(out: &mut Vec<u8>, delta: Option<i64>) {
    let Some(delta) = delta else {
        return;
    };
    out.push(if delta < 0 { b'-' } else { b'+' });
    let ns = delta.unsigned_abs();
    let (value, unit): (u64, &[u8]) = match ns {
        0..10_000 => (ns, b"ns"),
        10_000..10_000_000 => (ns / 1_000, b"us"),
        10_000_000..10_000_000_000 => (ns / 1_000_000, b"ms"),
        _ => (ns / 1_000_000_000, b"s"),
    };
    unsigned(out, value);
    out.extend_from_slice(unit);
}

/// Finds the CPU, thread and process of an event.
#[derive(Default)]
struct FindThread {
    cpu: Option<u64>,
    thread: Option<i64>,
    process: Option<i64>,
    name: Option<Vec<u8>>,
    member: Member,
    depth: u32,
}

#[derive(Default)]
enum Member {
    Cpu,
    Thread,
    Process,
    Name,
    #[default]
    Other,
}

impl FindThread {
    fn clear(&mut self) {
        *self = FindThread::default();
    }
}

impl Visitor for FindThread {
    fn structure(&mut self, _: usize) {
        self.depth += 1;
    }

    fn array(&mut self, _: u64) {
        self.depth += 1;
    }

    fn option(&mut self, _: Option<&str>) {
        self.depth += 1;
    }

    fn end(&mut self) {
        self.depth -= 1;
    }

    fn member(&mut self, _: usize, name: &str) {
        self.member = match name {
            "cpu_id" if self.depth == 1 => Member::Cpu,
            "vtid" | "tid" if self.depth == 1 => Member::Thread,
            "vpid" | "pid" if self.depth == 1 => Member::Process,
            "procname" if self.depth == 1 => Member::Name,
            _ => Member::Other,
        };
    }

    fn unsigned(&mut self, value: u64, _: &Integer) {
        match self.member {
            Member::Cpu => self.cpu = Some(value),
            Member::Thread => self.thread = Some(value as i64),
            Member::Process => self.process = Some(value as i64),
            Member::Name | Member::Other => {}
        }
    }

    fn signed(&mut self, value: i64, class: &Integer) {
        self.unsigned(value as u64, class);
    }

    fn text(&mut self, text: &[u8]) {
        if let Member::Name = self.member {
            self.name = Some(text.to_owned());
        }
    }
}

/// Prints the fields of a scope as ` name=value`.
struct Short<'a> {
    out: &'a mut Vec<u8>,
    color: bool,
    depth: Vec<Open>,
    /// Members of the scope that are shown elsewhere.
    hidden: &'static [&'static str],
}

/// What is open, and where its last part begins.
enum Open {
    Scope {
        mark: usize,
        hide: bool,
    },
    Structure,
    Array {
        length: u64,
        mark: usize,
    },
    /// Whether it is one of several.
    Option(bool),
}

impl Short<'_> {
    /// To be called behind every value.
    fn done(&mut self) {
        match self.depth.last() {
            Some(Open::Scope { mark, hide: true }) => self.out.truncate(*mark),
            // Elements beyond the last that is shown.
            Some(Open::Array { mark, .. }) if *mark > 0 => self.out.truncate(*mark),
            _ => {}
        }
    }

    fn number(&mut self, bits: u64, class: &Integer) {
        let value = if class.signed {
            i128::from(bits as i64)
        } else {
            i128::from(bits)
        };
        let label = class
            .mappings
            .iter()
            .flatten()
            .find(|m| m.ranges.iter().any(|r| r.contains(value)));
        match label {
            Some(mapping) => self.out.extend_from_slice(mapping.label.as_bytes()),
            None if class.base == Base::Hexadecimal => {
                let from = self.out.len();
                integer(self.out, bits, class);
                self.out[from..].make_ascii_lowercase();
            }
            None => integer(self.out, bits, class),
        }
        self.done();
    }
}

impl Visitor for Short<'_> {
    fn structure(&mut self, members: usize) {
        if members == 0 && matches!(self.depth.last(), Some(Open::Option(true))) {
            // This is how TSDL says that an optional field is absent.
            self.out.push(b'-');
            self.depth.push(Open::Option(false));
        } else if self.depth.is_empty() {
            self.depth.push(Open::Scope {
                mark: 0,
                hide: false,
            });
        } else {
            self.out.push(b'{');
            self.depth.push(Open::Structure);
        }
    }

    fn member(&mut self, index: usize, name: &str) {
        // Lengths and tags speak through the values they belong to.
        let helper = name.starts_with('_') && (name.ends_with("_length") || name.ends_with("_tag"));
        match self.depth.last_mut() {
            Some(Open::Scope { mark, hide }) => {
                *mark = self.out.len();
                *hide = helper || self.hidden.contains(&name);
                self.out.push(b' ');
            }
            _ if index > 0 => self.out.push(b' '),
            _ => {}
        }
        if self.color {
            self.out.extend_from_slice(KEY);
        }
        self.out.extend_from_slice(name.as_bytes());
        if self.color {
            self.out.extend_from_slice(RESET);
        }
        self.out.push(b'=');
    }

    fn array(&mut self, length: u64) {
        self.out.push(b'[');
        self.depth.push(Open::Array { length, mark: 0 });
    }

    fn element(&mut self, index: u64) {
        let here = self.out.len();
        if let Some(Open::Array { length, mark }) = self.depth.last_mut()
            && index == MOST
        {
            let more = format!(" … {} more", *length - MOST);
            self.out.extend_from_slice(more.as_bytes());
            *mark = here + more.len();
        }
        if index > 0 {
            self.out.push(b' ');
        }
    }

    fn option(&mut self, name: Option<&str>) {
        self.depth.push(Open::Option(name.is_some()));
    }

    fn end(&mut self) {
        match self.depth.pop() {
            Some(Open::Structure) => self.out.push(b'}'),
            Some(Open::Array { .. }) => self.out.push(b']'),
            _ => {}
        }
        if !self.depth.is_empty() {
            self.done();
        }
    }

    fn nothing(&mut self) {
        self.out.push(b'-');
        self.done();
    }

    fn unsigned(&mut self, value: u64, class: &Integer) {
        self.number(value, class);
    }

    fn signed(&mut self, value: i64, class: &Integer) {
        self.number(value as u64, class);
    }

    fn float(&mut self, value: f64, single: bool) {
        let text = match single {
            true => (value as f32).to_string(),
            false => value.to_string(),
        };
        self.out.extend_from_slice(text.as_bytes());
        self.done();
    }

    fn boolean(&mut self, value: bool) {
        self.out
            .extend_from_slice(if value { b"true" } else { b"false" });
        self.done();
    }

    fn bits(&mut self, value: u64, _: &BitArray) {
        self.out.extend_from_slice(format!("{value:#x}").as_bytes());
        self.done();
    }

    fn text(&mut self, text: &[u8]) {
        quoted(self.out, text);
        self.done();
    }

    fn blob(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().take(MOST as usize) {
            self.out.extend_from_slice(format!("{byte:02x}").as_bytes());
        }
        if bytes.len() as u64 > MOST {
            self.out
                .extend_from_slice(format!("… {} bytes", bytes.len()).as_bytes());
        }
        self.done();
    }
}
