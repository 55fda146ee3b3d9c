//! Emits events before `main` and after it.

use laneway::trace;

type Function = extern "C" fn();

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: Function = constructor;

#[used]
#[unsafe(link_section = ".init_array.00102")]
static EARLY_CONSTRUCTOR: Function = early_constructor;

#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: Function = destructor;

extern "C" fn early_constructor() {
    trace!("around:main", place = "early constructor");
}

extern "C" fn constructor() {
    trace!("around:main", place = "constructor");
}

extern "C" fn at_exit() {
    trace!("around:main", place = "atexit");
}

extern "C" fn destructor() {
    trace!("around:main", place = "destructor");
}

fn main() {
    trace!("around:main", place = "main");
    // SAFETY: the function does not unwind.
    unsafe { libc::atexit(at_exit) };
}
