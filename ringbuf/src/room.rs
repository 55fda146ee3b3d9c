//! Where the next sub-buffer is opened: the place at hand, a later one, or nowhere.
//!
//! ```text
//!   place     0        1        2        3
//!          ┌────────┬────────┬────────┬────────┐
//!          │ free   │ held   │ free   │ unread │      the position stands before place 1:
//!          └────────┴────────┴────────┴────────┘      its thread is stopped in an event,
//!                   ▲────────▶                        so it is passed over, and 2 opened
//! ```
//! A place may be opened again when nobody can write to its last lap any more, and nobody
//! wants to read it: the consumer has released that lap (*discard*, *block*), or all of it
//! is counted and no reader has pinned it (*overwrite*). What a dead process left uncounted
//! the consumer declares done, with the same word.
//!
//! Passing over moves the lane's position and nothing else. A reader knows a number that
//! was passed over by the lap of its place, which is another.
//!
//! Invariant: a place is never opened while a thread may still write to its last lap, or,
//! where somebody reads them all, before that lap was read.

use crate::counter::{self, LAP_SHIFT, Lap};
use crate::lane::Lane;
use crate::layout::SubBuffer;
use std::sync::atomic::{Ordering, fence};

/// Where a lane whose position stands on a boundary can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// Here.
    Here,
    /// At this later boundary: the places before it are held.
    At(u64),
    /// Nowhere, for now.
    None,
}

/// Looks for room for the sub-buffer that begins at `position`.
pub(crate) fn look(lane: Lane<'_>, position: u64, overwrite: bool) -> Room {
    let size = lane.geometry().sub_buffer_bytes();
    let boundaries = (0..lane.geometry().sub_buffers()).map(|ahead| position + ahead * size);
    for boundary in boundaries {
        if is_free(lane, boundary, overwrite) {
            return match boundary == position {
                true => Room::Here,
                false => Room::At(boundary),
            };
        }
    }
    Room::None
}

/// Whether the sub-buffer that begins at `position` can be opened, as far as its last lap is
/// concerned.
pub(crate) fn is_free(lane: Lane<'_>, position: u64, overwrite: bool) -> bool {
    let sub_buffer = lane.sub_buffer(position);
    let number = lane.number(position);
    // SYNC(open): Acquire, for what stands next to it; pairs with the commit of an open.
    let local = Lap::of_word(sub_buffer.local.load(Ordering::Acquire));
    let remote = Lap::of_word(sub_buffer.remote.load(Ordering::Acquire));
    if local.is_none(number) {
        return true; // never opened
    }
    // Somebody who had looked here was about to open it, and has got as far as the counters, or
    // as far as what it overwrites.
    let counted = lane.control().lost.counted.load(Ordering::Acquire) >> 1;
    let begun = local == lane.lap(position) || local != remote || overwrite && counted == number;
    begun || is_done(sub_buffer, local) || overwrite && is_whole(lane, position)
}

/// Whether the consumer has done with `lap` of a place.
pub(crate) fn is_done(sub_buffer: &SubBuffer, lap: Lap) -> bool {
    done_records(sub_buffer, lap).is_some()
}

/// If the consumer has declared `lap` of a place done: the records it found there, which the
/// counters may lack; 0 if it has simply read them.
fn done_records(sub_buffer: &SubBuffer, lap: Lap) -> Option<u64> {
    // SYNC(release): pairs with the consumer's Release store; it has read all it wanted.
    let word = sub_buffer.free.load(Ordering::Acquire);
    let done = word & 1 == 1 && Lap::of_word(word) == lap;
    done.then_some((word & ((1 << LAP_SHIFT) - 1)) >> 1)
}

/// What the consumer stores to say that it has done with `lap`, in which it found `records`.
pub(crate) fn free_word(lap: Lap, records: u64) -> u64 {
    lap.fresh() | records << 1 | 1
}

/// How many records opening the place of `position` again overwrites: none if it is between two
/// laps, because they were counted when it was taken off the last one.
pub(crate) fn records_to_lose(lane: Lane<'_>, position: u64) -> u64 {
    let sub_buffer = lane.sub_buffer(position);
    let words = [&sub_buffer.local, &sub_buffer.remote].map(|word| word.load(Ordering::Acquire));
    let [local, remote] = words.map(Lap::of_word);
    if local != remote {
        return 0;
    }
    let counted = words.map(counter::records).iter().sum();
    done_records(sub_buffer, local).unwrap_or(counted)
}

/// Whether all of the last lap of the place of `position` is counted, and nobody reads it.
fn is_whole(lane: Lane<'_>, position: u64) -> bool {
    let sub_buffer = lane.sub_buffer(position);
    let last = Lap::of_word(sub_buffer.local.load(Ordering::Acquire));
    let whole = counter::sum(&sub_buffer.local, &sub_buffer.remote, last)
        .is_some_and(|committed| committed.bytes == lane.geometry().sub_buffer_bytes());
    // SYNC(pin): the pin is looked at last; pairs with the fence in `LaneReader::bury`: if that
    // finds something lacking behind its pin, whoever finds it whole later finds the pin.
    fence(Ordering::SeqCst);
    whole && sub_buffer.taken.load(Ordering::Relaxed) == 0
}
