//! The summary of a recording for people.
//!
//! ```text
//!   recorded   1,234,567 events in 1.53 s (806 thousand/s), 19.8 MiB in 97 packets
//!   lost       12 events (0.001 %): 12 lane full
//!   process    shop (4711), clock tsc
//!     cpu 0    617,000 events, 9.9 MiB
//!     cpu 1    617,567 events, 9.9 MiB, lost 12
//!   trace      laneway-shop-20261120-094500
//! ```

use std::fmt::Write;

use laneway_consumer::{
    Counts, LaneSummary, ProcessSummary, SharedSummary, SnapshotSummary, Summary,
};

use crate::output::Paint;
use crate::units::{bytes, count, rate, seconds};

/// Processes that are shown one by one.
const SHOWN_PROCESSES: usize = 8;

/// Lanes that are shown one by one.
const SHOWN_LANES: usize = 16;

/// All of it. Empty when nothing attached: then there is something else to say.
pub(crate) fn text(summary: &Summary, paint: Paint) -> String {
    let mut text = String::new();
    let total = &summary.total;
    let anything = !summary.processes.is_empty() || summary.shared.is_some();
    if anything {
        line(&mut text, paint, "recorded", &recorded(summary));
        line(&mut text, paint, "lost", &lost(total, paint));
    }
    for process in summary.processes.iter().take(SHOWN_PROCESSES) {
        describe(&mut text, paint, process, summary.processes.len() == 1);
    }
    let more = summary.processes.len().saturating_sub(SHOWN_PROCESSES) as u64
        + summary.processes_not_listed;
    if more > 0 {
        line(&mut text, paint, "", &format!("and {} more", count(more)));
    }
    if let Some(ring) = &summary.shared {
        describe_shared(&mut text, paint, ring);
    }
    for snapshot in summary.snapshots.iter().take(SHOWN_PROCESSES) {
        line(&mut text, paint, "snapshot", &describe_snapshot(snapshot));
        problems(&mut text, paint, &snapshot.problems);
    }
    let more = summary.snapshots.len().saturating_sub(SHOWN_PROCESSES) as u64
        + summary.snapshots_not_listed;
    if more > 0 {
        line(&mut text, paint, "", &format!("and {} more", count(more)));
    }
    for refusal in &summary.refused {
        let times = match refusal.times {
            1 => String::new(),
            n => format!(" ({} times)", count(n)),
        };
        let reason = format!("{}{times}", refusal.reason);
        line(&mut text, paint, "refused", &paint.bad(&reason));
    }
    if anything {
        let directory = summary.directory.display().to_string();
        line(&mut text, paint, "trace", &paint.bold(&directory));
    }
    text
}

fn line(text: &mut String, paint: Paint, label: &str, rest: &str) {
    let label = paint.dim(&format!("{label:<10}"));
    let _ = writeln!(text, "{label} {rest}");
}

fn recorded(summary: &Summary) -> String {
    let total = &summary.total;
    format!(
        "{} events in {} ({}), {} in {} packets",
        count(total.recorded),
        seconds(summary.duration_s),
        rate(summary.events_per_second()),
        bytes(total.bytes),
        count(total.packets)
    )
}

fn lost(counts: &Counts, paint: Paint) -> String {
    let lost = counts.lost.total();
    if lost == 0 {
        return paint.good("nothing");
    }
    let causes: Vec<String> = counts
        .lost
        .by_cause()
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(cause, n)| format!("{} {cause}", count(*n)))
        .collect();
    let share = lost as f64 * 100.0 / counts.emitted.max(1) as f64;
    let summary = format!(
        "{} events ({share:.2} %): {}",
        count(lost),
        causes.join(", ")
    );
    let advice = match (counts.lost.full, counts.lost.too_large) {
        (1.., _) => "; more --sub-buffers, a larger --sub-buffer-size or --mode block would help",
        (0, 1..) => "; an event has to fit into a sub-buffer (--sub-buffer-size) and into 128 KiB",
        (0, 0) => "",
    };
    format!("{}{advice}", paint.bad(&summary))
}

fn describe(text: &mut String, paint: Paint, process: &ProcessSummary, only: bool) {
    let mut what = format!("{} ({})", process.name, process.pid);
    if !only {
        let _ = write!(what, ": {}", briefly(&process.counts));
    }
    let _ = write!(what, ", clock {}", process.clock);
    if let Some(reason) = &process.rseq_off {
        let _ = write!(what, ", without rseq: {reason}");
    }
    let _ = write!(what, ", {} of memory", bytes(process.memory_bytes));
    line(text, paint, "process", &what);
    if only {
        describe_lanes(text, paint, &process.lanes);
    }
    problems(text, paint, &process.problems);
}

