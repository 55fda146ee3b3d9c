//! `laneway record`: programs that end in every way, and what comes of their last events.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use laneway_tests::events::babeltrace_lines;
use laneway_tests::process::signal_of;
use laneway_tests::{Record, Recorded, lanes, laneway, process, run, scratch};
use rustix::process::Signal;

const BLOCK: [&str; 2] = ["--mode=block", "--block-timeout=60s"];

fn ending(arguments: &[&str]) -> Record {
    Record::program("bad_ends").args(arguments)
}

/// Lets four threads count until they end in this way, and looks for all that they had behind them.
#[track_caller]
fn count(how: &str, end: impl FnOnce(&mut laneway_tests::Running)) -> Recorded {
    let dir = scratch();
    let file = dir.path().join("counters");
    fs::write(&file, [0; 32]).expect("a file can be written");
    let recorded = ending(&["count"])
        .args([file.as_os_str(), how.as_ref()])
        .options(BLOCK)
        .options(["--sub-buffer-size=64K"])
        .run_with(end);
    assert_nothing_is_missing(&recorded, &file);
    recorded
}

/// Each thread's events are numbered from 0 to at least what it wrote down.
#[track_caller]
fn assert_nothing_is_missing(recorded: &Recorded, counters: &Path) {
    let process = recorded.process();
    assert_eq!(process.problems, [""; 0]);
    let lost = process.counts.lost;
    assert_eq!(lost.total(), lost.unfinished, "{process:#?}");
    assert!(lost.unfinished <= 4, "at most one a thread: {process:#?}");
    let (events, _) = recorded.events_and_warnings();
    let counters = fs::read(counters).expect("the counters");
    for (thread, counter) in counters.as_chunks().0.iter().take(4).enumerate() {
        let counter = u64::from_le_bytes(*counter);
        assert!(counter > 10_000, "the test tests nothing");
        let of_thread = events
            .iter()
            .filter(|e| e.number("thread") == thread as u64);
        let numbers: Vec<_> = of_thread.map(|e| e.number("n")).collect();
        let found = numbers.len() as u64;
        assert!(
            numbers.into_iter().eq(0..found),
            "thread {thread}: a gap or a double"
        );
        assert!(found >= counter, "thread {thread}: {found} of {counter}");
        assert!(
            found <= counter + 1,
            "thread {thread}: {found} of {counter}"
        );
    }
    let _ = lanes::check(&recorded.trace);
}

#[test]
fn a_program_that_ends_after_one_event_has_it_recorded() {
    // Twenty times, since it is a race that it must not be.
    for _ in 0..20 {
        let recorded = ending(&["once"]).run();
        assert_eq!(recorded.output.code(), Some(0));
        let [event] = &recorded.events()[..] else {
            panic!("not one event: {:#?}", recorded.output);
        };
        assert_eq!(event.name, "ends:once");
    }
}

#[test]
fn the_exit_code_is_that_of_the_program() {
    for code in [0, 1, 42, 125, 255] {
        let recorded = ending(&["code", &code.to_string()]).run();
        assert_eq!(recorded.output.code(), Some(code));
        assert_eq!(recorded.events().len(), 1);
    }
    let recorded = ending(&["panic"]).run();
    assert_eq!(recorded.output.code(), Some(101));
    assert_eq!(recorded.events().len(), 1);
}

#[test]
fn a_program_that_is_killed_leaves_every_finished_event() {
    let recorded = count("be-killed", |record| {
        record.await_text("far=1");
        let child = child_of(record.pid().as_raw_nonzero().get());
        rustix::process::kill_process(child, Signal::KILL).expect("it runs");
    });
    assert_eq!(recorded.output.code(), Some(128 + 9));
}

#[test]
fn a_program_that_aborts_leaves_every_finished_event() {
    let recorded = count("abort", |_| {});
    assert_eq!(recorded.output.code(), Some(128 + 6));
}

