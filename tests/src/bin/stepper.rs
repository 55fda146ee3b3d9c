//! Steps through a program, one instruction after the other, and does something to it after exactly so many.
//!
//! Usage: `stepper hidden|plain count|kill|hold=MILLISECONDS|signal=NUMBER STEPS PROGRAM…`
//!
//! ```text
//!   program:   int3   trace!(…)   int3
//!   stepper:     └─ step step step ─┘      steps=… over=1    it was through before
//!                       └ here: kill it, hold it, or send it a signal, and let it go on
//! ```
//! Every stop of a thread aborts the restartable sequence that it is in, so whoever steps through one with a debugger never
//! gets to its end (`plain`; the events then take another way). To reach each of its instructions, as a kill or a signal
//! can when nobody is looking, the stepper *hides*: it takes the thread's `rseq_cs` away before the kernel looks, and puts it
//! back when the thread goes on by itself, so that the kernel aborts what has to be aborted (`hidden`).
//!
//! Invariant: the memory that a step was made with is the program's own, but for that pointer.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::process::{ExitCode, exit};
use std::time::Duration;
use std::{io, ptr, thread};

use libc::{c_int, c_long, c_void, pid_t};

/// Of linux/ptrace.h; not in the crate.
const PTRACE_GET_RSEQ_CONFIGURATION: u32 = 0x420f;

/// Offset of `rseq_cs` in `struct rseq`, and of two fields in `struct rseq_cs`, of linux/rseq.h.
const RSEQ_CS: u64 = 8;
const START_IP: u64 = 8;
const POST_COMMIT_OFFSET: u64 = 16;

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Count,
    Kill,
    Hold(Duration),
    Signal(c_int),
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [how, what, steps, program @ ..] = &arguments[..] else {
        panic!("usage: stepper hidden|plain count|kill|hold=MS|signal=NUMBER STEPS PROGRAM…");
    };
    let what = match what.split_once('=') {
        None if what == "count" => What::Count,
        None if what == "kill" => What::Kill,
        Some(("hold", ms)) => What::Hold(Duration::from_millis(ms.parse().expect("a number"))),
        Some(("signal", number)) => What::Signal(number.parse().expect("a number")),
        _ => panic!("unknown: {what}"),
    };
    let steps: u64 = match what {
        What::Count => u64::MAX,
        _ => steps.parse().expect("a number"),
    };
    let mut stepped = Stepped::start(program, how == "hidden");
    stepped.run_to_breakpoint();
    let mut done = 0;
    while done < steps && stepped.step() {
        done += 1;
    }
    let over = done < steps;
    println!("pid={}", stepped.pid);
    println!("steps={done}");
    println!("sections={}", stepped.sections);
    println!("over={}", u8::from(over));
    match what {
        What::Kill => stepped.kill(),
        What::Count => stepped.go_on(0),
        What::Hold(time) => {
            println!("held=1");
            thread::sleep(time);
            stepped.go_on(0)
        }
        What::Signal(number) => stepped.go_on(number),
    }
}

/// A program of which the first thread is traced.
struct Stepped {
    pid: pid_t,
    /// Whether restartable sequences are hidden.
    hides: bool,
    /// The address of the thread's rseq area, once it is known.
    area: u64,
    /// The sequence it is in, if there is one, for all that the kernel knows.
    hidden: u64,
    /// How many were hidden.
    sections: u64,
}

impl Stepped {
    fn start(program: &[String], hides: bool) -> Stepped {
        let program: Vec<_> = program.iter().map(|a| CString::new(a.as_str())).collect();
        let program: Vec<_> = program.into_iter().map(|a| a.expect("no NUL")).collect();
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
        let stepped = Stepped {
            pid,
            hides,
            area: 0,
            hidden: 0,
            sections: 0,
        };
        assert_eq!(stepped.wait(), Stop::Signal(libc::SIGTRAP), "at its exec");
        stepped.request(
            libc::PTRACE_SETOPTIONS,
            0,
            libc::PTRACE_O_EXITKILL as u64,
            "set options",
        );
        stepped
    }

    /// Lets it run to its first `int3`.
    fn run_to_breakpoint(&mut self) {
        let mut signal = 0;
        loop {
            self.request(libc::PTRACE_CONT, 0, signal as u64, "continue");
            match self.wait() {
                Stop::Signal(libc::SIGTRAP) => break,
                Stop::Signal(other) => signal = other,
                Stop::Exited(code) => panic!("it ended before its breakpoint: {code}"),
            }
        }
        if self.hides {
            self.area = self.rseq_area();
        }
    }

