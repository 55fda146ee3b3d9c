//! The JSON object format of Chrome's trace events.
//!
//! Reference: "Trace Event Format" (Google): instant events `i`, metadata events `M`. Times are microseconds since the
//! first event.

use std::collections::HashSet;
use std::io::Write;

use anyhow::Result;
use laneway_ctf::model::Scope;
use laneway_ctf::read::Event;
use serde_json::json;

use super::super::json::json as to_json;
use super::super::select::Origin;
use super::{Exporter, Out};

pub(super) struct Chrome {
    out: Out,
    named: HashSet<i64>,
    first: bool,
    /// The time of the first event.
    base: Option<i64>,
}

impl Chrome {
    pub(super) fn new(mut out: Out) -> Result<Self> {
        out.write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[")?;
        Ok(Chrome {
            out,
            named: HashSet::new(),
            first: true,
            base: None,
        })
    }

    fn put(&mut self, value: &serde_json::Value) -> Result<()> {
        self.out
            .write_all(if self.first { b"\n" } else { b",\n" })?;
        self.first = false;
        Ok(serde_json::to_writer(&mut self.out, value)?)
    }
}

impl Exporter for Chrome {
    fn event(&mut self, event: &Event<'_>) -> Result<()> {
        let origin = Origin::of(event);
        let pid = origin.process.unwrap_or(0);
        if self.named.insert(pid)
            && let Some(name) = &origin.name
        {
            self.put(
                &json!({ "ph": "M", "name": "process_name", "pid": pid, "args": { "name": name } }),
            )?;
        }
        let ns = event.ns().unwrap_or(0);
        let (provider, _) = event.name().split_once(':').unwrap_or(("", ""));
        // From the first event on: a double holds microseconds since 1970 only to a quarter.
        let micros = (ns - *self.base.get_or_insert(ns)) as f64 / 1000.0;
        self.put(&json!({
            "ph": "i",
            "s": "t",
            "name": event.name(),
            "cat": provider,
            "ts": micros,
            "pid": pid,
            "tid": origin.thread.or(origin.cpu.map(|cpu| cpu as i64)).unwrap_or(0),
            "args": to_json(&event.value(Scope::Payload)),
        }))
    }

    fn finish(&mut self) -> Result<()> {
        self.out.write_all(b"\n]}\n")?;
        Ok(self.out.flush()?)
    }
}
