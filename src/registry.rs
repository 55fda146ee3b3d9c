//! All events of this binary: their ids, and who wants them.
//!
//! ```text
//!   entries      b  a  b'  c  a                 b' is a copy of b that the optimiser made
//!   events       a → 0   b → 1   c → 2          sorted, each once: the index is the event id
//! ```
//! Nothing here runs unless a consumer or `laneway events` asks.
//!
//! Invariant: ids are given once, before the first event is enabled, and never change.

use std::sync::OnceLock;

use laneway_control::EventSchema;
use laneway_control::schema::MAX_EVENTS;

use crate::callsite::{Callsite, Event};
use crate::entry::{self, Entry};

struct Registry {
    /// Sorted; the index is the event id.
    events: Vec<&'static Event>,
    /// The entries of these events.
    emitters: Vec<&'static Entry>,
    /// The entries of the code on the way to them.
    gates: Vec<&'static Entry>,
}

/// The events of this binary; the index is the event id.
pub(crate) fn schemas() -> Vec<EventSchema> {
    registry()
        .events
        .iter()
        .map(|event| event.schema())
        .collect()
}

/// Sets or clears the bits of `channels` at all callsites.
pub(crate) fn set_enabled(channels: u32, on: bool) {
    let Registry {
        emitters, gates, ..
    } = registry();
    // A gate is open only while there is something behind it.
    if on {
        emitters
            .iter()
            .chain(gates)
            .for_each(|entry| entry.enable(channels));
    } else {
        gates
            .iter()
            .chain(emitters)
            .for_each(|entry| entry.disable(channels));
    }
}

/// Whether the program says so with [`attach_only_when_asked!`](crate::attach_only_when_asked).
pub(crate) fn attaches_only_when_asked() -> bool {
    entry::all().any(|(_, callsite)| matches!(callsite, Callsite::AttachOnlyWhenAsked))
}

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(Registry::read)
}

impl Registry {
    fn read() -> Self {
        let mut found = Vec::new();
        let mut gates = Vec::new();
        for (entry, callsite) in entry::all() {
            match callsite {
                Callsite::Event(event) => found.push((event, entry)),
                Callsite::Gate(source) => gates.push((source.event, entry)),
                Callsite::NamedGate(name) => gates.push((name, entry)),
                Callsite::AttachOnlyWhenAsked => {}
            }
        }
        found.sort_unstable_by_key(|&(event, _)| event);

        let mut registry = Registry {
            events: Vec::new(),
            emitters: Vec::new(),
            gates: Vec::new(),
        };
        for (event, entry) in found {
            if registry.events.last() != Some(&event) {
                if registry.events.len() == MAX_EVENTS {
                    // There are no more ids: the events that sort last stay disabled.
                    break;
                }
                registry.events.push(event);
            }
            entry.set_id((registry.events.len() - 1) as u16);
            registry.emitters.push(entry);
        }
        gates.retain(|(name, _)| registry.has_event(name));
        registry.gates = gates.into_iter().map(|(_, entry)| entry).collect();
        registry
    }

    fn has_event(&self, name: &str) -> bool {
        self.events
            .binary_search_by(|event| event.source.event.cmp(name))
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event_enabled, trace};

    #[test]
    fn a_channel_wants_all_events_or_none() {
        const CHANNEL: u32 = 1 << 30;
        let _callsites = || {
            trace!("registry:event");
            event_enabled!("registry:event")
        };
        let wanted = || {
            let (mut on, mut off) = (0, 0);
            for (entry, _) in entry::all() {
                match entry.channels() & CHANNEL {
                    0 => off += 1,
                    _ => on += 1,
                }
            }
            (on, off)
        };
        set_enabled(CHANNEL, true);
        let (on, off) = wanted();
        // What stays off are the questions of other tests for events that do not exist.
        assert!(on > 0 && off < on, "{on} on, {off} off");
        set_enabled(CHANNEL, false);
        assert_eq!(wanted(), (0, on + off));
    }

    #[test]
    fn an_id_is_the_index_of_its_event_and_stays() {
        let ids = || {
            let mut ids = Vec::new();
            for (entry, callsite) in entry::all() {
                if let Callsite::Event(event) = callsite {
                    assert_eq!(*registry().events[usize::from(entry.id())], *event);
                    ids.push(entry.id());
                }
            }
            ids
        };
        let _ = registry();
        let before = ids();
        set_enabled(1, true);
        assert_eq!(before, ids());
        assert!(registry().events.is_sorted());
    }
}
