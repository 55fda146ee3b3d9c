//! How the command ends: messages for people, codes for scripts.
//!
//! `record` stands in for the program it runs, so its codes are those of env(1), nohup(1) and shells: the program's
//! own, 128 + signal, 126 and 127, and 125 when it is `laneway` itself that failed.

use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

/// `record` itself failed.
pub(crate) const OWN_FAILURE: u8 = 125;

/// The program was found and cannot be executed.
const NOT_EXECUTABLE: u8 = 126;

/// The program was not found.
const NOT_FOUND: u8 = 127;

/// The code to leave with; an error is reported first.
pub(crate) fn code_or(result: anyhow::Result<u8>, failure: u8) -> ExitCode {
    match result {
        Ok(code) => code.into(),
        Err(e) if is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("laneway: {}", sentence(&e));
            failure.into()
        }
    }
}

/// An error and its causes, each said once: many errors name their cause themselves.
fn sentence(e: &anyhow::Error) -> String {
    let mut text = e.to_string();
    for cause in e.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// The code of a program that ended with `status`.
pub(crate) fn of_program(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(OWN_FAILURE)
}

/// The code for a program that could not be started.
pub(crate) fn of_spawn_error(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::NotFound => NOT_FOUND,
        _ => NOT_EXECUTABLE,
    }
}

/// Whoever reads our output has seen enough, which is no fault.
fn is_broken_pipe(e: &anyhow::Error) -> bool {
    e.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>().map(|e| e.kind());
        let json = cause.downcast_ref::<serde_json::Error>();
        io.or_else(|| json?.io_error_kind()) == Some(ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let cause = std::io::Error::other("disk full");
        let told = anyhow::Error::new(cause).context("cannot write x: disk full");
        assert_eq!(sentence(&told), "cannot write x: disk full");
        let cause = std::io::Error::other("disk full");
        let untold = anyhow::Error::new(cause).context("cannot write x");
        assert_eq!(sentence(&untold), "cannot write x: disk full");
    }

    #[test]
    fn nobody_who_reads_is_no_fault_whoever_met_it() {
        let error = || std::io::Error::from(ErrorKind::BrokenPipe);
        let json = serde_json::Error::io(error());
        for error in [anyhow::Error::new(error()), anyhow::Error::new(json)] {
            assert!(is_broken_pipe(&error.context("cannot write")));
        }
        assert!(!is_broken_pipe(&anyhow::anyhow!("Broken pipe")));
    }

    #[test]
    fn a_program_killed_by_a_signal_counts_from_128() {
        assert_eq!(of_program(ExitStatus::from_raw(9)), 137);
        assert_eq!(of_program(ExitStatus::from_raw(3 << 8)), 3);
    }
}
