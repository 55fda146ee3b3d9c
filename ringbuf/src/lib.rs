//! Per-CPU ring buffers in memory that a traced process and a consumer share.
//!
//! ```text
//!  producer                     the shared memory                     consumer
//!  ────────                     ─────────────────                     ────────
//!  Channel::record    ───▶ lane 0 ▕■■■■▏▕■■■■▏▕■■□ ▏▕    ▏ ───▶ LaneReader::next_packet
//!  (plain stores)          lane 1 ▕■■■■▏▕■□  ▏▕    ▏▕    ▏      Packet::write_to
//!                          …                                          Packet::release
//! ```
//! Both ends of every atomic pair live in this crate. A lane belongs to a CPU: its
//! bytes are reserved, and its commits counted, by restartable sequences of
//! [`laneway_rseq`] without a locked instruction. Whoever has no rseq writes to an
//! atomic lane instead, and a thread that migrates between reserve and commit adds
//! to a second, remote counter.
//!
//! A buffer is read in order, each byte once, or overwritten and copied at times; it belongs to
//! one process, or to several, any of which may die at any instruction.
//!
//! Invariant: a byte reaches the consumer only after the record it belongs to was published, and
//! at most once (in a snapshot: each); and `emitted = recorded + lost`.
//!
//! `docs/design.md` in the repository argues why.

mod atomic_lane;
mod bury;
mod channel;
pub mod clock;
mod counter;
mod cursor;
mod doorbell;
mod error;
mod header;
mod lane;
mod lane_reader;
mod layout;
mod memory;
mod packet;
mod place;
mod quiet;
mod reader;
mod records;
mod reserve;
mod room;
mod snapshot;
mod switch;

pub use channel::{Channel, ChannelSettings, LaneChoice, WhenFull};
pub use counter::MAX_SUB_BUFFER_BYTES;
pub use error::Error;
pub use header::{HEADER_BYTES, Header, MAX_RECORD_BYTES, PADDING_ID, TOMBSTONE_ID, record_bytes};
pub use lane::{Lost, LostCause};
pub use lane_reader::LaneReader;
pub use layout::{Geometry, MAX_LANES, MAX_SUB_BUFFERS, MIN_SUB_BUFFER_BYTES};
pub use memory::SharedMemory;
pub use packet::{Packet, WriteError};
pub use reader::{BufferReader, Reading, Waker};
pub use snapshot::{Saved, Snapshot};
