//! TSDL, the C-like language of CTF 1.8 metadata.
//!
//! [`write`](write()) turns a [`TraceClass`](crate::model::TraceClass) into text.
//!
//! Reference: "Common Trace Format Specification v1.8.3", chapters 4 to 7 and appendix C (the grammar).

mod names;
mod write;
mod write_class;

pub use write::write;
