//! `laneway stats`: how many events of each kind, from where, and what was lost.
//!
//! ```text
//!  EVENT        COUNT   SHARE    RATE/S   BYTES
//!  shop:order     200  80.0 %    40,000    18 K
//! ```
//! Rates are over the time from the first event to the last. Gaps are between events that follow each other in a stream.

mod table;

use std::collections::BTreeMap;
use std::io::{self, Write};

use anyhow::Context;
use jiff::tz::TimeZone;
use laneway_ctf::read::{Item, Loss, Lost, Notice};
use serde::Serialize;

use super::json::rfc3339;
use super::select::{Origin, SelectArgs};
use crate::output::Paint;
use crate::progress::Progress;

const EXAMPLES: &str = "\
Examples:
  laneway stats trace/
  laneway stats trace/ -e 'shop:*' --since +1s
  laneway stats trace/ --json | jq '.events[0]'

Exit codes:
  0  success
  1  nothing could be read
  2  the command line is wrong
  3  parts of the trace are damaged: what could be read was counted";

/// Count the events of traces by kind, process, thread, CPU and stream
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    select: SelectArgs,

    /// Everything as one JSON object
    #[arg(long)]
    json: bool,

    /// All rows of every table, and not only the first
    #[arg(short, long)]
    all: bool,
}

#[derive(Debug, Default, Serialize)]
struct Stats {
    events_total: u64,
    lost_events: u64,
    /// Counters that began above zero: how much was lost before is not known.
    lost_unknown: u64,
    lost_packets: u64,
    /// When the first event was.
    #[serde(skip)]
    begin_ns: Option<i64>,
    begin: Option<String>,
    end: Option<String>,
    duration_ns: Option<i64>,
    events: Vec<EventStats>,
    processes: Vec<Share>,
    threads: Vec<Share>,
    cpus: Vec<Share>,
    streams: Vec<StreamStats>,
    damage: Vec<String>,
}

