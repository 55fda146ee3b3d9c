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
use std::sync::atomic::{AtomicU32, Ordering};

use laneway_control::EventSchema;
use laneway_control::schema::MAX_EVENTS;

use crate::callsite::{Callsite, Event};
use crate::entry;

struct Registry {
    /// Sorted; the index is the event id.
    events: Vec<&'static Event>,
    /// The words of all callsites whose event has an id.
    callsites: Vec<&'static AtomicU32>,
    guards: Vec<&'static AtomicU32>,
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
    let registry = registry();
    for word in registry.callsites.iter().chain(&registry.guards) {
        if on {
            // SYNC(enable): pairs with the Acquire in `callsite::emit`.
            word.fetch_or(channels, Ordering::Release);
        } else {
            word.fetch_and(!channels, Ordering::Relaxed);
        }
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
        let mut events = Vec::new();
        let mut guards = Vec::new();
        for (entry, callsite) in entry::all() {
            match callsite {
                Callsite::Event(event, word) => events.push((event, word, entry)),
                Callsite::Guard(name, word) => guards.push((name, word)),
                Callsite::AttachOnlyWhenAsked => {}
            }
        }
        events.sort_unstable_by_key(|&(event, ..)| event);

        let mut registry = Registry {
            events: Vec::new(),
            callsites: Vec::new(),
            guards: Vec::new(),
        };
        for (event, word, entry) in events {
            if registry.events.last() != Some(&event) {
                if registry.events.len() == MAX_EVENTS {
                    // There are no more ids: the events that sort last stay disabled.
                    break;
                }
                registry.events.push(event);
            }
            entry.set_id((registry.events.len() - 1) as u16);
            registry.callsites.push(word);
        }
        guards.retain(|(name, _)| {
            registry
                .events
                .binary_search_by_key(name, |e| e.full_name())
                .is_ok()
        });
        registry.guards = guards.into_iter().map(|(_, word)| word).collect();
        registry
    }
}
