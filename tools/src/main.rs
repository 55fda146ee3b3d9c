//! The `laneway` command.
//!
//! ```text
//!   record   runs a program and records it         ┐
//!   daemon   records whatever comes along          │
//!   recover  reads what both left in memory        ├─ laneway-consumer
//!   demo     records a workload of its own         ┘
//!   events   lists what a program can emit         ── the program itself, before its `main`
//!   view     prints a trace                        ┐
//!   stats    counts what is in it                  │
//!   export   converts it                           ├─ laneway-ctf
//!   repair   makes a broken one whole              ┘
//!   completions, man                               ── generated from the command line
//! ```
//!
//! Invariant: what a recorded program prints on its standard output is all that `laneway` lets appear there, unless
//! `--json` asks for more; everything else goes to standard error.

#![forbid(unsafe_code)]

mod channel;
mod completions;
mod daemon;
mod demo;
mod elf;
mod events;
mod exit;
mod man;
mod output;
mod progress;
mod record;
mod recover;
mod report;
mod signals;
mod snapshots;
mod trace;
mod units;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

// This command is a traced program, too: the demo's workload. Other runs of it leave the user's daemon alone.
laneway::attach_only_when_asked!();

const EXIT_CODES: &str = "\
Exit codes:
  0    success; `record`: the program's own code, or 128 + the signal that ended it
  1    `laneway` could not do what was asked; `record`: 125
  2    the command line is wrong
  3    `view`, `stats`, `export`: parts of the trace are damaged
  126  `record`: the program is not executable
  127  `record`: the program was not found

Environment:
  NO_COLOR             no colours
  LANEWAY_SOCKET       where applications look for their consumer, and where `daemon` listens
  LANEWAY_ALLOW_BLOCK  1: the application lets itself be blocked, see `--mode block`
  LANEWAY_RSEQ         off: the application does without restartable sequences

Try `laneway demo`.";

/// Records what programs do, for about the price of reading the clock.
#[derive(Debug, Parser)]
#[command(name = "laneway", version, max_term_width = 100, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Record(record::Args),
    Daemon(daemon::Args),
    Recover(recover::Args),
    Events(events::Args),
    Demo(demo::Args),
    View(trace::view::Args),
    Stats(trace::stats::Args),
    Export(trace::export::Args),
    Repair(trace::repair::Args),
    Completions(completions::Args),
    Man(man::Args),
    #[command(hide = true)]
    DemoWorkload(demo::workload::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Record(args) => exit::code_or(record::run(&args), exit::OWN_FAILURE),
        Command::Daemon(args) => exit::code_or(daemon::run(&args), 1),
        Command::Recover(args) => exit::code_or(recover::run(&args), 1),
        Command::Events(args) => exit::code_or(events::run(&args), 1),
        Command::View(args) => exit::code_or(trace::view::run(&args), 1),
        Command::Stats(args) => exit::code_or(trace::stats::run(&args), 1),
        Command::Export(args) => exit::code_or(trace::export::run(&args), 1),
        Command::Repair(args) => exit::code_or(trace::repair::run(&args), 1),
        Command::Completions(args) => exit::code_or(completions::run(&args, &Cli::command()), 1),
        Command::Man(args) => exit::code_or(man::run(&args, &Cli::command()), 1),
        Command::Demo(args) => exit::code_or(demo::run(&args), 1),
        Command::DemoWorkload(args) => exit::code_or(demo::workload::run(&args), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn everything_behind_the_program_belongs_to_the_program() {
        let cli = Cli::parse_from(["laneway", "record", "--", "./app", "--json", "-o"]);
        let Command::Record(args) = cli.command else {
            panic!("not record");
        };
        assert_eq!(args.program, ["./app", "--json", "-o"]);
    }
}
