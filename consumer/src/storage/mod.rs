//! Traces on disk: written packet by packet, and continued where an earlier consumer left them.
//!
//! ```text
//!   TraceWriter ─┬─ Description    metadata: whole or not there
//!                └─ Lane           one for each lane that was used
//!                     ├─ LaneFile  lane_3        packets in the order of time
//!                     └─ LaneFile  lane_3_late   those that came when it had gone on
//! ```

mod description;
mod lane;
mod lane_file;
mod metadata;
mod read_back;
mod trace;

pub use description::TraceFormat;
pub(crate) use lane::LaneName;
pub(crate) use lane_file::Batch;
pub(crate) use metadata::{Origin, Trace};
pub(crate) use read_back::uuid_of;
pub(crate) use trace::{Gain, TraceWriter, discarded, repair};