/// The ring that all processes wrote into, and what there is to say of each of them.
fn describe_shared(text: &mut String, paint: Paint, ring: &SharedSummary) {
    let kinds = match ring.event_kinds {
        1 => "1 kind".to_owned(),
        more => format!("{} kinds", count(more as u64)),
    };
    let what = format!(
        "{kinds} of event, clock {}, {} of memory",
        ring.clock,
        bytes(ring.memory_bytes)
    );
    line(text, paint, "shared", &what);
    describe_lanes(text, paint, &ring.lanes);
    problems(text, paint, &ring.problems);
    for process in ring.processes.iter().take(SHOWN_PROCESSES) {
        let mut what = format!("{} ({})", process.name, process.pid);
        if process.unfinished > 0 {
            let unfinished = format!(", {} unfinished when it died", count(process.unfinished));
            what += &paint.bad(&unfinished);
        }
        if let Some(reason) = &process.rseq_off {
            let _ = write!(what, ", without rseq: {reason}");
        }
        line(text, paint, "process", &what);
        problems(text, paint, &process.problems);
    }
    let more = ring.processes.len().saturating_sub(SHOWN_PROCESSES) as u64;
    let more = more + ring.processes_not_listed;
    if more > 0 {
        line(text, paint, "", &format!("and {} more", count(more)));
    }
}

fn describe_lanes(text: &mut String, paint: Paint, lanes: &[LaneSummary]) {
    if lanes.len() > SHOWN_LANES {
        return line(text, paint, "", &format!("{} lanes", lanes.len()));
    }
    for lane in lanes {
        let label = format!("  cpu {}", lane.cpu);
        line(text, paint, &label, &describe_lane(lane));
    }
}

fn problems(text: &mut String, paint: Paint, problems: &[String]) {
    for problem in problems {
        line(text, paint, "  problem", &paint.bad(problem));
    }
}

/// `1: 12,345 events of 2 processes (1.2 MiB), 400,000 overwritten before them, in trace/snapshot-1`.
pub(crate) fn describe_snapshot(snapshot: &SnapshotSummary) -> String {
    let SnapshotSummary {
        number,
        directory,
        processes,
        counts,
        ..
    } = snapshot;
    if *processes == 0 {
        return format!("{number}: nothing was attached");
    }
    let of = match processes {
        1 => "1 process".to_owned(),
        n => format!("{} processes", count(*n)),
    };
    let mut text = format!(
        "{number}: {} events of {of} ({})",
        count(counts.recorded),
        bytes(counts.bytes)
    );
    if counts.lost.overwritten > 0 {
        let _ = write!(
            text,
            ", {} overwritten before them",
            count(counts.lost.overwritten)
        );
    }
    let lost = counts.lost.total() - counts.lost.overwritten;
    if lost > 0 {
        let _ = write!(text, ", {} lost", count(lost));
    }
    let _ = write!(text, ", in {}", directory.display());
    text
}

fn describe_lane(lane: &LaneSummary) -> String {
    let kind = if lane.atomic { " (atomic lane)" } else { "" };
    format!("{}{kind}", briefly(&lane.counts))
}

fn briefly(counts: &Counts) -> String {
    let mut text = format!("{} events, {}", count(counts.recorded), bytes(counts.bytes));
    let lost = counts.lost.total();
    if lost > 0 {
        let _ = write!(text, ", lost {}", count(lost));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(lost_full: u64) -> Summary {
        let mut summary = Summary::default();
        summary.directory = "trace".into();
        summary.duration_s = 2.0;
        summary.total.recorded = 3_000_000;
        summary.total.lost.full = lost_full;
        summary.total.emitted = 3_000_000 + lost_full;
        summary
    }

    #[test]
    fn losses_are_told_with_their_cause_and_what_helps() {
        let text = lost(&summary(1_000_000).total, Paint::none());
        assert!(
            text.starts_with("1,000,000 events (25.00 %): 1,000,000 lane full"),
            "{text}"
        );
        assert!(text.contains("--sub-buffers"), "{text}");
        assert_eq!(lost(&summary(0).total, Paint::none()), "nothing");
    }

    #[test]
    fn an_event_that_is_too_large_is_told_what_it_has_to_fit_into() {
        let mut summary = summary(0);
        summary.total.lost.too_large = 1;
        let text = lost(&summary.total, Paint::none());
        assert!(text.contains("1 too large; an event has to fit"), "{text}");
    }

    #[test]
    fn the_rate_is_that_of_the_whole_session() {
        let text = recorded(&summary(0));
        assert!(
            text.starts_with("3,000,000 events in 2.00 s (1.5 million/s)"),
            "{text}"
        );
    }

    #[test]
    fn a_recording_of_nothing_has_no_summary_of_its_own() {
        assert_eq!(text(&Summary::default(), Paint::none()), "");
    }
}
