//! What people do with recorded traces.
//!
//! ```text
//!   view    prints events          ┐           ┌ globs, times, threads, CPUs
//!   stats   counts them            ├─ Selection ┤
//!   export  turns them into others ┘           └ expressions over fields
//!   repair  makes a broken trace whole
//! ```

pub(crate) mod export;
mod expression;
mod json;
pub(crate) mod repair;
mod select;
pub(crate) mod stats;
pub(crate) mod view;
