//! `laneway completions`: what a shell has to know to complete this command, generated from the command line itself.

use std::io::{self, Write};

use anyhow::Context;
use clap::Command;
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples (once; new shells complete then):
  laneway completions bash > ~/.local/share/bash-completion/completions/laneway
  laneway completions zsh > \"${fpath[1]}/_laneway\"
  laneway completions fish > ~/.config/fish/completions/laneway.fish";

/// Print what lets a shell complete this command
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

pub(crate) fn run(args: &Args, command: &Command) -> anyhow::Result<u8> {
    let mut command = without_hidden(command);
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "laneway", &mut script);
    io::stdout().write_all(&script).context("cannot write")?;
    Ok(0)
}

/// The command without what users have no use for.
pub(crate) fn without_hidden(command: &Command) -> Command {
    let mut shown = Command::new("laneway")
        .version(env!("CARGO_PKG_VERSION"))
        .args(command.get_arguments())
        .subcommands(command.get_subcommands().filter(|c| !c.is_hide_set()));
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(help) = command.get_after_help() {
        shown = shown.after_help(help.clone());
    }
    shown
}
