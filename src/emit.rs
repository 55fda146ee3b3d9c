//! Records an event into the lane of the CPU it happens on.
//!
//! ```text
//!   emit::<Site, Fields> ─▶ record ─▶ reserve ── thread id, fields ── commit
//!                                       │ None: lost and counted, or no memory
//!                                       ▼
//!                            record_slow: the child of a fork attaches for itself
//! ```
//! There are two channels, one whose records name their thread and one whose do not,
//! and a callsite's bits say which of them want its events. So what a record contains
//! follows from the channel it is in, and a thread that was about to emit when one
//! session ended and another began writes what the other one expects, or nothing.
//!
//! Invariant: every path through here is safe in a signal handler, and leaves `errno`
//! alone.

use std::cell::Cell;
use std::ptr::NonNull;

use laneway_ringbuf::Channel;

use crate::writer::Writer;

/// The channels of this process; a channel's index is its bit in the callsites.
pub(crate) static CHANNELS: [Channel; 2] = [const { Channel::new() }; 2];

/// Index of the channel whose records begin with the thread's id.
pub(crate) const WITH_THREAD_ID: usize = 1;

/// Bytes of a thread id in a record.
const THREAD_ID_BYTES: usize = size_of::<i32>();

thread_local! {
    /// This thread's id; 0 until it is first needed.
    static THREAD_ID: Cell<i32> = const { Cell::new(0) };
}

/// Writes an event to each of `channels`, a bit for each.
#[inline(always)]
pub(crate) fn record(
    event: u16,
    channels: u32,
    payload_bytes: usize,
    write: impl Fn(&mut Writer<'_>) + Copy,
) {
    if channels & 1 << WITH_THREAD_ID != 0 {
        let thread = thread_id();
        let content = payload_bytes.saturating_add(THREAD_ID_BYTES);
        record_in(&CHANNELS[WITH_THREAD_ID], event, content, move |writer| {
            writer.put(&thread.to_ne_bytes());
            write(writer);
        });
    }
    if channels & 1 != 0 {
        // A copy, so that what the fast path above writes need not live in memory.
        #[allow(clippy::redundant_locals)]
        let write = write;
        record_plain(event, payload_bytes, &write);
    }
}

/// The rarer channel, out of line: one copy of the fast path is enough for the cache.
#[inline(never)]
fn record_plain(event: u16, payload_bytes: usize, write: &dyn Fn(&mut Writer<'_>)) {
    record_in(&CHANNELS[0], event, payload_bytes, write);
}

#[inline(always)]
fn record_in(
    channel: &'static Channel,
    event: u16,
    content: usize,
    write: impl Fn(&mut Writer<'_>) + Copy,
) {
    let write = move |at: NonNull<u8>| {
        // SAFETY: `content` bytes were reserved there, for this call alone.
        let mut writer = unsafe { Writer::new(at.as_ptr(), content) };
        write(&mut writer);
    };
    if !channel.record(event, content, write) {
        // A copy, so that what the fast path writes need not live in memory.
        let copy = write;
        retry_slow(channel, event, content, &copy);
    }
}

/// What remains to be tried when an event was not recorded.
#[cold]
#[inline(never)]
fn retry_slow(channel: &'static Channel, event: u16, content: usize, write: &dyn Fn(NonNull<u8>)) {
    if crate::attach::resume_in_child() {
        channel.record(event, content, write);
    }
}

#[inline(always)]
fn thread_id() -> i32 {
    match THREAD_ID.get() {
        0 => thread_id_slow(),
        id => id,
    }
}

#[cold]
fn thread_id_slow() -> i32 {
    // SAFETY: no arguments, and it cannot fail.
    let id = unsafe { libc::gettid() };
    THREAD_ID.set(id);
    id
}

/// In the child of a fork: its only thread has another id than the one that forked.
pub(crate) fn forget_thread_id() {
    THREAD_ID.set(0);
}
