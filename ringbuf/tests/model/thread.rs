//! A thread that emits events: `Channel::record`, one visible load or store at a time.
//!
//! The reserve is that of the lane: `switch.rs` or `atomic_lane.rs`. What follows is common:
//! publish, count on the lane's CPU, count from elsewhere (`src/reserve.rs`).

use super::bugs::Bug;
use super::setup::{Lane, Setup};
use super::state::{LANE_CPU, PADDING, State, Word};
use super::{atomic_lane, switch};

/// Where a thread is. In a sequence, a step's number says how many stores were made; 0 is about
/// to check the CPU and what it compares, which begins the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) enum At {
    #[default]
    Idle,
    /// `Window::reserve`: header written (position moved, with the bug).
    Reserve,
    /// `reserve_slow`: nothing read yet.
    Slow,
    /// `place`: header, position.
    Place(u8),
    /// `close`: content, padding header, position.
    Close(u8),
    /// `close_full`: content.
    CloseFull(u8),
    /// `open`: the place is free but for its pin.
    OpenPin,
    /// `count_overwritten`: records looked at, or, with the bug, whose count holds.
    OpenCount(u8),
    /// `open`: sum, counted, local, remote and content, header, position.
    Open(u8, Option<Sum>),
    /// `pass_over`: position; `held` is the lap that was in the place.
    PassOver {
        by: u8,
        held: u8,
    },

    /// `step_atomic` on a boundary: about to look at the place.
    Boundary,
    /// `prepare`: free but for its pin; about to claim the place.
    PreparePin,
    ClaimPlace,
    /// `pass_over`: about to pass `at`, and those up to `next`.
    PassPlace {
        at: u8,
        next: u8,
    },
    /// `end_lap`: overwritten, remote; `fill`; content; `finish_place`.
    Fill(u8),
    /// `begin_lap`.
    BeginLap,
    /// About to claim the header at the position.
    ClaimHeader,
    /// About to move the position to `end`, and to do what comes then.
    Move {
        end: u8,
        own: Own,
    },
    /// About to say where the records end.
    Finish,

    /// The record is ours.
    Publish,
    /// `Window::count`.
    Count,
    /// `count_remote`.
    Remote,
    /// With `Bug::CountWithoutCpuCheck`: loaded, about to store.
    Unsafe(u8),
    Done,
}

/// What `count_overwritten` found: into which of the two goes which sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sum {
    pub(crate) other: u8,
    pub(crate) sum: u8,
}

/// Whose header the position is moved past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Own {
    No,
    Record,
    Padding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
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
    /// Whether an interruption would make the thread start again.
    pub(crate) fn in_sequence(&self) -> bool {
        match self.at {
            At::Reserve => true,
            At::Place(made) | At::Close(made) | At::Open(made, _) => made > 0,
            _ => false,
        }
    }

    /// A signal, a preemption or a migration.
    pub(crate) fn interrupt(&mut self) {
        if self.in_sequence() {
            self.again();
        }
    }

    /// Back to looking where the lane stands.
    pub(crate) fn again(&mut self) {
        self.at = At::Slow;
        self.position = 0;
        self.words = 0;
    }

    /// Whether the thread may still store into the record it has reserved.
    pub(crate) fn writes(&self) -> bool {
        matches!(self.at, At::Publish | At::Finish)
            || matches!(self.at, At::Move { own, .. } if own != Own::No)
    }
}

