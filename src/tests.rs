//! What users see of `trace!`, tested through the macro and an in-memory sink.
//!
//! Invariant: a test reads records by the description of their event alone, as a consumer does.

mod agent;
mod events;
mod fields;
mod places;

use crate::sink::listen;

/// The fields of the events that `emit` emits on this thread, each as `name: type = value, …`.
fn texts(emit: impl FnOnce()) -> Vec<String> {
    listen(emit).iter().map(|record| record.text()).collect()
}

/// The fields of the only event that `emit` emits.
#[track_caller]
fn text(emit: impl FnOnce()) -> String {
    let mut texts = texts(emit);
    assert_eq!(texts.len(), 1, "{texts:?}");
    texts.remove(0)
}
