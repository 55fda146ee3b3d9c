//! Lanes for whoever has no restartable sequences: compare-and-swap alone.
//!
//! ```text
//!   inside a sub-buffer   1 claim the header: free for number n → busy
//!                           (somebody else's there? help, start again)
//!                         2 move the position past the record     (or find that a helper has)
//!   on a boundary         fill the place with words "free for number n", or pass it over (`place.rs`)
//! ```
//! The header promise is kept by claiming the header itself: a record exists from the moment
//! its header is there, and whoever finds a header at the lane's position moves the position
//! past it. That needs memory that says where nobody has claimed yet. Zeroes would not do: a
//! thread that sleeps between looking at the position and claiming may find the place gone
//! round meanwhile, and zeroes in the middle of somebody else's payload. So the words of a free
//! place are made of its number and of a random key of the buffer; who comes a lap late expects
//! others than there are, and claims nothing.
//!
//! Nobody knows the clock of the record before his own, so every record is extended whose
//! clock's upper half is not that of the sub-buffer's begin.
//!
//! The thread whose record ends a sub-buffer, padding or not, gives it its end before
//! it counts, so that a full count implies an end.

use crate::channel::{Channel, User};
use crate::clock;
use crate::counter::Lap;
use crate::header::Header;
use crate::lane::{self, Lane};
use crate::layout::SubBuffer;
use crate::place::State;
use crate::reserve::Home;
use crate::room;
use crate::switch::{Step, Wish, record_at};
use std::sync::atomic::{Ordering, fence};

impl Channel {
    /// One attempt on an atomic lane.
    pub(crate) fn step_atomic(&self, user: &User<'_>, lane: Lane<'_>, wish: Wish) -> Step {
        // SYNC(claim): Acquire pairs with the Release that moved the position here.
        let position = lane.control().reserved.load(Ordering::Acquire);
        let start = lane.sub_buffer_start(position);
        if !lane::is_position(position) {
            return Step::Full; // the memory was tampered with
        }
        let sub_buffer = lane.sub_buffer(position);
        if position == start {
            let number = lane.number(position);
            if sub_buffer.state() != (State::Ready { number }) {
                return self.prepare(user, lane, position);
            }
            begin_lap(lane, position);
        }
        let empty = empty_word(user.memory.key(), lane.number(position));
        let found = lane.header_word(position).load(Ordering::Acquire);
        let boundary = start + lane.geometry().sub_buffer_bytes();
        if found != empty {
            help(lane, position, Header::from_bits(found), boundary);
            return Step::Again;
        }
        let now = clock::now_ordered(self.clock());
        let (bytes, extended) = wish.size(now, sub_buffer.begin.load(Ordering::Relaxed) >> 32);
        let fits = position + bytes as u64 <= boundary;
        let header = match fits {
            true => self.busy_header(bytes, extended),
            false => Header::padding(self.slot.load(Ordering::Relaxed)),
        };
        if let Err(found) = claim(lane, position, empty, header.at(now)) {
            help(lane, position, found, boundary);
            return Step::Again;
        }
        help(lane, position, header, boundary);
        if !fits {
            finish(sub_buffer, position - start, now);
            self.commit_padding(user, lane, Home::Nobody, position, boundary);
            return Step::Again;
        }
        if position + bytes as u64 == boundary {
            finish(sub_buffer, boundary - start, now);
        }
        let clock = extended.then_some(now);
        Step::Reserved(record_at(lane, Home::Nobody, position, bytes, clock))
    }

    /// Makes the place of the boundary `position` ready for its number, or moves the position
    /// past places that cannot be.
    fn prepare(&self, user: &User<'_>, lane: Lane<'_>, position: u64) -> Step {
        let slot = self.slot.load(Ordering::Relaxed);
        if room::is_free(lane, position, self.overwrites()) {
            let (sub_buffer, number) = (lane.sub_buffer(position), lane.number(position));
            if sub_buffer.claim_place(number, slot) {
                user.memory.header().set_active(self.lane_index(user, lane));
                self.end_lap(lane, position);
                fill(lane, position, empty_word(user.memory.key(), number));
                let now = clock::now_ordered(self.clock());
                sub_buffer.begin.store(now, Ordering::Relaxed);
                sub_buffer.end.store(0, Ordering::Relaxed);
                sub_buffer.content.store(0, Ordering::Relaxed);
                sub_buffer.finish_place(number, slot);
                return Step::Again;
            }
            if sub_buffer.state() == (State::Ready { number }) {
                return Step::Again;
            }
        }
        self.pass_over(lane, position)
    }

    /// Moves the lane's position from one boundary to the next whose place can be used.
    fn pass_over(&self, lane: Lane<'_>, position: u64) -> Step {
        let size = lane.geometry().sub_buffer_bytes();
        let mut later = (1..lane.geometry().sub_buffers()).map(|ahead| position + ahead * size);
        let Some(next) = later.find(|&at| is_usable(lane, at, self.overwrites())) else {
            return Step::Full;
        };
        for passed in (position..next).step_by(size as usize) {
            // Ready by now, perhaps: then it is to be opened.
            if !lane.sub_buffer(passed).pass_place(lane.number(passed)) {
                return Step::Again;
            }
        }
        move_position(lane, position, next);
        Step::Again
    }

