//! Common Trace Format: model, metadata and packets, read and written.
//!
//! ```text
//!              ┌─────────── model: what classes there are ───────────┐
//!  metadata ◀─▶│ tsdl (CTF 1.8), ctf2 (JSON)                         │
//!              └──────────────────────────────────────────────────────┘
//!  packets  ◀── lane: the layout in which ring buffer records become a stream
//!           ──▶ read: traces, streams, events, fields ──▶ text
//! ```
#![forbid(unsafe_code)]

pub mod ctf2;
mod error;
pub mod lane;
pub mod merge;
pub mod metadata;
pub mod model;
pub mod read;
pub mod text;
pub mod tsdl;

pub use error::{Damage, Error, MetadataError, Reason};
