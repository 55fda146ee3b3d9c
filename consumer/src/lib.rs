//! Drains the lanes of traced processes into CTF traces.
//!
//! ```text
//!   applications                  this crate                              disk
//!   ────────────                  ──────────                              ────
//!    shop ── socket ──▶ Listener ▶ front: one thread, speaks with all
//!      └──── ring ───────────────▶ drain: one thread for each process ──▶ DIR/shop-4711/{metadata, lane_0, …}
//!    cart ── ring ───────────────▶ drain                              ──▶ DIR/cart-4712/{metadata, lane_0, …}
//! ```
//!
//! A [`Session`] is a directory that is recorded into, a [`Listener`] the place where applications find their
//! consumer, and a [`Consumer`] the threads in between. When it [finishes](Consumer::finish) there is a [`Summary`].
//!
//! ```
//! use laneway_consumer::{Consumer, Listener, Options, Session};
//! use laneway_control::{ChannelConfig, Rendezvous};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! let meeting = Rendezvous::at(dir.join("socket"))?;
//! let listener = Listener::bind(&meeting, &ChannelConfig::default())?;
//! let session = Session::create(dir.join("trace"))?;
//! let consumer = Consumer::start(session, listener, Options::default())?;
//! // Applications run with LANEWAY_SOCKET set to the socket …
//! let summary = consumer.finish();
//! assert_eq!(summary.total.emitted, 0);
//! # Ok(())
//! # }
//! ```
//!
//! Invariant: whatever an application sends or writes into shared memory, it can spoil its own trace and nothing
//! else: not the consumer, not another process' trace, not a file outside of the session, and not the time of others.

#![forbid(unsafe_code)]

mod clocks;
mod consumer;
mod drain;
mod error;
mod events;
mod front;
mod host;
mod listen;
mod recovery;
mod session;
mod storage;
mod summary;

pub use consumer::{Consumer, Options, Progress};
pub use error::Error;
pub use listen::Listener;
pub use recovery::Recovery;
pub use session::{Session, file_name};
pub use storage::TraceFormat;
pub use summary::{
    Counts, LaneSummary, Lost, ProcessSummary, Refusal, SharedProcess, SharedSummary,
    SnapshotSummary, Summary,
};
