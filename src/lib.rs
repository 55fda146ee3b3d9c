//! Laneway: a user-space tracer.
