//! Where the programs are that a test runs, and where it may write.
//!
//! The `laneway` command, the library and, for the soak, the traced programs belong to other targets than the one that
//! runs, so they are asked of cargo once in every run, in the same profile and directory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;

/// `target/<profile>`, in which this runs: a test in `deps`, or one of `src/bin`.
static TARGET: LazyLock<PathBuf> = LazyLock::new(|| {
    let test = std::env::current_exe().expect("a test has a path");
    let mut directory = test.parent().expect("it is in a directory");
    if directory.ends_with("deps") {
        directory = directory.parent().expect("target/<profile>/deps/test");
    }
    directory.to_owned()
});

static OTHERS: LazyLock<()> = LazyLock::new(|| {
    let directory = TARGET.file_name().expect("a profile");
    let profile = match directory.to_str() {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--profile", profile, "--target-dir"])
        .arg(TARGET.parent().expect("a profile is in a target directory"))
        .args(["-p", "laneway-tools", "-p", "laneway-tests"])
        .args(["--bins", "--example", "traced_library"])
        .current_dir(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .parent()
                .expect("the workspace"),
        )
        .status()
        .expect("cargo can be run");
    assert!(status.success(), "the laneway command does not build");
});

/// The `laneway` command.
#[must_use]
pub fn laneway() -> PathBuf {
    LazyLock::force(&OTHERS);
    TARGET.join("laneway")
}

/// The traced library: see `plugin/lib.rs`.
#[must_use]
pub fn plugin() -> PathBuf {
    LazyLock::force(&OTHERS);
    TARGET.join("examples/libtraced_library.so")
}

/// The program `src/bin/<name>.rs`.
///
/// # Panics
/// There is none.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    LazyLock::force(&OTHERS);
    let path = TARGET.join(name);
    assert!(path.exists(), "{} is not built", path.display());
    path
}

/// A fresh directory, removed with the value.
#[must_use]
pub fn scratch() -> TempDir {
    tempfile::Builder::new()
        .prefix("laneway-test-")
        .tempdir()
        .expect("a temporary directory can be made")
}
