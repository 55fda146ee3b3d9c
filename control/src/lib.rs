//! What traced processes and consumers say to each other.
//!
//! ```text
//!   application                                                consumer
//!   ───────────                                                ────────
//!                                                              publishes a ChannelConfig, listens at the Rendezvous,
//!   Rendezvous::from_env, Gate::wait                           Gate::hold
//!   Connection::connect, ChannelConfig::find
//!   makes the ring, describes its events
//!   send(Hello, [ring, schemas])             ── socket ──▶     receive() ─▶ Hello, take_fds(), decode_schemas
//!   wait_readable([connection])              ◀── socket ──     Accepted … Stop
//! ```
//!
//! The application is already tracing when it says hello, and nothing it does here waits, so even a program of one
//! millisecond is recorded in full.
//!
//! Invariant: whatever bytes a peer sends, the worst that happens here is an [`Error`].

#![forbid(unsafe_code)]

mod channel;
mod codec;
mod connection;
mod error;
mod gate;
pub mod message;
pub mod rendezvous;
pub mod schema;

pub use channel::{ChannelConfig, ClockChoice, Mode};
pub use connection::{Connection, Peer, wait_readable};
pub use error::Error;
pub use gate::Gate;
pub use message::{ClockKind, Hello, Rseq, ToApplication, ToConsumer};
pub use rendezvous::Rendezvous;
pub use schema::{EventSchema, Field, FieldType, Level, decode_schemas, encode_schemas};
