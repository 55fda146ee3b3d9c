//! What the kernel may do to a thread: refuse rseq, forbid system calls, step through every
//! instruction.
//!
//! A child is this test binary once more, told by the environment what to be.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use laneway_rseq::{Backing, Counter, CpuBuffer, CpuLock, FreeList, Rseq, Unavailable};

const ROLE: &str = "LANEWAY_TEST_ROLE";

fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

fn child(name: &str, role: &str, env: (&str, &str)) -> ExitStatus {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env_remove("LANEWAY_RSEQ")
        .env(env.0, env.1)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap()
}

/// One of everything.
struct All {
    counter: Counter,
    lock: CpuLock,
    list: FreeList,
    buffer: CpuBuffer<1>,
    wide: CpuBuffer<4>,
}

impl All {
    fn new() -> Self {
        let all = Self {
            counter: Counter::new(Backing::Private).unwrap(),
            lock: CpuLock::new(1, Backing::Private).unwrap(),
            list: FreeList::new(4, Backing::Private).unwrap(),
            buffer: CpuBuffer::new(4, Backing::Private).unwrap(),
            wide: CpuBuffer::new(4, Backing::Private).unwrap(),
        };
        all.list.push(1);
        all
    }

    /// Uses each `turns` times, and says whether all did what they should. Calls nothing else.
    fn work(&self, turns: u64) -> bool {
        let before = self.counter.sum();
        let mut right = true;
        for turn in 0..turns {
            self.counter.add(1);
            drop(self.lock.lock());
            let mut index = self.list.pop();
            while index.is_none() {
                // On this CPU there is none: it was pushed on another before this thread moved.
                index = (0..laneway_rseq::possible_cpus())
                    .map(laneway_rseq::CpuId)
                    .find_map(|cpu| {
                        let (laneway_rseq::Taken::Elements(mut chain)
                        | laneway_rseq::Taken::Asked(mut chain)) = self.list.take_from(cpu);
                        chain.next()
                    });
            }
            right &= index == Some(1);
            self.list.push(1);
            right &=
                self.buffer.push([turn]).is_err() || self.buffer.pop().is_none_or(|[v]| v <= turn);
            right &= self.wide.push([turn; 4]).is_err()
                || self.wide.pop().is_none_or(|v| v == [v[0]; 4]);
        }
        right && self.counter.sum() == before + turns
    }
}

/// Puts a filter on this thread. `answer` is what it says to the system call `number`, `otherwise`
/// to the rest.
fn filter(number: libc::c_long, answer: u32, otherwise: u32) {
    let step = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let program = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0), // the number
        step(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            0,
            1,
            number as u32,
        ),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, answer),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, otherwise),
    ];
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: a program of four instructions that lives across the call.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(
            libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program),
            0
        );
    }
}

#[test]
fn a_kernel_that_refuses_rseq_is_named_and_everything_works() {
    const NAME: &str = "a_kernel_that_refuses_rseq_is_named_and_everything_works";
    match role() {
        None => {
            for errno in [libc::ENOSYS, libc::EPERM, libc::EINVAL] {
                let status = child(
                    NAME,
                    &errno.to_string(),
                    ("GLIBC_TUNABLES", "glibc.pthread.rseq=0"),
                );
                assert!(status.success(), "{errno}: {status}");
            }
        }
        Some(errno) => {
            let errno: i32 = errno.parse().unwrap();
            let refuse = libc::SECCOMP_RET_ERRNO | errno as u32;
            filter(libc::SYS_rseq, refuse, libc::SECCOMP_RET_ALLOW);
            let why = Rseq::get().process().unwrap_err();
            match errno {
                libc::ENOSYS => assert_eq!(why, Unavailable::NoSystemCall),
                libc::EINVAL => assert_eq!(why, Unavailable::Taken { errno }),
                _ => assert_eq!(why, Unavailable::Refused { errno }),
            }
            assert_eq!(Rseq::get().register_thread(), Err(why));
            assert!(why.to_string().len() > 20, "{why}");
            assert!(All::new().work(1000));
        }
    }
}

#[test]
fn the_fast_paths_make_no_system_call() {
    const NAME: &str = "the_fast_paths_make_no_system_call";
    if role().is_none() {
        for env in [
            ("LANEWAY_TEST", ""),
            ("GLIBC_TUNABLES", "glibc.pthread.rseq=0"),
        ] {
            let status = child(NAME, "filtered", env);
            // An ordinary end of the test would be a system call too: it ends by exit_group itself.
            assert_eq!(status.code(), Some(42), "{env:?}: {status}");
        }
        return;
    }
    if Rseq::get().register_thread().is_err() {
        std::process::exit(42); // without rseq there is nothing to show
    }
    let (counter, buffer) = (
        Counter::new(Backing::Private).unwrap(),
        CpuBuffer::<4>::new(4, Backing::Private).unwrap(),
    );
    let (list, lock) = (
        FreeList::new(4, Backing::Private).unwrap(),
        CpuLock::new(1, Backing::Private).unwrap(),
    );
    counter.add(1);
    filter(
        libc::SYS_exit_group,
        libc::SECCOMP_RET_ALLOW,
        libc::SECCOMP_RET_KILL_PROCESS,
    );
    for turn in 0..100_000 {
        counter.add(1);
        drop(lock.try_lock());
        list.push(1);
        let _ = list.pop();
        let _ = buffer.push([turn; 4]);
        let _ = buffer.pop();
    }
    let right = counter.sum() == 100_001;
    // SAFETY: ends the process.
    unsafe { libc::syscall(libc::SYS_exit_group, if right { 42 } else { 1 }) };
}

#[test]
fn a_filter_that_forbids_everything_does_kill() {
    // The test above would prove nothing if its filter let calls through.
    const NAME: &str = "a_filter_that_forbids_everything_does_kill";
    if role().is_some() {
        filter(
            libc::SYS_exit_group,
            libc::SECCOMP_RET_ALLOW,
            libc::SECCOMP_RET_KILL_PROCESS,
        );
        std::thread::yield_now();
        return;
    }
    assert_eq!(
        child(NAME, "filtered", ("LANEWAY_TEST", "")).signal(),
        Some(libc::SIGSYS)
    );
}

#[test]
fn a_program_that_is_stepped_through_comes_to_its_end() {
    // A pair of load-exclusive and store-exclusive never succeeds when stepped through, whoever wrote
    // it: without single-instruction atomics no lock or atomic of any library makes progress.
    if cfg!(all(target_arch = "aarch64", not(target_feature = "lse"))) {
        return;
    }
    let all = All::new();
    assert!(all.work(1)); // memory is touched, the thread registered
    // SAFETY: the child uses only what was made before, and _exit.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: the usual start of a tracee.
        unsafe {
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            libc::raise(libc::SIGSTOP);
        }
        let right = all.work(2);
        // SAFETY: ends the child.
        unsafe { libc::_exit(if right { 42 } else { 1 }) };
    }
    let mut steps = 0u32;
    loop {
        let mut status = 0;
        // SAFETY: our own child.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        if libc::WIFEXITED(status) {
            assert_eq!(libc::WEXITSTATUS(status), 42);
            break;
        }
        assert!(
            libc::WIFSTOPPED(status),
            "the child died with status {status:#x}"
        );
        steps += 1;
        assert!(steps < 3_000_000, "no progress");
        // SAFETY: our own child, which is stopped; no signal is passed on.
        let stepped = unsafe { libc::ptrace(libc::PTRACE_SINGLESTEP, pid, 0, 0) };
        assert_eq!(stepped, 0);
    }
    assert!(steps > 100, "it was stepped through");
}