#[derive(Debug, Serialize)]
struct EventStats {
    name: String,
    count: u64,
    share: f64,
    rate: Option<f64>,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct Share {
    id: String,
    count: u64,
    share: f64,
}

#[derive(Debug, Default, Serialize)]
struct StreamStats {
    file: String,
    events: u64,
    bytes: u64,
    lost: u64,
    packets: u64,
    /// How much of the packets' size is content, from 0 to 1.
    fill: Option<f64>,
    longest_gap_ns: Option<i64>,
    #[serde(skip)]
    last_ns: Option<i64>,
    #[serde(skip)]
    packet: Option<u64>,
    #[serde(skip)]
    content_bits: u64,
    #[serde(skip)]
    size_bits: u64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let stats = gather(args)?;
    let text = match args.json {
        true => serde_json::to_string_pretty(&stats)? + "\n",
        false => table::table(&stats, &TimeZone::system(), Paint::for_stdout(), args.all),
    };
    io::stdout()
        .write_all(text.as_bytes())
        .context("cannot write")?;
    for damage in &stats.damage {
        eprintln!("laneway: {damage}");
    }
    Ok(if stats.damage.is_empty() { 0 } else { 3 })
}

fn gather(args: &Args) -> anyhow::Result<Stats> {
    let (traces, mut selection) = args.select.open(&TimeZone::system())?;
    let mut reader = selection.reader(&traces);
    let mut stats = Stats::default();
    let mut by_class: BTreeMap<(usize, usize), (String, u64, u64)> = BTreeMap::new();
    let mut origins: Origins = BTreeMap::new();
    let mut streams: Vec<StreamStats> = (0..reader.streams())
        .map(|i| StreamStats {
            file: reader.stream(i).first_file().display().to_string(),
            ..StreamStats::default()
        })
        .collect();
    let (mut first, mut last) = (None, None);
    let mut progress = Progress::of("count", &traces);
    loop {
        progress.event(&reader);
        let event = match reader.next_item() {
            None => break,
            Some(Item::Event(event)) => event,
            Some(Item::Notice(Notice::Lost(loss))) => {
                add_loss(&mut stats, &mut streams, &loss);
                continue;
            }
            Some(Item::Notice(Notice::Damage(damage))) => {
                stats.damage.push(damage.to_string());
                continue;
            }
        };
        if selection.is_over(&event) {
            break;
        }
        if !selection.takes(&event) {
            continue;
        }
        stats.events_total += 1;
        let key = (event.stream_index(), event.class_index());
        let class = by_class
            .entry(key)
            .or_insert_with(|| (event.name().to_owned(), 0, 0));
        class.1 += 1;
        class.2 += event.bits().div_ceil(8);
        let origin = Origin::of(&event);
        let from = origins
            .entry((origin.process, origin.thread, origin.cpu))
            .or_default();
        from.1 += 1;
        if from.0.is_none() {
            from.0 = origin.name;
        }
        let stream = &mut streams[event.stream_index()];
        stream.events += 1;
        stream.bytes += event.bits().div_ceil(8);
        if stream.packet != Some(event.stream().packets()) {
            stream.packet = Some(event.stream().packets());
            stream.packets += 1;
            stream.content_bits += event.packet().content;
            stream.size_bits += event.packet().size;
        }
        if let Some(ns) = event.ns() {
            first.get_or_insert(ns);
            last = Some(ns);
            if let Some(before) = stream.last_ns.replace(ns) {
                stream.longest_gap_ns = stream.longest_gap_ns.max(Some(ns - before));
            }
        }
    }
    let total = stats.events_total.max(1) as f64;
    stats.begin_ns = first;
    stats.begin = first.map(rfc3339);
    stats.end = last.map(rfc3339);
    stats.duration_ns = first.zip(last).map(|(first, last)| last - first);
    let seconds = stats
        .duration_ns
        .filter(|ns| *ns > 0)
        .map(|ns| ns as f64 / 1e9);
    // Streams of one trace have their event classes in common.
    let mut by_name: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (name, events, bytes) in by_class.into_values() {
        let sum = by_name.entry(name).or_default();
        sum.0 += events;
        sum.1 += bytes;
    }
    stats.events = by_name
        .into_iter()
        .map(|(name, (count, bytes))| EventStats {
            name,
            count,
            share: count as f64 / total,
            rate: seconds.map(|seconds| count as f64 / seconds),
            bytes,
        })
        .collect();
    stats
        .events
        .sort_by_key(|event| std::cmp::Reverse(event.count));
    let id = |id: Option<i64>| id.map_or("-".to_owned(), |id| id.to_string());
    stats.processes = shares(&origins, total, |(process, ..), name| {
        name.map_or(id(*process), |name| format!("{} {name}", id(*process)))
    });
    stats.threads = shares(&origins, total, |(_, thread, _), _| id(*thread));
    stats.cpus = shares(
        &origins,
        total,
        |(.., cpu), _| id(cpu.map(|cpu| cpu as i64)),
    );
    for stream in &mut streams {
        stream.fill =
            (stream.size_bits > 0).then(|| stream.content_bits as f64 / stream.size_bits as f64);
    }
    stats.streams = streams;
    Ok(stats)
}

fn add_loss(stats: &mut Stats, streams: &mut [StreamStats], loss: &Loss) {
    match (loss.what, loss.count) {
        (Lost::Events, Some(lost)) => {
            stats.lost_events += lost;
            streams[loss.stream].lost += lost;
        }
        (Lost::Events, None) => stats.lost_unknown += 1,
        (Lost::Packets, lost) => stats.lost_packets += lost.unwrap_or(0),
    }
}

/// Process, thread and CPU.
type Key = (Option<i64>, Option<i64>, Option<u64>);

/// The process's name and the number of events from there.
type Origins = BTreeMap<Key, (Option<String>, u64)>;

fn shares(origins: &Origins, total: f64, id: impl Fn(&Key, Option<&str>) -> String) -> Vec<Share> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for (key, (name, count)) in origins {
        *sums.entry(id(key, name.as_deref())).or_default() += count;
    }
    let mut shares: Vec<_> = sums
        .into_iter()
        .map(|(id, count)| Share {
            id,
            count,
            share: count as f64 / total,
        })
        .collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.count));
    shares
}
