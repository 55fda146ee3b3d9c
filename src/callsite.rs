//! A callsite: one place in the code that can emit an event.
//!
//! ```text
//!   in the caller                              out of line
//!   mov  eax, [enabled]    one load            emit::<Site, Fields>
//!   test eax, eax                                entry ─▶ event id
//!   jne  ───────────────── not taken ─ ─ ─ ─▶    measure, reserve, write, commit
//! ```
//! `trace!` makes a local type that carries what is known of its event as constants, and a word of bits, one for each channel
//! that wants the event. The types of its fields are inferred by the call of [`emit`], whose monomorphised code holds the entry in
//! [`crate::entry`] by which the event is known before it is hit.
//!
//! Invariant: whoever sees a bit of a callsite set sees its event id too.

use std::hint;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, Ordering};

use laneway_control::{EventSchema, Level};

use crate::entry::{self, Describe};
use crate::fields::Fields;
use crate::names;
use crate::types::{Names, Types};

/// What the source says about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[doc(hidden)]
pub struct Source {
    /// `provider:name`.
    pub event: &'static str,
    pub level: Level,
    pub file: &'static str,
    pub line: u32,
    pub module: &'static str,
    pub fields: Names,
}

/// All that is known about an event: the source and the inferred types. Events that are equal are one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Event {
    source: Source,
    types: Types,
}

impl Event {
    /// `provider:name`.
    pub(crate) fn full_name(&self) -> &'static str {
        self.source.event
    }

    /// The event as a consumer gets it.
    pub(crate) fn schema(&self) -> EventSchema {
        let (provider, name) = names::split(self.source.event);
        EventSchema {
            provider: provider.to_owned(),
            name: name.to_owned(),
            level: self.source.level,
            file: self.source.file.to_owned(),
            line: self.source.line,
            module: self.source.module.to_owned(),
            fields: self.types.to_fields(self.source.fields),
        }
    }
}

/// What an entry of the section describes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Callsite {
    /// A `trace!`, and the channels that want it.
    Event(&'static Event, &'static AtomicU32),
    /// An `event_enabled!` of this name, and the channels that want such events.
    Guard(&'static str, &'static AtomicU32),
    /// An `attach_only_when_asked!`.
    AttachOnlyWhenAsked,
}

/// The local type that `trace!` makes.
#[doc(hidden)]
pub trait Site {
    const SOURCE: Source;

    /// The channels that want this event, one bit for each.
    fn enabled() -> &'static AtomicU32;
}

/// The local type that `event_enabled!` makes.
#[doc(hidden)]
pub trait Guard {
    const EVENT: &'static str;

    /// The channels that want any event of this name.
    fn enabled() -> &'static AtomicU32;
}

/// Whether any channel wants the event of `S`.
#[doc(hidden)]
#[inline(always)]
pub fn is_enabled<S: Site>() -> bool {
    let enabled = S::enabled().load(Ordering::Relaxed) != 0;
    if enabled {
        hint::cold_path();
    }
    enabled
}

/// Records an event.
#[doc(hidden)]
#[inline(never)]
pub fn emit<S: Site, F: Fields>(fields: F) {
    const { assert!(F::TYPES.depth() <= laneway_control::schema::MAX_DEPTH) };
    let entry = entry::of::<Inferred<S, F>>();
    // SYNC(enable): pairs with the Release in `registry::set_enabled`; with a bit of it comes the id.
    let channels = S::enabled().load(Ordering::Acquire);
    let mut scratch = F::Scratch::default();
    let bytes = fields.measure(&mut scratch);
    #[cfg(test)]
    crate::sink::record(entry.id(), channels, bytes, |writer| {
        fields.write(&scratch, writer)
    });
    #[cfg(not(test))]
    crate::emit::record(entry.id(), channels, bytes, |writer| {
        fields.write(&scratch, writer)
    });
}

/// The event that a site is with fields of these types.
struct Inferred<S, F>(PhantomData<(S, F)>);

impl<S: Site, F: Fields> Inferred<S, F> {
    const EVENT: Event = Event {
        source: S::SOURCE,
        types: F::TYPES,
    };
}

impl<S: Site, F: Fields> Describe for Inferred<S, F> {
    fn describe() -> Callsite {
        Callsite::Event(&Self::EVENT, S::enabled())
    }
}

/// Whether any channel wants an event of the name of `G`.
#[doc(hidden)]
#[inline(always)]
pub fn is_any_enabled<G: Guard>() -> bool {
    entry::push::<Guarded<G>>();
    let enabled = G::enabled().load(Ordering::Relaxed) != 0;
    if enabled {
        hint::cold_path();
    }
    enabled
}

struct Guarded<G>(PhantomData<G>);

impl<G: Guard> Describe for Guarded<G> {
    fn describe() -> Callsite {
        Callsite::Guard(G::EVENT, G::enabled())
    }
}

/// Says by its mere presence that the program attaches only when asked. `M` makes it code of the program that does.
#[doc(hidden)]
pub fn mark_attach_only_when_asked<M>() {
    entry::push::<Marked<M>>();
}

struct Marked<M>(PhantomData<M>);

impl<M> Describe for Marked<M> {
    fn describe() -> Callsite {
        Callsite::AttachOnlyWhenAsked
    }
}
