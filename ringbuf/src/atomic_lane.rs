//! Lanes for whoever has no restartable sequences: compare-and-swap alone.
//!
//! ```text
//!  1 pin the sub-buffer of the position; has the position left it? start again
//!  2 claim the header: 0 → busy            (somebody else's there? help, start again)
//!  3 move the position past the record     (or find that a helper has)
//!  4 unpin
//! ```
//! The header promise is kept by claiming the header itself: a record exists from
//! the moment its header is there, and whoever finds a header at the lane's position
//! moves the position past it. That needs memory that is zero where nobody has
//! claimed: the consumer zeroes a sub-buffer before it releases it. And it needs that
//! nobody claims in a sub-buffer that has gone round since he looked: that is what
//! the pins are for. Whoever pinned a sub-buffer and then still saw the position in
//! it keeps the consumer from zeroing it; whoever pins too late sees the position
//! elsewhere.
//!
//! Nobody knows the clock of the record before his own, so every record is extended whose
//! clock's upper half is not that of the sub-buffer's begin.
//!
//! The thread whose record ends a sub-buffer, padding or not, gives it its end before
//! it counts, so that a full count implies an end.

use crate::channel::{Channel, User};
use crate::clock;
use crate::header::Header;
use crate::lane::Lane;
use crate::layout::SubBuffer;
use crate::reserve::NO_CPU;
use crate::switch::{Step, Wish, has_room, record_at};
use std::sync::atomic::Ordering;

impl Channel {
    /// One attempt on an atomic lane.
    pub(crate) fn step_atomic(&self, user: &User<'_>, lane: Lane<'_>, wish: Wish) -> Step {
        let reserved = &lane.control().reserved;
        // SYNC(claim): Acquire pairs with the Release that moved the position here.
        let position = reserved.load(Ordering::Acquire);
        let start = lane.sub_buffer_start(position);
        if !position.is_multiple_of(8) {
            return Step::Full; // not a position of ours: the memory was tampered with
        }
        // Before the pin, or threads that wait for room would keep it from being made.
        if position == start && !has_room(lane, position) {
            return Step::Full;
        }
        let Some(_pin) = Pin::new(lane, position) else {
            return Step::Again;
        };
        let sub_buffer = lane.sub_buffer(position);
        if position == start {
            user.memory.header().set_active(self.lane_index(user, lane));
            prepare(lane, position, sub_buffer, clock::now_ordered(self.clock()));
        }
        let found = Header::from_bits(lane.header_word(position).load(Ordering::Acquire));
        let boundary = start + lane.geometry().sub_buffer_bytes();
        if found.bits() != 0 {
            help(lane, position, found, boundary);
            return Step::Again;
        }
        let now = clock::now_ordered(self.clock());
        let (bytes, extended) = wish.size(now, sub_buffer.begin.load(Ordering::Relaxed) >> 32);
        let fits = position + bytes as u64 <= boundary;
        let header = match fits {
            true => self.busy_header(bytes, extended),
            false => Header::padding(self.slot.load(Ordering::Relaxed)),
        };
        if let Err(found) = claim(lane, position, header.at(now)) {
            help(lane, position, found, boundary);
            return Step::Again;
        }
        help(lane, position, header, boundary);
        if !fits {
            finish(sub_buffer, position - start, now);
            self.commit_padding(user, lane, NO_CPU, position, boundary);
            return Step::Again;
        }
        if position + bytes as u64 == boundary {
            finish(sub_buffer, boundary - start, now);
        }
        Step::Reserved(record_at(
            lane,
            NO_CPU,
            position,
            bytes,
            extended.then_some(now),
        ))
    }
}

/// Keeps the sub-buffer of a position from being zeroed.
struct Pin<'m>(&'m SubBuffer);

impl<'m> Pin<'m> {
    /// `None`: the position has left its sub-buffer.
    fn new(lane: Lane<'m>, position: u64) -> Option<Self> {
        let sub_buffer = lane.sub_buffer(position);
        // SYNC(pin): SeqCst here and in `LaneReader::release`. Either our pin comes
        // first and the consumer sees it, or the position left this sub-buffer before
        // our second look at it.
        sub_buffer.pins.fetch_add(1, Ordering::SeqCst);
        let pin = Pin(sub_buffer);
        let now = lane.control().reserved.load(Ordering::SeqCst);
        (lane.sub_buffer_start(now) == lane.sub_buffer_start(position)).then_some(pin)
    }
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        self.0.pins.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Brings the counters to the lap of `position` and sets the begin, once; any number
/// of threads may do so at the same time.
fn prepare(lane: Lane<'_>, position: u64, sub_buffer: &SubBuffer, now: u64) {
    let lap = lane.lap(position);
    let _ = sub_buffer
        .begin
        .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    for counter in [&sub_buffer.local, &sub_buffer.remote] {
        let found = counter.load(Ordering::Relaxed);
        if found >> crate::counter::LAP_SHIFT != lap.bits() {
            let _ =
                counter.compare_exchange(found, lap.fresh(), Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

/// Puts `header` where nobody has claimed yet, or says what is there.
fn claim(lane: Lane<'_>, position: u64, header: Header) -> Result<(), Header> {
    // SYNC(claim): AcqRel, so that whoever finds the header finds the sub-buffer
    // prepared, and we see what its finder did.
    lane.header_word(position)
        .compare_exchange(0, header.bits(), Ordering::AcqRel, Ordering::Acquire)
        .map(|_| ())
        .map_err(Header::from_bits)
}

/// Moves the lane's position past the record that begins at `position`.
fn help(lane: Lane<'_>, position: u64, header: Header, boundary: u64) {
    let end = match header.record_bytes() {
        0 => boundary,
        bytes => position + bytes as u64,
    };
    // SYNC(claim): Release, for the header.
    let _ = lane.control().reserved.compare_exchange(
        position,
        end,
        Ordering::SeqCst,
        Ordering::Relaxed,
    );
}

/// Says where the records of a sub-buffer end, and when.
fn finish(sub_buffer: &SubBuffer, content: u64, now: u64) {
    sub_buffer.content.store(content, Ordering::Relaxed);
    // The count that follows releases both.
    sub_buffer.end.store(now, Ordering::Relaxed);
}
