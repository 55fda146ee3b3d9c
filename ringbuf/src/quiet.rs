//! Moments in which no thread can be in the memory: to unmap it, and to give parts of it back.
//!
//! ```text
//!   is_quiet        every byte that was reserved is counted: nobody is between his reserve and
//!                   his count, so, with the window closed, nobody will touch the memory again
//!   give_back_idle  the same for the rseq lanes' free places only, and for a moment: events
//!                   meanwhile go to the atomic lanes
//! ```
//! Invariant: memory is given back only where no lap is under way, read or unread, and while
//! nobody can begin one.

use crate::channel::{Channel, end_sequences};
use crate::lane::Lane;
use crate::memory::SharedMemory;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Whether every byte reserved in any lane of `memory` is counted.
pub(crate) fn is_quiet(memory: &SharedMemory) -> bool {
    let lanes = memory.geometry().lanes() * 2;
    (0..lanes)
        .filter(|&index| memory.header().is_active(index))
        .all(|index| lane_is_quiet(memory.lane(index)))
}

fn lane_is_quiet(lane: Lane<'_>) -> bool {
    let reserved = lane.reserved();
    let sub_buffer_bytes = lane.geometry().sub_buffer_bytes();
    lane.sub_buffers(reserved)
        .filter(|&start| !lane.is_done(start))
        .all(|start| {
            let due = sub_buffer_bytes.min(reserved - start);
            lane.committed(start)
                .is_none_or(|committed| committed.bytes >= due)
        })
}

impl Channel {
    /// Gives the memory of places that are free, and were used before, back to the kernel: for
    /// a process that has become idle. Returns how many bytes.
    ///
    /// The lanes are fast again afterwards; events that happen meanwhile take the slow ones.
    /// If threads do not leave the slow path within `limit`, nothing is given back.
    pub fn give_back_idle(&self, limit: Duration) -> u64 {
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(user) = self.enter() else { return 0 };
        let usable = self.rseq.load(Ordering::Relaxed);
        if !usable || retired.is_some() {
            return 0;
        }
        self.window.close();
        self.rseq.store(false, Ordering::SeqCst);
        let mut bytes = 0;
        if end_sequences().is_ok() && self.is_left_alone(limit) {
            bytes = give_back(user.memory);
        }
        self.rseq.store(true, Ordering::SeqCst);
        self.open_window(user.memory.geometry().lanes());
        bytes
    }

    /// Waits for a moment in which we are the only thread on the slow path. Whoever comes later
    /// finds the rseq lanes closed.
    fn is_left_alone(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.users.load(Ordering::SeqCst) != 1 {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }
}

fn give_back(memory: &SharedMemory) -> u64 {
    let mut bytes = 0;
    for index in (0..memory.geometry().lanes()).filter(|&i| memory.header().is_active(i)) {
        let lane = memory.lane(index);
        for start in lane.sub_buffers(lane.reserved()) {
            if lane.is_done(start) {
                bytes += memory.give_back(lane.at(start), lane.geometry().sub_buffer_bytes());
            }
        }
    }
    bytes
}
