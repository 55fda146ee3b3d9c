//! What is said over the socket, and how it is cut into frames.
//!
//! ```text
//!   application                                     consumer
//!   Hello + [ring, schemas]              ─────────▶                                         per process
//!                                        ◀─────────  Accepted, or Rejected and the end
//!   Hello + [schemas]                    ─────────▶                                         shared
//!                                        ◀─────────  AcceptedShared + [ring, ids], or Rejected
//!   Hello + [ring, schemas, ids]         ─────────▶                                         shared, resumed
//!                                        ◀─────────  Accepted, or Rejected: it asks anew, for another ring
//!   Unable, and the end                  ─────────▶                                         no ring can be made
//!
//!                                        ◀─────────  Trim, as often as it likes
//!                                        ◀─────────  Stop
//!   Stopped                              ─────────▶
//!
//!   ring     a memory file that its maker sealed, or one in the channel's directory
//!   schemas  a sealed memory file: see `encode_schemas`
//!   ids      a sealed memory file: see `EventIds`
//!
//!   frame: u32 length, little-endian | that many bytes, at most 64 KiB
//!   the first frame of an application: b"laneway\0" | u32 protocol, little-endian | message
//! ```
//!
//! The number of the protocol stands outside of what bincode encodes, so that versions that have nothing else in
//! common can still tell each other apart; for the same reason `Rejected` keeps its shape for ever.
//!
//! Invariant: a decoder holds at most one frame, and only bytes that really arrived.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Buffers, ChannelConfig, Error, codec};

/// The version of everything in this crate that crosses a process boundary.
pub const PROTOCOL: u32 = 3;

/// The largest frame, less its length.
pub const MAX_FRAME_BYTES: usize = 64 * 1024;

/// The most file descriptors that come with a message; which, is written above.
pub const MAX_FDS: usize = 3;

const MAGIC: &[u8; 8] = b"laneway\0";
const OPENING_BYTES: usize = MAGIC.len() + 4;

/// From an application to a consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToConsumer {
    /// Who it is; the first message. With it come the ring, unless it is shared and not yet known, the
    /// [schemas](crate::encode_schemas), and where there is a shared ring the [event ids](crate::EventIds) in it.
    Hello(Hello),
    /// Every writer has left the ring: what is in it now is all.
    Stopped,
    /// It would like to be recorded and cannot; the first message and the last.
    Unable {
        /// Its process id as it sees it itself.
        pid: u32,
        /// Its short name.
        name: String,
        /// A sentence for people.
        reason: String,
    },
}

/// From a consumer to an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToApplication {
    /// The ring is being drained.
    Accepted,
    /// The ring will never be drained, and why.
    Rejected {
        /// A sentence for people.
        reason: String,
    },
    /// Stop writing, say `Stopped` when nobody writes any more.
    Stop,
    /// It may write into the shared ring, which comes with this, and the [event ids](crate::EventIds) behind it.
    AcceptedShared {
        /// What it writes into busy headers: no other process that writes to the ring has the same.
        slot: u16,
    },
    /// Give memory that the ring does not need now back to the kernel.
    Trim,
}

/// Who an application is and what it has made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its process id as it sees it itself.
    pub pid: u32,
    /// The path of its executable.
    pub exe: String,
    /// Its short name, as in `/proc/self/comm`.
    pub name: String,
    /// The version of the laneway crate in it.
    pub version: String,
    /// Whether its lanes are the fast ones.
    pub rseq: Rseq,
    /// The clock that stamps its records.
    pub clock: ClockKind,
    /// Whether it lets itself be blocked.
    pub allow_block: bool,
    /// The set-up it found and made its ring by.
    pub channel: ChannelConfig,
    /// The id in the ring's header, by which a new consumer knows what an earlier one recorded; zeroes while there is none.
    pub ring: [u8; 16],
    /// What the process writes into busy headers: 1 where it has the ring to itself, 0 while there is none.
    pub slot: u16,
    /// Whether the ring was in use with an earlier consumer, which left without a `Stop`.
    pub resumed: bool,
    /// The ring's file, if it lies in the channel's [directory](ChannelConfig::directory).
    pub buffer_file: Option<String>,
}