/// Makes thread `t`'s next step, which interrupts whoever is in a sequence on its CPU. What it
/// did is in `state`; `false`: it has none here and now.
pub(crate) fn step(state: &mut State, setup: &Setup, t: usize) -> Result<bool, String> {
    let me = state.threads[t];
    if me.at == At::Done {
        return Ok(false);
    }
    if setup.lane == Lane::Rseq {
        for (other, thread) in state.threads.iter_mut().enumerate() {
            if other != t && thread.cpu == me.cpu {
                thread.interrupt();
            }
        }
    }
    let event = setup.event(t, me.nth);
    match me.at {
        At::Publish => publish(state, setup, t),
        At::Count => count(state, setup, t),
        At::Unsafe(seen) => {
            state.place(setup, setup.number(me.position)).local.words = seen + me.words;
            counted(state, setup, t);
        }
        At::Remote => {
            let number = setup.number(me.position);
            let remote = &mut state.place(setup, number).remote;
            if remote.lap == number || setup.bug == Bug::CountWithoutLap {
                remote.add(me.words, u8::from(!me.padding));
            }
            counted(state, setup, t);
        }
        _ if setup.lane == Lane::Rseq => switch::step(state, setup, t, event)?,
        _ => atomic_lane::step(state, setup, t, event)?,
    }
    Ok(true)
}

/// The header of what thread `t` wants to reserve.
pub(crate) fn busy(setup: &Setup, t: usize, words: u8, event: u8) -> Word {
    Word::Header {
        busy: true,
        words,
        event: if words == 0 { PADDING } else { event },
        slot: setup.threads[t].0,
    }
}

/// `position..end` is thread `t`'s from now on.
pub(crate) fn own(state: &mut State, setup: &Setup, t: usize, end: u8, padding: bool) {
    let thread = &mut state.threads[t];
    thread.words = end - thread.position;
    thread.padding = padding;
    let early = setup.bug == Bug::CountBeforePublish && !padding;
    thread.at = if early { At::Count } else { At::Publish };
}

/// `Record::publish`, after the payload was written.
fn publish(state: &mut State, setup: &Setup, t: usize) {
    let me = state.threads[t];
    let event = setup.event(t, me.nth);
    let (words, event) = if me.padding {
        (0, PADDING)
    } else {
        (me.words, event)
    };
    for at in me.position + 1..me.position + words {
        *state.word(setup, at) = Word::Payload { event };
    }
    *state.word(setup, me.position) = Word::Header {
        busy: false,
        words,
        event,
        slot: 0,
    };
    if !me.padding {
        state.published |= 1 << event;
    }
    if setup.bug == Bug::CountBeforePublish && !me.padding {
        finish(state, setup, t);
    } else {
        state.threads[t].at = match setup.lane {
            Lane::Rseq => At::Count,
            Lane::Atomic => At::Remote,
        };
    }
}

/// `Window::count`: the lap compared, the add, in one sequence.
fn count(state: &mut State, setup: &Setup, t: usize) {
    let me = state.threads[t];
    let number = setup.number(me.position);
    let local = &mut state.place(setup, number).local;
    if setup.bug == Bug::CountWithoutCpuCheck {
        let seen = local.words;
        state.threads[t].at = At::Unsafe(seen);
        return;
    }
    let on_lap = local.lap == number || setup.bug == Bug::CountWithoutLap;
    if me.cpu == LANE_CPU && on_lap {
        local.add(me.words, u8::from(!me.padding));
        counted(state, setup, t);
    } else {
        state.threads[t].at = At::Remote;
    }
}

fn counted(state: &mut State, setup: &Setup, t: usize) {
    let thread = &mut state.threads[t];
    let padding = thread.padding;
    thread.words = 0;
    if padding {
        thread.padding = false;
        thread.again(); // and on with the event itself
    } else if setup.bug == Bug::CountBeforePublish {
        thread.words = setup.wanted(t, thread.nth);
        thread.at = At::Publish;
    } else {
        finish(state, setup, t);
    }
}

/// The event is lost.
pub(crate) fn lose(state: &mut State, setup: &Setup, t: usize) {
    state.lost |= 1 << setup.event(t, state.threads[t].nth);
    finish(state, setup, t);
}

/// `trace!` returns.
fn finish(state: &mut State, setup: &Setup, t: usize) {
    let thread = &mut state.threads[t];
    thread.nth += 1;
    thread.words = 0;
    thread.position = 0;
    thread.cpu = LANE_CPU; // where else it runs it uses other lanes
    let more = usize::from(thread.nth) < setup.threads[t].1.len();
    thread.at = if more { At::Idle } else { At::Done };
}
