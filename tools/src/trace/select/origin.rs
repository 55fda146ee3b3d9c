//! Where an event comes from: process, thread, CPU.
//!
//! Laneway says so in the context of packets and events, and in the environment of traces of one process; LTTng and
//! others use the same names.

use laneway_ctf::model::{EnvValue, Integer, Scope};
use laneway_ctf::read::{Event, Visitor};

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
