//! Emits three events, the second of them between two functions at which a debugger can stop.

use std::hint::black_box;

use laneway::trace;

/// Here the debugger begins to step.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn stepping_begins() {
    black_box(());
}

/// Here it has stepped enough.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn stepping_ends() {
    black_box(());
}

fn main() {
    trace!("stepped:event", n = 1);
    stepping_begins();
    trace!("stepped:event", n = 2, text = %"formatted");
    stepping_ends();
    trace!("stepped:event", n = 3);
}
