//! A cursor over the payload of one reserved record.
//!
//! ```text
//!   ┌────────┬──────────────────────────────┬─────────┐
//!   │ header │ written │        left        │ trailer │
//!   └────────┴─────────▲────────────────────┴─────────┘
//!                      next
//! ```
//! The size of a record is known before it is reserved, so a write that does not fit is a
//! fault of this library; it is refused all the same. Where sizes are constants the
//! checks are too, and nothing of them is left in the program.
//!
//! Invariant: `next..next + left` is reserved for this writer alone, and nothing outside
//! it is ever written.

use std::marker::PhantomData;
use std::ptr;

/// Writes the payload of a record, in the order of its fields.
#[derive(Debug)]
pub struct Writer<'a> {
    next: *mut u8,
    left: usize,
    record: PhantomData<&'a mut [u8]>,
}

impl Writer<'_> {
    /// A writer of the `len` bytes at `start`.
    ///
    /// # Safety
    /// For as long as the writer lives, `start..start + len` is valid for writes, and
    /// nobody else writes or reads it.
    #[inline(always)]
    pub unsafe fn new(start: *mut u8, len: usize) -> Self {
        Writer {
            next: start,
            left: len,
            record: PhantomData,
        }
    }

    /// How many bytes may still be written.
    #[inline(always)]
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }

    /// Appends `bytes`.
    #[inline(always)]
    pub fn put(&mut self, bytes: &[u8]) {
        if bytes.len() > self.left {
            return self.refuse_slow(bytes.len());
        }
        // SAFETY: the check leaves `next..next + bytes.len()` inside what is reserved for
        // this writer, and `bytes` cannot overlap it, since no reference to a record
        // exists.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), self.next, bytes.len());
            self.next = self.next.add(bytes.len());
        }
        self.left -= bytes.len();
    }

    /// Appends `bytes` and a NUL.
    #[inline(always)]
    pub(crate) fn put_terminated(&mut self, bytes: &[u8]) {
        let len = bytes.len();
        if len >= self.left {
            return self.refuse_slow(len.saturating_add(1));
        }
        // SAFETY: the check leaves `next..=next + len` inside what is reserved for this
        // writer. The copies are of at most `len` bytes, the last one up to the end.
        unsafe {
            match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
                // Two words that may overlap cost less than a call.
                (Some(first), Some(last)) if len <= 16 => {
                    self.next.cast::<[u8; 8]>().write_unaligned(*first);
                    self.next
                        .add(len - 8)
                        .cast::<[u8; 8]>()
                        .write_unaligned(*last);
                }
                _ => ptr::copy_nonoverlapping(bytes.as_ptr(), self.next, len),
            }
            self.next.add(len).write(0);
            self.next = self.next.add(len + 1);
        }
        self.left -= len + 1;
    }

    /// Appends one byte.
    #[inline(always)]
    pub fn put_u8(&mut self, byte: u8) {
        self.put(&[byte]);
    }

    /// Appends the number of elements that follow.
    #[inline(always)]
    pub fn put_len(&mut self, len: usize) {
        // A length that does not fit is one of a record that no lane could hold.
        self.put(&(len as u32).to_ne_bytes());
    }

    /// Appends the elements of `values` as they lie in memory.
    #[inline(always)]
    pub(crate) fn put_plain<T: Plain>(&mut self, values: &[T]) {
        // SAFETY: `Plain` types have neither padding nor interior mutability, so their
        // memory is initialised bytes for as long as `values` is borrowed.
        let bytes =
            unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) };
        self.put(bytes);
    }

    /// A size was computed wrongly: writes nothing, and nothing more into this record.
    #[cold]
    #[inline(never)]
    fn refuse_slow(&mut self, len: usize) {
        debug_assert!(
            len <= self.left,
            "{len} bytes written where {} are left",
            self.left
        );
        self.left = 0;
    }
}

/// Types that a trace holds as they lie in memory.
///
/// # Safety
/// No padding, no interior mutability, and all bytes initialised.
pub(crate) unsafe trait Plain: Copy {}

macro_rules! plain {
    ($($ty:ty)*) => { $(
        // SAFETY: a primitive number or `bool`: every byte is a part of its value.
        unsafe impl Plain for $ty {}
    )* };
}
plain!(u8 u16 u32 u64 usize i8 i16 i32 i64 isize f32 f64 bool);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_lie_in_the_order_they_were_put() {
        let mut record = [0xaa; 8];
        // SAFETY: the array outlives the writer and is not used meanwhile.
        let mut writer = unsafe { Writer::new(record.as_mut_ptr(), 7) };
        writer.put(&[1, 2]);
        writer.put_u8(3);
        writer.put_plain(&[0x0504_u16.to_le(), 0x0706_u16.to_le()]);
        assert_eq!(writer.left(), 0);
        assert_eq!(record, [1, 2, 3, 4, 5, 6, 7, 0xaa]);
    }

    #[test]
    fn terminated_bytes_of_every_length_are_whole() {
        let text: Vec<u8> = (1..=40).collect();
        for len in 0..=text.len() {
            let mut record = [0xaa; 48];
            // SAFETY: the array outlives the writer and is not used meanwhile.
            let mut writer = unsafe { Writer::new(record.as_mut_ptr(), len + 1) };
            writer.put_terminated(&text[..len]);
            assert_eq!(writer.left(), 0);
            assert_eq!(&record[..len], &text[..len]);
            assert_eq!(&record[len..len + 2], [0, 0xaa]);
        }
    }

    #[test]
    #[cfg_attr(
        debug_assertions,
        should_panic(expected = "5 bytes written where 4 are left")
    )]
    fn a_nul_that_does_not_fit_is_refused_with_its_text() {
        let mut record = [1; 8];
        // SAFETY: the array outlives the writer and is not used meanwhile.
        let mut writer = unsafe { Writer::new(record.as_mut_ptr(), 4) };
        writer.put_terminated(&[2; 4]);
        assert_eq!(record, [1; 8]);
    }

    #[test]
    #[cfg_attr(
        debug_assertions,
        should_panic(expected = "5 bytes written where 4 are left")
    )]
    fn what_does_not_fit_is_refused_and_so_is_the_rest() {
        let mut record = [0; 8];
        // SAFETY: the array outlives the writer and is not used meanwhile.
        let mut writer = unsafe { Writer::new(record.as_mut_ptr(), 4) };
        writer.put(&[1; 5]);
        writer.put(&[2]);
        assert_eq!(record, [0; 8]);
    }
}
