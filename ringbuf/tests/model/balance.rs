//! What has to be right in every state: `emitted = recorded + lost + unfinished`, if everybody
//! died now; and if everybody has returned, that the lane flows.

use super::bugs::Bug;
use super::bury::Burial;
use super::reader;
use super::setup::{Lane, Setup};
use super::snapshot::Stage;
use super::state::{Filled, PROCESSES, State, Word};
use super::step::{Label, Next};
use super::switch;
use super::thread::{At, Own};
use super::{bury, cursor};

pub(crate) fn check(state: &State, setup: &Setup) -> Result<(), String> {
    // Between the reader's number and the position each sub-buffer that was opened has a place
    // of its own, and less than a lap is skipped before each.
    let most = match setup.overwrite() {
        true => 60 / setup.sub,
        false => {
            state.reader.number
                + setup.subs * (setup.subs + state.passed + 3 * state.reader.takeovers)
        }
    };
    if setup.number(state.reserved) > most {
        return Err(format!("the position ran away to {}", state.reserved));
    }
    everybody_dies(state, setup)?;
    if state.is_quiet(setup) {
        nothing_lacks(state, setup)?;
        the_lane_flows(state, setup)?;
    }
    Ok(())
}

/// If everybody died now, what would the consumer find, and make of it?
fn everybody_dies(state: &State, setup: &Setup) -> Result<(), String> {
    let mut end = *state;
    end.dead = (1 << PROCESSES) - 1;
    end.reader.burial = Burial::default(); // from the beginning
    for slot in 0..PROCESSES as u8 {
        while end.buried & 1 << slot == 0 {
            bury::bury(&mut end, setup, slot);
        }
    }
    for process in 0..PROCESSES {
        let its = |t: &usize| usize::from(setup.threads[*t].0) == process;
        let unfinished = (0..setup.threads.len())
            .filter(its)
            .filter(|&t| is_unfinished(state, setup, t))
            .count();
        if usize::from(end.unfinished[process]) != unfinished {
            let found = end.unfinished[process];
            return Err(format!(
                "{found} unfinished records of process {process}, but {unfinished} were begun"
            ));
        }
    }
    match setup.overwrite() {
        true => final_snapshot(&end, setup),
        false => final_packets(end, setup),
    }
}

/// Whether thread `t` has reserved a record that it has not published.
fn is_unfinished(state: &State, setup: &Setup, t: usize) -> bool {
    let thread = &state.threads[t];
    match thread.at {
        At::Move { own, .. } => own == Own::Record,
        At::Publish | At::Finish | At::Count | At::Remote | At::Unsafe(_) => {
            let published = state.published & 1 << setup.event(t, thread.nth) != 0;
            !thread.padding && !published
        }
        _ => false,
    }
}

/// `final_packet`: everything that is left in the lane.
fn final_packets(mut end: State, setup: &Setup) -> Result<(), String> {
    for place in 0..usize::from(setup.subs) {
        if let Some(number) = end.opened(setup, place)
            && !end.is_done(setup, place)
        {
            cursor::deliver(&mut end, setup, number)?;
            let at = setup.start(number) + end.reader.taken[place];
            if at < end.filled(setup, number)
                && !matches!(end.at(setup, at), Word::Header { words: 0, .. })
            {
                return Err(format!("sub-buffer {number} cannot be read to its end"));
            }
        }
    }
    end.delivered |= end.reader.unwritten;
    let State {
        published,
        delivered,
        ..
    } = end;
    match published == delivered {
        true => Ok(()),
        false => Err(format!(
            "published {published:#b}, delivered {delivered:#b}"
        )),
    }
}

/// `snapshot`, at the end: what was published is in it, or counted as overwritten.
fn final_snapshot(end: &State, setup: &Setup) -> Result<(), String> {
    let mut found = 0;
    let overwritten =
        end.overwritten[usize::from(end.counted.count)] + lost_with_its_filler(end, setup);
    for place in 0..usize::from(setup.subs) {
        let Some(number) = end.is_there(setup, place) else {
            continue;
        };
        match end.records(setup, number) {
            Some(records) if records & found == 0 => found |= records,
            _ => return Err(format!("sub-buffer {number} is not what was written")),
        }
    }
    let gone = (end.published & !found).count_ones();
    if found & !end.published != 0 || gone != u32::from(overwritten) {
        return Err(format!(
            "{gone} published events are gone, {overwritten} are counted as overwritten"
        ));
    }
    Ok(())
}