#[test]
fn a_program_that_faults_leaves_every_finished_event() {
    let recorded = count("fault", |_| {});
    assert_eq!(recorded.output.code(), Some(128 + 11));
}

#[test]
fn a_program_that_exits_while_its_threads_emit_leaves_every_finished_event() {
    let recorded = count("exit", |_| {});
    assert_eq!(recorded.output.code(), Some(3));
}

#[test]
fn a_signal_ends_the_program_and_with_it_the_recording() {
    for (signal, number) in [(Signal::INT, 2), (Signal::TERM, 15)] {
        let recorded = ending(&["until-signal"]).run_with(|record| {
            record.await_text("ready=1");
            match signal {
                // As a terminal does: all in its foreground get it.
                Signal::INT => record.signal_group(signal),
                // As `kill` does: only `laneway record` gets it, and passes it on.
                _ => record.signal(signal),
            }
        });
        assert_eq!(recorded.output.code(), Some(0), "{:#?}", recorded.output);
        assert_eq!(recorded.output.number("signal"), number);
        let emitted = recorded.output.number("emitted");
        assert_eq!(recorded.events().len() as u64, emitted);
    }
}

#[test]
fn a_signal_that_the_program_does_not_handle_is_its_exit_code() {
    let recorded = ending(&["sleep"]).run_with(|record| {
        let pid = record.pid().as_raw_nonzero().get();
        laneway_tests::eventually("a child", process::LIMIT, || children_of(pid).len() == 1);
        // Until its constructor is over and its event is emitted.
        std::thread::sleep(std::time::Duration::from_millis(500));
        record.signal_group(Signal::INT);
    });
    assert_eq!(recorded.output.code(), Some(128 + 2));
    assert_eq!(
        signal_of(recorded.output.status),
        None,
        "`record` itself ends by itself"
    );
    assert_eq!(recorded.events().len(), 1);
}

#[test]
fn control_c_on_a_terminal_reaches_the_program_once() {
    let dir = scratch();
    let trace = dir.path().join("trace");
    let mut terminal = laneway_tests::terminal::Terminal::run(
        process::command(laneway())
            .args(["record", "-o"])
            .arg(&trace)
            .arg("--")
            .arg(laneway_tests::program("bad_ends"))
            .arg("until-signal"),
    );
    terminal.await_text("ready=1");
    terminal.type_in(b"\x03");
    let (code, text) = terminal.wait();
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("signal=2"), "{text}");
    let line = text.lines().find_map(|l| l.trim().strip_prefix("emitted="));
    let emitted: usize = line.expect("it ended by itself").parse().expect("a number");
    assert_eq!(laneway_tests::events::events(&trace).len(), emitted);
}

