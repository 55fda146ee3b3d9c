//! The metadata of a trace: its events, its clock, and where the trace comes from.
//!
//! ```text
//!   clock     that of the machine               ┐
//!   stream    what every lane's packets and     │ how records lie is `laneway_ctf::lane`'s business;
//!             events begin with                 ┘ what they mean comes from here
//!   events    one for each description, its number the event id
//!   env       host, process, tracer
//! ```
//!
//! Invariant: the layout of the fields is that of the records in the ring, byte for byte, so that they can be
//! copied as they are.

use std::time::SystemTime;

use laneway_control::{
    Buffers, ChannelConfig, ContextField, ContextFields, EventSchema, Field, FieldType, Hello,
    Lanes, Mode, PROCNAME_BYTES, Rseq,
};
use laneway_ctf::lane;
use laneway_ctf::model::{
    ClockClass, Encoding, EventClass, FieldClass, Float, Integer, Length, Shape, StringClass,
    Structure, Text, TraceClass, Uuid,
};

use super::lane_file::STREAM_CLASS;
use crate::host::Host;

/// What there is to say about a trace.
pub(crate) struct Trace<'a> {
    pub(crate) uuid: Uuid,
    pub(crate) origin: Origin<'a>,
    pub(crate) host: &'a Host,
    /// When the session began.
    pub(crate) created: SystemTime,
}

/// Whose events are in a trace.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// Those of one process.
    Process(&'a Hello),
    /// Those of all processes that use the channel.
    Shared(&'a ChannelConfig),
}

impl Trace<'_> {
    /// The metadata, with these events and this clock.
    pub(crate) fn describe<'e>(
        &self,
        events: impl IntoIterator<Item = &'e EventSchema>,
        clock: ClockClass,
    ) -> TraceClass {
        let clock_name = clock.name.clone();
        let mut trace = lane::trace_class(self.uuid, clock);
        trace.set_env("hostname", self.host.name.as_str());
        trace.set_env("domain", "ust");
        tracer(&mut trace);
        trace.set_env("trace_creation_datetime", utc(self.created));
        trace.set_env("architecture_bit_width", i64::from(usize::BITS));
        let config = match self.origin {
            Origin::Process(hello) => {
                process(&mut trace, hello);
                &hello.channel
            }
            Origin::Shared(config) => {
                trace.set_env("trace_name", "shared");
                config
            }
        };
        channel(&mut trace, config);
        let class = u64::from(STREAM_CLASS);
        let mut stream = lane::stream_class(class, &clock_name, false);
        stream.event_context = context(ContextFields::of(config));
        if config.lanes == Lanes::Concurrency
            && let Some(packet) = &mut stream.packet_context
        {
            // The lane's number is no CPU's; which one it was, each event says itself.
            let cpu = packet.fields.iter_mut().find(|f| f.name == "cpu_id");
            cpu.into_iter().for_each(|f| f.name = "lane_id".to_owned());
        }
        stream.events = events.into_iter().zip(0..).map(event_class).collect();
        trace.streams.push(stream);
        trace
    }
}

/// As LTTng describes where a trace comes from, so that tools made for its traces understand these.
fn tracer(trace: &mut TraceClass) {
    trace.set_env("tracer_name", "laneway");
    let mut version = env!("CARGO_PKG_VERSION").split('.');
    for name in ["tracer_major", "tracer_minor", "tracer_patchlevel"] {
        let number = version.next().and_then(|n| n.parse::<i64>().ok());
        trace.set_env(name, number.unwrap_or(0));
    }
}

fn process(trace: &mut TraceClass, hello: &Hello) {
    trace.set_env("trace_name", hello.name.as_str());
    trace.set_env("vpid", i64::from(hello.pid));
    trace.set_env("procname", hello.name.as_str());
    trace.set_env("exe", hello.exe.as_str());
    trace.set_env("laneway_version", hello.version.as_str());
    if let Rseq::Off(reason) = &hello.rseq {
        trace.set_env("rseq_off", reason.as_str());
    }
}

fn channel(trace: &mut TraceClass, channel: &ChannelConfig) {
    let scheme = match channel.buffers {
        Buffers::PerProcess => "pid",
        Buffers::Shared => "uid",
    };
    trace.set_env("tracer_buffering_scheme", scheme);
    trace.set_env("channel_name", channel.name.as_str());
    let mode = match channel.mode {
        Mode::Discard => "discard",
        Mode::Block { .. } => "block",
        Mode::Overwrite => "overwrite",
    };
    trace.set_env("channel_mode", mode);
}

/// What every event says besides its own fields.
fn context(fields: ContextFields) -> Option<Structure> {
    let mut context = Structure::new();
    for field in fields.iter() {
        let class: FieldClass = match field {
            ContextField::CpuId => Integer::unsigned(32).into(),
            ContextField::Vpid | ContextField::Vtid => Integer::signed(32).into(),
            ContextField::Procname => Text {
                length: Length::Fixed(PROCNAME_BYTES as u64),
                encoding: Encoding::Utf8,
            }
            .into(),
        };
        context.push(field.name(), class);
    }
    (!context.fields.is_empty()).then_some(context)
}

fn event_class((event, id): (&EventSchema, u64)) -> EventClass {
    let payload = Structure::of_shapes(named_shapes(&event.fields));
    EventClass::new(id, event.full_name(), payload).with_log_level(event.level.loglevel())
}

/// The fields as a trace has them, none of them named as the helper field of another.
fn named_shapes(fields: &[Field]) -> Vec<(String, Shape)> {
    let helpers: Vec<String> = fields
        .iter()
        .filter_map(|field| match field.ty {
            FieldType::Sequence { .. } | FieldType::Bytes => {
                Some(format!("_{}_length", field.name))
            }
            FieldType::Optional(_) => Some(format!("_{}_tag", field.name)),
            _ => None,
        })
        .collect();
    let taken = |name: &String| helpers.contains(name) || fields.iter().any(|f| f.name == *name);
    fields
        .iter()
        .map(|field| {
            let mut name = field.name.clone();
            if helpers.contains(&name) {
                while taken(&name) {
                    name.push('_');
                }
            }
            (name, shape(&field.ty))
        })
        .collect()
}

fn shape(ty: &FieldType) -> Shape {
    match ty {
        FieldType::Unsigned { bits: 128 } => Shape::Unsigned128,
        FieldType::Signed { bits: 128 } => Shape::Signed128,
        FieldType::Unsigned { bits } => Integer::unsigned(u32::from(*bits)).into(),
        FieldType::Signed { bits } => Integer::signed(u32::from(*bits)).into(),
        FieldType::F32 => Float::new(32).into(),
        FieldType::F64 => Float::new(64).into(),
        FieldType::Bool => Shape::Bool,
        FieldType::Char | FieldType::Str => StringClass::default().into(),
        FieldType::Bytes => Shape::Bytes,
        FieldType::Array { len, element } => {
            Shape::Array(u64::from(*len), Box::new(shape(element)))
        }
        FieldType::Sequence { element } => Shape::Sequence(Box::new(shape(element))),
        FieldType::Optional(value) => Shape::Optional(Box::new(shape(value))),
        FieldType::Duration => Integer::unsigned(64).into(),
        FieldType::Pointer => Integer::unsigned(64).hex().into(),
        FieldType::Struct(fields) => Shape::Structure(named_shapes(fields)),
    }
}

/// ISO 8601 in UTC, the basic format that LTTng writes: `20261120T092351+0000`.
fn utc(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap_or_default();
    time.strftime("%Y%m%dT%H%M%S+0000").to_string()
}