    /// One instruction; says whether it was one before the second `int3`.
    fn step(&mut self) -> bool {
        self.request(libc::PTRACE_SINGLESTEP, 0, 0, "step");
        match self.wait() {
            Stop::Signal(libc::SIGTRAP) => {}
            other => panic!("stopped otherwise than by a step: {other:?}"),
        }
        if self.area != 0 {
            let section = self.read(self.area + RSEQ_CS);
            if section != 0 {
                self.hidden = section;
                self.sections += 1;
                self.write(self.area + RSEQ_CS, 0);
            }
        }
        !self.is_at_breakpoint()
    }

    /// Shows the kernel again what was hidden, if the thread is still in it.
    fn show(&self) {
        if self.hidden == 0 {
            return;
        }
        let start = self.read(self.hidden + START_IP);
        let length = self.read(self.hidden + POST_COMMIT_OFFSET);
        if self.instruction().wrapping_sub(start) < length {
            self.write(self.area + RSEQ_CS, self.hidden);
        }
    }

    fn kill(self) -> ExitCode {
        // SAFETY: it is our child, and not waited for.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        while !matches!(self.wait(), Stop::Exited(_)) {}
        ExitCode::SUCCESS
    }

    /// Lets it run to its end, with a signal, and ends like it.
    fn go_on(self, mut signal: c_int) -> ExitCode {
        self.show();
        loop {
            self.request(libc::PTRACE_CONT, 0, signal as u64, "continue");
            match self.wait() {
                Stop::Signal(libc::SIGTRAP) => signal = 0,
                Stop::Signal(other) => signal = other,
                Stop::Exited(code) => exit(code),
            }
        }
    }

    fn wait(&self) -> Stop {
        let mut status = 0;
        // SAFETY: our child, and a place for its status.
        let pid = unsafe { libc::waitpid(self.pid, &mut status, 0) };
        assert_eq!(pid, self.pid, "waiting: {}", io::Error::last_os_error());
        match status {
            _ if libc::WIFSTOPPED(status) => Stop::Signal(libc::WSTOPSIG(status)),
            _ if libc::WIFSIGNALED(status) => Stop::Exited(128 + libc::WTERMSIG(status)),
            _ => Stop::Exited(libc::WEXITSTATUS(status)),
        }
    }

    fn is_at_breakpoint(&self) -> bool {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        let place = info.as_mut_ptr() as u64;
        self.request(libc::PTRACE_GETSIGINFO, 0, place, "look at a signal");
        // SAFETY: valid when zeroed, and written by the call.
        unsafe { info.assume_init() }.si_code == libc::SI_KERNEL
    }

    fn instruction(&self) -> u64 {
        let mut registers = MaybeUninit::<libc::user_regs_struct>::zeroed();
        let place = registers.as_mut_ptr() as u64;
        self.request(libc::PTRACE_GETREGS, 0, place, "read registers");
        // SAFETY: valid when zeroed, and written by the call.
        unsafe { registers.assume_init() }.rip
    }

    fn rseq_area(&self) -> u64 {
        let mut configuration = [0_u64; 3];
        let place = configuration.as_mut_ptr() as u64;
        let bytes = size_of_val(&configuration) as u64;
        self.request(
            PTRACE_GET_RSEQ_CONFIGURATION,
            bytes,
            place,
            "find the rseq area (Linux 5.13)",
        );
        configuration[0]
    }

    fn read(&self, address: u64) -> u64 {
        // SAFETY: reads a word of the stopped child, or fails; the C library tells the one from the other by `errno`.
        unsafe {
            *libc::__errno_location() = 0;
            let address = ptr::without_provenance_mut::<c_void>(address as usize);
            let word = libc::ptrace(libc::PTRACE_PEEKDATA, self.pid, address, 0_u64);
            assert_eq!(*libc::__errno_location(), 0, "cannot read {address:?}");
            word.cast_unsigned()
        }
    }

    fn write(&self, address: u64, word: u64) {
        self.request(libc::PTRACE_POKEDATA, address, word, "write a word");
    }

    /// # Panics
    /// The kernel refuses.
    fn request(&self, request: u32, address: u64, data: u64, what: &str) -> c_long {
        // SAFETY: of the requests made here, those that write get the address of a place for all that they write.
        let result = unsafe { libc::ptrace(request, self.pid, address, data) };
        assert!(result >= 0, "cannot {what}: {}", io::Error::last_os_error());
        result
    }
}

/// Why the program stopped.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    Signal(c_int),
    Exited(c_int),
}
