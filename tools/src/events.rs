//! `laneway events`: what a program or library can emit.
//!
//! ```text
//!   program   runs with LANEWAY_LIST=0; its constructor writes the events to descriptor 0, a pipe, and ends it
//!   library   is loaded into a shell by LD_PRELOAD, and does the same
//! ```
//! The program's `main` never runs: a file without the section that goes with the constructor is not run at all,
//! nor is one whose rights would make the constructor ignore the variable.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use globset::{GlobBuilder, GlobMatcher};
use laneway_control::schema::MAX_SCHEMA_BYTES;
use laneway_control::{EventSchema, decode_schemas, wait_readable};
use serde_json::json;

use crate::elf::{self, Binary};
use crate::output::Paint;

/// The variable that asks a program for its events instead of running it, and names the descriptor to write them to.
const LIST_VARIABLE: &str = "LANEWAY_LIST";

/// How long loading a program may take.
const PATIENCE: Duration = Duration::from_secs(20);

const EXAMPLES: &str = "\
Examples:
  laneway events ./app
  laneway events ./app 'shop:*'
  laneway events ./libshop.so --json";

/// List the events of a program or a library, with their fields
///
/// The program is loaded, but its `main` is not run.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The program or shared library
    #[arg(value_name = "PROGRAM")]
    program: PathBuf,

    /// Only events whose `provider:name` matches, with * and ?
    #[arg(value_name = "GLOB")]
    pattern: Option<String>,

    /// One JSON object for each event
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let pattern = args.pattern.as_deref().map(matcher).transpose()?;
    let path = elf::look_up(args.program.as_os_str())
        .with_context(|| format!("there is no {}", args.program.display()))?;
    let path = std::path::absolute(path)?;
    let mut events = list(&path)?;
    events.retain(|event| {
        pattern
            .as_ref()
            .is_none_or(|p| p.is_match(event.full_name()))
    });
    events.sort_by_cached_key(|event| (event.full_name(), event.file.clone(), event.line));
    if events.is_empty() {
        match &args.pattern {
            Some(pattern) => bail!("no event of {} matches {pattern}", path.display()),
            None => bail!("{} has no events", path.display()),
        }
    }
    let text = match args.json {
        true => as_json(&events),
        false => as_text(&events, Paint::for_stdout()),
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(0)
}

fn matcher(pattern: &str) -> anyhow::Result<GlobMatcher> {
    let glob = GlobBuilder::new(pattern)
        .build()
        .with_context(|| format!("{pattern} is not a pattern"))?;
    Ok(glob.compile_matcher())
}

/// Asks the file at `path`, an absolute path.
fn list(path: &Path) -> anyhow::Result<Vec<EventSchema>> {
    let shown = path.display();
    let binary = elf::inspect(path)?;
    ensure!(
        binary.has_callsites,
        "{shown} has no events: it contains no `trace!` of the laneway crate"
    );
    ensure!(binary.is_native, "{shown} is for another machine");
    ensure!(
        !binary.is_privileged,
        "{shown} runs with other rights than yours (setuid, setgid or capabilities) and so would not list its events \
         but run; copy it and ask the copy"
    );
    let (mut pipe, end) = io::pipe().context("cannot make a pipe")?;
    let mut command = command(path, binary)?;
    // Nothing is written to descriptor 0 by accident.
    command.stdin(end);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command.env(LIST_VARIABLE, "0");
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {shown}"))?;
    drop(command); // and with it our copy of the pipe's end

    let answer = read_patiently(&mut pipe);
    if answer.is_err() {
        let _ = child.kill();
    }
    let said = said(&mut child);
    let status = child.wait().context("cannot wait for the program")?;
    let bytes = answer.with_context(|| format!("{shown} does not list its events"))?;
    if bytes.is_empty() {
        bail!("{shown} could not be loaded ({status}): {said}");
    }
    decode_schemas(&bytes).with_context(|| {
        format!("{shown} lists its events in a way that this version does not understand; build both with the same version of laneway")
    })
}

fn command(path: &Path, binary: Binary) -> anyhow::Result<Command> {
    if !binary.is_library {
        return Ok(Command::new(path));
    }
    // ld.so(8): the items of LD_PRELOAD are separated by spaces or colons, and nothing escapes them.
    let name = path.to_str().unwrap_or(" ");
    ensure!(
        !name.contains([' ', ':']),
        "the path of a library must be UTF-8 without spaces and colons; make a link to {}",
        path.display()
    );
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", ":"]).env("LD_PRELOAD", name);
    Ok(shell)
}

