//! Runs a program whose system calls go wrong now and then, though the kernel would do them well.
//!
//! Usage: `meddler short|eintr|eio|enospc|erofs ONE_IN SEED PROGRAM…`; prints how often it meddled.
//!
//! ```text
//!   program:  writev(7, [header, records], 2) ──▶ kernel: writev(7, [header, records], 1) = 128     short
//!                                             ──▶ kernel: nothing, and the program sees -EINTR      the others
//! ```
//! A short write is a real one: the bytes that were not asked for are not written. Errors of storage are for the streams of
//! traces only; interruptions for every call that signal(7) says may be interrupted, from the program's first listen(2) on, and
//! not while it is loaded. SIGTERM is passed on.
//!
//! Invariant: of a call that it let through unchanged the program sees what the kernel did.

use std::collections::HashMap;
use std::ffi::CString;
use std::mem::MaybeUninit;
use std::process::ExitCode;
use std::sync::atomic::{AtomicI32, Ordering};
use std::{fs, io, ptr};

use libc::{c_int, c_long, c_void, pid_t};

/// The program, to which SIGTERM is passed on.
static PROGRAM: AtomicI32 = AtomicI32::new(0);

/// Calls that write to a file.
const WRITES: [c_long; 5] = [
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
];

/// Other calls that may be interrupted, since they wait: not those on files of a disk, which never do for long.
const INTERRUPTIBLE: [c_long; 8] = [
    libc::SYS_read,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_accept4,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_futex,
    libc::SYS_epoll_wait,
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Short,
    Fail(c_int),
}

/// What has to be done when a call returns.
enum Pending {
    /// The program sees this error.
    Fail(c_int),
    /// This word was changed, and was that.
    Restore(u64, u64),
    /// Nothing, though the call was changed.
    Changed,
    /// Nothing, and it was not.
    Nothing,
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [what, one_in, seed, program @ ..] = &arguments[..] else {
        panic!("usage: meddler short|eintr|eio|enospc|erofs ONE_IN SEED PROGRAM…");
    };
    let what = match what.as_str() {
        "short" => What::Short,
        "eintr" => What::Fail(libc::EINTR),
        "eio" => What::Fail(libc::EIO),
        "enospc" => What::Fail(libc::ENOSPC),
        "erofs" => What::Fail(libc::EROFS),
        other => panic!("unknown: {other}"),
    };
    let pid = start(program);
    PROGRAM.store(pid, Ordering::Relaxed);
    pass_on(libc::SIGTERM);
    let mut meddler = Meddler {
        what,
        one_in: one_in.parse().expect("a number"),
        random: seed.parse::<u64>().expect("a number") | 1,
        pending: HashMap::new(),
        meddled: 0,
        listens: false,
    };
    let code = meddler.watch(pid);
    println!("meddled={}", meddler.meddled);
    ExitCode::from(code)
}

/// The program, stopped at its first instruction, and all threads that it will have.
fn start(program: &[String]) -> pid_t {
    let program = program.iter().map(|a| CString::new(a.as_str()));
    let program: Vec<_> = program.map(|a| a.expect("no NUL")).collect();
    let mut arguments: Vec<_> = program.iter().map(|a| a.as_ptr()).collect();
    arguments.push(ptr::null());
    // SAFETY: this process has one thread; the child runs another program or ends.
    let pid = unsafe {
        match libc::fork() {
            0 => {
                libc::ptrace(libc::PTRACE_TRACEME, 0, 0_u64, 0_u64);
                libc::execv(arguments[0], arguments.as_ptr());
                libc::_exit(127);
            }
            pid => pid,
        }
    };
    assert!(pid > 0, "cannot fork");
    let mut status = 0;
    // SAFETY: our child, and a place for its status.
    unsafe { libc::waitpid(pid, &mut status, 0) };
    assert!(libc::WIFSTOPPED(status), "it cannot be run");
    let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_EXITKILL;
    request(libc::PTRACE_SETOPTIONS, pid, 0, options as u64);
    request(libc::PTRACE_SYSCALL, pid, 0, 0);
    pid
}

fn pass_on(signal: c_int) {
    extern "C" fn handler(signal: c_int) {
        // SAFETY: it touches no memory; the program is our child and waited for at our end.
        unsafe { libc::kill(PROGRAM.load(Ordering::Relaxed), signal) };
    }
    // SAFETY: the handler makes one system call.
    unsafe { libc::signal(signal, handler as *const () as libc::sighandler_t) };
}

struct Meddler {
    what: What,
    one_in: u64,
    random: u64,
    /// Threads that are in a system call.
    pending: HashMap<pid_t, Pending>,
    meddled: u64,
    /// Whether the program has begun its work.
    listens: bool,
}

impl Meddler {
    /// Watches all threads until the program ends; gives its exit code.
    fn watch(&mut self, program: pid_t) -> u8 {
        loop {
            let mut status = 0;
            // SAFETY: any thread of our child, and a place for its status.
            let thread = unsafe { libc::waitpid(-1, &mut status, libc::__WALL) };
            if thread < 0 {
                let e = io::Error::last_os_error();
                assert_eq!(e.kind(), io::ErrorKind::Interrupted, "{e}");
                continue;
            }
            if !libc::WIFSTOPPED(status) {
                self.pending.remove(&thread);
                if thread == program {
                    return match libc::WIFSIGNALED(status) {
                        true => 128 + libc::WTERMSIG(status) as u8,
                        false => libc::WEXITSTATUS(status) as u8,
                    };
                }
                continue;
            }
            let signal = match libc::WSTOPSIG(status) {
                // TRACESYSGOOD: a system call begins or returns.
                stop if stop == libc::SIGTRAP | 0x80 => {
                    self.at_call(thread);
                    0
                }
                // A new thread, and the word that there is one.
                libc::SIGTRAP | libc::SIGSTOP => 0,
                other => other,
            };
            // SAFETY: the thread is stopped, or was killed meanwhile, which is seen by the next wait.
            unsafe { libc::ptrace(libc::PTRACE_SYSCALL, thread, 0_u64, signal as u64) };
        }
    }

