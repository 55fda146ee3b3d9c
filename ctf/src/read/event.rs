//! One event: its header at a glance or step by step, and the way past the rest.

use std::cell::Cell;

use super::bits::Cursor;
use super::plan::StreamPlan;
use super::program::{Nothing, Sink, Stop};
use super::stream::Current;
use crate::model::{Role, Roles};

/// Why an event cannot be read.
pub(super) enum EventStop {
    Fields(Stop),
    Class(u64),
    NoProgress,
}

impl From<Stop> for EventStop {
    #[inline(always)]
    fn from(stop: Stop) -> Self {
        EventStop::Fields(stop)
    }
}

/// The event at the cursor, and its clock; without `CLOCK`, the clock is what it was.
#[inline(always)]
pub(super) fn next_event<const CLOCK: bool>(
    plan: &StreamPlan,
    cursor: &mut Cursor<'_>,
    slots: &[Cell<u64>],
    clock: u64,
) -> Result<(Current, u64), EventStop> {
    let begin = cursor.at;
    let (id, clock) = match plan.glance.as_ref().and_then(|glance| glance.read(cursor)) {
        Some(found) => match found.timestamp_bits {
            _ if !CLOCK => (found.id, clock),
            0 => (found.id, clock),
            bits => (found.id, later(clock, found.timestamp, bits)),
        },
        None => {
            let mut sink = EventSink { clock, id: 0 };
            let header = &plan.event_header_program;
            cursor.lend(|cursor| header.run(cursor, slots, &mut sink))?;
            (sink.id, sink.clock)
        }
    };
    let context = cursor.at;
    let (class, fixed) = plan.known(id).ok_or(EventStop::Class(id))?;
    match fixed {
        Some((align, bits)) => {
            cursor.align(align);
            cursor.skip(bits).map_err(Stop::from)?;
        }
        None => {
            let past = &plan.events[class].past;
            cursor.lend(|cursor| past.run(cursor, slots, &mut Nothing))?;
        }
    }
    if cursor.at == begin {
        return Err(EventStop::NoProgress);
    }
    let event = Current {
        class,
        begin,
        context,
        end: cursor.at,
    };
    Ok((event, clock))
}

/// Takes what has a role in an event header.
pub(super) struct EventSink {
    pub(super) clock: u64,
    pub(super) id: u64,
}

impl Sink for EventSink {
    #[inline(always)]
    fn number(&mut self, value: u64, bits: u32, roles: Roles) {
        if roles.has(Role::EventClassId) {
            self.id = value;
        } else if roles.has(Role::Timestamp) {
            self.clock = later(self.clock, value, bits);
        }
    }
}

/// The clock after `clock` whose lowest `bits` bits are `low`: the nearest one that is not before it.
#[inline(always)]
fn later(clock: u64, low: u64, bits: u32) -> u64 {
    if bits >= 64 {
        return low;
    }
    let span = 1u64 << bits;
    let mask = span - 1;
    let wrapped = if low < clock & mask { span } else { 0 };
    (clock & !mask).wrapping_add(wrapped) | low
}
