//! Which events: by name, time, process, thread, CPU, and by what their fields say.
//!
//! Invariant: a selection without options selects everything and decodes nothing.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use globset::{GlobBuilder, GlobMatcher};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use laneway_ctf::model::{EnvValue, Integer, Scope};
use laneway_ctf::read::{Event, Reader, Trace, Value, Visitor, span};

use super::expression::Expression;

const NS: i64 = 1_000_000_000;

/// The traces to read, and what of them.
#[derive(Debug, clap::Args)]
pub(crate) struct SelectArgs {
    /// The directories to look for traces in
    #[arg(value_name = "DIR", required = true)]
    pub(crate) paths: Vec<PathBuf>,

    /// Only events whose name matches, with * and ?; may be repeated
    #[arg(short, long, value_name = "GLOB", help_heading = "Selection")]
    event: Vec<String>,

    /// Only events of this time or later: 08:40:03.5, "2026-11-20 08:40", 1795164003.5 (seconds since 1970), +2s
    /// (from the begin), -2s (from the end)
    #[arg(
        long,
        value_name = "TIME",
        help_heading = "Selection",
        allow_hyphen_values = true
    )]
    since: Option<String>,

    /// Only events before this time
    #[arg(
        long,
        value_name = "TIME",
        help_heading = "Selection",
        allow_hyphen_values = true
    )]
    until: Option<String>,

    /// Only events of this process: its id, or its name with * and ?
    #[arg(short, long, value_name = "PROCESS", help_heading = "Selection")]
    process: Option<String>,

    /// Only events of this thread
    #[arg(short, long, value_name = "ID", help_heading = "Selection")]
    thread: Option<i64>,

    /// Only events of this CPU
    #[arg(short, long, value_name = "NUMBER", help_heading = "Selection")]
    cpu: Option<u64>,

    /// Only events for which this is true, such as 'total > 10 && who == "al*"'
    #[arg(
        short = 'w',
        long = "where",
        value_name = "EXPRESSION",
        help_heading = "Selection"
    )]
    expression: Option<String>,
}

/// Which events to take.
pub(crate) struct Selection {
    names: Vec<GlobMatcher>,
    since: Option<i64>,
    until: Option<i64>,
    process: Option<Process>,
    thread: Option<i64>,
    cpu: Option<u64>,
    expression: Option<Expression>,
    /// By stream and event class: whether the name matches.
    wanted: Vec<Vec<Option<bool>>>,
}

enum Process {
    Id(i64),
    Name(GlobMatcher),
}

fn glob(pattern: &str) -> anyhow::Result<GlobMatcher> {
    let glob = GlobBuilder::new(pattern).literal_separator(false).build();
    Ok(glob
        .with_context(|| format!("the pattern {pattern:?} is wrong"))?
        .compile_matcher())
}

impl SelectArgs {
    /// Opens the traces, and works out what is wanted of them.
    pub(crate) fn open(&self, zone: &TimeZone) -> anyhow::Result<(Vec<Trace>, Selection)> {
        let mut traces = Vec::new();
        for path in &self.paths {
            ensure!(path.exists(), "there is no {}", path.display());
            traces.extend(Trace::open_all(path)?);
        }
        let expression = match &self.expression {
            None => None,
            Some(text) => {
                let expression = Expression::parse(text).context("the expression is wrong")?;
                for (i, (name, _)) in expression.fields().iter().enumerate() {
                    if !traces.iter().any(|trace| has_field(trace, name)) {
                        return Err(expression.unknown_field(text, i))
                            .context("the expression is wrong");
                    }
                }
                Some(expression)
            }
        };
        let needs_span = |time: &Option<String>| {
            time.as_ref()
                .is_some_and(|time| time.parse::<f64>().is_err() || time.starts_with(['+', '-']))
        };
        let range = match needs_span(&self.since) || needs_span(&self.until) {
            true => span(&traces),
            false => None,
        };
        let time = |time: &Option<String>| {
            time.as_deref()
                .map(|time| parse_time(time, range, zone))
                .transpose()
        };
        let selection = Selection {
            names: self
                .event
                .iter()
                .map(|name| glob(name))
                .collect::<Result<_, _>>()?,
            since: time(&self.since)?,
            until: time(&self.until)?,
            process: match &self.process {
                None => None,
                Some(text) => Some(match text.parse() {
                    Ok(id) => Process::Id(id),
                    Err(_) => Process::Name(glob(text)?),
                }),
            },
            thread: self.thread,
            cpu: self.cpu,
            expression,
            wanted: Vec::new(),
        };
        Ok((traces, selection))
    }
}

