//! Events as text.
//!
//! ```text
//!  babeltrace  [08:40:03.025783637] (+?.?????????) vm shop:order: { cpu_id = 1 }, { vtid = 30653 }, { id = 0, … }
//!  pretty      08:40:03.025783637 shop:order 30653 cpu1  id=0 cookie=0x0 who="bob" total=0
//! ```
//! Both append to a buffer that the caller writes out and empties when it is large enough.

mod babeltrace;
mod fill;
mod float;
mod form;
mod header;
mod line;
mod number;
mod options;
mod pretty;
mod stamp;
mod time;

pub use babeltrace::Babeltrace;
pub use options::{BabeltraceOptions, Fields, Names};
pub use pretty::{Pretty, PrettyOptions};
pub use time::{ClockFormat, Zone};
