//! Every use of bincode: values to bytes and back.
//!
//! bincode is pinned and no longer maintained, so it stays behind these few functions; replacing it means rewriting
//! this file and the golden bytes in the tests. The configuration is its standard one: little-endian, variable-length
//! integers, lists as their length and their elements.
//!
//! Invariant: decoding allocates at most a few times [`DECODE_LIMIT`], whatever lengths the bytes claim.

use bincode::error::DecodeError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// Bytes of the largest value that is decoded in one piece: a frame, or one event's description.
///
/// Without a limit, bincode allocates a text of any length that is claimed before it looks whether it is there.
const DECODE_LIMIT: usize = 64 * 1024;

/// `value` as bytes, unless they would be more than `limit`.
pub(crate) fn encode<T: Serialize>(value: &T, limit: usize) -> Result<Vec<u8>, Error> {
    let bytes = bincode::serde::encode_to_vec(value, bincode::config::standard())
        .map_err(|e| Error::Encode(e.to_string()))?;
    if bytes.len() > limit {
        return Err(Error::TooLong {
            bytes: bytes.len() as u64,
            limit,
        });
    }
    Ok(bytes)
}

/// A value that is the whole of `bytes`.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let (value, used) = decode_prefix(bytes)?;
    if used != bytes.len() {
        return Err(Error::TrailingBytes {
            bytes: bytes.len() - used,
        });
    }
    Ok(value)
}

/// A value at the beginning of `bytes`, and how many bytes it took.
pub(crate) fn decode_prefix<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, usize), Error> {
    let config = bincode::config::standard().with_limit::<DECODE_LIMIT>();
    bincode::serde::decode_from_slice(bytes, config).map_err(|e| {
        Error::Decode(match e {
            DecodeError::UnexpectedEnd { .. } => "it ends too early".to_owned(),
            DecodeError::OtherString(reason) => reason,
            other => other.to_string(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_length_allocates_nothing() {
        for claim in [u64::MAX, 1 << 40, DECODE_LIMIT as u64 + 1] {
            let mut bytes = vec![253];
            bytes.extend(claim.to_le_bytes());
            bytes.extend(b"text");
            assert!(decode_prefix::<String>(&bytes).is_err(), "{claim}");
            assert!(decode_prefix::<Vec<String>>(&bytes).is_err(), "{claim}");
        }
    }

    #[test]
    fn a_value_as_large_as_a_frame_is_decoded() {
        let text = "x".repeat(DECODE_LIMIT - 16);
        let bytes = encode(&text, DECODE_LIMIT).unwrap();
        assert_eq!(decode::<String>(&bytes).unwrap(), text);
    }
}
