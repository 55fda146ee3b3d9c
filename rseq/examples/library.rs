//! A library with a counter in it, to be loaded and unloaded: `tests/library.rs` does.
//!
//! A C program would use it like this:
//!
//! ```c
//! void *library = dlopen("liblibrary.so", RTLD_NOW);
//! uint64_t (*count)(void) = dlsym(library, "count");
//! printf("%lu\n", count());
//! ```

use std::sync::OnceLock;

use laneway_rseq::{Backing, Counter, Rseq};

static COUNTER: OnceLock<Counter> = OnceLock::new();

/// Adds one, and says how often that was done.
// SAFETY: no other symbol of the program has this name.
#[unsafe(no_mangle)]
pub extern "C" fn count() -> u64 {
    let counter = COUNTER.get_or_init(|| Counter::new(Backing::Private).expect("a page of memory"));
    counter.add(1);
    counter.sum()
}

/// Whether the calling thread runs restartable sequences.
// SAFETY: no other symbol of the program has this name.
#[unsafe(no_mangle)]
pub extern "C" fn has_rseq() -> bool {
    Rseq::get().register_thread().is_ok()
}