impl Hello {
    /// How many file descriptors come with it.
    #[must_use]
    pub fn fds(&self) -> usize {
        match (self.channel.buffers, self.resumed) {
            (Buffers::PerProcess, _) => 2,
            (Buffers::Shared, false) => 1,
            (Buffers::Shared, true) => 3,
        }
    }
}

/// Whether an application uses restartable sequences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rseq {
    /// It does.
    Active,
    /// It does not, and why.
    Off(String),
}

/// The clock that stamps records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ClockKind {
    /// The time stamp counter of the CPU.
    Tsc,
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    Monotonic,
}

/// A kind of message: which of the two directions it goes.
pub trait Message: Serialize + DeserializeOwned + sealed::Sealed {
    /// The bytes in front of the encoded message.
    #[doc(hidden)]
    fn opening(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Checks and skips what [`opening`](Self::opening) wrote; `first` is whether this is the peer's first frame.
    #[doc(hidden)]
    fn skip_opening(frame: &[u8], first: bool) -> Result<&[u8], Error> {
        let _ = first;
        Ok(frame)
    }
}

impl Message for ToApplication {}

impl Message for ToConsumer {
    fn opening(&self) -> Vec<u8> {
        match self {
            ToConsumer::Hello(_) | ToConsumer::Unable { .. } => {
                [&MAGIC[..], &PROTOCOL.to_le_bytes()].concat()
            }
            ToConsumer::Stopped => Vec::new(),
        }
    }

    fn skip_opening(frame: &[u8], first: bool) -> Result<&[u8], Error> {
        if !first {
            return Ok(frame);
        }
        let Some((opening, rest)) = frame.split_at_checked(OPENING_BYTES) else {
            return Err(Error::NotLaneway);
        };
        let (magic, protocol) = opening.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(Error::NotLaneway);
        }
        match u32::from_le_bytes(protocol.try_into().expect("4 bytes are left")) {
            PROTOCOL => Ok(rest),
            theirs => Err(Error::OtherProtocol { theirs }),
        }
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::ToConsumer {}
    impl Sealed for super::ToApplication {}
}

/// A message as a frame, ready to be sent.
///
/// # Errors
/// It is larger than a frame can be.
pub fn encode_frame<M: Message>(message: &M) -> Result<Vec<u8>, Error> {
    let opening = message.opening();
    let body = codec::encode(message, MAX_FRAME_BYTES - opening.len())?;
    let len = (opening.len() + body.len()) as u32; // at most MAX_FRAME_BYTES
    Ok([&len.to_le_bytes()[..], &opening, &body].concat())
}

/// Puts frames together from the pieces in which they arrive, and takes messages out of them.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    bytes: Vec<u8>,
    taken: u64,
}

impl FrameDecoder {
    /// How many bytes [`push`](Self::push) can take now: the rest of the frame that is arriving, never more.
    #[must_use]
    pub fn wants(&self) -> usize {
        match self.frame_len() {
            None => 4 - self.bytes.len(),
            Some(len) => (4 + len.min(MAX_FRAME_BYTES)).saturating_sub(self.bytes.len()),
        }
    }

    /// Adds bytes that arrived: at most as many as it [`wants`](Self::wants).
    ///
    /// # Panics
    /// There are more.
    pub fn push(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.wants(), "more bytes than were wanted");
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next message, if it is there in whole.
    ///
    /// # Errors
    /// The frame is too long, is not a message, or (the first one) comes from another protocol. Nothing sensible
    /// can follow.
    pub fn take<M: Message>(&mut self) -> Result<Option<M>, Error> {
        let Some(len) = self.frame_len() else {
            return Ok(None);
        };
        if len > MAX_FRAME_BYTES {
            return Err(self.too_long(len));
        }
        if self.wants() > 0 {
            return Ok(None);
        }
        let body = M::skip_opening(&self.bytes[4..], self.taken == 0)?;
        let message = codec::decode(body)?;
        self.taken += 1;
        self.bytes.clear();
        Ok(Some(message))
    }

