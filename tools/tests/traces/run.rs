//! The command and its judges.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

pub(crate) fn laneway(dir: &TempDir, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_laneway"))
        .args(args)
        .current_dir(dir.path())
        .env("TZ", "UTC")
        .output()
        .unwrap()
}

/// What the command prints, if it succeeds and complains of nothing but losses.
pub(crate) fn text(dir: &TempDir, args: &[&str]) -> String {
    let output = laneway(dir, args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{args:?}: {}\n{stderr}",
        output.status
    );
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn failure(dir: &TempDir, args: &[&str], code: i32) -> String {
    let output = laneway(dir, args);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    stderr
}

pub(crate) fn babeltrace2(dir: &Path) -> String {
    let output = Command::new("babeltrace2")
        .arg("--clock-gmt")
        .arg(dir)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A Python that has the packages which read what is exported.
pub(crate) fn python(script: &str) -> String {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/python/bin/python3");
    let chosen = std::env::var_os("LANEWAY_TEST_PYTHON");
    let python = chosen.map_or_else(|| PathBuf::from(beside), PathBuf::from);
    let output = Command::new(&python).args(["-c", script]).output();
    let output = output.unwrap_or_else(|e| {
        panic!("{}: {e}; ./test.sh installs it", python.display());
    });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}
