//! Metadata files: text as it is, or text in packets.
//!
//! ```text
//!  /* CTF 1.8 */ …                      TSDL
//!  c1fc1d75 … │ text │ c1fc1d75 … │ …   TSDL in packets (LTTng): a header of 37 bytes before every piece
//!  ␞ { "type": "preamble", … } ␞ …      CTF 2
//! ```
//!
//! Reference: CTF 1.8.3, chapter 7.1.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::ctf2;
use crate::error::{Error, MetadataError};
use crate::model::TraceClass;
use crate::tsdl;

/// Larger metadata than this is refused.
const MAX_METADATA: u64 = 256 << 20;

const PACKET_MAGIC: u32 = 0x75d1_1d57;

/// Bytes of the header of a metadata packet.
const PACKET_HEADER: usize = 37;

/// Reads a metadata file of either format.
///
/// # Errors
/// If the file cannot be read, or is no metadata.
pub fn read_file(path: &Path) -> Result<TraceClass, Error> {
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let bad = |source| Error::Metadata {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(io)?;
    file.take(MAX_METADATA + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > MAX_METADATA {
        return Err(bad(MetadataError::TooLarge {
            limit: MAX_METADATA,
        }));
    }
    read(&bytes).map_err(bad)
}

/// Reads metadata of either format.
///
/// # Errors
/// If it is none.
pub fn read(bytes: &[u8]) -> Result<TraceClass, MetadataError> {
    let text = unpack(bytes)?;
    if looks_like_json(&text) {
        return Ok(ctf2::read(&text)?);
    }
    Ok(tsdl::read(&String::from_utf8_lossy(&text))?)
}

/// Whether metadata is CTF 2: it begins with a separator or an object, and no TSDL does.
fn looks_like_json(text: &[u8]) -> bool {
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    matches!(first, Some(0x1e | b'{'))
}

/// The text of metadata that may be in packets.
fn unpack(bytes: &[u8]) -> Result<Vec<u8>, MetadataError> {
    let magic = bytes.get(..4).and_then(|magic| magic.try_into().ok());
    let big = match magic {
        Some(magic) if u32::from_le_bytes(magic) == PACKET_MAGIC => false,
        Some(magic) if u32::from_be_bytes(magic) == PACKET_MAGIC => true,
        _ => return Ok(bytes.to_owned()),
    };
    let mut text = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let packet = &bytes[at..];
        let refuse = |message: &str| MetadataError::Packet {
            offset: at,
            message: message.to_owned(),
        };
        let header = packet
            .get(..PACKET_HEADER)
            .ok_or_else(|| refuse("the file ends in its header"))?;
        let word = |at: usize| {
            let word = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            if big {
                u32::from_be_bytes(word)
            } else {
                u32::from_le_bytes(word)
            }
        };
        if word(0) != PACKET_MAGIC {
            return Err(refuse("it does not begin with the magic number 0x75d11d57"));
        }
        // magic, uuid, checksum, content size, packet size (both in bits), then one byte each of compression,
        // encryption and checksum scheme, and of the version.
        let (content, size) = (word(24) as usize / 8, word(28) as usize / 8);
        if header[32] != 0 || header[33] != 0 || header[34] != 0 {
            return Err(refuse(
                "it is compressed, encrypted or has a checksum, which nobody ever wrote",
            ));
        }
        if content < PACKET_HEADER || content > size {
            return Err(refuse("its sizes cannot be"));
        }
        // The last packet may lack the padding behind its content.
        let content = packet
            .get(PACKET_HEADER..content)
            .ok_or_else(|| refuse("the file ends in its text"))?;
        text.extend_from_slice(content);
        at += size;
    }
    Ok(text)
}