#[test]
fn a_program_that_is_not_there_or_not_executable_is_told_from_one_that_fails() {
    let dir = scratch();
    let file = dir.path().join("file");
    fs::write(&file, "no program").expect("a file can be written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("it is ours");
    for (program, code, says) in [
        ("/no/such/program", 127, "no such file"),
        ("no-such-program", 127, "no such program in PATH"),
        (file.to_str().unwrap(), 126, "not executable"),
        (dir.path().to_str().unwrap(), 126, "not executable"),
    ] {
        let recorded = Record::command(program).run();
        assert_eq!(recorded.output.code(), Some(code), "{:#?}", recorded.output);
        let stderr = &recorded.output.stderr;
        assert!(
            stderr.contains(says) && stderr.contains(program),
            "{stderr}"
        );
        assert!(!recorded.trace.exists(), "an empty session stays behind");
    }
}

#[test]
fn a_program_without_events_runs_and_the_summary_says_why_there_are_none() {
    let recorded = Record::program("untraced").run();
    assert_eq!(recorded.output.code(), Some(0));
    assert_eq!(recorded.output.stdout, "untraced\n");
    let stderr = &recorded.output.stderr;
    assert!(stderr.contains("nothing attached"), "{stderr}");
    assert!(stderr.contains("contains no `trace!`"), "{stderr}");
    assert!(recorded.summary().processes.is_empty());
}

#[test]
fn the_demo_records_a_workload_and_says_how_to_go_on() {
    let dir = scratch();
    let trace = dir.path().join("trace");
    let output = run(process::command(laneway())
        .args(["demo", "-o"])
        .arg(&trace)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src")))
    .succeeded();
    let text = output.stdout + &output.stderr;
    let name = trace.to_str().unwrap();
    assert!(
        text.contains("recorded") && text.contains(&format!("view {name}")),
        "{text}"
    );
    let mut files = 0;
    let mut total = 0_u64;
    let warnings = babeltrace_lines(&trace, |line| {
        total += 1;
        files += u64::from(line.windows(10).any(|w| w == b"process.rs"));
    });
    assert_eq!(warnings, "");
    assert!(files == 1 && total > 100_000, "{files} of {total}");
}

#[test]
fn a_request_for_a_snapshot_neither_reaches_the_program_nor_ends_the_recording() {
    for mode in ["--mode=overwrite", "--mode=discard"] {
        let recorded = ending(&["until-signal"])
            .options([mode])
            .run_with(|record| {
                record.await_text("ready=1");
                record.signal(Signal::USR1);
                record.await_text(match mode {
                    "--mode=overwrite" => "snapshot 1:",
                    _ => "needs --mode overwrite",
                });
                record.signal(Signal::TERM);
            });
        assert_eq!(recorded.output.code(), Some(0), "{:#?}", recorded.output);
        assert_eq!(recorded.output.number("signal"), 15);
        let snapshot = recorded.trace.join("snapshot-1");
        assert_eq!(snapshot.exists(), mode == "--mode=overwrite");
        let process = recorded.process();
        let events = laneway_tests::events::events(&process.trace);
        assert_eq!(events.len() as u64, process.counts.recorded);
        assert_eq!(process.counts.emitted, recorded.output.number("emitted"));
    }
}

#[test]
fn options_that_exclude_each_other_are_refused_before_anything_is_made() {
    for (options, says) in [
        (
            &["--buffers=shared", "--lanes=concurrency"][..],
            "concurrency",
        ),
        (
            &["--buffers=shared", "--buffer-directory=/dev/shm"],
            "shared",
        ),
        (&["--buffer-directory=/proc"], "tmpfs"),
        (&["--buffer-directory=/no/such/place"], "/no/such/place"),
    ] {
        let recorded = ending(&["once"]).options(options).run();
        let output = &recorded.output;
        assert_eq!(output.code(), Some(125), "{options:?}: {output:#?}");
        assert!(output.stderr.contains(says), "{options:?}: {output:#?}");
        assert!(!recorded.trace.exists());
    }
}

#[test]
fn a_trace_is_written_in_the_format_that_was_asked_for() {
    let view = |trace: &Path| {
        // It warns of the event that was too large.
        let args = ["view", "--format=babeltrace"];
        run(process::command(laneway()).args(args).arg(trace))
            .succeeded()
            .stdout
    };
    let metadata = |recorded: &Recorded| {
        let process = recorded.process();
        fs::read(process.trace.join("metadata")).expect("metadata")
    };
    let old = ending(&["large"]).options(["--trace-format=ctf-1.8"]).run();
    assert!(metadata(&old).starts_with(b"/* CTF 1.8 */"));
    assert_eq!(old.events_and_warnings().0.len(), 5);

    let new = ending(&["large"]).options(["--trace-format=ctf-2"]).run();
    assert_eq!(metadata(&new)[0], 0x1e, "a JSON text sequence");
    // Times and process ids differ.
    let events = |recorded: &Recorded| -> Vec<String> {
        let text = view(&recorded.trace);
        let lines = text.lines().filter_map(|line| line.split_once("ends:"));
        lines
            .map(|(_, event)| event.replace(char::is_numeric, "#"))
            .collect()
    };
    assert_eq!(events(&old), events(&new));
    assert_eq!(events(&new).len(), 5);
}

#[test]
fn a_wrong_command_line_is_explained() {
    for (arguments, says) in [
        (&["recrod", "--", "true"][..], "recrod"),
        (
            &["record", "--no-such-option", "--", "true"],
            "--no-such-option",
        ),
        (&["record"], "PROGRAM"),
        (&["record", "--sub-buffers", "many", "--", "true"], "many"),
        (&["record", "--flush-period", "-1", "--", "true"], "-1"),
    ] {
        let output = run(process::command(laneway()).args(arguments));
        assert_eq!(output.code(), Some(2), "{arguments:?}: {output:#?}");
        assert!(output.stderr.contains(says), "{arguments:?}: {output:#?}");
    }
}

#[test]
fn sub_buffers_that_cannot_be_are_refused_before_anything_is_made() {
    for (option, says) in [
        ("--sub-buffer-size=3000", "3000"),
        ("--sub-buffer-size=16", "16"),
        ("--sub-buffers=3", "3"),
        ("--sub-buffers=0", "0"),
        ("--sub-buffers=1", "1"),
        ("--sub-buffer-size=1G", "1073741824"),
    ] {
        let recorded = ending(&["once"]).options([option]).run();
        let output = &recorded.output;
        assert_eq!(output.code(), Some(125), "{option}: {output:#?}");
        assert!(output.stderr.contains(says), "{option}: {}", output.stderr);
        assert!(!recorded.trace.exists());
    }
}

#[test]
fn a_directory_that_exists_or_cannot_be_made_is_refused_and_the_program_not_run() {
    let dir = scratch();
    let taken = dir.path().join("taken");
    fs::create_dir(&taken).expect("a directory can be made");
    fs::write(taken.join("precious"), "data").expect("a file can be written");
    let file = dir.path().join("file");
    fs::write(&file, "data").expect("a file can be written");
    for (directory, says) in [
        (taken.clone(), "exists already"),
        (file.join("below"), "cannot make"),
        ("/proc/laneway".into(), "cannot make"),
    ] {
        let marker = dir.path().join("ran");
        let recorded = Record::command("touch")
            .args([&marker])
            .into_directory(&directory)
            .run();
        assert_eq!(recorded.output.code(), Some(125), "{:#?}", recorded.output);
        let stderr = &recorded.output.stderr;
        assert!(stderr.contains(says), "{stderr}");
        // It names the directory, or the one above it that is the obstacle.
        let above = directory.parent().unwrap().to_str().unwrap();
        assert!(stderr.contains(above), "{stderr}");
        assert!(!marker.exists(), "the program ran");
    }
    assert_eq!(fs::read(taken.join("precious")).unwrap(), b"data");
}

#[test]
fn an_event_larger_than_a_sub_buffer_is_lost_alone_and_counted() {
    let recorded = ending(&["large"]).options(["--sub-buffer-size=4K"]).run();
    assert_eq!(recorded.output.code(), Some(0));
    let process = recorded.process();
    assert_eq!(process.counts.recorded, 3, "{process:#?}");
    assert_eq!(process.counts.lost.too_large, 3, "{process:#?}");
    assert_eq!(process.counts.lost.total(), 3);
    let (events, warnings) = recorded.events_and_warnings();
    let bytes: Vec<_> = events.iter().map(|e| e.number("bytes")).collect();
    assert_eq!(bytes, [10, 4000, 20]);
    assert!(warnings.contains("discarded events"), "{warnings}");
    assert!(
        recorded.output.stderr.contains("too large"),
        "{}",
        recorded.output.stderr
    );
}

fn child_of(pid: i32) -> rustix::process::Pid {
    let [child] = children_of(pid)[..] else {
        panic!("not one child of {pid}");
    };
    rustix::process::Pid::from_raw(child).expect("a process id")
}

fn children_of(pid: i32) -> Vec<i32> {
    let mut children = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let text = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        children.extend(
            text.split_whitespace()
                .map(|pid| pid.parse::<i32>().expect("a number")),
        );
    }
    children
}