/// Whether any event of the trace has a field of this name, in its payload or a context.
fn has_field(trace: &Trace, name: &str) -> bool {
    use laneway_ctf::model::{FieldClass, Structure};
    fn inside(class: &FieldClass, path: &str) -> bool {
        match class {
            _ if path.is_empty() => true,
            FieldClass::Structure(structure) => of(structure, path),
            FieldClass::Optional(optional) => inside(&optional.class, path),
            FieldClass::Variant(variant) => variant
                .options
                .iter()
                .any(|option| inside(&option.class, path)),
            _ => false,
        }
    }
    fn of(structure: &Structure, path: &str) -> bool {
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        structure
            .get(first)
            .is_some_and(|class| inside(class, rest))
    }
    trace.class().streams.iter().any(|stream| {
        let common = [&stream.packet_context, &stream.event_context];
        let own = stream
            .events
            .iter()
            .flat_map(|event| [&event.context, &event.payload]);
        common
            .into_iter()
            .chain(own)
            .flatten()
            .any(|structure| of(structure, name))
    })
}

/// A time as people write it, in nanoseconds since 1970.
fn parse_time(text: &str, span: Option<(i64, i64)>, zone: &TimeZone) -> anyhow::Result<i64> {
    let wrong = || {
        format!(
            "{text:?} is no time: write 08:40:03.5, \"2026-11-20 08:40\", 1795164003.5, +2s (from the begin) or -2s \
             (from the end)"
        )
    };
    let relative = |from: Option<i64>, text: &str, sign: i64| {
        let from = from.context("the trace does not say when it begins and ends")?;
        Ok(from + sign * duration(text).with_context(wrong)?)
    };
    if let Some(rest) = text.strip_prefix('+') {
        return relative(span.map(|(begin, _)| begin), rest, 1);
    }
    if let Some(rest) = text.strip_prefix('-') {
        return relative(span.map(|(_, end)| end), rest, -1);
    }
    if let Some(ns) = seconds(text) {
        return Ok(ns);
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return i64::try_from(timestamp.as_nanosecond()).with_context(wrong);
    }
    let at = |local: DateTime| -> anyhow::Result<i64> {
        let zoned = local.to_zoned(zone.clone()).with_context(wrong)?;
        i64::try_from(zoned.timestamp().as_nanosecond()).with_context(wrong)
    };
    if let Ok(local) = text.parse::<DateTime>() {
        return at(local);
    }
    if let Ok(date) = text.parse::<Date>() {
        return at(date.to_datetime(Time::midnight()));
    }
    // A time of the day: that of the day on which the trace begins, or of the next if that is over by then.
    let time: Time = text.parse().ok().with_context(wrong)?;
    let (begin, end) =
        span.context("the trace does not say when it begins: write the date, too")?;
    let first = Timestamp::from_nanosecond(i128::from(begin))?.to_zoned(zone.clone());
    let same_day = at(first.date().to_datetime(time))?;
    let next_day = at(first.date().checked_add(1.day())?.to_datetime(time))?;
    Ok(if same_day < begin && next_day <= end {
        next_day
    } else {
        same_day
    })
}

/// Seconds with a fraction, exactly.
fn seconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty()
        || fraction.len() > 9
        || !text.bytes().all(|c| c.is_ascii_digit() || c == b'.')
    {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<9}").parse().ok()?;
    whole
        .parse::<i64>()
        .ok()?
        .checked_mul(NS)?
        .checked_add(fraction)
}

/// `2s`, `1.5ms`, `10us`, `3m`, `1h`; a number alone is seconds.
fn duration(text: &str) -> Option<i64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => NS,
        "ms" => NS / 1_000,
        "us" => NS / 1_000_000,
        "ns" => 1,
        "m" | "min" => 60 * NS,
        "h" => 3600 * NS,
        _ => return None,
    };
    let ns = i128::from(seconds(digits)?) * i128::from(unit) / i128::from(NS);
    i64::try_from(ns).ok()
}

impl Selection {
    /// A reader of the traces that passes over packets which are too early.
    pub(crate) fn reader(&self, traces: &[Trace]) -> Reader {
        Reader::since(traces, self.since)
    }

    /// Whether every event is wanted.
    pub(crate) fn is_everything(&self) -> bool {
        self.names.is_empty()
            && self.since.is_none()
            && self.until.is_none()
            && self.process.is_none()
            && self.thread.is_none()
            && self.cpu.is_none()
            && self.expression.is_none()
    }

    /// Whether everything that follows in time is too late.
    pub(crate) fn is_over(&self, event: &Event<'_>) -> bool {
        matches!((self.until, event.ns()), (Some(until), Some(ns)) if ns >= until)
    }

    /// Whether the event is one of those wanted.
    pub(crate) fn takes(&mut self, event: &Event<'_>) -> bool {
        if !self.names.is_empty() && !self.name_matches(event) {
            return false;
        }
        if let Some(ns) = event.ns()
            && (self.since.is_some_and(|since| ns < since)
                || self.until.is_some_and(|until| ns >= until))
        {
            return false;
        }
        if self.process.is_some() || self.thread.is_some() || self.cpu.is_some() {
            let origin = Origin::of(event);
            let right = self
                .thread
                .is_none_or(|thread| origin.thread == Some(thread))
                && self.cpu.is_none_or(|cpu| origin.cpu == Some(cpu))
                && match &self.process {
                    None => true,
                    Some(Process::Id(id)) => origin.process == Some(*id),
                    Some(Process::Name(name)) => origin.name.is_some_and(|n| name.is_match(n)),
                };
            if !right {
                return false;
            }
        }
        self.expression
            .as_ref()
            .is_none_or(|expression| holds(expression, event))
    }

