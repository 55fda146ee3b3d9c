//! Where the outcome of a recording goes: text, JSON, colours, progress.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Zoned;
use laneway_consumer::{Progress, Summary, file_name};

use crate::report;
use crate::units::{bytes, count};

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Write the summary as JSON: to standard output, or to FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    json: Option<PathBuf>,

    /// Print no summary and no progress
    #[arg(short, long)]
    quiet: bool,
}

impl OutputArgs {
    /// Tells the outcome.
    pub(crate) fn tell(&self, summary: &Summary, hint: Option<&str>) -> anyhow::Result<()> {
        if !self.quiet {
            let mut text = report::text(summary, Paint::for_stderr());
            if let Some(hint) = hint {
                text += hint;
            }
            io::stderr().write_all(text.as_bytes())?;
        }
        let Some(path) = &self.json else {
            return Ok(());
        };
        let mut json = serde_json::to_string(summary).context("cannot write the summary")?;
        json.push('\n');
        if path == Path::new("-") {
            io::stdout().write_all(json.as_bytes())?;
        } else {
            fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// Prints text on standard error as it is, unless told to be quiet.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            eprint!("{text}");
        }
    }

    /// Says something on standard error, unless told to be quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            eprintln!("laneway: {text}");
        }
    }

    /// A line that shows how it goes, if somebody is there to look at it.
    pub(crate) fn progress(&self) -> ProgressLine {
        ProgressLine {
            shown: false,
            quiet: self.quiet,
            enabled: !self.quiet && io::stderr().is_terminal(),
            began: Instant::now(),
        }
    }
}

/// The directory to record into when none was chosen: `laneway-shop-20261120-094500`.
pub(crate) fn default_directory(program: &str) -> PathBuf {
    let name = Path::new(program)
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let now = Zoned::now().strftime("%Y%m%d-%H%M%S");
    PathBuf::from(format!("laneway-{}-{now}", file_name(&name)))
}

/// One line on the terminal, written over and over.
#[derive(Debug)]
pub(crate) struct ProgressLine {
    shown: bool,
    quiet: bool,
    enabled: bool,
    began: Instant,
}

impl ProgressLine {
    /// How often it is worth looking at.
    pub(crate) const PERIOD: Duration = Duration::from_millis(500);

    /// Shows `progress`; not in the first second, which most recordings of short programs do not outlive.
    pub(crate) fn show(&mut self, progress: Progress) {
        if !self.enabled || self.began.elapsed() < Duration::from_secs(1) {
            return;
        }
        self.shown = true;
        eprint!(
            "\r\x1b[Klaneway: {} events, {} lost, {}, {} attached",
            count(progress.recorded),
            count(progress.lost),
            bytes(progress.bytes),
            progress.attached
        );
    }
}

impl ProgressLine {
    /// Says something on standard error that stays there, unless told to be quiet.
    pub(crate) fn note(&mut self, text: &str) {
        self.clear();
        if !self.quiet {
            eprintln!("laneway: {text}");
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            eprint!("\r\x1b[K");
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(bool);

impl Paint {
    /// Colours if standard error is a terminal and `NO_COLOR` (no-color.org) is not set.
    pub(crate) fn for_stderr() -> Paint {
        Paint(io::stderr().is_terminal() && wanted())
    }

    /// The same for standard output.
    pub(crate) fn for_stdout() -> Paint {
        Paint(io::stdout().is_terminal() && wanted())
    }

    /// Whether there are any.
    pub(crate) fn is_on(self) -> bool {
        self.0
    }

    #[cfg(test)]
    pub(crate) fn none() -> Paint {
        Paint(false)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.with("33", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        match self.0 {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

fn wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_directory_names_the_program_and_the_time() {
        let name = default_directory("/usr/bin/my shop").display().to_string();
        assert!(name.starts_with("laneway-my_shop-20"), "{name}");
        assert_eq!(name.len(), "laneway-my_shop-20261120-094500".len());
    }
}
