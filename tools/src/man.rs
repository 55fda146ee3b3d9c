//! `laneway man`: manual pages, generated from the command line itself.
//!
//! ```text
//!  laneway man view      ─▶  shown, as man(1) does it
//!  laneway man -o DIR    ─▶  DIR/laneway.1  DIR/laneway-view.1  …
//! ```

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, anyhow};
use clap::Command;
use clap_mangen::Man;

use crate::completions::without_hidden;

const EXAMPLES: &str = "\
Examples:
  laneway man
  laneway man view
  laneway man -o ~/.local/share/man/man1      # then: man laneway-view";

/// Show the manual page of a command, or write all of them
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The command; all of `laneway` if none is given
    #[arg(value_name = "COMMAND", conflicts_with = "output")]
    command: Option<String>,

    /// Write a page for each command into this directory, which is made if it is not there
    #[arg(short, long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, command: &Command) -> anyhow::Result<u8> {
    let mut command = without_hidden(command).disable_help_subcommand(true);
    command.build();
    if let Some(directory) = &args.output {
        return write_all(&command, directory);
    }
    let command = match &args.command {
        None => &command,
        Some(name) => command
            .find_subcommand(name)
            .with_context(|| format!("there is no command {name:?}, see laneway --help"))?,
    };
    show(&page(command)?)?;
    Ok(0)
}

/// A page, in the language of roff.
fn page(command: &Command) -> anyhow::Result<Vec<u8>> {
    let man = Man::new(command.clone())
        .manual("Laneway")
        .source(concat!("laneway ", env!("CARGO_PKG_VERSION")))
        .date("");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(help) = command.get_after_help() {
        page.extend_from_slice(sections(&help.to_string()).as_bytes());
    }
    Ok(page)
}

/// What stands behind the options, `Examples:` and the like, as sections: lines stay lines.
fn sections(help: &str) -> String {
    let mut roff = String::new();
    for paragraph in help.split("\n\n") {
        let (title, text) = paragraph.split_once(':').unwrap_or(("Notes", paragraph));
        roff += &format!(".SH {}\n.nf\n", title.to_uppercase());
        for line in text.trim_matches('\n').lines() {
            let line = line.trim_start();
            roff += &format!("\\&{}\n", line.replace('\\', "\\e").replace('-', "\\-"));
        }
        roff += ".fi\n";
    }
    roff
}

fn write_all(command: &Command, directory: &Path) -> anyhow::Result<u8> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make the directory {}", directory.display()))?;
    let commands: Vec<_> = command.get_subcommands().chain([command]).collect();
    for command in &commands {
        let name = command.get_display_name().unwrap_or("laneway");
        let path = directory.join(format!("{name}.1"));
        fs::write(&path, page(command)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    eprintln!(
        "laneway: {} pages written to {}",
        commands.len(),
        directory.display()
    );
    Ok(0)
}

/// Shows a page on a terminal; elsewhere it is written as it is.
fn show(page: &[u8]) -> anyhow::Result<()> {
    if !io::stdout().is_terminal() {
        return io::stdout().write_all(page).context("cannot write");
    }
    // man(1) of man-db: `-l` takes a file, and `-` is standard input.
    let mut man = std::process::Command::new("man")
        .args(["-l", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|e| {
            anyhow!("cannot run man: {e}; `laneway man -o DIR` writes the pages into a directory")
        })?;
    if let Some(mut stdin) = man.stdin.take() {
        // Whoever has seen enough closes it.
        let _ = stdin.write_all(page);
    }
    man.wait().context("cannot wait for man")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_the_options_becomes_sections() {
        let help = "Examples:\n  laneway view -e 'a\\b'\n  .x\n\nExit codes: 0 success";
        assert_eq!(
            sections(help),
            ".SH EXAMPLES\n.nf\n\\&laneway view \\-e 'a\\eb'\n\\&.x\n.fi\n\
             .SH EXIT CODES\n.nf\n\\&0 success\n.fi\n"
        );
    }
}
