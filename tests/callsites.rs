//! Every callsite is known, once, with its types, however a program is compiled and linked.
//!
//! ```text
//!   callsites/lib.rs ─┬─ rlib ────── program.rs     debug, release, LTO, size; rust-lld, ld.bfd
//!                     ├─ cdylib ──── LD_PRELOAD
//!                     └─ staticlib ─ program.c
//! ```
//! The programs are asked by `LANEWAY_LIST`, the way `laneway events` asks, and never run
//! their `main`.
//!
//! Invariant: all builds of the same source have the same events.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard};

use laneway_control::decode_schemas;

const OF_LIBRARY: [&str; 10] = [
    "error lib:future { name: str, http.status: u16 }",
    "info lib:array { values: [i16; 2] }",
    "info lib:closure { flag: bool }",
    "info lib:closure { unset: bool }",
    "info lib:copied { i: u64 }",
    "info lib:generic { value: str }",
    "info lib:generic { value: u32 }",
    "info lib:plain { id: u64 }",
    "trace lib:prepared { }",
    "debug lib:shown { value: str }",
];

/// What the program adds: its own event, and the library's generic one with another type.
const OF_PROGRAM: [&str; 3] = [
    "info lib:generic { value: [f32; 3] }",
    "warn app:end { n: u64, ok: bool }",
    "info app:in_vain { value: u8 }",
];

const PROGRAM: &str = "callsites-program";

/// The fixture as a package of its own, outside of this workspace.
static PACKAGE: LazyLock<PathBuf> = LazyLock::new(|| {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("callsites");
    let sources = here.join("tests/callsites");
    let manifest = format!(
        r#"
        [workspace]
        [package]
        name = "callsites-fixture"
        version = "0.0.0"
        edition = "2024"
        [lib]
        path = {lib:?}
        crate-type = ["rlib", "cdylib", "staticlib"]
        [[bin]]
        name = "callsites-program"
        path = {program:?}
        [[bin]]
        name = "callsites-assembly"
        path = {assembly:?}
        [dependencies]
        laneway.path = {here:?}
        [profile.release]
        debug = 1
        [profile.lto]
        inherits = "release"
        lto = "fat"
        codegen-units = 1
        "#,
        lib = sources.join("lib.rs"),
        program = sources.join("program.rs"),
        assembly = sources.join("assembly.rs"),
    );
    fs::create_dir_all(&package).unwrap();
    fs::write(package.join("Cargo.toml"), manifest).unwrap();
    // The versions that this workspace uses are at hand; others might have to be downloaded.
    fs::copy(here.join("Cargo.lock"), package.join("Cargo.lock")).unwrap();
    package
});

/// Builds with `arguments`, and says where the results are for as long as the lock is
/// held: another build would replace them.
fn build(profile: &str, arguments: &[&str]) -> (PathBuf, MutexGuard<'static, ()>) {
    static LOCK: Mutex<()> = Mutex::new(());
    let lock = LOCK.lock().unwrap_or_else(|e| e.into_inner());
    // In the directory of this workspace, where most of what is needed is built already.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let status = Command::new(env!("CARGO"))
        .arg(arguments[0])
        .args(["--quiet", "--offline", "--profile", profile, "--target-dir"])
        .arg(target)
        .args(&arguments[1..])
        .current_dir(&*PACKAGE)
        .status()
        .unwrap();
    assert!(status.success(), "the fixture does not build");
    let built = target.join(if profile == "dev" { "debug" } else { profile });
    (built, lock)
}

/// Asks a program for its events, each as `level name { field: type, … }`.
fn list(program: &mut Command) -> Vec<String> {
    let output = program
        .env("LANEWAY_LIST", "1")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "its main ran");
    let mut events: Vec<_> = decode_schemas(&output.stdout)
        .unwrap()
        .into_iter()
        .map(|event| {
            assert!(event.line > 0 && event.file.ends_with(".rs"), "{event:?}");
            let fields: Vec<_> = event
                .fields
                .iter()
                .map(|f| format!("{}: {}", f.name, f.ty))
                .collect();
            let fields = if fields.is_empty() {
                String::new()
            } else {
                fields.join(", ") + " "
            };
            format!("{} {} {{ {fields}}}", event.level, event.full_name())
        })
        .collect();
    events.sort();
    events
}

fn expected(events: &[&[&str]]) -> Vec<String> {
    let mut events: Vec<_> = events.concat().into_iter().map(str::to_owned).collect();
    events.sort();
    events
}

/// Builds everything, and asks the program and the library.
#[track_caller]
fn assert_program_and_library(profile: &str) {
    let (built, _lock) = build(profile, &["build"]);
    assert_eq!(
        list(&mut Command::new(built.join(PROGRAM))),
        expected(&[&OF_LIBRARY, &OF_PROGRAM])
    );
    assert_eq!(
        list(Command::new("/bin/true").env("LD_PRELOAD", built.join("libcallsites_fixture.so"))),
        expected(&[&OF_LIBRARY]),
        "as a cdylib"
    );
}

/// Builds the program with flags of the compiler of its own, and asks it.
#[track_caller]
fn assert_program(profile: &str, flags: &[&str]) {
    let (built, _lock) = build(
        profile,
        &[&["rustc", "--bin", PROGRAM, "--"], flags].concat(),
    );
    assert_eq!(
        list(&mut Command::new(built.join(PROGRAM))),
        expected(&[&OF_LIBRARY, &OF_PROGRAM])
    );
}

#[test]
fn in_a_debug_build() {
    assert_program_and_library("dev");
}

#[test]
fn in_a_release_build() {
    assert_program_and_library("release");
}

