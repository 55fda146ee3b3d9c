//! Records an event into the lane of the CPU it happens on.
//!
//! ```text
//!   emit::<Site, Fields> ─▶ record ─┬─ thread ids, own buffer, CPUs ─▶ reserve ─ context, fields ─ commit
//!                                   │  (in line)                          │ None: lost and counted, or no memory
//!                                   └─ any other combination              ▼
//!                                      (one copy, out of line)         retry_slow: the child of a fork attaches
//! ```
//! There is a channel for every context that records can have (`ContextFields`), and a callsite's bits say which of them
//! want its events. So what a record contains follows from the channel it is in, and a thread that was about to emit when
//! one session ended and another began writes what the other one expects, or nothing.
//!
//! Invariant: every path through here is safe in a signal handler, and leaves `errno`
//! alone.

use std::ptr::NonNull;

use laneway_control::ContextFields;
use laneway_ringbuf::Channel;

use crate::writer::Writer;
use crate::{identity, waiting};

/// The channels of this process, one for each context; a channel's index is its bit in the callsites.
pub(crate) static CHANNELS: [Channel; 6] = [const { Channel::new() }; 6];

/// Index of the channel whose records name their thread, and nothing else: the usual one, and the only one that is fast.
const USUAL: usize = 1;

/// The bit by which a callsite leads here though no channel wants it: this is the child of a fork that has not emitted yet.
pub(crate) const FORKED: u32 = 1 << 31;

/// The index of the channel with this context.
pub(crate) fn index_of(context: ContextFields) -> usize {
    usize::from(context.thread) | usize::from(context.process) << 1 | usize::from(context.cpu) << 2
}

/// The context of the channel with this index.
fn context_of(index: usize) -> ContextFields {
    ContextFields {
        thread: index & 1 != 0,
        process: index & 2 != 0,
        cpu: index & 4 != 0,
    }
}

/// Writes an event to each of `channels`, a bit for each.
#[inline(always)]
pub(crate) fn record(
    event: u16,
    channels: u32,
    payload_bytes: usize,
    write: impl Fn(&mut Writer<'_>) + Copy,
) {
    if channels & 1 << USUAL != 0 {
        let thread = identity::thread();
        let content = payload_bytes.saturating_add(size_of_val(&thread));
        let with_context = move |at: NonNull<u8>| {
            // SAFETY: `content` bytes were reserved there, for this call alone.
            let mut writer = unsafe { Writer::new(at.as_ptr(), content) };
            writer.put(&thread.to_ne_bytes());
            write(&mut writer);
        };
        if !CHANNELS[USUAL].record(event, content, with_context) {
            // A copy, so that what the fast path writes need not live in memory.
            let copy = write;
            retry_slow(event, payload_bytes, &copy);
        }
    }
    if channels & !(1 << USUAL) != 0 {
        // A copy, so that what the fast path above writes need not live in memory.
        #[allow(clippy::redundant_locals)]
        let write = write;
        record_elsewhere(event, channels, payload_bytes, &write);
    }
}

/// The rarer channels, out of line: one copy of the fast path is enough for the cache.
#[inline(never)]
fn record_elsewhere(
    event: u16,
    channels: u32,
    payload_bytes: usize,
    write: &dyn Fn(&mut Writer<'_>),
) {
    let others = (0..CHANNELS.len()).filter(|&index| index != USUAL);
    for index in others.filter(|index| channels & 1 << index != 0) {
        if !record_in(index, event, payload_bytes, write) {
            retry_slow(event, payload_bytes, write);
        }
    }
    if channels & FORKED != 0 {
        retry_slow(event, payload_bytes, write);
    }
}

/// Writes an event to one channel, with its context. Says whether that was possible.
fn record_in(
    index: usize,
    event: u16,
    payload_bytes: usize,
    write: &dyn Fn(&mut Writer<'_>),
) -> bool {
    let context = context_of(index);
    let content = payload_bytes.saturating_add(context.bytes());
    let with_context = move |at: NonNull<u8>| {
        // SAFETY: `content` bytes were reserved there, for this call alone.
        let mut writer = unsafe { Writer::new(at.as_ptr(), content) };
        put_context(&mut writer, context);
        write(&mut writer);
    };
    // The ids of a shared buffer are the session's, not this process's.
    match context.process {
        true => CHANNELS[index].record_by_table(event, content, with_context),
        false => CHANNELS[index].record(event, content, with_context),
    }
}

/// Writes the fields that `ContextFields::iter` names, in its order.
fn put_context(writer: &mut Writer<'_>, context: ContextFields) {
    if context.cpu {
        writer.put(&identity::cpu().to_ne_bytes());
    }
    if context.process {
        writer.put(&identity::process().to_ne_bytes());
    }
    if context.thread {
        writer.put(&identity::thread().to_ne_bytes());
    }
    if context.process {
        writer.put(&identity::name_bytes());
    }
}

/// What remains to be tried when an event was not recorded.
#[cold]
#[inline(never)]
fn retry_slow(event: u16, payload_bytes: usize, write: &dyn Fn(&mut Writer<'_>)) {
    if waiting::count() || !crate::family::resume() {
        return;
    }
    // The child may have found another consumer than its parent had, so any channel may be the one.
    for (index, _) in CHANNELS.iter().enumerate().filter(|(_, c)| c.is_attached()) {
        record_in(index, event, payload_bytes, write);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use laneway_control::ContextField;

    fn value(field: ContextField) -> Vec<u8> {
        match field {
            ContextField::CpuId => identity::cpu().to_ne_bytes().into(),
            ContextField::Vpid => std::process::id().to_ne_bytes().into(),
            ContextField::Vtid => identity::thread().to_ne_bytes().into(),
            ContextField::Procname => identity::name_bytes().into(),
        }
    }

    #[test]
    fn a_record_holds_its_context_in_the_order_that_consumers_expect() {
        identity::refresh();
        for index in 0..CHANNELS.len() {
            let context = context_of(index);
            assert_eq!(index_of(context), index);
            // Until the thread was not moved to another CPU in between.
            let as_expected = (0..1000).any(|_| {
                let mut bytes = vec![0; context.bytes()];
                // SAFETY: the vector outlives the writer and is not used meanwhile.
                let mut writer = unsafe { Writer::new(bytes.as_mut_ptr(), bytes.len()) };
                put_context(&mut writer, context);
                assert_eq!(writer.left(), 0, "{context:?}");
                bytes == context.iter().flat_map(value).collect::<Vec<_>>()
            });
            assert!(as_expected, "{context:?}");
        }
    }

    #[test]
    fn the_usual_channel_is_the_one_of_a_channel_that_nobody_configured() {
        let usual = laneway_control::ChannelConfig::default();
        assert_eq!(index_of(ContextFields::of(&usual)), USUAL);
    }
}
