//! What was counted, for people: a few lines, and tables below each other.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Share, Stats, StreamStats};
use crate::output::Paint;
use crate::units::{bytes, count};

/// Rows of a table that are shown unless all are asked for.
const ROWS: usize = 20;

/// Everything; times are those of a zone.
pub(super) fn table(stats: &Stats, zone: &TimeZone, paint: Paint, all: bool) -> String {
    let mut out = head(stats, zone, paint);
    let mut tables = Tables {
        out: &mut out,
        paint,
        most: if all { usize::MAX } else { ROWS },
    };
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let header = ["EVENT", "COUNT", "SHARE", "PER SECOND", "BYTES"];
    tables.add(&header, &stats.events, |event| {
        let rate = event.rate.map_or("-".to_owned(), |rate| count(rate as u64));
        let share = percent(event.share);
        vec![
            event.name.clone(),
            count(event.count),
            share,
            rate,
            bytes(event.bytes),
        ]
    });
    for (title, shares) in [
        ("PROCESS", &stats.processes),
        ("THREAD", &stats.threads),
        ("CPU", &stats.cpus),
    ] {
        tables.add(&[title, "COUNT", "SHARE"], shares, |share: &Share| {
            vec![share.id.clone(), count(share.count), percent(share.share)]
        });
    }
    let header = [
        "STREAM",
        "COUNT",
        "LOST",
        "BYTES",
        "PACKETS",
        "FILL",
        "LONGEST GAP",
    ];
    tables.add(&header, &stats.streams, |stream: &StreamStats| {
        vec![
            stream.file.clone(),
            count(stream.events),
            count(stream.lost),
            bytes(stream.bytes),
            count(stream.packets),
            stream.fill.map_or("-".to_owned(), percent),
            stream.longest_gap_ns.map_or("-".to_owned(), duration),
        ]
    });
    out
}

/// How many events, when, and what is not among them.
fn head(stats: &Stats, zone: &TimeZone, paint: Paint) -> String {
    let at = |ns: i64| {
        let time = Timestamp::from_nanosecond(i128::from(ns)).unwrap_or_default();
        let offset = zone.to_offset(time);
        format!("{:.9}", time.display_with_offset(offset))
    };
    let span = match (stats.begin_ns, stats.duration_ns) {
        (Some(begin), Some(ns)) => {
            format!("{} to {}, {}", at(begin), at(begin + ns), duration(ns))
        }
        _ => "no times".to_owned(),
    };
    let events = paint.bold(&format!("{} events", count(stats.events_total)));
    let mut out = format!("{events}, {span}\n");
    let mut lost = |text: String, any: bool| {
        out += &if any { paint.bad(&text) } else { text };
        out.push('\n');
    };
    let (events, packets) = (stats.lost_events, stats.lost_packets);
    lost(
        format!(
            "{} events lost, {} packets lost",
            count(events),
            count(packets)
        ),
        events + packets > 0,
    );
    if stats.lost_unknown > 0 {
        let text = "an unknown number of events was lost before the trace begins";
        lost(text.to_owned(), true);
    }
    out
}

/// A time to six digits behind the second.
fn duration(ns: i64) -> String {
    format!("{:.6} s", ns as f64 / 1e9)
}

struct Tables<'a> {
    out: &'a mut String,
    paint: Paint,
    most: usize,
}

impl Tables<'_> {
    /// A table: the first column to the left, the others to the right. None if there is nothing in it.
    fn add<T>(&mut self, header: &[&str], entries: &[T], row: impl Fn(&T) -> Vec<String>) {
        if entries.is_empty() {
            return;
        }
        let rows: Vec<_> = entries.iter().take(self.most).map(row).collect();
        let width = |i: usize| {
            let cells = rows.iter().map(|row| row[i].chars().count());
            cells.chain([header[i].len()]).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..header.len()).map(width).collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut text = String::new();
            for (i, (cell, width)) in cells.zip(&widths).enumerate() {
                text += &match i {
                    0 => format!("{cell:<width$}"),
                    _ => format!("  {cell:>width$}"),
                };
            }
            text.trim_end().to_owned()
        };
        let header = line(&mut header.iter().copied());
        *self.out += &format!("\n{}\n", self.paint.bold(&header));
        for row in &rows {
            *self.out += &line(&mut row.iter().map(String::as_str));
            self.out.push('\n');
        }
        if entries.len() > rows.len() {
            let more = format!(
                "… and {} more: --all",
                count((entries.len() - rows.len()) as u64)
            );
            *self.out += &format!("{}\n", self.paint.dim(&more));
        }
    }
}