    /// Whether the peer stopped in the middle of a frame.
    #[must_use]
    pub fn is_midway(&self) -> bool {
        !self.bytes.is_empty()
    }

    fn frame_len(&self) -> Option<usize> {
        let len = self.bytes.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*len) as usize)
    }

    /// Text such as an HTTP request has a "length" of hundreds of megabytes: then it is no frame at all.
    fn too_long(&self, len: usize) -> Error {
        match self.taken {
            0 => Error::NotLaneway,
            _ => Error::TooLong {
                bytes: len as u64,
                limit: MAX_FRAME_BYTES,
            },
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn hello() -> Hello {
        Hello {
            pid: 4711,
            exe: "/usr/bin/shop".into(),
            name: "shop".into(),
            version: "0.1.0".into(),
            rseq: Rseq::Off("no".into()),
            clock: ClockKind::Tsc,
            allow_block: true,
            channel: ChannelConfig::default(),
            ring: *b"0123456789abcdef",
            slot: 1,
            resumed: true,
            buffer_file: None,
        }
    }

    fn decode_all<M: Message>(bytes: &[u8]) -> Result<Vec<M>, Error> {
        let mut decoder = FrameDecoder::default();
        let mut messages = Vec::new();
        let mut at = 0;
        loop {
            while let Some(message) = decoder.take()? {
                messages.push(message);
            }
            if at == bytes.len() {
                return Ok(messages);
            }
            let n = decoder.wants().min(bytes.len() - at);
            decoder.push(&bytes[at..at + n]);
            at += n;
        }
    }

    /// These bytes are the protocol: when this fails, `PROTOCOL` has to be a new number.
    #[test]
    fn messages_are_these_very_bytes() {
        let hello = encode_frame(&ToConsumer::Hello(hello())).unwrap();
        #[rustfmt::skip]
        let expected: &[u8] = &[
            88, 0, 0, 0,
            b'l', b'a', b'n', b'e', b'w', b'a', b'y', 0, 3, 0, 0, 0,
            0, // Hello
            251, 0x67, 0x12, // pid
            13, b'/', b'u', b's', b'r', b'/', b'b', b'i', b'n', b'/', b's', b'h', b'o', b'p',
            4, b's', b'h', b'o', b'p',
            5, b'0', b'.', b'1', b'.', b'0',
            1, 2, b'n', b'o', // Rseq::Off
            0, // Tsc
            1, // allow_block
            8, b'c', b'h', b'a', b'n', b'n', b'e', b'l', b'0',
            0, // Discard
            252, 0, 0, 4, 0, // sub_buffer_bytes
            8, // sub_buffers
            1, // thread_ids
            0, // Auto
            0, // PerProcess
            0, // Lanes::Cpu
            0, // populate
            0, // directory
            b'0', b'1', b'2', b'3', b'4', b'5', b'6', b'7',
            b'8', b'9', b'a', b'b', b'c', b'd', b'e', b'f',
            1, // slot
            1, // resumed
            0, // buffer_file
        ];
        assert_eq!(hello, expected);
        let stopped = encode_frame(&ToConsumer::Stopped).unwrap();
        assert_eq!(stopped, [1, 0, 0, 0, 1]);
        let unable = ToConsumer::Unable {
            pid: 7,
            name: "ls".into(),
            reason: "no room".into(),
        };
        let unable = encode_frame(&unable).unwrap();
        let expected = b"\x19\0\0\0laneway\0\x03\0\0\0\x02\x07\x02ls\x07no room";
        assert_eq!(unable, *expected);
        let accepted = encode_frame(&ToApplication::Accepted).unwrap();
        assert_eq!(accepted, [1, 0, 0, 0, 0]);
        let rejected = ToApplication::Rejected {
            reason: "full".into(),
        };
        let rejected = encode_frame(&rejected).unwrap();
        assert_eq!(rejected, *b"\x06\0\0\0\x01\x04full");
        let stop = encode_frame(&ToApplication::Stop).unwrap();
        assert_eq!(stop, [1, 0, 0, 0, 2]);
        let shared = encode_frame(&ToApplication::AcceptedShared { slot: 0x1234 }).unwrap();
        assert_eq!(shared, [4, 0, 0, 0, 3, 251, 0x34, 0x12]);
        let trim = encode_frame(&ToApplication::Trim).unwrap();
        assert_eq!(trim, [1, 0, 0, 0, 4]);
    }

    /// A fuzzer that begins with yesterday's protocol gets no further than its number.
    #[test]
    fn the_seeds_of_the_fuzzer_are_conversations() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/messages");
        let mut messages = 0;
        for seed in std::fs::read_dir(seeds).unwrap() {
            let path = seed.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            // The first byte is for the fuzz target: how many bytes arrive at once.
            let of_application = decode_all::<ToConsumer>(&bytes[1..]).map(|m| m.len());
            let of_consumer = decode_all::<ToApplication>(&bytes[1..]).map(|m| m.len());
            let Ok(understood) = of_application.or(of_consumer) else {
                panic!("{} is no conversation", path.display());
            };
            messages += understood;
        }
        assert!(messages >= 9, "{messages} messages");
    }

    #[test]
    fn messages_arrive_whole_however_they_are_cut() {
        let messages = [ToConsumer::Hello(hello()), ToConsumer::Stopped];
        let bytes = messages.map(|m| encode_frame(&m).unwrap()).concat();
        let mut decoder = FrameDecoder::default();
        let mut arrived = Vec::new();
        for byte in bytes {
            decoder.push(&[byte]);
            arrived.extend(decoder.take::<ToConsumer>().unwrap());
        }
        assert_eq!(arrived, [ToConsumer::Hello(hello()), ToConsumer::Stopped]);
        assert!(!decoder.is_midway());
    }

    #[test]
    fn half_a_message_is_no_message() {
        let bytes = encode_frame(&ToConsumer::Hello(hello())).unwrap();
        for len in 0..bytes.len() {
            let messages = decode_all::<ToConsumer>(&bytes[..len]).unwrap();
            assert!(messages.is_empty(), "cut to {len} bytes");
        }
    }

    #[test]
    fn another_protocol_is_told_by_its_number() {
        let mut bytes = encode_frame(&ToConsumer::Hello(hello())).unwrap();
        bytes[12] = 99;
        let error = decode_all::<ToConsumer>(&bytes).unwrap_err();
        assert!(
            matches!(error, Error::OtherProtocol { theirs: 99 }),
            "{error}"
        );
    }

    #[test]
    fn rubbish_is_not_mistaken_for_laneway() {
        for rubbish in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"\0\0\0\0",
            b"\x01\0\0\0\x01",
            b"\x10\0\0\0laneway?\x01\0\0\0\0\0\0\0",
        ] {
            let error = decode_all::<ToConsumer>(rubbish).unwrap_err();
            assert!(matches!(error, Error::NotLaneway), "{error}");
        }
    }

    #[test]
    fn a_message_with_more_behind_it_in_its_frame_is_refused() {
        let error = decode_all::<ToApplication>(&[2, 0, 0, 0, 0, 7]).unwrap_err();
        assert!(
            matches!(error, Error::TrailingBytes { bytes: 1 }),
            "{error}"
        );
    }

    #[test]
    fn an_oversized_frame_is_refused_before_it_arrives() {
        let mut bytes = encode_frame(&ToApplication::Accepted).unwrap();
        bytes.extend((MAX_FRAME_BYTES as u32 + 1).to_le_bytes());
        let error = decode_all::<ToApplication>(&bytes).unwrap_err();
        assert!(
            matches!(error, Error::TooLong { bytes: 65537, .. }),
            "{error}"
        );
        let reason = "x".repeat(MAX_FRAME_BYTES);
        assert!(encode_frame(&ToApplication::Rejected { reason }).is_err());
    }
}
