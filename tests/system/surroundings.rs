//! Programs that change the world around themselves: their output and exit code stay what they would be, and tracing goes
//! on, or there is none and one reason why.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use laneway_tests::account::{Account, Found};
use laneway_tests::privilege::{CpuLimit, NOBODY, copy_for_everybody, is_root};
use laneway_tests::process::LIMIT;
use laneway_tests::summary::Summary;
use laneway_tests::{Output, Place, Running, eventually, lanes, laneway, process, program, run};
use rustix::process::Signal;

const BLOCK: [&str; 2] = ["--mode=block", "--block-timeout=60s"];

/// Flags of unshare(2), of linux/sched.h.
const NEWNS: i32 = 0x0002_0000;
const NEWUTS: i32 = 0x0400_0000;
const NEWIPC: i32 = 0x0800_0000;
const NEWPID: i32 = 0x2000_0000;
const NEWNET: i32 = 0x4000_0000;
const NEWCGROUP: i32 = 0x0200_0000;
const FILES: i32 = 0x400;
const FS: i32 = 0x200;

/// `RLIMIT_FSIZE` and `RLIMIT_AS` of asm-generic/resource.h, and `RLIMIT_MEMLOCK`.
const FSIZE: &str = "1";
const MEMLOCK: &str = "8";
const AS: &str = "9";

/// One program, run twice: without a consumer and with one.
struct Twice {
    place: Place,
    account: Account,
    traced: Output,
    summary: Summary,
}

impl Twice {
    /// Runs `surrounded WHAT…`.
    #[track_caller]
    fn run(what: &[&str]) -> Twice {
        Twice::run_dressed(what, &[], |command| command)
    }

    /// The same with `dress` around it, and for a daemon with these options.
    #[track_caller]
    fn run_dressed(what: &[&str], options: &[&str], dress: impl Fn(Command) -> Command) -> Twice {
        let place = Place::new();
        let alone = Account::create(place.dir(), "alone");
        let mut command = place.application("surrounded");
        command.arg(alone.path()).args(what);
        let alone = run(&mut dress(command));

        let daemon = place.daemon("trace", &[&BLOCK, options].concat());
        let account = Account::create(place.dir(), "account");
        let mut command = place.application("surrounded");
        command.arg(account.path()).args(what);
        let traced = run(&mut dress(command));
        let (_, summary) = daemon.finish();
        assert_eq!(traced.stdout, alone.stdout, "{what:?}");
        assert_eq!(traced.stderr, alone.stderr, "{what:?}");
        assert_eq!(traced.status, alone.status, "{what:?}");
        assert!(traced.status.success(), "{what:?}: {traced:#?}");
        Twice {
            place,
            account,
            traced,
            summary,
        }
    }

    /// Every event of the first `lines` lines is in the trace.
    #[track_caller]
    fn was_traced_throughout(self, lines: usize) -> Output {
        let trace = self.place.dir().join("trace");
        let _ = lanes::check(&trace);
        let found = Found::read(&trace);
        let finished = self.account.finished(lines);
        for (line, &finished) in finished.iter().enumerate() {
            let of_line = found.lines.iter().filter(|((_, n), _)| *n == line);
            let [(_, of_line)] = of_line.collect::<Vec<_>>()[..] else {
                panic!("line {line} is not of one process: {found:#?}");
            };
            assert!(finished > 0 && of_line.is_contiguous() && of_line.first == 0);
            assert_eq!(of_line.events, finished, "line {line}: {:#?}", self.summary);
        }
        assert_eq!(self.summary.total.lost.total(), 0, "{:#?}", self.summary);
        for process in &self.summary.processes {
            assert_eq!(process.problems, [""; 0]);
        }
        self.traced
    }

    /// It was not traced, and this is why.
    #[track_caller]
    fn was_not_traced_because(self, says: &str) {
        assert_eq!(self.summary.total.emitted, 0, "{:#?}", self.summary);
        let [refusal] = &self.summary.refused[..] else {
            panic!("not one reason: {:#?}", self.summary);
        };
        assert!(refusal.reason.contains(says), "{refusal:?}");
    }
}

/// With a limit that prlimit(1) of util-linux sets before it becomes the program.
fn limited(limit: &str) -> impl Fn(Command) -> Command {
    move |command| {
        let mut limited = process::command("prlimit");
        limited.arg(limit);
        process::becoming(limited, &command)
    }
}

