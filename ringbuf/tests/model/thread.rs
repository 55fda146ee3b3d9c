//! A thread that emits events: `Channel::record`, one visible load or store at a time.

use super::state::{Bug, Fate, LANE_CPU, SUB, SUBS, Setup, State, Word, lap, start};

/// Where a thread is. In a sequence, a step's number says how many were made; number 1 of
/// a switch is about to check the CPU and the position, which begins the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) enum At {
    #[default]
    Idle,
    /// `Window::reserve`: position read and checked.
    Reserve1,
    /// Header written (position moved, with the bug).
    Reserve2,
    /// `reserve_slow`: nothing read yet.
    Slow,
    /// `place`: header.
    Place1,
    Place2,
    /// `close`: content, padding header, position.
    Close1,
    Close2,
    Close3,
    /// `open`: local, remote, content, header, position.
    Open1,
    Open2,
    Open3,
    Open4,
    Open5,
    /// `close_full`: content.
    CloseFull1,
    /// The record is ours.
    Write,
    Publish,
    /// `Window::count`: about to begin; checked.
    Count,
    Count1,
    /// `count_remote`.
    Remote,
    /// With `Bug::CountWithoutCpuCheck`: loaded, about to store.
    Unsafe(u8),
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Thread {
    pub(crate) cpu: u8,
    pub(crate) at: At,
    /// Events begun so far.
    pub(crate) nth: u8,
    pub(crate) position: u8,
    /// Words of what is reserved; 0 while nothing is.
    pub(crate) words: u8,
    pub(crate) padding: bool,
}

impl Thread {
    /// Where an interruption sends the thread, if it is in a sequence.
    fn abort_target(&self) -> Option<At> {
        match self.at {
            At::Reserve1 | At::Reserve2 | At::Place2 | At::Close2 | At::Close3 => Some(At::Slow),
            At::Open2 | At::Open3 | At::Open4 | At::Open5 => Some(At::Slow),
            At::Count1 => Some(At::Remote),
            _ => None,
        }
    }

    pub(crate) fn in_sequence(&self) -> bool {
        self.abort_target().is_some()
    }

    /// A signal, a preemption or a migration.
    pub(crate) fn interrupt(&mut self) {
        if let Some(target) = self.abort_target() {
            self.at = target;
        }
    }
}

/// Makes thread `t`'s next step, which interrupts whoever is in a sequence on its CPU.
/// `false`: it has none here and now.
pub(crate) fn step(state: &mut State, setup: &Setup, t: usize) -> bool {
    let me = state.threads[t].clone();
    if me.at == At::Done {
        return false;
    }
    if matches!(me.at, At::Idle | At::Slow) && me.cpu != LANE_CPU {
        return false; // it would use another lane
    }
    for (other, thread) in state.threads.iter_mut().enumerate() {
        if other != t && thread.cpu == me.cpu {
            thread.interrupt();
        }
    }
    let wanted = setup.lengths[t].get(me.nth as usize).copied().unwrap_or(0);
    let event = setup.event(t, me.nth);
    let busy = Word::Header {
        busy: true,
        words: wanted,
        event,
    };
    let compared = state.reserved == me.position || setup.bug == Bug::SwitchWithoutCompare;
    let guard = me.cpu == LANE_CPU && compared;
    let boundary = start(me.position) + SUB;
    let set = |state: &mut State, at: At| state.threads[t].at = at;
    match me.at {
        At::Idle => {
            state.fates[event as usize] = Fate::Begun;
            let position = state.reserved;
            state.threads[t].position = position;
            let left = (SUB - position % SUB) % SUB;
            set(
                state,
                if left < wanted {
                    At::Slow
                } else {
                    At::Reserve1
                },
            );
        }
        At::Reserve1 if setup.bug == Bug::CommitBeforeHeader => {
            state.reserved = me.position + wanted;
            own(state, t, wanted, false);
            set(state, At::Write);
        }
        At::Reserve1 => {
            *state.word(me.position) = busy;
            set(state, At::Reserve2);
        }
        At::Reserve2 => commit_record(state, t, wanted),
        At::Slow => slow(state, setup, t, wanted),
        At::Place1 if !guard => set(state, At::Slow),
        At::Place1 => {
            *state.word(me.position) = busy;
            set(state, At::Place2);
        }
        At::Place2 => commit_record(state, t, wanted),
        At::Close1 if !guard => set(state, At::Slow),
        At::Close1 => {
            state.sub(me.position).content = me.position % SUB;
            set(state, At::Close2);
        }
        At::Close2 => {
            *state.word(me.position) = Word::Header {
                busy: true,
                words: 0,
                event,
            };
            set(state, At::Close3);
        }
        At::Close3 => {
            state.reserved = boundary;
            own(state, t, boundary - me.position, true);
            set(state, At::Publish);
        }
        At::Open1 if !guard => set(state, At::Slow),
        At::Open1 => {
            state.sub(me.position).local = fresh(me.position);
            set(state, At::Open2);
        }
        At::Open2 => {
            state.sub(me.position).remote = fresh(me.position);
            set(state, At::Open3);
        }
        At::Open3 => {
            state.sub(me.position).content = 0;
            set(state, At::Open4);
        }
        At::Open4 => {
            *state.word(me.position) = busy;
            set(state, At::Open5);
        }
        At::Open5 => commit_record(state, t, wanted),
        At::CloseFull1 if !guard => set(state, At::Slow),
        At::CloseFull1 => {
            state.sub(me.position - 1).content = SUB;
            set(state, At::Slow);
        }
        At::Write => {
            if setup.bug == Bug::CommitBeforeHeader {
                *state.word(me.position) = busy;
            }
            for at in me.position + 1..me.position + me.words {
                *state.word(at) = Word::Payload { event };
            }
            let early = setup.bug == Bug::CountBeforePublish;
            set(state, if early { At::Count } else { At::Publish });
        }
        At::Publish => {
            let words = if me.padding { 0 } else { me.words };
            *state.word(me.position) = Word::Header {
                busy: false,
                words,
                event,
            };
            if !me.padding {
                state.fates[event as usize] = Fate::Published;
            }
            if setup.bug == Bug::CountBeforePublish && !me.padding {
                finish(state, setup, t);
            } else {
                set(state, At::Count);
            }
        }
        At::Count if setup.bug == Bug::CountWithoutCpuCheck => {
            let seen = state.sub(me.position).local.words;
            set(state, At::Unsafe(seen));
        }
        At::Count => {
            let on_lap = state.sub(me.position).local.lap == lap(me.position);
            let local = me.cpu == LANE_CPU && (on_lap || setup.bug == Bug::CountWithoutLap);
            set(state, if local { At::Count1 } else { At::Remote });
        }
        At::Unsafe(seen) => {
            state.sub(me.position).local.words = seen + me.words;
            counted(state, setup, t);
        }
        At::Count1 => {
            state.sub(me.position).local.words += me.words;
            counted(state, setup, t);
        }
        At::Remote => {
            let remote = &mut state.sub(me.position).remote;
            if remote.lap == lap(me.position) || setup.bug == Bug::CountWithoutLap {
                remote.words += me.words;
            }
            counted(state, setup, t);
        }
        At::Done => unreachable!(),
    }
    true
}

