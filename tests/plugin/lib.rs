//! A library that traces, with a copy of laneway of its own: loaded by a C program, see `system/places.rs`.

use laneway::trace;

/// What the C program calls.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_work(n: u32) -> u32 {
    for i in 0..n {
        trace!("plugin:work", i, of = n);
    }
    n
}
