//! Comma-separated values, as RFC 4180 has them.
//!
//! One line for each event, one column for each field that any event class has; what an event lacks stays empty.
//! Arrays and structures are JSON in their cell.

use std::collections::HashMap;
use std::io::Write;

use anyhow::Result;
use laneway_ctf::model::Scope;
use laneway_ctf::read::{Event, Trace, Value, is_helper};

use super::super::json::{hexadecimal, json, rfc3339};
use super::super::select::Origin;
use super::{Exporter, Out};

const FIXED: [&str; 5] = ["time", "event", "cpu", "pid", "tid"];

pub(super) struct Csv {
    out: Out,
    columns: HashMap<String, usize>,
    cells: Vec<String>,
}

impl Csv {
    pub(super) fn new(out: Out, traces: &[Trace]) -> Result<Self> {
        let mut names: Vec<String> = FIXED.map(str::to_owned).into();
        let mut columns = HashMap::new();
        for stream in traces.iter().flat_map(|trace| &trace.class().streams) {
            for event in &stream.events {
                for field in event.payload.iter().flat_map(|payload| &payload.fields) {
                    if !is_helper(&field.name) && !columns.contains_key(&field.name) {
                        columns.insert(field.name.clone(), names.len());
                        names.push(field.name.clone());
                    }
                }
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
        self.cells[3] = text(origin.process);
        self.cells[4] = text(origin.thread);
        if let Value::Structure(members) = event.value(Scope::Payload) {
            for (name, value) in &members {
                if let Some(&column) = self.columns.get(name.as_ref()) {
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
