//! Every use of bincode: values to bytes and back.
//!
//! bincode is pinned and no longer maintained, so it stays behind these few functions; replacing it means rewriting
//! this file and the golden bytes in the tests. The configuration is its standard one: little-endian, variable-length
//! integers, lists as their length and their elements.
//!
//! Invariant: decoding never allocates more than the bytes that are there could describe.

use bincode::error::DecodeError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

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
    bincode::serde::decode_from_slice(bytes, bincode::config::standard())
        .map_err(|e| {
            Error::Decode(match e {
                DecodeError::UnexpectedEnd { .. } => "it ends too early".to_owned(),
                DecodeError::OtherString(reason) => reason,
                other => other.to_string(),
            })
        })
}
