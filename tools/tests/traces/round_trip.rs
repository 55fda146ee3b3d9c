//! What was recorded, in every format, as whoever that format is for reads it.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::run::{babeltrace2, python, text};

/// Events of each of the workload's threads.
const BURST: u64 = 300;

#[test]
fn a_recorded_trace_arrives_whole_in_every_format() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("tree")).unwrap();
    fs::write(dir.path().join("tree/file"), "line\n").unwrap();
    let laneway = env!("CARGO_BIN_EXE_laneway");
    let burst = BURST.to_string();
    let workload = [laneway, "demo-workload", "tree", "--burst", &burst];
    let record = ["record", "--quiet", "-o", "t", "--"];
    text(&dir, &[&record[..], &workload].concat());
    let events = text(&dir, &["view", "t", "--json"]);
    let count = events.lines().count();
    assert!(count as u64 >= 3 * BURST, "{count}");
    let want = babeltrace2(&dir.path().join("t"));
    assert_eq!(want.lines().count(), count);

    let export = |format: &str| {
        text(&dir, &["export", "t", "--to", format, "-o", format]);
        dir.path().join(format)
    };
    assert_eq!(babeltrace2(&export("ctf-1.8")), want);
    export("ctf-2");
    let two = ["view", "ctf-2", "--format", "babeltrace", "--clock-gmt"];
    assert_eq!(text(&dir, &two), want);

    assert_eq!(fs::read_to_string(export("json")).unwrap(), events);
    let chrome = fs::read_to_string(export("chrome")).unwrap();
    let chrome: Value = serde_json::from_str(&chrome).unwrap();
    let phases = chrome["traceEvents"].as_array().unwrap().iter();
    assert_eq!(phases.filter(|event| event["ph"] == "i").count(), count);

    let read = |how: &str, path: &std::path::Path| -> usize {
        let printed = python(&format!("path = {:?}\n{how}", path.display().to_string()));
        printed.trim().parse().unwrap()
    };
    let csv = "import csv\nprint(sum(len(row['event']) > 0 for row in csv.DictReader(open(path, newline=''))))";
    assert_eq!(read(csv, &export("csv")), count);
    let perfetto = "from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace\n\
                    t = Trace()\nt.ParseFromString(open(path, 'rb').read())\n\
                    print(sum(p.HasField('track_event') for p in t.packet))";
    assert_eq!(read(perfetto, &export("perfetto")), count);
    if cfg!(feature = "parquet") {
        let parquet = "import glob, pyarrow.parquet as pq\n\
                       print(sum(pq.read_metadata(f).num_rows for f in glob.glob(path + '/*.parquet')))";
        assert_eq!(read(parquet, &export("parquet")), count);
    }
}
