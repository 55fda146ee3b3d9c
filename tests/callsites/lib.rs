//! Callsites of every kind, as a library has them: see `../callsites.rs`.

#![forbid(unsafe_op_in_unsafe_fn)]
#![deny(warnings, missing_docs, unreachable_pub)]

use std::fmt::Display;

use laneway::{Value, event_enabled, trace};

/// One callsite, one event.
pub fn plain(id: u64) {
    trace!("lib:plain", id);
}

/// An event for each type that a crate uses it with.
pub fn generic<T: Value>(value: T) {
    trace!("lib:generic", value);
}

/// The same type for every `T`: text.
pub fn shown<T: Display>(value: T) {
    trace!(level: Debug, "lib:shown", %value);
}

/// Code of whoever calls it.
#[inline(always)]
pub fn copied(n: usize) {
    for i in 0..n {
        trace!("lib:copied", i);
    }
}

/// The length is in the type.
pub fn array<const N: usize>(values: [i16; N]) {
    trace!("lib:array", values);
}

/// Three callsites, two of them behind one name.
pub fn closures(flag: bool) -> impl Fn() {
    if event_enabled!("lib:closure") {
        trace!(level: Trace, "lib:prepared");
    }
    move || {
        if flag {
            trace!("lib:closure", flag);
        } else {
            trace!("lib:closure", unset = flag);
        }
    }
}

/// A future.
pub async fn future(name: &str) {
    trace!(level: Error, "lib:future", name, http.status = 500_u16);
}

/// What a program in C calls.
#[unsafe(no_mangle)]
pub extern "C" fn fixture_run(n: usize) {
    plain(n as u64);
    generic(n as u32);
    generic("text");
    generic(String::from("text"));
    shown(n);
    shown("text");
    copied(n);
    copied(3);
    array([1, 2]);
    closures(n > 1)();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let _ = std::pin::pin!(future("x")).poll(&mut context);
}
