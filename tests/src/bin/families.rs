//! Has children in every way there is, while other threads emit; and the children emit, too.
//!
//! Usage: `families ACCOUNT WAY main|thread CHILDREN`
//!
//! ```text
//!   line 0, 1   threads of the parent, all the time
//!   line 2      the thread that has the children: an event before and one after each
//!   line 3…     the children, 50 events each
//! ```

#[path = "../programs/account.rs"]
mod account;

use std::arch::asm;
use std::ffi::{CString, c_char, c_int};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use account::{Account, Line};
use libc::pid_t;

/// The line of the first child.
const FIRST: usize = 3;

/// What each child emits.
const EVENTS: u64 = 50;

static OVER: AtomicBool = AtomicBool::new(false);

fn main() {
    laneway::allow_blocking(Duration::from_secs(60));
    // SAFETY: it has no preconditions; should a deadlock be found here, it ends. It is not inherited.
    unsafe { libc::alarm(100) };
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [file, way, who, children] = &arguments[..] else {
        panic!("usage: families ACCOUNT WAY main|thread CHILDREN");
    };
    let account = Account::open(file);
    let children: usize = children.parse().expect("a number");
    let load: Vec<_> = [0, 1]
        .map(|line| thread::spawn(move || emit_until_over(account.line(line))))
        .into();
    let family = Family {
        account,
        file: file.clone(),
        way: way.clone(),
    };
    match who.as_str() {
        "main" => family.have(children),
        "thread" => thread::spawn(move || family.have(children))
            .join()
            .expect("no panic"),
        _ => panic!("who? {who}"),
    }
    OVER.store(true, Ordering::Relaxed);
    for thread in load {
        thread.join().expect("no panic");
    }
}

fn emit_until_over(line: Line) {
    line.belongs_to(std::process::id());
    let mut n = 0;
    while !OVER.load(Ordering::Relaxed) {
        line.emit(n);
        n += 1;
        // In the middle of an event as often as not, and yet not so many events.
        for _ in 0..50 {
            std::hint::spin_loop();
        }
    }
}

struct Family {
    account: Account,
    file: String,
    way: String,
}

impl Family {
    fn have(&self, children: usize) {
        let line = self.account.line(2);
        line.belongs_to(std::process::id());
        for child in 0..children {
            line.emit(2 * child as u64);
            self.have_one(FIRST + child);
            line.emit(2 * child as u64 + 1);
        }
    }

    fn have_one(&self, line: usize) {
        let emit = || emit_as_child(self.account.line(line));
        let program = Arguments::of(&self.file, line);
        // SAFETY: see `as_child`; and the assembly is a system call whose child, which has this thread's stack until it
        // is another program, calls nothing but the one system call that makes it one.
        unsafe {
            match self.way.as_str() {
                "fork" => as_child(libc::fork(), emit),
                "fork-exec" => as_child(libc::fork(), || program.execute()),
                // As old C libraries and other languages do it: nobody is told, not even `pthread_atfork`.
                "raw-clone" => {
                    let child = libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0);
                    as_child(child as pid_t, emit);
                }
                "raw-fork" => as_child(libc::syscall(libc::SYS_fork) as pid_t, emit),
                "vfork-exec" => {
                    let child: i64;
                    asm!(
                        "syscall",
                        "test rax, rax",
                        "jnz 2f",
                        "mov eax, {execve}",
                        "syscall",
                        "mov eax, {exit}",
                        "syscall",
                        "2:",
                        execve = const libc::SYS_execve,
                        exit = const libc::SYS_exit,
                        inlateout("rax") libc::SYS_vfork => child,
                        in("rdi") program.program(),
                        in("rsi") program.arguments(),
                        in("rdx") environment(),
                        lateout("rcx") _,
                        lateout("r11") _,
                    );
                    await_end(child as pid_t);
                }
                "posix-spawn" => await_end(program.spawn()),
                "daemon" => {
                    as_child(libc::fork(), || {
                        libc::setsid();
                        if libc::fork() == 0 {
                            emit();
                        }
                    });
                    // The one that emits is nobody's child by now.
                    let line = self.account.line(line);
                    let began = Instant::now();
                    while line.events() < EVENTS {
                        assert!(began.elapsed() < Duration::from_secs(60), "no daemon");
                        thread::sleep(Duration::from_millis(1));
                    }
                }
                other => panic!("unknown way: {other}"),
            }
        }
    }
}

fn emit_as_child(line: Line) {
    // SAFETY: they have no preconditions.
    unsafe {
        libc::alarm(60);
        line.belongs_to(libc::getpid().cast_unsigned());
    }
    (0..EVENTS).for_each(|n| line.emit(n));
}

/// In the child: does it, and leaves. In the parent: waits for it.
///
/// # Safety
/// In the child, `what` uses nothing of which another thread of the parent may have been in the middle.
unsafe fn as_child(child: pid_t, what: impl FnOnce()) {
    match child {
        0 => {
            what();
            // SAFETY: ends the child without running anything of its parent's.
            unsafe { libc::_exit(0) };
        }
        child => await_end(child),
    }
}

fn await_end(child: pid_t) {
    assert!(child > 0, "no child: {child}");
    let mut status = 0;
    // SAFETY: our child, and a place for its status.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!((waited, status), (child, 0), "the child failed");
}

/// `accountable ACCOUNT 1 EVENTS LINE`, made before there is a child, which must not allocate.
struct Arguments {
    texts: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Arguments {
    fn of(file: &str, line: usize) -> Arguments {
        let this = std::env::current_exe().expect("a path");
        let program = this.with_file_name("accountable");
        let program = program.to_str().expect("a text").to_owned();
        let texts = [
            program,
            file.into(),
            "1".into(),
            EVENTS.to_string(),
            line.to_string(),
        ];
        let texts = texts.map(|text| CString::new(text).expect("no NUL"));
        let mut pointers: Vec<_> = texts.iter().map(|text| text.as_ptr()).collect();
        pointers.push(ptr::null());
        Arguments {
            texts: texts.into(),
            pointers,
        }
    }

    fn program(&self) -> *const c_char {
        self.texts[0].as_ptr()
    }

    fn arguments(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }

    fn execute(&self) {
        // SAFETY: terminated texts, and a list of them that ends with null.
        unsafe { libc::execv(self.program(), self.arguments()) };
    }

    fn spawn(&self) -> pid_t {
        let mut child = MaybeUninit::<pid_t>::uninit();
        // SAFETY: as above; no attributes and no actions.
        unsafe {
            let failed: c_int = libc::posix_spawn(
                child.as_mut_ptr(),
                self.program(),
                ptr::null(),
                ptr::null(),
                self.arguments().cast(),
                environment().cast(),
            );
            assert_eq!(failed, 0, "posix_spawn");
            child.assume_init()
        }
    }
}

fn environment() -> *const *const c_char {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    // SAFETY: the C library's own; nobody changes the environment here.
    unsafe { environ }
}
