//! A callsite: one place in the code that can emit an event.
//!
//! ```text
//!   in the caller                 out of line             shared by equal types
//!   mov  eax, [gate]              wanted:                 record::<Fields>:
//!   test eax, eax                   the fields              channels and id, by the entry
//!   jne  ──── not taken ─ ─ ─ ─▶    lea rdx, [entry]        measure, reserve, write, commit
//!                                   jmp ─────────────────▶
//! ```
//! `trace!` makes a local type that carries what the source says of its event as
//! constants. The types of the fields are inferred by the call of [`emit`]; the code made
//! for them has an entry in the section of callsites ([`crate::entry`]), by which the event
//! is known before it is hit. Whether to go there is asked at a gate, an entry too.
//!
//! Invariant: a gate may be open for an event that nobody wants; what counts is the
//! event's own entry.

use std::hint;
use std::marker::PhantomData;

use laneway_control::schema::MAX_DEPTH;
use laneway_control::{EventSchema, Level};

use crate::entry::{self, Describe, Entry};
use crate::fields::Fields;
use crate::names;
use crate::types::{Names, Types};
use crate::writer::Writer;

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

/// All that is known about an event: the source and the inferred types. Events that are
/// equal are one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Event {
    pub(crate) source: Source,
    types: Types,
}

impl Event {
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
    /// The code that emits an event.
    Event(&'static Event),
    /// A `trace!`: the way to the events of this source.
    Gate(&'static Source),
    /// An `event_enabled!`: the way to something for events of this name.
    NamedGate(&'static str),
    /// An `attach_only_when_asked!`.
    AttachOnlyWhenAsked,
}

/// The local type that `trace!` makes.
#[doc(hidden)]
pub trait Site {
    const SOURCE: Source;
}

/// The local type that `event_enabled!` makes.
#[doc(hidden)]
pub trait Named {
    const EVENT: &'static str;
}

/// Whether any channel wants the event of `S`.
#[doc(hidden)]
#[inline(always)]
pub fn is_enabled<S: Site>() -> bool {
    likely_not(entry::is_wanted::<Gate<S>>())
}

/// Whether any channel wants an event of the name of `N`.
#[doc(hidden)]
#[inline(always)]
pub fn is_any_enabled<N: Named>() -> bool {
    likely_not(entry::is_wanted::<NamedGate<N>>())
}

#[inline(always)]
fn likely_not(condition: bool) -> bool {
    if condition {
        hint::cold_path();
    }
    condition
}

/// Records an event of this callsite, with fields of these types: gives it its entry.
#[doc(hidden)]
#[inline(always)]
pub fn emit<S: Site, F: Fields>(fields: F) {
    const {
        assert!(
            F::TYPES.depth() <= MAX_DEPTH,
            "the types of fields are nested at most 16 deep"
        );
    };
    record(fields, entry::of::<Inferred<S, F>>());
}

/// Records an event. Callsites whose fields have the same types share this code.
#[inline(never)]
fn record<F: Fields>(fields: F, entry: &'static Entry) {
    let channels = entry.channels();
    let mut scratch = F::Scratch::default();
    let (bytes, measured) = fields.measure(&mut scratch);
    let write = move |writer: &mut Writer<'_>| fields.write(measured, writer);
    #[cfg(test)]
    if crate::sink::record(entry.id(), bytes, &write) {
        return;
    }
    crate::emit::record(entry.id(), channels, bytes, write);
}

/// Says by its mere presence that the program attaches only when asked. `M` makes it code
/// of the program that does.
#[doc(hidden)]
pub fn mark_attach_only_when_asked<M>() {
    entry::push::<Mark<M>>();
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
        Callsite::Event(&Self::EVENT)
    }
}

struct Gate<S>(PhantomData<S>);

impl<S: Site> Describe for Gate<S> {
    fn describe() -> Callsite {
        Callsite::Gate(&S::SOURCE)
    }
}

struct NamedGate<N>(PhantomData<N>);

impl<N: Named> Describe for NamedGate<N> {
    fn describe() -> Callsite {
        Callsite::NamedGate(N::EVENT)
    }
}

struct Mark<M>(PhantomData<M>);

impl<M> Describe for Mark<M> {
    fn describe() -> Callsite {
        Callsite::AttachOnlyWhenAsked
    }
}
