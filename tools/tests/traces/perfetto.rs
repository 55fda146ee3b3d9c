//! Perfetto traces, read with the protobuf definitions of Perfetto's own Python package.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::made::{EVENTS, Made, trace};
use crate::run::{python, text};

/// What is in a trace: the tracks with those above them, and the events with their arguments.
fn read(dir: &TempDir, file: &str) -> (Vec<String>, Vec<Value>) {
    let script = format!(
        r#"
import json
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace
trace = Trace()
trace.ParseFromString(open({:?}, "rb").read())
tracks, names, cleared = {{}}, [{{}}, {{}}, {{}}], False

def track(uuid):
    own, parent = tracks[uuid]
    return track(parent) + "/" + own if parent else own

def value(a):
    kind = a.WhichOneof("value")
    if a.dict_entries:
        return {{names[2][e.name_iid]: value(e) for e in a.dict_entries}}
    if a.array_values:
        return [value(e) for e in a.array_values]
    return getattr(a, kind) if kind else []

for packet in trace.packet:
    assert packet.trusted_packet_sequence_id == 1
    cleared |= bool(packet.sequence_flags & 1)
    if packet.HasField("clock_snapshot"):
        clocks = {{c.clock_id: c.timestamp for c in packet.clock_snapshot.clocks}}
        assert clocks[1] == clocks[6] == packet.timestamp, clocks
    if packet.HasField("track_descriptor"):
        d = packet.track_descriptor
        if d.HasField("process"):
            own = f"process {{d.process.pid}} {{d.process.process_name}}"
        elif d.HasField("thread"):
            own = f"thread {{d.thread.pid}} {{d.thread.tid}}"
        else:
            own = f"{{d.name}}"
        assert d.uuid not in tracks
        tracks[d.uuid] = own, d.parent_uuid
        print(track(d.uuid))
    data = packet.interned_data
    for known, fresh in zip(names, [data.event_categories, data.event_names, data.debug_annotation_names]):
        known.update({{n.iid: n.name for n in fresh}})
    if packet.HasField("track_event"):
        e = packet.track_event
        assert cleared and packet.sequence_flags == 2 and e.type == e.TYPE_INSTANT
        print(json.dumps({{
            "time": packet.timestamp, "track": track(e.track_uuid), "name": names[1][e.name_iid],
            "category": [names[0][c] for c in e.category_iids],
            "args": {{names[2][a.name_iid]: value(a) for a in e.debug_annotations}},
        }}))
"#,
        dir.path().join(file).display().to_string()
    );
    let printed = python(&script);
    let (events, tracks): (Vec<_>, Vec<_>) = printed.lines().partition(|l| l.starts_with('{'));
    let events = events
        .iter()
        .map(|line| serde_json::from_str(line).unwrap());
    (
        tracks.into_iter().map(str::to_owned).collect(),
        events.collect(),
    )
}

#[test]
fn events_are_instants_of_their_threads_with_all_their_fields() {
    let dir = trace();
    text(
        &dir,
        &["export", "t", "--to", "perfetto", "-o", "t.pftrace"],
    );
    let (tracks, events) = read(&dir, "t.pftrace");
    let threads = [
        "process 4711 shop/thread 4711 100",
        "process 4711 shop/thread 4711 101",
    ];
    assert_eq!(tracks, ["process 4711 shop", threads[0], threads[1]]);
    let view = text(&dir, &["view", "t", "--json"]);
    assert_eq!(events.len() as u64, EVENTS);
    for ((n, event), line) in events.iter().enumerate().zip(view.lines()) {
        let wanted: Value = serde_json::from_str(line).unwrap();
        let mut args = wanted["fields"].clone();
        args["cpu"] = 3.into();
        if args.get("note").is_some_and(Value::is_null) {
            args["note"] = "".into();
        }
        let wanted = json!({
            "time": 1_795_164_000_000_000_000 + n as u64 * 1_000_000,
            "track": threads[n % 2],
            "name": wanted["name"],
            "category": ["shop"],
            "args": args,
        });
        assert_eq!(*event, wanted);
    }
}

#[test]
fn events_are_shown_along_cpus_if_asked_for_or_if_they_have_no_thread() {
    let dir = trace();
    let export = ["export", "t", "--to", "perfetto", "-e", "shop:tick"];
    text(
        &dir,
        &[&export[..], &["--tracks", "cpu", "-o", "cpu"]].concat(),
    );
    let (tracks, events) = read(&dir, "cpu");
    assert_eq!(tracks, ["CPUs", "CPUs/CPU 3"]);
    assert!(events.iter().all(|event| event["track"] == "CPUs/CPU 3"));
    assert_eq!(events.len() as u64, EVENTS / 5);

    text(
        &dir,
        &[&export[..], &["--tracks", "thread,cpu", "-o", "both"]].concat(),
    );
    let (tracks, events) = read(&dir, "both");
    assert_eq!(tracks.len(), 5, "{tracks:?}");
    assert_eq!(events.len() as u64, 2 * EVENTS / 5);

    let made = Made {
        thread_ids: false,
        ..Made::default()
    };
    made.write(&dir.path().join("no threads"));
    text(
        &dir,
        &["export", "no threads", "--to", "perfetto", "-o", "none"],
    );
    let (tracks, events) = read(&dir, "none");
    assert_eq!(tracks, ["CPUs", "CPUs/CPU 3"]);
    assert_eq!(events.len() as u64, EVENTS);
}
