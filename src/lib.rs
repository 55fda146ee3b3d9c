//! Laneway: a user-space tracer.
//!
//! ```
//! use laneway::trace;
//!
//! let (id, price, name) = (7_u64, 9.5, "Ada");
//! trace!("shop:order", id, total = price * 2.0, who = name);
//! ```

// The macros name this crate by `$crate`, and the tests here are users of them.
#![warn(missing_debug_implementations)]

mod agent;
mod attach;
mod bare_thread;
mod blocking;
mod callsite;
mod emit;
mod encode;
mod entry;
mod fd_table;
mod fields;
mod macros;
mod names;
mod registry;
mod startup;
mod text;
mod types;
mod value;
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
    pub use crate::fields::{Debugged, Displayed};
    pub use crate::names::{check_event_name, check_field_names};
    pub use crate::types::Names;
}
