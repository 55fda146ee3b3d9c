//! What can be read of a sub-buffer, and that it is what was written: `Cursor`, `src/records.rs`.

use super::bugs::Bug;
use super::setup::Setup;
use super::state::{State, Word};

pub(crate) type Delivered = Result<(), String>;

/// What can be said about an opened sub-buffer.
pub(crate) struct Look<'s> {
    pub(crate) number: u8,
    pub(crate) state: &'s State,
    pub(crate) setup: &'s Setup,
}

impl Look<'_> {
    fn place(&self) -> usize {
        self.setup.place_of(self.number)
    }

    pub(crate) fn is_left(&self) -> bool {
        self.state.reserved >= self.setup.start(self.number + 1)
    }

    /// `Look::Whole`: where the records of a closed, whole sub-buffer end.
    pub(crate) fn whole_end(&self) -> Option<u8> {
        let Look {
            number,
            state,
            setup,
        } = *self;
        let whole = match setup.bug {
            Bug::ReaderIgnoresRemote => state.places[self.place()].local.words == setup.sub,
            _ => state.is_whole(setup, self.place()),
        };
        if !self.is_left() || !whole {
            return None;
        }
        Some(setup.start(number) + state.closed_content(setup, number)?)
    }

    /// `complete_records`: whether the lane has left the sub-buffer, and no header in it is busy.
    pub(crate) fn is_complete(&self) -> bool {
        let Look {
            number,
            state,
            setup,
        } = *self;
        if !self.is_left() {
            return false;
        }
        let mut at = setup.start(number);
        while at < setup.start(number + 1) {
            let left = match (state.at(setup, at), setup.bug) {
                (Word::Header { busy, words: 0, .. }, bug) => {
                    busy && bug != Bug::DeclareWithBusyPadding
                }
                (Word::Header { busy, .. }, bug) => busy && bug != Bug::DeclareWithBusyRecord,
                _ => false,
            };
            match state.behind(setup, at) {
                Some(end) if !left => at = end,
                _ => return false,
            }
        }
        true
    }
}

/// Delivers what is published of the rest of `number`, up to the first busy record; tombstones
/// are passed over. Several packets, if one lies between.
pub(crate) fn deliver(state: &mut State, setup: &Setup, number: u8) -> Delivered {
    let end = state.filled(setup, number);
    let mut at = setup.start(number) + state.reader.taken[setup.place_of(number)];
    while at < end {
        match state.at(setup, at) {
            Word::Header {
                busy: false,
                words: words @ 1..,
                ..
            } => {
                take(state, setup, at)?;
                at += words;
            }
            Word::Tombstone { words } => at += words,
            // With the bug that does not wait for it.
            Word::Header { words, .. } if words > 0 && setup.bug == Bug::DeclareWithBusyRecord => {
                at += words
            }
            _ => break,
        }
    }
    state.reader.taken[setup.place_of(number)] = at - setup.start(number);
    Ok(())
}

/// Delivers what is left up to `end` as it is, because counters say that it is whole; says
/// whether there was anything.
pub(crate) fn deliver_to(
    state: &mut State,
    setup: &Setup,
    number: u8,
    end: u8,
) -> Result<bool, String> {
    let place = setup.place_of(number);
    let from = setup.start(number) + state.reader.taken[place];
    let mut at = from;
    while at < end {
        take(state, setup, at)?;
        at = state.behind(setup, at).expect("a record was taken");
    }
    if at > end && from < end {
        return Err(format!(
            "a record reaches over the end of the content at {end}"
        ));
    }
    state.reader.taken[place] = setup.sub;
    Ok(from < end)
}

/// Takes what is at `at` for a published record, and objects if it is not.
fn take(state: &mut State, setup: &Setup, at: u8) -> Delivered {
    let Word::Header {
        busy: false,
        words: words @ 1..,
        event,
        ..
    } = state.at(setup, at)
    else {
        return Err(format!(
            "{:?} at {at} was delivered as a record",
            state.at(setup, at)
        ));
    };
    for payload in at + 1..at + words {
        if state.at(setup, payload) != (Word::Payload { event }) {
            return Err(format!("event {event} was delivered torn"));
        }
    }
    if state.delivered & 1 << event != 0 {
        return Err(format!("event {event} was delivered twice"));
    }
    state.delivered |= 1 << event;
    Ok(())
}
