//! Events as babeltrace2 prints them.
//!
//! ```text
//!   [00000011015613949118] (+000000038818) vm:shop:(4711) shop:order: { cpu_id = 0 }, { vtid = 4712 }, { id = 7 }
//!    time, in clock cycles                   name  pid     event        cpu             thread             fields
//! ```
//! The fields stay the text that they are: what a user sees is what a test compares.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The trace clock, in its cycles.
    pub time: u64,
    /// The name of its process.
    pub process: String,
    /// The number of its process.
    pub pid: u32,
    /// `provider:name`.
    pub name: String,
    /// Where it happened.
    pub cpu: u32,
    /// The thread; `None` where the channel leaves it out.
    pub thread: Option<u32>,
    /// What stands in the last pair of braces. Bytes that are no UTF-8 are written as `\xff`.
    pub fields: String,
}

impl Event {
    /// The text of the field `name` of an event without nested fields.
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        let mut fields = self.fields.split(", ");
        let value = fields.find_map(|field| field.strip_prefix(name)?.strip_prefix(" = "));
        value.unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// The same, of a field that is a number.
    #[track_caller]
    #[must_use]
    pub fn number(&self, name: &str) -> u64 {
        let text = self.field(name);
        text.parse()
            .unwrap_or_else(|e| panic!("{name} is {text}: {e}"))
    }

    /// Reads a line.
    #[track_caller]
    fn parse(line: &str) -> Event {
        let parse = || {
            let (time, rest) = line.strip_prefix('[')?.split_once("] (")?;
            let (_, rest) = rest.split_once(") ")?;
            let (origin, rest) = rest.split_once(") ")?;
            let (process, pid) = origin.rsplit_once(":(")?;
            let (_host, process) = process.split_once(':')?;
            let (name, rest) = rest.split_once(": { cpu_id = ")?;
            let (cpu, rest) = rest.split_once(" }, ")?;
            let (thread, fields) = match rest.strip_prefix("{ vtid = ") {
                Some(rest) => {
                    let (thread, fields) = rest.split_once(" }, ")?;
                    (Some(thread.parse().ok()?), fields)
                }
                None => (None, rest),
            };
            let fields = fields.strip_prefix('{')?.strip_suffix('}')?.trim();
            Some(Event {
                time: time.parse().ok()?,
                process: process.to_owned(),
                pid: pid.parse().ok()?,
                name: name.to_owned(),
                cpu: cpu.parse().ok()?,
                thread,
                fields: fields.to_owned(),
            })
        };
        parse().unwrap_or_else(|| panic!("not the line of an event: {line}"))
    }
}

/// Reads a trace, or a directory of them, with babeltrace2; gives what it wrote on standard error.
///
/// # Panics
/// It fails.
#[track_caller]
pub fn babeltrace(trace: &Path, mut event: impl FnMut(Event)) -> String {
    babeltrace_lines(trace, |line| event(Event::parse(&visible(line))))
}

/// The same, by the lines that it prints.
#[track_caller]
pub fn babeltrace_lines(trace: &Path, mut each: impl FnMut(&[u8])) -> String {
    let mut child = Command::new("babeltrace2")
        .arg("--clock-cycles")
        .arg(trace)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("babeltrace2 is installed");
    let mut stderr = child.stderr.take().expect("it is piped");
    let warnings = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).expect("it is text");
        text
    });
    let mut stdout = BufReader::with_capacity(1 << 20, child.stdout.take().expect("it is piped"));
    let mut line = Vec::new();
    while stdout
        .read_until(b'\n', &mut line)
        .expect("a pipe can be read")
        > 0
    {
        each(line.trim_ascii_end());
        line.clear();
    }
    let warnings = warnings.join().expect("the reader does not panic");
    let status = child.wait().expect("it is a child");
    assert!(status.success(), "babeltrace2 fails: {warnings}");
    warnings
}

/// All events of a trace about which babeltrace2 has nothing to say.
#[track_caller]
#[must_use]
pub fn events(trace: &Path) -> Vec<Event> {
    let mut events = Vec::new();
    let warnings = babeltrace(trace, |event| events.push(event));
    assert_eq!(warnings, "", "babeltrace2 warns");
    events
}

fn visible(line: &[u8]) -> String {
    let mut text = String::with_capacity(line.len());
    for chunk in line.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}