    /// Takes the place of the boundary `position` off its last lap, before anything of that is
    /// overwritten. Its remote counter is on the new one then; the local one is not before
    /// `begin_lap`, so that a place which was filled and never opened can be told.
    fn end_lap(&self, lane: Lane<'_>, position: u64) {
        let overwritten = room::records_to_lose(lane, position);
        let remote = &lane.sub_buffer(position).remote;
        remote.store(lane.lap(position).fresh(), Ordering::Release);
        // SYNC(open): as in `Channel::open`.
        fence(Ordering::Release);
        if self.overwrites() {
            let count = lane.control().lost.overwritten();
            count.fetch_add(overwritten, Ordering::Relaxed);
        }
    }
}

/// Whether the place of the boundary `at` can be filled: it is free, and nobody is at it.
fn is_usable(lane: Lane<'_>, at: u64, overwrites: bool) -> bool {
    let busy = matches!(
        lane.sub_buffer(at).state(),
        State::Filling { .. } | State::Passed { .. }
    );
    !busy && room::is_free(lane, at, overwrites)
}

/// Whether a lane that does not overwrite, and whose position stands on a boundary, can go on.
pub(crate) fn has_room(lane: Lane<'_>, position: u64) -> bool {
    let size = lane.geometry().sub_buffer_bytes();
    let mut boundaries = (0..lane.geometry().sub_buffers()).map(|ahead| position + ahead * size);
    boundaries.any(|at| is_usable(lane, at, false))
}

/// Puts the place of the boundary `position`, which is ready, on its lap, once; any number of
/// threads may do so at the same time.
fn begin_lap(lane: Lane<'_>, position: u64) {
    let lap = lane.lap(position);
    let local = &lane.sub_buffer(position).local;
    let found = local.load(Ordering::Relaxed);
    // A thread that has slept since it saw the place ready may find it on a later lap.
    let before = Lap::of_word(found);
    if before.is_none(lane.number(position)) || before.is_before(lap) {
        let _ = local.compare_exchange(found, lap.fresh(), Ordering::AcqRel, Ordering::Relaxed);
    }
}

/// What stands in the words of a place that is free for `number`: no two numbers' are the same,
/// and nobody writes it by chance.
fn empty_word(key: u64, number: u64) -> u64 {
    // The finalizer of splitmix64, a bijection.
    let mut word = key ^ number;
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

/// Writes `word` all over the sub-buffer that begins at `position`.
fn fill(lane: Lane<'_>, position: u64, word: u64) {
    for at in (0..lane.geometry().sub_buffer_bytes()).step_by(8) {
        lane.header_word(position + at)
            .store(word, Ordering::Relaxed);
    }
}

/// Puts `header` where nobody has claimed yet, or says what is there.
fn claim(lane: Lane<'_>, position: u64, empty: u64, header: Header) -> Result<(), Header> {
    // SYNC(claim): AcqRel, so that whoever finds the header finds the sub-buffer
    // prepared, and we see what its finder did.
    lane.header_word(position)
        .compare_exchange(empty, header.bits(), Ordering::AcqRel, Ordering::Acquire)
        .map(|_| ())
        .map_err(Header::from_bits)
}

/// Moves the lane's position past the record that begins at `position`.
fn help(lane: Lane<'_>, position: u64, header: Header, boundary: u64) {
    let end = match header.record_bytes() {
        0 => boundary,
        bytes => boundary.min(position + bytes as u64),
    };
    move_position(lane, position, end);
}

/// Moves the lane's position past a record whose writer died before he could: for whoever buries
/// him. There is at most one, because the next writer does the same first.
pub(crate) fn help_the_dead(lane: Lane<'_>, key: u64) {
    let position = lane.control().reserved.load(Ordering::Acquire);
    let (start, number) = (lane.sub_buffer_start(position), lane.number(position));
    let ready = lane.sub_buffer(position).state() == (State::Ready { number });
    if !ready || !lane::is_position(position) {
        return;
    }
    let found = lane.header_word(position).load(Ordering::Acquire);
    if found != empty_word(key, number) {
        let boundary = start + lane.geometry().sub_buffer_bytes();
        help(lane, position, Header::from_bits(found), boundary);
    }
}

fn move_position(lane: Lane<'_>, position: u64, end: u64) {
    // SYNC(claim): Release, for the header.
    let _ = lane.control().reserved.compare_exchange(
        position,
        end,
        Ordering::AcqRel,
        Ordering::Relaxed,
    );
}

/// Says where the records of a sub-buffer end, and when.
fn finish(sub_buffer: &SubBuffer, content: u64, now: u64) {
    sub_buffer.content.store(content, Ordering::Relaxed);
    // The count that follows releases both.
    sub_buffer.end.store(now, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_free_words_of_two_numbers_differ() {
        let words: std::collections::HashSet<u64> =
            (0..10_000).map(|number| empty_word(42, number)).collect();
        assert_eq!(words.len(), 10_000);
        assert_ne!(empty_word(42, 7), empty_word(43, 7));
    }
}
