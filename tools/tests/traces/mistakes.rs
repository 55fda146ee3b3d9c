//! What goes wrong is told, with what to do about it.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::made::{EVENTS, Made, PER_PACKET, trace};
use crate::run::{failure, laneway};

#[test]
fn mistakes_are_told_with_what_to_do() {
    let dir = trace();
    fs::create_dir(dir.path().join("empty")).unwrap();
    fs::create_dir(dir.path().join("odd")).unwrap();
    fs::write(
        dir.path().join("odd/metadata"),
        "/* CTF 1.8 */\ntrace {\n  major = 2;\n",
    )
    .unwrap();
    for (args, code, want) in [
        (&["view", "nowhere"][..], 1, "there is no nowhere"),
        (
            &["view", "empty"],
            1,
            "empty holds no CTF trace: there is no file named `metadata`",
        ),
        (&["stats", "odd"], 1, "odd/metadata: line 4"),
        (&["view", "t/metadata"], 1, "t/metadata is a file"),
        (&["view"], 2, "<DIR>..."),
        (&["view", "t", "-p", "[a"], 1, "the pattern \"[a\" is wrong"),
        (&["view", "t", "--fields", "colour"], 2, "colour"),
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
        (&["export", "t"], 2, "--to <FORMAT>"),
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

/// The command as a shell runs it, behind these other commands.
fn shell(dir: &TempDir, before: &str, command: &str) -> (Option<i32>, String) {
    let line = format!("{before}; exec {} {command}", env!("CARGO_BIN_EXE_laneway"));
    let output = Command::new("sh")
        .args(["-c", &line])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), stderr)
}

#[test]
fn what_could_not_be_written_to_the_end_is_not_left_behind() {
    let dir = TempDir::new().unwrap();
    let made = Made {
        packets: 400,
        ..Made::default()
    };
    made.write(&dir.path().join("t"));
    // A limit on the size of files, of 8 blocks of 512 bytes; the signal that comes with it would end the command.
    let limit = "trap '' XFSZ; ulimit -f 8";
    let mut formats = vec!["ctf-1.8", "ctf-2", "perfetto", "chrome", "json", "csv"];
    if cfg!(feature = "parquet") {
        formats.push("parquet");
    }
    for format in formats {
        let command = format!("export t --to {format} -o out");
        let (code, stderr) = shell(&dir, limit, &command);
        assert_eq!(code, Some(1), "{format}: {stderr}");
        assert!(
            stderr.starts_with("laneway: cannot write out") && stderr.contains("File too large"),
            "{format}: {stderr}"
        );
        assert_eq!(
            stderr.matches("cannot write").count(),
            1,
            "{format}: {stderr}"
        );
        assert!(!dir.path().join("out").exists(), "{format}");
    }
    let before = fs::read(dir.path().join("t/lane_3")).unwrap();
    let lane = dir.path().join("t/lane_3");
    fs::write(&lane, &before[..before.len() - 50]).unwrap();
    let (code, stderr) = shell(&dir, limit, "repair t");
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains("cannot write t/lane_3 anew: File too large"),
        "{stderr}"
    );
    assert_eq!(fs::read(&lane).unwrap(), &before[..before.len() - 50]);
    assert_eq!(fs::read_dir(dir.path().join("t")).unwrap().count(), 2);
}

#[test]
fn nobody_who_reads_on_is_no_mistake() {
    let dir = TempDir::new().unwrap();
    let made = Made {
        packets: 400,
        ..Made::default()
    };
    made.write(&dir.path().join("t"));
    for command in [
        "view t",
        "view t --json",
        "view t --format pretty",
        "export t --to csv",
        "export t --to json",
        "export t --to chrome",
        "export t --to perfetto",
        "stats t",
        "completions bash",
        "man",
        "events /proc/self/exe",
    ] {
        // The pipe is closed before anything is written.
        let mut child = Command::new("sh")
            .args([
                "-c",
                &format!("read go; exec {} {command}", env!("CARGO_BIN_EXE_laneway")),
            ])
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"go\n").unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let said: Vec<_> = stderr
            .lines()
            .filter(|line| !line.starts_with("WARNING: Tracer discarded"))
            .collect();
        assert!(
            said.iter().all(|line| line.is_empty()),
            "{command}: {stderr}"
        );
        assert_eq!(output.status.code(), Some(0), "{command}: {stderr}");
    }
}

#[test]
fn a_damaged_packet_is_told_and_passed_over() {
    let dir = trace();
    let lane = dir.path().join("t/lane_3");
    let made = Made::default();
    let (begin, packet) = (made.packet(0).len(), made.packet(1));
    let mut bytes = fs::read(&lane).unwrap();
    // The id of the third event in the second packet: there is no such event.
    let third = begin + 88 + lengths(&packet)[..2].iter().sum::<usize>();
    bytes[third + 6..third + 8].copy_from_slice(&[0xe7, 0x03]);
    fs::write(&lane, &bytes).unwrap();
    let rest = lengths(&packet)[2..].iter().sum::<usize>();
    let where_and_how_much = format!("lane_3: packet at byte {begin}, ");
    for command in [
        &["view", "t", "--json"][..],
        &["view", "t", "--format", "pretty"],
        &["stats", "t"],
        &["export", "t", "--to", "csv"],
        &["export", "t", "--to", "ctf-1.8", "-o", "copy"],
        &["repair", "--dry-run", "t"],
    ] {
        let output = laneway(&dir, command);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{command:?}: {stderr}");
        let told: Vec<_> = stderr
            .lines()
            .filter(|line| line.contains("packet at byte"))
            .collect();
        assert_eq!(told.len(), 1, "{command:?}: {stderr}");
        assert!(
            told[0].starts_with("laneway: t/lane_3") && told[0].contains(&where_and_how_much[7..]),
            "{stderr}"
        );
        assert!(told[0].contains("999"), "which event: {stderr}");
        let skipped: usize = number_before(told[0], " bytes skipped");
        assert!((rest..rest + 8).contains(&skipped), "{rest}: {stderr}");
    }
    let view = laneway(&dir, &["view", "t", "--json"]);
    let events = String::from_utf8(view.stdout).unwrap();
    let ids: Vec<u64> = events
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["fields"]["id"]
                .as_u64()
                .unwrap()
        })
        .collect();
    let wanted: Vec<_> = (0..PER_PACKET + 2).chain(2 * PER_PACKET..EVENTS).collect();
    assert_eq!(ids, wanted);
}

/// The lengths of the records of a packet.
fn lengths(packet: &[u8]) -> Vec<usize> {
    let (mut at, mut lengths) = (88, Vec::new());
    while at < packet.len() {
        let words = u16::from_le_bytes([packet[at + 4], packet[at + 5]]) & 0x3fff;
        lengths.push(usize::from(words) * 8);
        at += usize::from(words) * 8;
    }
    lengths
}

fn number_before(text: &str, what: &str) -> usize {
    let (before, _) = text
        .split_once(what)
        .unwrap_or_else(|| panic!("no {what:?} in {text:?}"));
    let digits = before.rsplit(' ').next().unwrap_or_default();
    digits
        .replace(',', "")
        .parse()
        .unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
#[cfg(not(feature = "parquet"))]
fn a_command_without_parquet_says_how_to_get_one_with_it() {
    let dir = trace();
    let said = failure(&dir, &["export", "t", "--to", "parquet", "-o", "tables"], 1);
    assert!(said.contains("--features parquet"), "{said}");
    assert!(!dir.path().join("tables").exists());
}