    fn at_call(&mut self, thread: pid_t) {
        let Some(mut registers) = registers(thread) else {
            return;
        };
        match self.pending.remove(&thread) {
            None => {
                let pending = self.meddle(thread, &mut registers);
                self.pending.insert(thread, pending);
            }
            Some(Pending::Nothing | Pending::Changed) => {}
            Some(Pending::Restore(address, word)) => {
                request(libc::PTRACE_POKEDATA, thread, address, word);
            }
            Some(Pending::Fail(error)) => {
                registers.rax = i64::from(-error).cast_unsigned();
                set_registers(thread, &mut registers);
            }
        }
    }

    /// At the beginning of a call.
    fn meddle(&mut self, thread: pid_t, registers: &mut libc::user_regs_struct) -> Pending {
        let call = registers.orig_rax.cast_signed();
        let writes = WRITES.contains(&call);
        self.listens |= call == libc::SYS_listen;
        let concerned = match self.what {
            What::Fail(libc::EINTR) => self.listens && (writes || may_wait(call, registers)),
            _ => writes && is_stream(thread, registers.rdi),
        };
        if !concerned || !self.next().is_multiple_of(self.one_in) {
            return Pending::Nothing;
        }
        let pending = match self.what {
            What::Fail(error) => {
                // No call has this number: the kernel does nothing.
                registers.orig_rax = u64::MAX;
                set_registers(thread, registers);
                Pending::Fail(error)
            }
            What::Short => self.shorten(thread, call, registers),
        };
        self.meddled += u64::from(!matches!(pending, Pending::Nothing));
        pending
    }

    /// Asks for less than the program does: at least one byte, so that it is no end.
    fn shorten(
        &mut self,
        thread: pid_t,
        call: c_long,
        registers: &mut libc::user_regs_struct,
    ) -> Pending {
        if [libc::SYS_write, libc::SYS_pwrite64].contains(&call) {
            if registers.rdx < 2 {
                return Pending::Nothing;
            }
            registers.rdx = 1 + self.next() % (registers.rdx - 1);
            set_registers(thread, registers);
            return Pending::Changed;
        }
        // `iov_len` stands behind `iov_base`.
        let first = read(thread, registers.rsi + 8);
        if registers.rdx > 1 && first > 0 && self.next().is_multiple_of(2) {
            registers.rdx -= 1;
            set_registers(thread, registers);
            return Pending::Changed;
        }
        let place = registers.rsi + 16 * (registers.rdx - 1) + 8;
        let length = read(thread, place);
        if length < 2 {
            return Pending::Nothing;
        }
        let less = 1 + self.next() % (length - 1);
        request(libc::PTRACE_POKEDATA, thread, place, less);
        Pending::Restore(place, length)
    }

    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

/// Whether the call may wait, and so be interrupted; of the operations on futexes, only those that wait.
fn may_wait(call: c_long, registers: &libc::user_regs_struct) -> bool {
    let operation = registers.rsi as c_int & libc::FUTEX_CMD_MASK;
    let waits = [libc::FUTEX_WAIT, libc::FUTEX_WAIT_BITSET].contains(&operation);
    INTERRUPTIBLE.contains(&call) && (call != libc::SYS_futex || waits)
}

/// Whether this descriptor of the program is a stream of a trace.
fn is_stream(thread: pid_t, descriptor: u64) -> bool {
    let link = fs::read_link(format!("/proc/{thread}/fd/{descriptor}"));
    link.is_ok_and(|path| path.to_string_lossy().contains("/lane_"))
}

fn registers(thread: pid_t) -> Option<libc::user_regs_struct> {
    let mut registers = MaybeUninit::<libc::user_regs_struct>::zeroed();
    let place = registers.as_mut_ptr() as u64;
    // SAFETY: room for what is written; a thread that was killed meanwhile has none, and the call fails.
    let result = unsafe { libc::ptrace(libc::PTRACE_GETREGS, thread, 0_u64, place) };
    // SAFETY: valid when zeroed.
    (result == 0).then(|| unsafe { registers.assume_init() })
}

fn set_registers(thread: pid_t, registers: &mut libc::user_regs_struct) {
    let place = ptr::from_mut(registers) as u64;
    request(libc::PTRACE_SETREGS, thread, 0, place);
}

fn read(thread: pid_t, address: u64) -> u64 {
    let address = ptr::without_provenance_mut::<c_void>(address as usize);
    // SAFETY: reads a word of the stopped child.
    let word = unsafe { libc::ptrace(libc::PTRACE_PEEKDATA, thread, address, 0_u64) };
    word.cast_unsigned()
}

/// # Panics
/// The kernel refuses, for another reason than that the thread was killed meanwhile.
fn request(request: u32, thread: pid_t, address: u64, data: u64) {
    // SAFETY: of the requests made here, those that read or write our memory get the address of a place for it.
    let result = unsafe { libc::ptrace(request, thread, address, data) };
    let error = io::Error::last_os_error();
    let gone = error.raw_os_error() == Some(libc::ESRCH);
    assert!(result >= 0 || gone, "ptrace {request:#x}: {error}");
}