fn fresh(position: u8) -> super::state::Counter {
    super::state::Counter {
        lap: lap(position),
        words: 0,
    }
}

/// `Channel::step`: looks where the position stands, and begins the sequence that fits.
fn slow(state: &mut State, setup: &Setup, t: usize, wanted: u8) {
    let position = state.reserved;
    state.threads[t].position = position;
    let offset = position % SUB;
    state.threads[t].at = if offset != 0 {
        if offset + wanted > SUB {
            At::Close1
        } else {
            At::Place1
        }
    } else if position > 0 && state.closed_content(setup, start(position - 1)).is_none() {
        At::CloseFull1
    } else if position - state.consumed <= SUB * (SUBS - 1) || setup.bug == Bug::OpenWithoutRoom {
        At::Open1
    } else {
        let event = setup.event(t, state.threads[t].nth);
        state.fates[event as usize] = Fate::Lost;
        finish(state, setup, t);
        return;
    };
}

/// The commit of a reservation: the last store of its sequence.
fn commit_record(state: &mut State, t: usize, words: u8) {
    state.reserved = state.threads[t].position + words;
    own(state, t, words, false);
    state.threads[t].at = At::Write;
}

fn own(state: &mut State, t: usize, words: u8, padding: bool) {
    state.threads[t].words = words;
    state.threads[t].padding = padding;
}

fn counted(state: &mut State, setup: &Setup, t: usize) {
    let padding = state.threads[t].padding;
    state.threads[t].words = 0;
    if padding {
        state.threads[t].padding = false;
        state.threads[t].at = At::Slow; // and on with the event itself
    } else if setup.bug == Bug::CountBeforePublish {
        state.threads[t].words = setup.lengths[t][state.threads[t].nth as usize];
        state.threads[t].at = At::Publish;
    } else {
        let event = setup.event(t, state.threads[t].nth);
        state.fates[event as usize] = Fate::Returned;
        finish(state, setup, t);
    }
}

/// `trace!` returns.
fn finish(state: &mut State, setup: &Setup, t: usize) {
    let thread = &mut state.threads[t];
    thread.nth += 1;
    thread.words = 0;
    thread.position = 0;
    let more = usize::from(thread.nth) < setup.lengths[t].len();
    thread.at = if more { At::Idle } else { At::Done };
}
