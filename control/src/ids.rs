//! Which number an event of a process has in a shared buffer.
//!
//! ```text
//!   a process's own    0      1      2     the index of its schema
//!   the session's     17      4     18     u16, little-endian, one after the other
//! ```
//! Processes of different programs, and of different versions of one program, write into the same buffer; so it is the
//! consumer that numbers events, and it tells each process by a sealed memory file.
//!
//! Invariant: every id is one that an event can have.

use crate::Error;
use crate::schema::MAX_EVENTS;

/// The session's ids of the events of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventIds(Vec<u16>);

impl EventIds {
    /// The ids in the order of the process's [schemas](crate::encode_schemas).
    ///
    /// # Errors
    /// There are too many, or one of them is no event's.
    pub fn new(ids: Vec<u16>) -> Result<Self, Error> {
        if ids.len() > MAX_EVENTS {
            return Err(Error::TooManyEvents {
                events: ids.len() as u64,
            });
        }
        match ids.iter().find(|&&id| usize::from(id) >= MAX_EVENTS) {
            Some(id) => Err(Error::BadIds {
                reason: format!("{id:#x} is not an event's"),
            }),
            None => Ok(EventIds(ids)),
        }
    }

    /// The ids of `events` events, from the bytes of the memory file.
    ///
    /// # Errors
    /// They are those of more or fewer events, or one of them is no event's.
    pub fn decode(bytes: &[u8], events: usize) -> Result<Self, Error> {
        if bytes.len() != events * 2 {
            return Err(Error::BadIds {
                reason: format!("{} bytes for {events} events", bytes.len()),
            });
        }
        let (pairs, _) = bytes.as_chunks::<2>();
        EventIds::new(pairs.iter().map(|&id| u16::from_le_bytes(id)).collect())
    }

    /// The bytes of the memory file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.0.iter().flat_map(|id| id.to_le_bytes()).collect()
    }

    /// The ids; the index is the process's own.
    #[must_use]
    pub fn as_slice(&self) -> &[u16] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_a_process_arrive_in_its_order() {
        let ids = EventIds::new(vec![17, 4, 0xfffd]).unwrap();
        assert_eq!(ids.encode(), [17, 0, 4, 0, 0xfd, 0xff]);
        assert_eq!(EventIds::decode(&ids.encode(), 3).unwrap(), ids);
        assert_eq!(ids.as_slice(), [17, 4, 0xfffd]);
    }

    #[test]
    fn ids_that_mean_something_else_are_refused() {
        for id in [0xfffe, 0xffff] {
            assert!(EventIds::new(vec![1, id]).is_err(), "{id:#x}");
        }
    }

    #[test]
    fn a_table_of_another_length_is_refused() {
        for bytes in [&b""[..], b"\x01", b"\x01\0\x02", b"\x01\0\x02\0"] {
            assert!(EventIds::decode(bytes, 1).is_err(), "{bytes:?}");
        }
    }
}
