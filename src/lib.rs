//! Laneway: a user-space tracer. A program says what it does, one event at a time, for about the
//! price of reading the clock.
//!
//! ```
//! use laneway::trace;
//!
//! fn main() {
//!     for id in 0..1000_u64 {
//!         let (price, name) = (id as f64 / 4.0, "Ada");
//!         trace!("shop:order", id, total = price * 2.0, who = name);
//!     }
//! }
//! ```
//!
//! That is a whole program. There is nothing to set up, and nothing to call at the end. It runs
//! as it is, and while nobody records it a [`trace!`] costs a load and a branch. To record it:
//!
//! ```text
//! $ laneway record -o trace -- target/release/app
//! recorded   1,000 events in 12 ms …
//! lost       nothing
//! $ babeltrace2 trace
//! [10:22:00.637978244] (+?.?????????) … shop:order: { cpu_id = 0 }, { vtid = 27535 }, { id = 0, total = 0, who = "Ada" }
//! …
//! ```
//!
//! `laneway events target/release/app` lists all events of a program without running it, and
//! `laneway daemon` records every program of yours that runs, or will.
//!
//! # Events
//!
//! [`trace!`] takes a name, `"provider:event"`, and fields. Fields are numbers, text, paths, bytes,
//! durations, pointers, options, arrays and slices of these: everything that is a [`Value`]. They
//! keep their types in the trace.
//!
//! ```
//! # use laneway::trace;
//! # use std::{path::Path, time::Duration};
//! fn reply(path: &Path, status: u16, took: Duration, error: Option<&std::io::Error>) {
//!     trace!("web:reply", path, status, took);
//!     if let Some(error) = error {
//!         // `%` is what `Display` prints, `?` what `Debug` does.
//!         trace!(level: Error, "web:failed", path, %error, kind = ?error.kind());
//!     }
//! }
//! # reply(Path::new("/"), 200, Duration::ZERO, None);
//! ```
//!
//! A type of your own becomes a field by saying as what it appears: see [`Value`], and
//! [`value_struct!`] for structures.
//!
//! Arguments are evaluated if somebody wants the event, and not otherwise. What has to be prepared
//! before can ask the same question:
//!
//! ```
//! # use laneway::{event_enabled, trace};
//! # fn inventory() -> Vec<u32> { vec![] }
//! if event_enabled!("shop:inventory") {
//!     let left = inventory();
//!     trace!(level: Debug, "shop:inventory", left);
//! }
//! ```
//!
//! # What happens to an event
//!
//! It goes into a ring buffer of the CPU it happens on, in memory that is shared with the consumer,
//! without a lock, a locked instruction, an allocation or a system call. If there is no room it
//! is lost and counted; a program may rather wait, if it says so with [`allow_blocking`]. What was
//! written is in the trace however the program ends. If the consumer dies, the program goes on as
//! before, and the next consumer finds what is in the buffers; nobody waits for it.
//!
//! So an event can happen anywhere: in libraries, in signal handlers, while a thread or
//! the program ends, before `main`. (A field with `%` or `?` runs the code of its
//! `Display` or `Debug`, which may be more particular.) A library built as a `cdylib`
//! brings its events with it, and attaches when it is loaded.
//!
//! A child of a fork is a process of its own from its first event on. Only between `vfork` and `exec`,
//! when a child borrows its parent's memory and may call next to nothing, may it not emit either.
//!
//! # Environment
//!
//! | variable | |
//! |---|---|
//! | `LANEWAY_SOCKET` | where the consumer is, instead of the place of this user's daemon |
//! | `LANEWAY_ALLOW_BLOCK=1` | the program may wait for room: see [`allow_blocking`] |
//! | `LANEWAY_RSEQ=off` | do without restartable sequences |
//! | `LANEWAY_DEBUG=1` | say on standard error why the program is not recorded, and the like |
//! | `LANEWAY_LIST=fd` | write the events to this file descriptor and end: how `laneway events` asks |
//!
//! None of them is read in a program that runs with other rights than its caller's
//! (set-user-ID and the like).

#![warn(missing_debug_implementations)]

mod agent;
mod attach;
mod attachment;
mod bare_thread;
mod blocking;
mod callsite;
mod emit;
mod encode;
mod entry;
mod family;
mod fd_table;
mod fields;
mod hello;
mod identity;
mod listing;
mod macros;
mod memory_file;
mod names;
mod registry;
mod report;
mod session;
mod startup;
mod text;
mod types;
mod value;
mod waiting;
mod writer;

#[cfg(test)]
mod sink;
#[cfg(test)]
mod tests;

pub use blocking::allow_blocking;
pub use encode::{Encode, Struct};
pub use laneway_control::Level;
pub use text::{FORMATTED_BYTES, texts_cut};
pub use value::Value;

/// What the macros expand to. Not for use by hand: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use crate::callsite::{
        Named, Site, Source, emit, is_any_enabled, is_enabled, mark_attach_only_when_asked,
    };
    pub use crate::encode::FieldNames;
    pub use crate::fields::{Held, HoldCopy, HoldReference, debugged, displayed};
    pub use crate::names::{check_event_name, check_field_names};
    pub use crate::types::Names;
}
