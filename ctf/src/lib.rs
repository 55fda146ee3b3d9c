//! Common Trace Format: model, metadata and packets, read and written.
