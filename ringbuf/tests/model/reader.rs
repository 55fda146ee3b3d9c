//! The consumer: `LaneReader`, one load at a time.

use super::state::{Bug, Fate, SUB, Setup, State, Word, lap, start};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) enum Look {
    #[default]
    Idle,
    /// `whole_content`: position seen behind the boundary, content seen, local seen.
    Whole1,
    Whole2 {
        content: u8,
    },
    Whole3 {
        content: u8,
        words: u8,
    },
    /// `published`: the run so far.
    Partial {
        end: u8,
        limit: u8,
    },
    /// `finish_release`: local seen.
    Release1,
    Release2 {
        words: u8,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Reader {
    pub(crate) at: Look,
    pub(crate) read: u8,
    pub(crate) released: u8,
    /// Partial packets taken, of which an exploration allows a few.
    pub(crate) partials: u8,
}

const PARTIALS: u8 = 2;

/// What the reader does next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wish {
    Whole,
    Partial,
}

/// Makes the reader's next step; when it is idle, begins what is wished for. `Ok(false)`:
/// nothing to do.
pub(crate) fn step(state: &mut State, setup: &Setup, wish: Wish) -> Result<bool, String> {
    let read = state.reader.read;
    let boundary = start(read) + SUB;
    let set = |state: &mut State, at: Look| {
        state.reader.at = at;
        Ok(true)
    };
    match (state.reader.at, wish) {
        (Look::Idle, _) if state.reader.released + SUB <= read => set(state, Look::Release1),
        (Look::Idle, Wish::Whole) if state.reserved >= boundary => set(state, Look::Whole1),
        (Look::Idle, Wish::Whole) => Ok(false),
        (Look::Idle, Wish::Partial) => {
            let limit = state.reserved.min(boundary);
            if state.reader.partials == PARTIALS || limit <= read {
                return Ok(false);
            }
            state.reader.partials += 1;
            set(state, Look::Partial { end: read, limit })
        }
        (Look::Whole1, _) => match state.closed_content(setup, start(read)) {
            Some(content) => set(state, Look::Whole2 { content }),
            None => set(state, Look::Idle),
        },
        (Look::Whole2 { content }, _) => {
            let local = state.sub(read).local;
            match local.lap == lap(read) {
                true => set(
                    state,
                    Look::Whole3 {
                        content,
                        words: local.words,
                    },
                ),
                false => set(state, Look::Idle),
            }
        }
        (Look::Whole3 { content, words }, _) => {
            let remote = state.sub(read).remote;
            let mut sum = words;
            if setup.bug != Bug::ReaderIgnoresRemote {
                sum += remote.words;
            }
            if remote.lap != lap(read) || sum != SUB {
                return set(state, Look::Idle);
            }
            deliver(state, read, start(read) + content)?;
            state.reader.read = boundary;
            set(state, Look::Idle)
        }
        (Look::Partial { end, limit }, _) => {
            if end < limit
                && let Word::Header {
                    busy: false,
                    words: words @ 1..,
                    ..
                } = *state.word(end)
            {
                return set(
                    state,
                    Look::Partial {
                        end: end + words,
                        limit,
                    },
                );
            }
            deliver(state, read, end)?;
            state.reader.read = end;
            set(state, Look::Idle)
        }
        (Look::Release1, _) => {
            let released = state.reader.released;
            let local = state.sub(released).local;
            set(state, Look::Release2 { words: local.words })
        }
        (Look::Release2 { words }, _) => {
            let released = state.reader.released;
            let whole = words + state.sub(released).remote.words == SUB;
            if whole || setup.bug == Bug::CountWithoutLap {
                state.reader.released += SUB;
                state.consumed = state.reader.released;
            }
            set(state, Look::Idle)
        }
    }
}

/// Takes `from..to` for published records, and objects if they are not.
fn deliver(state: &mut State, from: u8, to: u8) -> Result<(), String> {
    let mut at = from;
    while at < to {
        let Word::Header {
            busy: false,
            words: words @ 1..,
            event,
        } = *state.word(at)
        else {
            return Err(format!(
                "{:?} at {at} was delivered as a record",
                state.word(at)
            ));
        };
        for payload in at + 1..at + words {
            if *state.word(payload) != (Word::Payload { event }) {
                return Err(format!("event {event} was delivered torn"));
            }
        }
        if state.delivered & 1 << event != 0 {
            return Err(format!("event {event} was delivered twice"));
        }
        state.delivered |= 1 << event;
        at += words;
    }
    match at == to {
        true => Ok(()),
        false => Err(format!(
            "a record reaches over the end of the content at {to}"
        )),
    }
}

/// When all threads have returned: every closed sub-buffer is whole, and its place can be
/// used again.
pub(crate) fn must_not_be_stuck(mut state: State, setup: &Setup) -> Result<(), String> {
    for _ in 0..100 {
        step(&mut state, setup, Wish::Whole)?;
    }
    let read = start(state.reader.read);
    let behind = state.reserved - read >= SUB && state.closed_content(setup, read).is_some();
    if behind || state.reader.released + SUB <= state.reader.read {
        return Err(format!(
            "the sub-buffer at {read} is closed and never whole"
        ));
    }
    Ok(())
}

/// `final_packet`, when nobody writes any more: everything that is left; then the
/// balance.
pub(crate) fn finish(mut state: State) -> Result<(), String> {
    let mut unfinished = 0;
    let mut at = state.reader.read;
    while at < state.reserved {
        match *state.word(at) {
            Word::Header { words: 0, .. } => at = start(at) + SUB,
            Word::Header {
                busy: true, words, ..
            } => {
                unfinished += 1;
                at += words;
            }
            Word::Header {
                busy: false, words, ..
            } => {
                deliver(&mut state, at, at + words)?;
                at += words;
            }
            other => return Err(format!("{other:?} at {at} where a header should be")),
        }
    }
    for (event, fate) in state.fates.iter().enumerate() {
        let delivered = state.delivered & 1 << event != 0;
        let right = match fate {
            Fate::NotYet | Fate::Lost | Fate::Begun => !delivered,
            Fate::Published | Fate::Returned => delivered,
        };
        if !right {
            return Err(format!("event {event} is {fate:?}, delivered: {delivered}"));
        }
    }
    match unfinished <= state.threads.len() {
        true => Ok(()),
        false => Err(format!("{unfinished} unfinished records")),
    }
}
