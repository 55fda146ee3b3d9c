//! A library for a program in C, traced: it brings its events along.
//!
//! ```text
//! cargo build --release --example plugin
//! cc examples/plugin.c -o target/plugin-host
//! laneway record -o /tmp/plugin -- target/plugin-host target/release/examples/libplugin.so
//! babeltrace2 /tmp/plugin
//! ```
//! The program knows nothing of Laneway. The library attaches when it is loaded, by its
//! own constructor, and stays loaded from then on, since a thread runs in it.

use std::ffi::{CStr, c_char};

use laneway::trace;

/// The number of words in `text`.
///
/// # Safety
/// `text` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_count_words(text: *const c_char) -> usize {
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    let words = text.to_bytes().split(u8::is_ascii_whitespace);
    let count = words.filter(|word| !word.is_empty()).count();
    trace!("plugin:count", text, count, at = text.as_ptr());
    count
}
