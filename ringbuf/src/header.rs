//! The eight bytes that begin every record, and the byte that ends it.
//!
//! ```text
//!  0        32      46  47  48      64
//!  ├─ clock ─┼─ words ─┼e┼b┼── id ──┤ [clock u64, id u16, if e]  content  pad.. n
//! ```
//! * `clock`: low half of the trace clock.
//! * `words`: length of the record in 8-byte words, header included; 0 in a padding
//!   record, which reaches to the end of its sub-buffer.
//! * `e`: extended, the whole clock follows, and the id once more. Needed where the upper
//!   half of the clock is not that of the record before.
//! * `b`: busy, not yet published.
//! * `id`: the producer slot while the record is busy, then the event id. It stands last
//!   because readers of CTF take the last id of an event's header for the event's, and
//!   is repeated because they meet the extension before it.
//!
//! The last byte of a record says how many bytes of padding it ends with, itself
//! included (1..=8). CTF wants a packet's content to end exactly where its last
//! event does; this byte tells where that is without a walk over the records.
//!
//! Invariant: every byte range reserved in a lane begins with a header whose
//! `words` is right, from the moment it is reserved.

use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of a header without the extended clock.
pub const HEADER_BYTES: usize = 8;

/// The longest record, in bytes: what 14 bits of words can say.
pub const MAX_RECORD_BYTES: usize = ((1 << WORDS_BITS) - 1) * 8;

/// Bytes between the header and the content of an extended record: clock and id.
pub(crate) const EXTENSION_BYTES: usize = 10;

const WORDS_BITS: u32 = 14;
const WORDS_SHIFT: u32 = 32;
const ID_SHIFT: u32 = 48;
const EXTENDED: u64 = 1 << 46;
const BUSY: u64 = 1 << 47;

/// The event id of a padding record; with [`TOMBSTONE_ID`], the two that are no event's.
pub const PADDING_ID: u16 = u16::MAX;

/// The event id of a record whose process died before it published: nobody reads it.
pub const TOMBSTONE_ID: u16 = PADDING_ID - 1;

/// A record header, decoded from a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header(u64);

impl Header {
    /// The header of a reserved, unpublished record of `bytes` bytes.
    #[inline(always)]
    pub fn busy(bytes: usize, slot: u16, extended: bool) -> Self {
        let words = ((bytes / 8) as u64) << WORDS_SHIFT;
        let form = if extended { EXTENDED } else { 0 };
        Header(BUSY | form | words | (slot as u64) << ID_SHIFT)
    }

    /// The busy header of a padding record, which ends with its sub-buffer.
    pub fn padding(slot: u16) -> Self {
        Self::busy(0, slot, false)
    }

    /// The same header with the low half of `clock` in it.
    #[inline(always)]
    pub fn at(self, clock: u64) -> Self {
        Header(self.0 | clock & 0xffff_ffff)
    }

    /// The upper half of the word.
    #[inline(always)]
    pub(crate) fn upper(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The word as it stands in memory.
    #[inline(always)]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The header that `bits` spell.
    pub fn from_bits(bits: u64) -> Self {
        Header(bits)
    }

    /// Whether the record is still to be published.
    pub fn is_busy(self) -> bool {
        self.0 & BUSY != 0
    }

    /// Whether the whole clock follows the header.
    pub fn is_extended(self) -> bool {
        self.0 & EXTENDED != 0
    }

    /// Length of the record in bytes; 0 for padding.
    pub fn record_bytes(self) -> usize {
        (self.0 >> WORDS_SHIFT & ((1 << WORDS_BITS) - 1)) as usize * 8
    }

    /// Low half of the clock.
    pub fn clock_low(self) -> u32 {
        self.0 as u32
    }

    /// Event id of a published record, producer slot of a busy one.
    pub fn id(self) -> u16 {
        (self.0 >> ID_SHIFT) as u16
    }
}

/// The lower and the upper half of the header at `record`.
///
/// The upper one is what publishing writes. It is accessed on its own because the clock in
/// the lower half is final from the start.
///
/// # Safety
/// `record` is aligned to 8 bytes and lies in memory that is mapped for `'m`, where it is
/// accessed by atomics only.
#[inline(always)]
pub(crate) unsafe fn halves<'m>(record: *mut u8) -> [&'m AtomicU32; 2] {
    // SAFETY: by the caller's word; the two halves of the header's word.
    let [first, second]: &[AtomicU32; 2] = unsafe { &*record.cast() };
    match cfg!(target_endian = "little") {
        true => [first, second],
        false => [second, first],
    }
}

/// Publishes a record of `bytes` bytes, by the upper `half` of its header.
#[inline(always)]
pub(crate) fn publish(half: &AtomicU32, bytes: usize, event: u16, extended: bool) {
    let header = Header::busy(bytes, event, extended).upper() & !((BUSY >> 32) as u32);
    // SYNC(publish): pairs with the Acquire load in `Records::peek`; whoever
    // sees busy cleared sees the record's bytes.
    half.store(header, Ordering::Release);
}

/// Makes a busy record, whose header is `header`, one that was never written.
pub(crate) fn bury(half: &AtomicU32, header: Header) {
    let (bytes, extended) = (header.record_bytes(), header.is_extended());
    let id = if bytes == 0 { PADDING_ID } else { TOMBSTONE_ID };
    publish(half, bytes, id, extended);
}

/// Bytes of a record that holds `content` bytes after its header.
///
/// At least one byte of padding, then up to the next multiple of 8.
#[inline(always)]
pub const fn record_bytes(content: usize) -> usize {
    (HEADER_BYTES + content + 8) & !7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_header_says_its_length_slot_and_form() {
        let header = Header::busy(48, 7, true).at(0x1_2345_6789);
        assert!(header.is_busy() && header.is_extended());
        assert_eq!(header.record_bytes(), 48);
        assert_eq!(header.id(), 7);
        assert_eq!(header.clock_low(), 0x2345_6789);
    }

    #[test]
    fn publishing_keeps_the_length_and_the_clock() {
        let busy = Header::busy(MAX_RECORD_BYTES, 7, true).at(99).bits();
        let half = AtomicU32::new((busy >> 32) as u32);
        publish(&half, MAX_RECORD_BYTES, 300, true);
        let after = Header::from_bits((half.into_inner() as u64) << 32 | 99);
        assert!(!after.is_busy() && after.is_extended());
        assert_eq!(after.record_bytes(), MAX_RECORD_BYTES);
        assert_eq!(after.id(), 300);
    }

    #[test]
    fn a_record_has_one_to_eight_bytes_of_padding() {
        for content in 0..100 {
            let padding = record_bytes(content) - HEADER_BYTES - content;
            assert!((1..=8).contains(&padding), "{content}: {padding}");
            assert_eq!(record_bytes(content) % 8, 0);
        }
    }
}
