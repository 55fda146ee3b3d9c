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
//! In a shared session it is the consumer that has made the ring: the hello brings the schemas alone, and the answer the
//! ring and the session's [`EventIds`].
//!
//! The application is already tracing when it says hello, and nothing it does here waits, so even a program of one
//! millisecond is recorded in full.
//!
//! Invariant: whatever bytes a peer sends, the worst that happens here is an [`Error`].

#![forbid(unsafe_code)]

mod buffer_file;
mod channel;
mod codec;
mod connection;
mod context;
mod error;
mod gate;
mod ids;
pub mod message;
pub mod rendezvous;
pub mod schema;

pub use buffer_file::BufferFile;
pub use channel::{Buffers, ChannelConfig, ClockChoice, Lanes, Mode};
pub use connection::{Connection, Peer, wait_readable};
pub use context::{ContextField, ContextFields, PROCNAME_BYTES};
pub use error::Error;
pub use gate::Gate;
pub use ids::EventIds;
pub use message::{ClockKind, Hello, Rseq, ToApplication, ToConsumer};
pub use rendezvous::Rendezvous;
pub use schema::{EventSchema, Field, FieldType, Level, decode_schemas, encode_schemas};