#[test]
fn after_link_time_optimisation() {
    assert_program_and_library("lto");
}

#[test]
fn optimised_for_size_without_unwinding_and_stripped() {
    let size = [
        "-C",
        "opt-level=z",
        "-C",
        "panic=abort",
        "-C",
        "strip=symbols",
    ];
    assert_program("lto", &size);
}

#[test]
fn linked_by_another_linker_that_removes_unused_sections() {
    let linker = [
        "-C",
        "link-arg=-fuse-ld=bfd",
        "-C",
        "link-arg=-Wl,--gc-sections",
    ];
    assert_program("release", &linker);
}

#[test]
fn in_a_static_library_of_a_program_in_c() {
    let (built, _lock) = build("release", &["build"]);
    let program = PACKAGE.join("c");
    let status = Command::new("cc")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/callsites/program.c"))
        .arg(built.join("libcallsites_fixture.a"))
        .args(["-Wl,--gc-sections", "-lpthread", "-ldl", "-lm", "-o"])
        .arg(&program)
        .status()
        .unwrap();
    assert!(status.success(), "cc failed");
    assert_eq!(list(&mut Command::new(&program)), expected(&[&OF_LIBRARY]));
    let status = Command::new(&program).status().unwrap();
    assert_eq!(status.code(), Some(7), "runs its main when nobody asks");
}

#[test]
fn a_program_and_the_libraries_it_loads_are_asked_together() {
    let (built, _lock) = build("release", &["build"]);
    let mut program = Command::new(built.join(PROGRAM));
    program.env("LD_PRELOAD", built.join("libcallsites_fixture.so"));
    assert_eq!(list(&mut program), expected(&[&OF_LIBRARY, &OF_PROGRAM]));
}

#[test]
fn a_question_that_cannot_be_answered_ends_the_program_too() {
    let (built, _lock) = build("release", &["build"]);
    for (fd, reason) in [
        ("99", "file descriptor 99 is not open"),
        ("x", "\"x\" is not a file descriptor"),
    ] {
        let output = Command::new(built.join(PROGRAM))
            .env("LANEWAY_LIST", fd)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(message, format!("laneway: LANEWAY_LIST: {reason}\n"));
    }
}

#[test]
fn a_program_that_nobody_records_evaluates_nothing() {
    let (built, _lock) = build("release", &["build"]);
    // An address where nobody listens, should there be a daemon on this machine.
    let status = Command::new(built.join(PROGRAM))
        .env("LANEWAY_SOCKET", PACKAGE.join("no-consumer"))
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0), "see `in_vain` in program.rs");
}

/// The instructions of a function in the assembly that the compiler wrote, up to the first
/// `ret`: what runs while nobody wants the event. Labels and symbols have short names.
#[cfg(target_arch = "x86_64")]
fn disabled_path(assembly: &str, function: &str) -> Vec<String> {
    let mut in_code = true;
    let mut path = Vec::new();
    let lines = assembly.lines().map(str::trim);
    for line in lines
        .skip_while(|line| *line != format!("{function}:"))
        .skip(1)
    {
        if let Some(section) = line.strip_prefix(".section") {
            in_code = section.trim().starts_with(".text");
        }
        if !in_code || line.is_empty() || line.starts_with(['.', '#']) {
            continue;
        }
        let words = line.split_whitespace().map(|word| match word {
            label if label.contains(".Ltmp") => "gate.channels]",
            block if block.starts_with(".LBB") => "wanted",
            other => other,
        });
        path.push(words.collect::<Vec<_>>().join(" "));
        if line == "ret" {
            break;
        }
    }
    path
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_disabled_callsite_is_a_load_and_a_branch_as_the_documentation_shows_it() {
    let output = PACKAGE.join("assembly.s");
    let emit = format!("asm={}", output.display());
    let intel = "llvm-args=--x86-asm-syntax=intel";
    let flags = ["--emit", &emit, "-C", intel, "-C", "codegen-units=1"];
    let bin = ["rustc", "--bin", "callsites-assembly", "--"];
    let _built = build("release", &[&bin, &flags[..]].concat());
    let assembly = fs::read_to_string(output).unwrap();

    let order = disabled_path(&assembly, "order");
    let expected = [
        "mov eax, dword ptr [rip + gate.channels]",
        "test eax, eax",
        "jne wanted",
        "ret",
    ];
    assert_eq!(order, expected);
    let shown = include_str!("../docs/callsite.md");
    let (_, shown) = shown.split_once("```asm\norder:\n").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let instruction = |line: &str| {
        let (instruction, _comment) = line.split_once(';').unwrap_or((line, ""));
        instruction.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let shown: Vec<_> = shown.lines().map(instruction).collect();
    assert_eq!(shown, expected, "docs/callsite.md");

    for function in ["customer", "formatted", "inventory"] {
        let path = disabled_path(&assembly, function);
        let jumps = path.iter().filter(|i| i.starts_with('j')).count();
        let loads = path.iter().filter(|i| i.contains("gate.channels")).count();
        assert_eq!((loads, jumps), (1, 1), "{function}: {path:#?}");
        let others = ["call", "push", "sub", "mov qword"];
        let is_other = |i: &String| others.iter().any(|other| i.starts_with(other));
        assert!(!path.iter().any(is_other), "{function}: {path:#?}");
    }
    let counted = disabled_path(&assembly, "counted");
    let load = counted
        .iter()
        .position(|i| i.contains("gate.channels"))
        .unwrap();
    let again = counted.iter().rposition(|i| i.starts_with('j')).unwrap();
    assert!(load < again, "the load is in the loop: {counted:#?}");
}
