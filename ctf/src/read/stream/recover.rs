//! What happens when bytes do not make sense: more are fetched, or the damage is described and passed over.
//!
//! ```text
//!  ▕ packet ▏ packet ··✗ rest is skipped ▏ packet ▏     the size in the context says where to go on,
//!  ▕ packet ▏✗✗✗✗✗✗✗✗✗✗✗✗✗✗✗✗✗✗✗✗✗✗✗✗✗✗▏ c1fc1fc1 ▏      or else the next magic number
//! ```

use std::cell::Cell;

use super::super::bits::Cursor;
use super::super::event::{EventSink, EventStop};
use super::super::node::selected;
use super::super::program::Stop;
use super::super::source::{Grown, MAX_WINDOW};
use super::super::visit::{Trail, visit};
use super::StreamReader;
use crate::error::{Damage, Reason};
use crate::lane::MAGIC;
use crate::model::Scope;

impl StreamReader {
    /// An event could not be read: gets more bytes, or gives the packet up.
    #[cold]
    pub(super) fn recover(&mut self, stop: EventStop) -> Result<(), Box<Damage>> {
        let reason = match stop {
            EventStop::Fields(Stop::Short) if self.more_of_packet() => {
                let offset = self.packet.offset + self.at / 8;
                match self.advance(offset) {
                    Ok(Grown::Yes) => {
                        self.base = self.at / 8;
                        return Ok(());
                    }
                    Ok(Grown::Full) => Reason::TooLarge {
                        limit: MAX_WINDOW as u64,
                    },
                    Ok(Grown::AtEnd) | Err(_) => {
                        let end = self.packet.offset + self.packet.content.div_ceil(8);
                        Reason::CutShort {
                            missing: end.saturating_sub(self.window.end()),
                        }
                    }
                }
            }
            EventStop::Fields(Stop::Short) => Reason::BeyondContent,
            EventStop::Fields(Stop::NoOption { selector, signed }) => {
                let value = selected_in(&self.slots, selector, signed);
                Reason::NoOption { value }
            }
            EventStop::Fields(Stop::TooLarge) => Reason::VarInteger,
            EventStop::Class(id) => Reason::EventClass { id },
            EventStop::NoProgress => Reason::NoProgress,
        };
        let damage = self.damage_in_event(reason);
        self.in_packet = false;
        if let Reason::CutShort { .. } = damage.reason {
            self.next_packet = self.next_packet.min(self.window.end());
        }
        Err(damage)
    }

    /// What is wrong if the last packet says it goes on behind the end of the file; once.
    pub(super) fn missing_end(&mut self) -> Option<Box<Damage>> {
        if self.following || self.packets == 0 {
            return None;
        }
        let len = self.source.as_mut()?.len().ok()?;
        let missing = self
            .next_packet
            .checked_sub(len)
            .filter(|missing| *missing > 0)?;
        self.next_packet = len;
        Some(Box::new(Damage {
            file: self.path().to_owned(),
            packet: self.packet.offset,
            bit: self.packet.content,
            field: None,
            reason: Reason::CutShort { missing },
            skipped: 0,
        }))
    }

    /// A packet that cannot be entered: goes on behind `known` bytes of it, or at the next magic number.
    #[cold]
    pub(super) fn refuse_packet(
        &mut self,
        offset: u64,
        bit: u64,
        reason: Reason,
        known: Option<u64>,
    ) -> Box<Damage> {
        let file_end = self
            .source
            .as_mut()
            .and_then(|source| source.len().ok())
            .unwrap_or(offset);
        let next = match known {
            Some(bytes) => offset.saturating_add(bytes.max(1)).min(file_end),
            None => self.find_magic(offset).unwrap_or(file_end),
        };
        self.next_packet = next.max(offset + 1);
        Box::new(Damage {
            file: self.path().to_owned(),
            packet: offset,
            bit,
            field: None,
            reason,
            skipped: next.saturating_sub(offset),
        })
    }

    /// Where the next packet after the one at `offset` could begin: where its magic number and UUID stand.
    fn find_magic(&mut self, offset: u64) -> Option<u64> {
        let header = self.shared.class.packet_header.as_ref()?;
        let has_magic = matches!(header.fields.first(), Some(field) if field.name == "magic");
        if !has_magic {
            return None;
        }
        let mut from = offset + 1;
        let patterns = [MAGIC.to_le_bytes(), MAGIC.to_be_bytes()];
        loop {
            self.window_at(from);
            let bytes = self.window.from(from);
            if bytes.len() < 4 {
                match self.advance(from) {
                    Ok(Grown::Yes) if self.window.from(from).len() >= 4 => continue,
                    _ => return None,
                }
            }
            let found = patterns
                .iter()
                .filter_map(|pattern| memchr::memmem::find(bytes, pattern))
                .min();
            match found {
                Some(at) => return Some(from + at as u64),
                None => from += bytes.len() as u64 - 3,
            }
        }
    }

    /// What is wrong with the event at hand: decodes it once more, to say in which field.
    #[cold]
    fn damage_in_event(&mut self, reason: Reason) -> Box<Damage> {
        let bytes = self.window.from(self.packet.offset + self.base);
        let mut cursor = Cursor::new(bytes, self.base, self.at, self.packet.content);
        let plan = self.plan();
        let mut field = None;
        let mut sink = EventSink { clock: 0, id: 0 };
        let mut event = None;
        let mut probe = cursor;
        if plan
            .event_header_program
            .run(&mut probe, &self.slots, &mut sink)
            .is_ok()
        {
            event = plan.event(sink.id).map(|i| &plan.events[i]);
        }
        let scopes = [
            (Scope::EventHeader, plan.event_header.as_ref()),
            (
                Scope::EventContext,
                plan.event_context.as_ref().filter(|_| event.is_some()),
            ),
            (
                Scope::OwnContext,
                event.and_then(|event| event.own_context.as_ref()),
            ),
            (
                Scope::Payload,
                event.and_then(|event| event.payload.as_ref()),
            ),
        ];
        for (scope, node) in scopes {
            let mut trail = Trail::default();
            if let Some(node) = node
                && visit(node, &mut cursor, &self.slots, &mut trail).is_err()
            {
                field = Some((scope, trail.path()));
                break;
            }
        }
        if field.is_none() && matches!(reason, Reason::EventClass { .. }) {
            field = Some((Scope::EventHeader, String::new()));
        }
        let end = self.next_packet.min(
            self.source
                .as_mut()
                .and_then(|source| source.len().ok())
                .unwrap_or(u64::MAX),
        );
        Box::new(Damage {
            file: self.path().to_owned(),
            packet: self.packet.offset,
            bit: self.at,
            field,
            reason,
            skipped: end.saturating_sub(self.packet.offset + self.at / 8),
        })
    }
}

/// The value that no option is for.
pub(super) fn selected_in(slots: &[Cell<u64>], selector: u32, signed: bool) -> i128 {
    match slots.len() {
        0 => 0,
        _ => selected(slots, selector, signed),
    }
}
