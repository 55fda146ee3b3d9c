//! What goes wrong is told, with what to do about it.

use std::fs;
use std::process::Command;

use crate::made::trace;
use crate::run::failure;

#[test]
fn mistakes_are_told_with_what_to_do() {
    let dir = trace();
    fs::create_dir(dir.path().join("empty")).unwrap();
    for (args, code, want) in [
        (&["view", "nowhere"][..], 1, "there is no nowhere"),
        (
            &["view", "empty"],
            1,
            "empty holds no CTF trace: there is no file named `metadata`",
        ),
        (
            &["view", "t", "-w", "totl > 1"],
            1,
            "column 1: no event has a field `totl`",
        ),
        (
            &["view", "t", "-w", "total >"],
            1,
            "column 8: expected a field, a number or a text, found the end",
        ),
        (&["view", "t", "--since", "soon"], 1, "\"soon\" is no time"),
        (&["view", "t", "--format", "xml"], 2, "xml"),
        (&["export", "t", "--to", "ods"], 2, "ods"),
        (
            &["export", "t", "--to", "ctf-2"],
            1,
            "say where with -o DIR",
        ),
        (
            &["export", "t", "--to", "ctf-2", "-o", "empty"],
            1,
            "empty exists already",
        ),
        (
            &["export", "t", "--to", "csv", "-o", "t/metadata"],
            1,
            "t/metadata exists already",
        ),
        (
            &["export", "t", "--to", "csv", "-o", "/dev/full/x"],
            1,
            "cannot write /dev/full/x",
        ),
        (&["repair", "nowhere"], 1, "there is no nowhere"),
    ] {
        let said = failure(&dir, args, code);
        assert!(said.contains(want), "{args:?}: {said}\nwanted {want}");
    }
}

#[test]
fn a_full_disk_is_told() {
    let dir = trace();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_laneway"))
        .args(["export", "t", "--to", "json"])
        .current_dir(dir.path())
        .stdout(full)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("cannot write") && stderr.contains("No space left"),
        "{stderr}"
    );
}
