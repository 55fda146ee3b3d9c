//! A thread that the loader's lock cannot stop.
//!
//! ```text
//!   dlopen(3), lock held ─▶ constructor ─ waits ─▶ agent's first attempt
//!                                                    ╳ std::thread: destructors of thread-locals need the lock
//! ```
//! A library that is loaded while the program runs has its constructors called with the
//! loader's lock held. A thread of `std` registers destructors of thread-locals when it
//! starts (`__cxa_thread_atexit_impl`), for which glibc takes that lock, so it would get no
//! further before the constructor, which waits for it, has given up.
//!
//! Invariant: what runs here before the constructor has returned uses no thread-local with
//! a destructor, so neither `thread::current` nor anything that may park the thread.

use std::ffi::{CStr, c_int, c_void};
use std::mem::MaybeUninit;
use std::panic::{self, AssertUnwindSafe};
use std::{io, ptr};

/// What a thread runs.
type Entry = extern "C" fn(*mut c_void) -> *mut c_void;

/// Starts `body` in a detached thread called `name`, on a stack of that size, or of the
/// usual one where that is too small for the program's thread-locals.
pub(crate) fn spawn<F: FnOnce() + Send + 'static>(
    name: &'static CStr,
    stack_bytes: usize,
    body: F,
) -> io::Result<()> {
    let start = Box::into_raw(Box::new((name, body)));
    let started = create(Some(stack_bytes), run::<F>, start.cast())
        .or_else(|_| create(None, run::<F>, start.cast()));
    if started.is_err() {
        // SAFETY: it came from the box above, and there is no thread that takes it.
        drop(unsafe { Box::from_raw(start) });
    }
    started
}

extern "C" fn run<F: FnOnce()>(start: *mut c_void) -> *mut c_void {
    // SAFETY: `spawn` made it of such a box, for this thread alone.
    let (name, body) = *unsafe { Box::from_raw(start.cast::<(&CStr, F)>()) };
    // SAFETY: a C string; a name that is too long is refused, which does no harm.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    // It must not unwind into C; it ends this thread and nothing else.
    let _ = panic::catch_unwind(AssertUnwindSafe(body));
    ptr::null_mut()
}

fn create(stack_bytes: Option<usize>, entry: Entry, argument: *mut c_void) -> io::Result<()> {
    let mut attributes = MaybeUninit::uninit();
    let mut thread = MaybeUninit::uninit();
    // SAFETY: the attributes are initialised first and destroyed last, and the argument is
    // what the entry expects.
    unsafe {
        check(libc::pthread_attr_init(attributes.as_mut_ptr()))?;
        let attributes = attributes.assume_init_mut();
        let created = check(libc::pthread_attr_setdetachstate(
            attributes,
            libc::PTHREAD_CREATE_DETACHED,
        ))
        .and_then(|()| match stack_bytes {
            Some(bytes) => check(libc::pthread_attr_setstacksize(attributes, bytes)),
            None => Ok(()),
        })
        .and_then(|()| {
            check(libc::pthread_create(
                thread.as_mut_ptr(),
                attributes,
                entry,
                argument,
            ))
        });
        libc::pthread_attr_destroy(attributes);
        created
    }
}

fn check(errno: c_int) -> io::Result<()> {
    match errno {
        0 => Ok(()),
        e => Err(io::Error::from_raw_os_error(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn the_body_runs_in_a_thread_of_that_name() {
        let (tell, told) = mpsc::channel();
        let body = move || {
            let name = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
            tell.send(name).unwrap();
        };
        spawn(c"bare", 64 << 10, body).unwrap();
        assert_eq!(told.recv().unwrap(), "bare\n");
    }

    #[test]
    fn a_stack_that_no_thread_can_have_is_replaced_by_the_usual_one() {
        let (tell, told) = mpsc::channel();
        spawn(c"bare", 1, move || tell.send(7).unwrap()).unwrap();
        assert_eq!(told.recv(), Ok(7));
    }
}
