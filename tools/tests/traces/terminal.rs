//! What is shown to whoever sits in front of a terminal, and to nobody else.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::made::Made;

/// Runs the command on a terminal of its own: all that appears there, and the exit code.
fn on_terminal(dir: &TempDir, command: &str, colors: bool) -> (String, Option<i32>) {
    let line = format!("{} {command}", env!("CARGO_BIN_EXE_laneway"));
    let mut script = Command::new("script");
    match colors {
        true => script.env_remove("NO_COLOR"),
        false => script.env("NO_COLOR", "1"),
    };
    let output = script
        .args(["--quiet", "--return", "--echo", "never", "--command", &line])
        .arg("/dev/null")
        .current_dir(dir.path())
        .env("TERM", "xterm")
        .env("TZ", "UTC")
        // What Ctrl-C does to the command must not take the text from the pager.
        .env("PAGER", "kill -INT $PPID; sleep 0.2; sed s/^/paged:/")
        .env_remove("LANEWAY_PAGER")
        .stdin(Stdio::null())
        .output()
        .expect("script of util-linux can be run");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (text, output.status.code())
}

/// What is over sooner needs not say how far it is.
const SHORT: Duration = Duration::from_secs(1);

/// A trace that takes longer than a blink.
fn long_trace(packets: u64) -> TempDir {
    let dir = TempDir::new().unwrap();
    let made = Made {
        packets,
        ..Made::default()
    };
    made.write(&dir.path().join("t"));
    dir
}

#[test]
fn long_work_shows_how_far_it_is_on_a_terminal() {
    let dir = long_trace(60_000);
    let mut shown = 0;
    for (command, what) in [
        ("export t --to ctf-2 -o two", "export"),
        ("stats t", "count"),
        ("view t --format babeltrace > t.txt", "print"),
    ] {
        let began = Instant::now();
        let (text, code) = on_terminal(&dir, command, true);
        assert_eq!(code, Some(0), "{command}: {text}");
        let bar = format!("{what}  ");
        if !text.contains(&bar) && began.elapsed() < SHORT {
            continue; // nobody had to wait for it on this machine
        }
        shown += 1;
        assert!(text.contains(&bar), "{command}: {text}");
        assert!(
            text.contains(" of ") && text.contains(" left"),
            "{command}: {text}"
        );
        // It is gone in the end: its line is cleared behind the last time that it was shown.
        let last = text.rfind(what).unwrap();
        assert!(text[last..].contains("\x1b[2K"), "{command}: {text:?}");
    }
    assert!(shown > 0, "all of it was over too soon to tell");
    for (colors, bar) in [(true, "export  \x1b[36m━"), (false, "export  ━")] {
        let command = format!("export t --to ctf-2 -o colors-{colors}");
        let (text, _) = on_terminal(&dir, &command, colors);
        let shown = text.contains("export  ");
        assert!(!shown || text.contains(bar), "{command}");
        assert!(colors || !text.contains("\x1b[36m"), "{command}");
    }
}

#[test]
fn nothing_is_shown_where_it_would_be_in_the_way() {
    let dir = long_trace(8_000);
    // Text on the terminal, or on its way to a program that prints there.
    for command in [
        "view t -n 100000 --no-pager | tail -1",
        "export t --to csv | tail -1",
    ] {
        let (text, code) = on_terminal(&dir, command, true);
        assert_eq!(code, Some(0), "{text}");
        assert!(!text.contains('━'), "{command}: {text}");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_laneway"))
        .args(["stats", "t"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success());
    assert!(!String::from_utf8_lossy(&output.stderr).contains('━'));
}

#[test]
fn a_terminal_gets_short_coloured_lines_through_the_pager() {
    let dir = TempDir::new().unwrap();
    Made::default().write(&dir.path().join("t"));
    let (text, code) = on_terminal(&dir, "view t -n 1", true);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("paged:\x1b[2m08:40:00.000000000"), "{text:?}");
    assert!(text.contains("\x1b[1;35mshop:order\x1b[0m"), "{text:?}");
    let (text, _) = on_terminal(&dir, "view t -n 1 --no-pager", false);
    assert!(text.starts_with("08:40:00.000000000"), "{text:?}");
    assert!(!text.contains('\x1b'), "{text:?}");
}
