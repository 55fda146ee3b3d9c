//! Common Trace Format: model, metadata and packets, read and written.
//!
//! ```text
//!              ┌─────────── model: what classes there are ───────────┐
//!  metadata ◀─▶│ tsdl (CTF 1.8)                                      │
//!              └──────────────────────────────────────────────────────┘
//!  packets  ◀── lane: the layout in which ring buffer records become a stream
//! ```
#![forbid(unsafe_code)]

pub mod lane;
pub mod model;
pub mod tsdl;
