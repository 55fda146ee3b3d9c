//! Emits events in places where little else works. The first argument says where.

use std::cell::Cell;
use std::env;
use std::future::Future;
use std::hint::black_box;
use std::os::unix::process::CommandExt;
use std::pin::Pin;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use laneway::{Value, trace};

fn main() {
    laneway::allow_blocking(Duration::from_secs(60));
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["signal"] => signal(),
        ["thread-local"] => thread_local(),
        ["generic"] => generics(),
        ["closure"] => closures(),
        ["async"] => futures(),
        ["fork"] => fork(),
        ["fork-under-load", children] => fork_under_load(children.parse().expect("a number")),
        ["daemonize"] => daemonize(),
        ["exec", left] => exec(left.parse().expect("a number")),
        ["library", path] => library(path),
        _ => panic!("unknown place: {arguments:?}"),
    }
}

/// A timer interrupts a thread that does nothing but emit.
fn signal() {
    const SIGNALS: u64 = 2000;
    static HANDLED: AtomicU64 = AtomicU64::new(0);
    extern "C" fn handler(_signal: libc::c_int) {
        let n = HANDLED.fetch_add(1, Ordering::Relaxed);
        trace!("places:handler", n, text = "in a handler");
    }
    let period = libc::timeval {
        tv_sec: 0,
        tv_usec: 100,
    };
    let timer = libc::itimerval {
        it_interval: period,
        it_value: period,
    };
    // SAFETY: the handler calls nothing but what claims to be safe in one, which is what is tested; `sigaction` is
    // valid when zeroed.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut());
        libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut());
    }
    let mut n = 0_u64;
    while HANDLED.load(Ordering::Relaxed) < SIGNALS {
        trace!("places:interrupted", n);
        n += 1;
    }
    // SAFETY: the address is valid, and a zeroed timer switches it off.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &std::mem::zeroed(), std::ptr::null_mut()) };
    println!("interrupted={n}");
    println!("handled={}", HANDLED.load(Ordering::Relaxed));
}

/// Destructors run when a thread is almost gone.
fn thread_local() {
    struct Last(Cell<u32>);
    impl Drop for Last {
        fn drop(&mut self) {
            trace!("places:destructor", thread = self.0.get());
        }
    }
    thread_local! {
        static LAST: Last = const { Last(Cell::new(0)) };
    }
    for number in 1..=3 {
        // Its first event is the one in the destructor.
        thread::spawn(move || LAST.with(|last| last.0.set(number)))
            .join()
            .expect("no panic");
    }
    LAST.with(|last| last.0.set(0));
}

fn generics() {
    fn generic<T: Value>(value: T) {
        trace!("places:generic", value);
    }
    generic(7_u8);
    generic("text");
    generic(String::from("same event"));
    generic([1.5_f32, 2.5]);
    generic(None::<i64>);
}

fn closures() {
    let prefix = String::from("captured");
    let boxed: Vec<Box<dyn Fn(u32)>> = vec![
        Box::new(|n| trace!("places:closure", n, first = true)),
        Box::new(move |n| trace!("places:closure", n, second = prefix.as_str())),
    ];
    for n in 0..2 {
        for closure in &boxed {
            black_box(closure)(n);
        }
    }
}

/// A future that is polled by one thread after the other.
fn futures() {
    struct Yield(bool);
    impl Future for Yield {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<()> {
            match std::mem::replace(&mut self.0, true) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        }
    }
    async fn step(n: u32) -> u32 {
        let local = format!("step {n}");
        trace!("places:before_await", n);
        Yield(false).await;
        trace!("places:after_await", n, local);
        n + 1
    }
    let mut task: Pin<Box<dyn Future<Output = u32> + Send>> = Box::pin(async {
        let mut n = 0;
        while n < 3 {
            n = step(n).await;
        }
        n
    });
    let mut polls = 0;
    loop {
        polls += 1;
        let poll = || task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let state = thread::scope(|scope| scope.spawn(poll).join().expect("no panic"));
        if state.is_ready() {
            break;
        }
    }
    println!("polls={polls}");
}

/// A child, and a child of it.
fn fork() {
    trace!("places:parent", before = true);
    in_child(|| {
        trace!("places:child", n = 1);
        in_child(|| trace!("places:grandchild", n = 1));
        thread::spawn(|| trace!("places:thread_of_child"))
            .join()
            .expect("no panic");
        trace!("places:child", n = 2);
    });
    trace!("places:parent", before = false);
}

/// Children of a process of which other threads are in the middle of events.
fn fork_under_load(children: u32) {
    static OVER: AtomicBool = AtomicBool::new(false);
    let ticking: Vec<_> = (0..3)
        .map(|thread: u32| {
            thread::spawn(move || {
                let mut n = 0_u64;
                while !OVER.load(Ordering::Relaxed) {
                    trace!("places:load", thread, n);
                    n += 1;
                }
                n
            })
        })
        .collect();
    for child in 0..children {
        in_child(|| {
            for n in 0..100 {
                trace!("places:born", child, n);
            }
        });
    }
    OVER.store(true, Ordering::Relaxed);
    let load: u64 = ticking
        .into_iter()
        .map(|t| t.join().expect("no panic"))
        .sum();
    println!("load={load}");
}

/// Leaves its parents behind, as a daemon does, and emits for as long as somebody reads what it prints.
fn daemonize() {
    trace!("places:parent", before = true);
    // SAFETY: nothing else runs in this process that could be in the middle of something.
    if unsafe { libc::fork() } != 0 {
        return;
    }
    in_child(|| {
        println!("pid={}", std::process::id());
        for n in 0..2000_u64 {
            trace!("places:daemon", n);
            thread::sleep(Duration::from_millis(10));
        }
    });
}

/// Runs `what` in a child, and waits for it.
fn in_child(what: impl FnOnce()) {
    // SAFETY: the child calls what is tested, and leaves without running anything of its parent's.
    unsafe {
        match libc::fork() {
            0 => {
                what();
                libc::_exit(0);
            }
            child => {
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &mut status, 0), child);
                assert_eq!(status, 0, "the child failed");
            }
        }
    }
}

fn exec(left: u32) {
    trace!("places:exec", left);
    if left > 0 {
        let this = env::current_exe().expect("a path");
        let error = Command::new(this)
            .args(["exec", &(left - 1).to_string()])
            .exec();
        panic!("{error}");
    }
}

/// A library with a copy of laneway of its own, in a program that has one, too.
fn library(path: &str) {
    trace!("places:before_library");
    let path = std::ffi::CString::new(path).expect("no NUL");
    // SAFETY: the library is the one of this package, in which the function has this type.
    let work: extern "C" fn(u32) -> u32 = unsafe {
        let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);
        assert!(!library.is_null(), "cannot load the library");
        let work = libc::dlsym(library, c"plugin_work".as_ptr());
        assert!(!work.is_null(), "not in the library");
        std::mem::transmute(work)
    };
    work(3);
    trace!("places:after_library");
}