/// The count that a filler takes with him who is killed between taking a place off its lap and
/// counting it: the only one that can be lost, and only in atomic lanes.
fn lost_with_its_filler(end: &State, setup: &Setup) -> u8 {
    let fillers = end.threads.iter().filter(|thread| thread.at == At::Fill(1));
    match setup.lane {
        Lane::Atomic => fillers.map(|thread| thread.words).sum(),
        Lane::Rseq => 0,
    }
}

/// All have returned: the counters say what the headers say.
fn nothing_lacks(state: &State, setup: &Setup) -> Result<(), String> {
    if state.dead != 0 {
        return Ok(());
    }
    for place in 0..usize::from(setup.subs) {
        let Some(number) = state.opened(setup, place) else {
            continue;
        };
        let at = state.places[place];
        let counted = at.local.words + at.remote.words;
        let filled = state.filled(setup, number) - setup.start(number);
        let free = at.free.is_some_and(|free| free.lap == number);
        if !free && (counted != filled || at.remote.lap != number) {
            return Err(format!(
                "{counted} of {filled} words are counted in sub-buffer {number}, and all have returned"
            ));
        }
    }
    Ok(())
}

/// All have returned, or are buried: the reader can deliver every sub-buffer the lane has left,
/// and every place can be opened again.
fn the_lane_flows(state: &State, setup: &Setup) -> Result<(), String> {
    let mut end = *state;
    let mut next = Next::new();
    loop {
        next.clear();
        if setup.overwrite() {
            bury::steps(&end, setup, &mut next);
        } else {
            reader::steps(&end, setup, &mut next)?;
        }
        let flows = |label: &Label| match label {
            Label::Reader(what, _) => !what.starts_with("parks") && !what.starts_with("dies"),
            _ => false,
        };
        match next.iter().find(|(label, _)| flows(label)) {
            Some((_, after)) => end = *after,
            None => break,
        }
    }
    for place in 0..usize::from(setup.subs) {
        // The one at hand, and one that is full to its end and that nobody has closed yet.
        if let Some(number) = end.opened(setup, place)
            && (end.reserved < setup.start(number + 1)
                || end.reserved == setup.start(number + 1)
                    && end.closed_content(setup, number).is_none())
        {
            continue;
        }
        let mut number = end.reserved.div_ceil(setup.sub);
        while setup.place_of(number) != place {
            number += 1;
        }
        let place_at = end.places[place].state;
        let fills = matches!(place_at, Filled::Filling { .. } | Filled::Passed { .. });
        let ready = place_at == Filled::Ready { number };
        let pinned = end.places[place].pinned && end.snapshot.stage == Stage::Idle;
        let available = (switch::is_free(&end, setup, number) || ready) && !fills && !pinned;
        if !available && setup.bug != Bug::OpenWithoutRoom {
            return Err(format!(
                "all have returned, and place {place} will never be available again"
            ));
        }
    }
    Ok(())
}

/// Objects if a thread still writes to what was in the place of `number`, or a burial walks over it.
pub(crate) fn nobody_writes(state: &State, setup: &Setup, number: u8) -> Result<(), String> {
    let place = setup.place_of(number);
    if state.reader.burial == Burial::Walks(place as u8) {
        return Err(format!(
            "sub-buffer {number} is opened while a burial walks over its place"
        ));
    }
    for (t, thread) in state.threads.iter().enumerate().take(setup.threads.len()) {
        let its = setup.number(thread.position);
        if thread.writes()
            && !state.is_dead(setup, t)
            && its != number
            && setup.place_of(its) == place
        {
            return Err(format!(
                "sub-buffer {its} is opened again while thread {t} writes to it"
            ));
        }
    }
    Ok(())
}
