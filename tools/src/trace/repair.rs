//! `laneway repair`: makes a trace that was cut short by a crash or a full disk a valid one.
//!
//! ```text
//!  lane_0  ▕ packet ▏ packet ▏ pack      ─▶  ▕ packet ▏ packet ▏ p' ▏   events that are whole are kept, sizes put right
//! ```
//! Only streams with damage are written anew: into a file next to the old one, which then takes its place.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use laneway_ctf::Damage;
use laneway_ctf::read::{Item, Notice, Reader, StreamCopy, Trace};

use crate::progress::{Progress, size};
use crate::units::{bytes, count};

const EXAMPLES: &str = "\
Examples:
  laneway repair --dry-run trace/
  laneway repair trace/

Exit codes:
  0  the trace is whole, or was made so
  1  it could not be repaired
  2  the command line is wrong
  3  --dry-run: it needs repair";

/// Make a trace that was cut short a valid one
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The directory to look for traces in
    #[arg(value_name = "DIR")]
    path: PathBuf,

    /// Only say what is wrong
    #[arg(short = 'n', long)]
    dry_run: bool,
}

pub(crate) fn run(args: &Args) -> Result<u8> {
    ensure!(args.path.exists(), "there is no {}", args.path.display());
    let mut damaged = 0;
    let mut repaired = 0;
    let traces = Trace::open_all(&args.path)?;
    let mut progress = Progress::of("check", &traces);
    for trace in &traces {
        for refused in trace.refused() {
            progress.say(&format!("laneway: {refused}"));
            progress.say(&format!(
                "laneway: {} holds nothing that could be saved",
                refused.file.display()
            ));
            damaged += 1;
            if !args.dry_run {
                let hidden = set_aside(&refused.file)?;
                progress.say(&format!("laneway: it is called {} now", hidden.display()));
                repaired += 1;
            }
        }
        for index in 0..trace.streams().len() {
            let (events, damages) = look(trace, index);
            let files = &trace.streams()[index].files;
            progress.add(files.iter().map(|file| size(file)).sum());
            if damages.is_empty() {
                continue;
            }
            damaged += 1;
            for damage in &damages {
                progress.say(&format!("laneway: {damage}"));
            }
            if args.dry_run {
                continue;
            }
            rewrite(trace, index)?;
            repaired += 1;
            let lost: u64 = damages.iter().map(|damage| damage.skipped).sum();
            progress.say(&format!(
                "laneway: {}: {} events kept, {} cut",
                files[0].display(),
                count(events),
                bytes(lost)
            ));
        }
    }
    drop(progress);
    match (damaged, args.dry_run) {
        (0, _) => eprintln!("laneway: nothing to repair"),
        (_, true) => return Ok(3),
        (_, false) => eprintln!("laneway: {repaired} of {damaged} damaged streams repaired"),
    }
    Ok(0)
}

/// How many events of a stream can be read, and what cannot.
fn look(trace: &Trace, index: usize) -> (u64, Vec<Damage>) {
    let counts = Reader::of_stream(trace, index).count();
    let damages = counts.notices.iter().filter_map(|notice| match notice {
        Notice::Damage(damage) => Some(damage.as_ref().clone()),
        Notice::Lost(_) => None,
    });
    (counts.total(), damages.collect())
}

/// Writes a stream anew from what of it can be read.
fn rewrite(trace: &Trace, index: usize) -> Result<()> {
    let files = &trace.streams()[index].files;
    let path = &files[0];
    let mut beside = path.as_os_str().to_owned();
    beside.push(".repair~");
    let beside = PathBuf::from(beside);
    let result = copy(trace, index, &beside).and_then(|()| {
        let permissions = fs::metadata(path)?.permissions();
        fs::set_permissions(&beside, permissions)?;
        fs::rename(&beside, path)
    });
    if let Err(error) = result {
        let _ = fs::remove_file(&beside);
        return Err(error).with_context(|| format!("cannot write {} anew", path.display()));
    }
    // What the other files of the stream held is in the first one now, and LTTng's index speaks of what was.
    for other in &files[1..] {
        fs::remove_file(other).with_context(|| format!("cannot remove {}", other.display()))?;
    }
    for file in files {
        remove_index(file)?;
    }
    Ok(())
}

fn copy(trace: &Trace, index: usize, to: &Path) -> std::io::Result<()> {
    let mut copy = StreamCopy::new(BufWriter::new(File::create(to)?), false);
    let mut reader = Reader::of_stream(trace, index);
    while let Some(item) = reader.next_item() {
        if let Item::Event(event) = item {
            copy.event(&event)?;
        }
    }
    let file = copy.finish(reader.stream(0))?;
    file.into_inner()?.sync_all()
}

fn remove_index(file: &Path) -> Result<()> {
    let (Some(directory), Some(name)) = (file.parent(), file.file_name()) else {
        return Ok(());
    };
    let index = directory
        .join("index")
        .join(format!("{}.idx", name.to_string_lossy()));
    match fs::remove_file(&index) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove {}", index.display()))
        }
        _ => Ok(()),
    }
}

/// Gives a file a name that readers pass over.
fn set_aside(file: &Path) -> Result<PathBuf> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let hidden = file.with_file_name(format!(".{name}.damaged"));
    fs::rename(file, &hidden).with_context(|| format!("cannot rename {}", file.display()))?;
    Ok(hidden)
}
