//! How it came about, for those who have to mend it.

use super::explore::fingerprint;
use super::setup::Setup;
use super::state::State;
use super::step;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::fmt::Debug;

/// The shortest way to a state with which something is wrong: its steps, and what is wrong.
///
/// The last step is left out if it was made in the state in which it was found.
pub(crate) fn explain(setup: &Setup) -> Option<String> {
    let first = State::new(setup);
    let mut parents = FxHashMap::default();
    parents.insert(fingerprint(&first), None);
    let mut open = VecDeque::from([first]);
    let mut next = Vec::new();
    while let Some(state) = open.pop_front() {
        if let Err(wrong) = step::successors(&state, setup, &mut next) {
            return Some(story(setup, &parents, &state, &wrong));
        }
        let from = fingerprint(&state);
        for (label, state) in next.drain(..) {
            parents.entry(fingerprint(&state)).or_insert_with(|| {
                open.push_back(state);
                Some((from, label))
            });
        }
    }
    None
}

type Parents = FxHashMap<u64, Option<(u64, step::Label)>>;

fn story(setup: &Setup, parents: &Parents, last: &State, wrong: &str) -> String {
    let mut labels = Vec::new();
    let mut at = fingerprint(last);
    while let Some((from, label)) = parents[&at] {
        labels.push(label);
        at = from;
    }
    let mut state = State::new(setup);
    let mut lines = Vec::new();
    for label in labels.into_iter().rev() {
        let mut next = Vec::new();
        let _ = step::successors(&state, setup, &mut next);
        let Some((_, after)) = next.into_iter().find(|(l, _)| *l == label) else {
            break;
        };
        lines.push(format!("{label}: {}", state.difference(&after)));
        state = after;
    }
    lines.push(format!("wrong: {wrong}"));
    lines.join("\n  ")
}

impl State {
    /// What another state has that this one has not.
    fn difference(&self, after: &State) -> String {
        let (before, after) = (self.fields(), after.fields());
        let changed = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| before.1 != after.1);
        let changed: Vec<String> = changed
            .map(|((name, before), (_, after))| format!("{name} {before} → {after}"))
            .collect();
        changed.join("; ")
    }

    fn fields(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        let mut add = |name: String, value: &dyn Debug| all.push((name, format!("{value:?}")));
        for (at, word) in self.words.iter().enumerate() {
            add(format!("word {at}"), word);
        }
        for (at, place) in self.places.iter().enumerate() {
            add(format!("local {at}"), &place.local);
            add(format!("remote {at}"), &place.remote);
            add(format!("content {at}"), &place.content);
            add(format!("free {at}"), &place.free);
            add(format!("state {at}"), &place.state);
            add(format!("taken {at}"), &place.taken);
            add(format!("pinned {at}"), &place.pinned);
        }
        add("position".to_owned(), &self.reserved);
        add("overwritten".to_owned(), &self.overwritten);
        add("counted".to_owned(), &self.counted);
        add("lost".to_owned(), &self.lost);
        add("delivered".to_owned(), &self.delivered);
        add("delivered to".to_owned(), &self.delivered_to);
        add("reader".to_owned(), &self.reader);
        add("snapshot".to_owned(), &self.snapshot);
        all
    }
}
