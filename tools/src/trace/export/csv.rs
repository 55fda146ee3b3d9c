//! Comma-separated values, as RFC 4180 has them.
//!
//! ```text
//!  time,event,cpu,process,pid,tid │ fields of contexts, of payloads │ of all event classes
//! ```
//! One line for each event, one column for each name of a field; what an event lacks stays empty. Arrays and structures
//! are JSON in their cell. A field whose name is taken by what every event has gets a number behind it: `time_2`.

use std::collections::HashMap;
use std::io::Write;

use anyhow::Result;
use laneway_ctf::model::Scope;
use laneway_ctf::read::{Event, Trace, Value, is_helper};

use super::{Exporter, Out};
use crate::trace::json::{hexadecimal, json, rfc3339};
use crate::trace::select::{Origin, is_origin};

const FIXED: [&str; 6] = ["time", "event", "cpu", "process", "pid", "tid"];

const SCOPES: [Scope; 3] = [Scope::EventContext, Scope::OwnContext, Scope::Payload];

pub(super) struct Csv {
    out: Out,
    columns: HashMap<String, usize>,
    cells: Vec<String>,
}

impl Csv {
    pub(super) fn new(out: Out, traces: &[Trace]) -> Result<Self> {
        let mut names: Vec<String> = FIXED.map(str::to_owned).into();
        let mut columns = HashMap::new();
        let mut add = |name: &str| {
            if is_helper(name) || columns.contains_key(name) {
                return;
            }
            let mut header = name.to_owned();
            let mut number = 2;
            while names.contains(&header) {
                header = format!("{name}_{number}");
                number += 1;
            }
            columns.insert(name.to_owned(), names.len());
            names.push(header);
        };
        for stream in traces.iter().flat_map(|trace| &trace.class().streams) {
            let own = stream.events.iter().map(|event| &event.context);
            for context in own.chain([&stream.event_context]).flatten() {
                let fields = context.fields.iter().map(|field| field.name.as_str());
                fields.filter(|name| !is_origin(name)).for_each(&mut add);
            }
            for payload in stream.events.iter().flat_map(|event| &event.payload) {
                let fields = payload.fields.iter();
                fields.for_each(|field| add(&field.name));
            }
        }
        let mut csv = Csv {
            out,
            columns,
            cells: names,
        };
        csv.line()?;
        Ok(csv)
    }

    /// Writes the cells and empties them.
    fn line(&mut self) -> Result<()> {
        for (i, cell) in self.cells.iter_mut().enumerate() {
            if i > 0 {
                self.out.write_all(b",")?;
            }
            if cell.contains([',', '"', '\n', '\r']) {
                write!(self.out, "\"{}\"", cell.replace('"', "\"\""))?;
            } else {
                self.out.write_all(cell.as_bytes())?;
            }
            cell.clear();
        }
        Ok(self.out.write_all(b"\r\n")?)
    }
}

impl Exporter for Csv {
    fn event(&mut self, event: &Event<'_>) -> Result<()> {
        let origin = Origin::of(event);
        let text = |value: Option<i64>| value.map(|value| value.to_string()).unwrap_or_default();
        self.cells[0] = event.ns().map(rfc3339).unwrap_or_default();
        event.name().clone_into(&mut self.cells[1]);
        self.cells[2] = text(origin.cpu.map(|cpu| cpu as i64));
        self.cells[3] = origin.name.unwrap_or_default();
        self.cells[4] = text(origin.process);
        self.cells[5] = text(origin.thread);
        for scope in SCOPES {
            if !event.has(scope) {
                continue;
            }
            let Value::Structure(members) = event.value(scope) else {
                continue;
            };
            for (name, value) in &members {
                if (scope == Scope::Payload || !is_origin(name))
                    && let Some(&column) = self.columns.get(name.as_ref())
                {
                    self.cells[column] = cell(value);
                }
            }
        }
        self.line()
    }

    fn finish(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Nothing => String::new(),
        Value::Unsigned(_, Some(label)) | Value::Signed(_, Some(label)) => label.to_string(),
        Value::Unsigned(value, None) => value.to_string(),
        Value::Signed(value, None) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
        Value::Blob(bytes) => hexadecimal(bytes),
        Value::Array(_) | Value::Structure(_) => json(value).to_string(),
    }
}