    fn name_matches(&mut self, event: &Event<'_>) -> bool {
        let (stream, class) = (event.stream_index(), event.class_index());
        if self.wanted.len() <= stream {
            self.wanted.resize_with(stream + 1, Vec::new);
        }
        let classes = &mut self.wanted[stream];
        if classes.len() <= class {
            classes.resize(class + 1, None);
        }
        let names = &self.names;
        *classes[class].get_or_insert_with(|| names.iter().any(|name| name.is_match(event.name())))
    }
}

fn holds(expression: &Expression, event: &Event<'_>) -> bool {
    let scopes = [
        Scope::Payload,
        Scope::OwnContext,
        Scope::EventContext,
        Scope::PacketContext,
    ];
    let mut decoded: [Option<Value>; 4] = Default::default();
    // Contexts are decoded only for fields that the payload lacks.
    for (name, _) in expression.fields() {
        for (scope, value) in scopes.into_iter().zip(&mut decoded) {
            let value = value.get_or_insert_with(|| event.value(scope));
            if find(value, name).is_some() {
                break;
            }
        }
    }
    let values: Vec<_> = expression
        .fields()
        .iter()
        .map(|(name, _)| decoded.iter().flatten().find_map(|value| find(value, name)))
        .collect();
    expression.holds(&values)
}

fn find<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => value.get(path),
        Some((first, rest)) => find(value.get(first)?, rest),
    }
}

/// Where an event comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) process: Option<i64>,
    pub(crate) name: Option<String>,
    pub(crate) thread: Option<i64>,
    pub(crate) cpu: Option<u64>,
}

/// Whether a member of an event's context is what [`Origin`] says.
pub(crate) fn is_origin(name: &str) -> bool {
    matches!(
        name,
        "vpid" | "pid" | "procname" | "vtid" | "tid" | "cpu_id"
    )
}

impl Origin {
    pub(crate) fn of(event: &Event<'_>) -> Self {
        let mut finder = OriginFinder::default();
        event.visit(Scope::PacketContext, &mut finder);
        event.visit(Scope::EventContext, &mut finder);
        let mut origin = finder.origin;
        let trace = event.stream().trace_class();
        if let (None, Some(EnvValue::Integer(id))) = (origin.process, trace.env("vpid")) {
            origin.process = Some(*id);
        }
        if let (None, Some(EnvValue::Text(name))) = (&origin.name, trace.env("procname")) {
            origin.name = Some(name.clone());
        }
        origin
    }
}

#[derive(Default)]
struct OriginFinder {
    origin: Origin,
    depth: u32,
    member: What,
}

#[derive(Clone, Copy, Default)]
enum What {
    Process,
    Name,
    Thread,
    Cpu,
    #[default]
    Other,
}

impl Visitor for OriginFinder {
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
            _ if self.depth != 1 => What::Other,
            "vpid" | "pid" => What::Process,
            "procname" => What::Name,
            "vtid" | "tid" => What::Thread,
            "cpu_id" => What::Cpu,
            _ => What::Other,
        };
    }

    fn unsigned(&mut self, value: u64, _: &Integer) {
        self.signed_or_not(value as i64);
    }

    fn signed(&mut self, value: i64, _: &Integer) {
        self.signed_or_not(value);
    }

    fn text(&mut self, text: &[u8]) {
        if let What::Name = self.member {
            self.origin.name = Some(String::from_utf8_lossy(text).into_owned());
        }
    }
}

impl OriginFinder {
    fn signed_or_not(&mut self, value: i64) {
        match self.member {
            What::Process => self.origin.process = Some(value),
            What::Thread => self.origin.thread = Some(value),
            What::Cpu => self.origin.cpu = Some(value as u64),
            What::Name | What::Other => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let span = Some((1_795_164_003_000_000_000, 1_795_164_100_000_000_000));
        let ns = |text: &str| parse_time(text, span, &TimeZone::UTC).unwrap();
        assert_eq!(ns("1795164003.5"), 1_795_164_003_500_000_000);
        assert_eq!(ns("2026-11-20 08:40:03.25"), 1_795_164_003_250_000_000);
        assert_eq!(ns("2026-11-20T08:40:03Z"), 1_795_164_003_000_000_000);
        assert_eq!(ns("08:40:04"), 1_795_164_004_000_000_000);
        assert_eq!(ns("+1.5ms"), 1_795_164_003_001_500_000);
        assert_eq!(ns("-10"), 1_795_164_090_000_000_000);
        for wrong in ["", "soon", "+5 parsecs", "25:00"] {
            let error = format!("{:#}", parse_time(wrong, span, &TimeZone::UTC).unwrap_err());
            assert!(error.contains("is no time"), "{error}");
        }
    }
}