#[test]
fn a_program_that_becomes_somebody_else_is_traced_throughout() {
    if !is_root("a program that becomes somebody else") {
        return;
    }
    for what in [&["another-user"][..], &["another-user", "raw"]] {
        let output = Twice::run(what).was_traced_throughout(2);
        assert!(output.stdout.contains("user: done"), "{output:?}");
    }
}

#[test]
fn a_program_that_changes_its_root_is_traced_throughout() {
    if !is_root("a program that changes its root") {
        return;
    }
    let elsewhere = laneway_tests::scratch();
    let directory = elsewhere.path().to_str().expect("a text");
    let output = Twice::run(&["chroot", directory]).was_traced_throughout(2);
    assert!(output.stdout.contains("chroot: done"), "{output:?}");
}

#[test]
fn a_program_that_leaves_its_namespaces_is_traced_throughout() {
    if !is_root("a program that leaves its namespaces") {
        return;
    }
    for flags in [
        NEWNS,
        NEWUTS,
        NEWIPC,
        NEWPID,
        NEWNET,
        NEWCGROUP,
        FILES,
        FS,
        NEWNS | NEWUTS | NEWIPC | NEWPID | NEWNET,
    ] {
        let output = Twice::run(&["unshare", &flags.to_string()]);
        let output = output.was_traced_throughout(2);
        assert!(
            output.stdout.contains("unshare: done"),
            "{flags:#x}: {output:?}"
        );
    }
}

#[test]
fn a_program_that_keeps_closing_all_descriptors_is_traced_throughout() {
    let _ = Twice::run(&["close"]).was_traced_throughout(2);
}

#[test]
fn a_program_without_a_free_descriptor_is_traced_throughout() {
    let output = Twice::run(&["full-table"]).was_traced_throughout(2);
    assert!(
        output.stdout.contains("files, then Too many open files"),
        "{output:?}"
    );
}

#[test]
fn a_program_that_may_grow_no_more_is_traced_throughout() {
    for resource in [FSIZE, MEMLOCK, AS] {
        let output = Twice::run(&["limit", resource, "0"]).was_traced_throughout(2);
        assert!(output.stdout.contains("limit: done"), "{output:?}");
    }
}

/// A ring of 256 MiB for each CPU.
const HUGE: [&str; 2] = ["--sub-buffer-size=4M", "--sub-buffers=64"];

#[test]
fn a_program_that_may_not_have_the_memory_of_a_ring_runs_without() {
    let limit = format!("--as={}", 200 << 20);
    let twice = Twice::run_dressed(&["nothing"], &HUGE, limited(&limit));
    twice.was_not_traced_because("memory");
}

#[test]
fn a_program_that_may_not_make_large_files_runs_without_a_ring() {
    let limit = format!("--fsize={}", 1 << 20);
    let twice = Twice::run_dressed(&["nothing"], &HUGE, limited(&limit));
    twice.was_not_traced_because("memory");
}

#[test]
fn a_program_that_may_start_no_thread_runs_without_an_agent() {
    if !is_root("a limit on the number of somebody else's processes") {
        return;
    }
    let place = Place::new();
    fs::set_permissions(place.dir(), fs::Permissions::from_mode(0o777)).expect("it is ours");
    let application = copy_for_everybody(&program("bad_ends"), place.dir());
    let laneway = copy_for_everybody(&laneway(), place.dir());
    let trace = place.dir().join("trace");
    let mut daemon = process::command(laneway);
    daemon.args(place.daemon_command(&trace, &[]).get_args());
    let mut daemon = Running::start(daemon.uid(NOBODY).gid(NOBODY));
    daemon.await_text("listening on");
    let once = |limit: &str| {
        run(process::command("prlimit")
            .arg(limit)
            .arg(&application)
            .args(["code", "3"])
            .env("LANEWAY_SOCKET", place.socket())
            .uid(NOBODY)
            .gid(NOBODY))
    };
    let outputs = [once("--nproc=0"), once("--nproc=1000")];
    daemon.signal(Signal::TERM);
    let _ = daemon.wait().succeeded();
    for output in outputs {
        assert_eq!((output.code(), output.stderr.as_str()), (Some(3), ""));
    }
    let json = fs::read_to_string(trace.with_extension("json")).expect("a summary");
    let [refusal] = &Summary::parse(&json).refused[..] else {
        panic!("not one reason: {json}");
    };
    assert!(refusal.reason.contains("no thread"), "{refusal:?}");
    // The other one was traced: what the first one lacked was the thread.
    assert_eq!(laneway_tests::events::events(&trace).len(), 1);
}