/// Reads to the end, but neither for ever nor without end.
fn read_patiently(pipe: &mut io::PipeReader) -> anyhow::Result<Vec<u8>> {
    let deadline = Instant::now() + PATIENCE;
    let mut bytes = Vec::new();
    let mut chunk = [0; 64 * 1024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        ensure!(
            !left.is_zero(),
            "it took longer than {} s",
            PATIENCE.as_secs()
        );
        let [ready] = wait_readable([pipe.as_fd()], Some(left))?;
        if !ready {
            continue;
        }
        match pipe.read(&mut chunk)? {
            0 => return Ok(bytes),
            n => bytes.extend_from_slice(&chunk[..n]),
        }
        ensure!(
            bytes.len() <= MAX_SCHEMA_BYTES,
            "it lists more than {MAX_SCHEMA_BYTES} bytes"
        );
    }
}

/// The first lines of what it wrote to standard error.
fn said(child: &mut Child) -> String {
    let mut text = String::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(2000).read_to_string(&mut text);
    }
    match text.trim() {
        "" => "it said nothing".to_owned(),
        text => text.to_owned(),
    }
}

/// One line for each event: name, level, place, and its fields.
fn as_text(events: &[EventSchema], paint: Paint) -> String {
    let names: Vec<String> = events.iter().map(EventSchema::full_name).collect();
    let fields: Vec<String> = events.iter().map(fields).collect();
    let width = |texts: &[String], limit| {
        let widths = texts.iter().map(|text| text.chars().count());
        widths.filter(|w| *w <= limit).max().unwrap_or(0)
    };
    let (name_width, fields_width) = (width(&names, 40), width(&fields, 80));
    let mut text = String::new();
    for ((event, name), fields) in events.iter().zip(&names).zip(&fields) {
        text += &format!(
            "{}  {}  {fields:<fields_width$}  {}\n",
            paint.bold(&format!("{name:<name_width$}")),
            format_args!("{:<5}", event.level),
            paint.dim(&format!("{}:{}", event.file, event.line))
        );
    }
    text
}

fn fields(event: &EventSchema) -> String {
    let fields = event.fields.iter();
    let fields: Vec<String> = fields.map(|f| format!("{}: {}", f.name, f.ty)).collect();
    match fields.is_empty() {
        true => "-".to_owned(),
        false => fields.join(", "),
    }
}

fn as_json(events: &[EventSchema]) -> String {
    let mut text = String::new();
    for event in events {
        let fields: Vec<_> = event
            .fields
            .iter()
            .map(|f| json!({"name": f.name, "type": f.ty.to_string()}))
            .collect();
        let line = json!({
            "name": event.full_name(),
            "provider": event.provider,
            "event": event.name,
            "level": event.level.as_str(),
            "file": event.file,
            "line": event.line,
            "module": event.module,
            "fields": fields,
        });
        text += &format!("{line}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use laneway_control::{Field, FieldType, Level};

    fn event(name: &str, fields: Vec<Field>) -> EventSchema {
        EventSchema {
            provider: "shop".into(),
            name: name.into(),
            level: Level::Info,
            file: "src/main.rs".into(),
            line: 7,
            module: "shop".into(),
            fields,
        }
    }

    #[test]
    fn events_are_listed_in_columns() {
        let id = Field::new("id", FieldType::Unsigned { bits: 64 });
        let events = [event("order", vec![id]), event("open", vec![])];
        assert_eq!(
            as_text(&events, Paint::none()),
            "shop:order  info   id: u64  src/main.rs:7\n\
             shop:open   info   -        src/main.rs:7\n"
        );
    }

    #[test]
    fn json_has_one_object_on_each_line() {
        let text = as_json(&[event("a", vec![]), event("b", vec![])]);
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1]["name"], "shop:b");
    }

    #[test]
    fn patterns_match_the_whole_name() {
        let glob = matcher("shop:*").unwrap();
        assert!(glob.is_match("shop:order") && !glob.is_match("workshop:order"));
        assert!(matcher("[").is_err());
    }
}
