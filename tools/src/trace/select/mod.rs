//! Which events: by name, time, process, thread, CPU, and by what their fields say.
//!
//! Invariant: a selection without options selects everything and decodes nothing.

mod origin;
mod time;

use std::path::PathBuf;

use anyhow::{Context, ensure};
use globset::{GlobBuilder, GlobMatcher};
use jiff::tz::TimeZone;
use laneway_ctf::model::Scope;
use laneway_ctf::read::{Event, Reader, Trace, Value, span};

pub(crate) use self::origin::{Origin, is_origin};
use self::time::{needs_span, parse_time};

use super::expression::Expression;

/// The traces to read, and what of them.
#[derive(Debug, clap::Args)]
pub(crate) struct SelectArgs {
    /// The directories to look for traces in
    #[arg(value_name = "DIR", required = true)]
    pub(crate) paths: Vec<PathBuf>,

    /// Only events whose name matches, with * and ?; may be given several times
    #[arg(short, long, value_name = "GLOB", help_heading = "Selection")]
    event: Vec<String>,

    /// Only events of this time or later: 08:40:03.5, +2s (from the begin), -2s (from the end)
    ///
    /// Also "2026-11-20 08:40", with a zone as 2026-11-20T08:40:03Z, and 1795164003.5, seconds since 1970. Units are ns,
    /// us, ms, s, m and h.
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
    ///
    /// Fields by their names, those in structures as `a.b`. Integers, also as 0xff, floats, and "texts", which match with
    /// `*` and `?`. An array stands for its length, an enumeration for its label or its number. Operators as in C: `&& || !`
    /// `== != < <= > >= + - * / %` and parentheses. A comparison with a field that the event does not have is false.
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
            ensure!(
                path.is_dir(),
                "{} is a file: give the directory of the trace",
                path.display()
            );
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
        let needs_span = |time: &Option<String>| time.as_deref().is_some_and(needs_span);
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