#[test]
fn a_program_that_becomes_another_one_leaves_every_event_it_had_finished() {
    let next = program("accountable");
    let next = next.to_str().expect("a text");
    let place = Place::new();
    let daemon = place.daemon("trace", &BLOCK);
    let trace = daemon.trace.clone();
    let account = Account::create(place.dir(), "account");
    let output = run(place
        .application("surrounded")
        .arg(account.path())
        .args(["exec", next]))
    .succeeded();
    assert_eq!(output.stderr, "");
    let (_, summary) = daemon.finish();
    let [before, after] = &summary.processes[..] else {
        panic!("not two programs: {summary:#?}");
    };
    assert_eq!(before.pid, after.pid, "the process stays the same");
    let found = Found::read(&trace);
    let finished = account.finished(4);
    let line = |line| found.line(before.pid, line).events;
    assert_eq!([line(2), line(3)], [500, 500]);
    for thread in 0..2 {
        let more = line(thread) - finished[thread];
        assert!(more <= 1, "thread {thread}: {finished:?}, {found:#?}");
    }
    assert!(finished[1] > 0, "it tests nothing");
    let lost = before.counts.lost;
    assert_eq!(lost.total(), lost.unfinished, "{before:#?}");
    assert!(lost.unfinished <= 1, "{before:#?}");
    assert_eq!(after.counts.lost.total(), 0, "{after:#?}");
}

#[test]
fn an_exec_leaves_a_shared_buffer_and_the_next_program_joins_it() {
    let next = program("accountable");
    let next = next.to_str().expect("a text");
    let place = Place::new();
    let daemon = place.daemon("trace", &[&BLOCK[..], &["--buffers=shared"]].concat());
    let trace = daemon.trace.clone();
    let account = Account::create(place.dir(), "account");
    let mut command = place.application("surrounded");
    // The next one sleeps when it is through.
    command.arg(account.path()).args(["exec", next, "0", "60"]);
    let application = Running::start(&mut command);
    eventually("the next one is through", LIMIT, || {
        account.finished(4)[2..] == [500, 500]
    });
    let (_, summary) = daemon.finish();
    application.signal(Signal::KILL);
    let _ = application.wait();
    let shared = summary.shared.as_ref().expect("a shared buffer");
    let pids: Vec<u32> = shared.processes.iter().map(|p| p.pid).collect();
    assert_eq!(pids.len(), 2, "{shared:#?}");
    assert_eq!(pids[0], pids[1], "the process stays the same");
    // Nobody waits for the program that is no more. (The next one may be late to leave: an event in the middle of which
    // the other one went is not counted before its sub-buffer is closed.)
    assert_eq!(shared.processes[0].problems, [""; 0]);
    let lost = shared.counts.lost;
    let found = Found::read(&trace);
    let line = |line| found.line(pids[0], line).events;
    // Without a load it is let in before its first event.
    assert!(1000 - line(2) - line(3) <= lost.before_attach, "{found:#?}");
    assert_eq!(
        lost.total(),
        lost.unfinished + lost.before_attach,
        "{shared:#?}"
    );
    assert!(lost.unfinished <= 1, "{shared:#?}");
}

/// Threads that the scheduler takes the CPU from for most of the time, wherever they are.
#[test]
fn a_program_that_gets_a_tenth_of_a_cpu_is_traced_all_the_same() {
    const THREADS: usize = 4;
    const EVENTS: u64 = 20_000;
    let Some(limit) = CpuLimit::make(10, "tenth", "a limit of a control group") else {
        return;
    };
    let place = Place::new();
    for (options, loses) in [
        (&BLOCK[..], false),
        (&["--sub-buffer-size=4K", "--sub-buffers=2"], true),
    ] {
        let name = format!("trace-{loses}");
        let daemon = place.daemon(&name, options);
        let trace = daemon.trace.clone();
        let account = Account::create(place.dir(), &format!("account-{loses}"));
        let mut command = place.application("accountable");
        command
            .arg(account.path())
            .args([THREADS as u64, EVENTS, 0, 30].map(|n| n.to_string()));
        let _ = run(&mut limit.on(&command)).succeeded();
        let (_, summary) = daemon.finish();
        let process = summary.process();
        let lost = process.counts.lost;
        assert_eq!(process.counts.emitted, THREADS as u64 * EVENTS);
        assert_eq!(lost.total(), lost.full, "{process:#?}");
        assert!(loses || lost.full == 0, "{process:#?}");
        let _ = lanes::check(&trace);
        assert_eq!(Found::read(&trace).events, process.counts.recorded);
    }
    let throttled = limit.throttled();
    assert!(throttled > 3, "{throttled} times: it tests nothing");
}
