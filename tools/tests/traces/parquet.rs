//! Tables of Parquet, read back by pyarrow and by the parquet crate.

use std::fs::{self, File};
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampNanosecondType, UInt16Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use laneway_ctf::model::{
    Boolean, ByteOrder, EventClass, FieldLocation, Float, Integer, Range, Shape, StringClass,
    Structure, Variant, VariantOption,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::made::{EVENTS, Made, trace};
use crate::run::{python, text};

/// All rows of all tables in a directory, each as the object that pyarrow makes of it; times in nanoseconds.
fn rows(directory: &Path) -> Vec<Value> {
    let script = format!(
        r#"
import glob, json
import pyarrow as pa, pyarrow.parquet as pq
for path in sorted(glob.glob({:?} + "/*.parquet")):
    table = pq.read_table(path)
    table = table.set_column(0, "time", table["time"].cast(pa.int64()))
    for row in table.to_pylist():
        print(json.dumps(row, default=lambda blob: blob.hex()))
"#,
        directory.display().to_string()
    );
    let printed = python(&script);
    let lines = printed.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The columns of a table and their types, as pyarrow names them.
fn schema(file: &Path) -> String {
    let script = format!(
        "import pyarrow.parquet as pq\nfor f in pq.read_schema({:?}): print(f.name, f.type)",
        file.display().to_string()
    );
    python(&script)
}

fn batches(file: &Path) -> (usize, Vec<RecordBatch>) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap();
    let groups = reader.metadata().num_row_groups();
    (
        groups,
        reader.build().unwrap().map(Result::unwrap).collect(),
    )
}

#[test]
fn every_event_has_a_table_of_typed_columns() {
    let dir = trace();
    text(&dir, &["export", "t", "--to", "parquet", "-o", "tables"]);
    let tables = dir.path().join("tables");
    assert_eq!(
        schema(&tables.join("shop.order.parquet")),
        "time timestamp[ns, tz=UTC]\nevent string\ncpu uint32\nprocess string\npid int64\ntid int64\n\
         id uint64\ntotal double\nwho string\nitems list<item: uint16>\nnote string\n"
    );
    assert_eq!(fs::read_dir(&tables).unwrap().count(), 2);

    let (groups, batches) = batches(&tables.join("shop.order.parquet"));
    assert_eq!((groups, batches.len()), (1, 1));
    let rows = &batches[0];
    assert_eq!(rows.num_rows() as u64, EVENTS * 4 / 5);
    let ids = rows["id"].as_primitive::<UInt64Type>();
    let ids: Vec<_> = ids.iter().flatten().collect();
    let wanted: Vec<_> = (0..EVENTS).filter(|n| n % 5 != 4).collect();
    assert_eq!(ids, wanted);
    for (row, id) in wanted.into_iter().enumerate() {
        let time = rows["time"].as_primitive::<TimestampNanosecondType>();
        assert_eq!(
            time.value(row),
            1_795_164_000_000_000_000 + id as i64 * 1_000_000
        );
        let total = rows["total"].as_primitive::<Float64Type>();
        assert_eq!(total.value(row), id as f64 / 2.0);
        let items = rows["items"].as_list::<i32>().value(row);
        let items = items.as_primitive::<UInt16Type>();
        assert_eq!(items.values().to_vec(), [1, id as u16 & 0xff]);
        let note = rows["note"].as_string::<i32>();
        assert_eq!(note.is_valid(row), id % 3 == 0);
        assert!(note.is_null(row) || note.value(row) == "hey");
    }
}

#[test]
fn the_rows_are_the_events_of_the_trace() {
    let dir = trace();
    let everything = of_every_kind();
    Made {
        pid: 2,
        later_ns: 17,
        ..everything
    }
    .write(&dir.path().join("all"));
    for (name, slice) in [("t", false), ("all", false), ("t", true), ("all", true)] {
        let select: &[&str] = match slice {
            true => &["--since", "+10ms", "-w", "vtid == 101"],
            false => &[],
        };
        let out = format!("{name}-{slice}");
        text(
            &dir,
            &[&["export", name, "--to", "parquet", "-o", &out], select].concat(),
        );
        let mut rows = rows(&dir.path().join(&out));
        rows.sort_by_key(|row| row["time"].as_i64());
        let events = text(&dir, &[&["view", name, "--json"], select].concat());
        let mut wanted = Vec::new();
        for line in events.lines() {
            let mut event: Value = serde_json::from_str(line).unwrap();
            let mut row = event["fields"].take();
            row["event"] = event["name"].take();
            row["time"] = nanoseconds(event["time"].as_str().unwrap()).into();
            for key in ["cpu", "process", "pid", "tid"] {
                row[key] = event[key].take();
            }
            wanted.push(row);
        }
        for row in wanted.iter_mut().filter(|row| row.get("either").is_some()) {
            // A variant is a structure of its options, and what has no label is text nevertheless.
            let either = row["either"].take();
            row["either"] = match either {
                Value::String(_) => json!({"text": either, "number": null}),
                _ => json!({"text": null, "number": either}),
            };
            if let Some(state) = row["state"].as_u64() {
                row["state"] = state.to_string().into();
            }
        }
        assert_eq!(rows.len(), wanted.len(), "{out}");
        for (row, wanted) in rows.iter().zip(&wanted) {
            assert_eq!(row, wanted, "{out}");
        }
    }
}

fn nanoseconds(time: &str) -> i64 {
    let time: jiff::Timestamp = time.parse().unwrap();
    time.as_nanosecond() as i64
}

/// Events with a field of every kind, some in others.
fn of_every_kind() -> Made {
    let point = || {
        Shape::Structure(vec![
            ("x".to_owned(), Integer::signed(16).into()),
            ("name".to_owned(), StringClass::default().into()),
        ])
    };
    let state = Integer::unsigned(8)
        .label("NEW", 0, 0)
        .label("LATE", 10, 20);
    let either = Variant {
        selector: FieldLocation::sibling("which"),
        options: vec![
            option("text", StringClass::default(), 0),
            option("number", Integer::signed(64), 1),
        ],
    };
    let truth = Boolean {
        bits: 8,
        align: 8,
        order: ByteOrder::Little,
        reversed: false,
    };
    let fields = [
        ("byte", Integer::signed(8).into()),
        ("word", Integer::unsigned(32).into()),
        ("single", Float::new(32).into()),
        ("flag", Shape::Bool),
        ("truth", truth.into()),
        ("state", state.into()),
        ("big", Shape::Signed128),
        ("raw", Shape::Bytes),
        ("point", point()),
        ("points", Shape::Sequence(Box::new(point()))),
        (
            "table",
            Shape::Array(
                2,
                Box::new(Shape::Sequence(Box::new(Integer::unsigned(8).into()))),
            ),
        ),
        ("maybe", Shape::Optional(Box::new(point()))),
        (
            "which",
            Integer::unsigned(8)
                .label("text", 0, 0)
                .label("number", 1, 1)
                .into(),
        ),
        ("either", either.into()),
    ];
    let fields = fields.map(|(name, shape): (&str, Shape)| (name.to_owned(), shape));
    Made {
        classes: vec![
            EventClass::new(0, "kinds:all", Structure::of_shapes(fields)),
            EventClass::new(1, "kinds:none", Structure::new()),
        ],
        event: |n| match n % 7 {
            6 => (1, Vec::new()),
            _ => (0, every_kind(n)),
        },
        ..Made::default()
    }
}

fn option(
    name: &str,
    class: impl Into<laneway_ctf::model::FieldClass>,
    value: i128,
) -> VariantOption {
    VariantOption {
        name: Some(name.to_owned()),
        class: class.into(),
        ranges: vec![Range::new(value, value)],
        attributes: None,
    }
}

fn every_kind(n: u64) -> Vec<u8> {
    let mut bytes = vec![n as u8 ^ 0x80];
    let mut put = |more: &[u8]| bytes.extend_from_slice(more);
    let point = |i: u64| [&(i as i16 - 50).to_le_bytes()[..], b"p\xc3\xa9\0"].concat();
    put(&(u32::MAX - n as u32).to_le_bytes());
    put(&(n as f32 / 4.0).to_le_bytes());
    put(&[n as u8 % 2, n as u8 % 3]);
    put(&[n as u8 % 22]);
    put(&(-(n as i128) << 70).to_le_bytes());
    put(&(n as u32 % 4).to_le_bytes());
    put(&[0, 1, 0xff, 7][..n as usize % 4]);
    put(&point(n));
    put(&(n as u32 % 3).to_le_bytes());
    (0..n % 3).for_each(|i| put(&point(i)));
    for length in [n as u32 % 2, 3] {
        put(&length.to_le_bytes());
        put(&[n as u8, 2, 3][..length as usize]);
    }
    match n % 4 {
        0 => put(&[0]),
        _ => put(&[&[1][..], &point(n + 1)].concat()),
    }
    match n % 2 {
        0 => put(b"\0either\0"),
        _ => put(&[&[1][..], &(-(n as i64)).to_le_bytes()].concat()),
    }
    bytes
}

#[test]
fn events_of_one_name_but_other_fields_have_tables_of_their_own() {
    let dir = TempDir::new().unwrap();
    let tick = |bits| Structure::new().with("id", Integer::unsigned(bits));
    for (pid, bits) in [(1, 64), (2, 32), (3, 64)] {
        Made {
            pid,
            classes: vec![EventClass::new(0, "shop:tick", tick(bits))],
            event: match bits {
                64 => |n| (0, n.to_le_bytes().to_vec()),
                _ => |n| (0, (n as u32).to_le_bytes().to_vec()),
            },
            ..Made::default()
        }
        .write(&dir.path().join(format!("session/{pid}")));
    }
    text(
        &dir,
        &["export", "session", "--to", "parquet", "-o", "tables"],
    );
    let tables = dir.path().join("tables");
    let count = |file: &str| {
        let (_, batches) = batches(&tables.join(file));
        batches.iter().map(RecordBatch::num_rows).sum::<usize>() as u64
    };
    assert_eq!(count("shop.tick.parquet"), 2 * EVENTS);
    assert_eq!(count("shop.tick-2.parquet"), EVENTS);
}

#[test]
fn fields_keep_out_of_each_others_way() {
    let dir = TempDir::new().unwrap();
    let fields = ["time", "Event", "pid", "pid_2"];
    let fields = fields.map(|name| (name.to_owned(), Integer::unsigned(8).into()));
    Made {
        classes: vec![EventClass::new(
            0,
            "../odd name",
            Structure::of_shapes(fields),
        )],
        event: |n| (0, vec![n as u8, 1, 2, 3]),
        ..Made::default()
    }
    .write(&dir.path().join("t"));
    text(&dir, &["export", "t", "--to", "parquet", "-o", "tables"]);
    let rows = rows(&dir.path().join("tables"));
    assert_eq!(rows.len() as u64, EVENTS);
    let wanted = json!({
        "time": 1_795_164_000_005_000_000u64, "event": "../odd name", "cpu": 3, "process": "shop", "pid": 4711,
        "tid": 101, "time_2": 5, "Event_2": 1, "pid_2": 2, "pid_2_2": 3,
    });
    assert_eq!(rows[5], wanted);
}

#[test]
fn rows_do_not_pile_up_in_memory() {
    let dir = TempDir::new().unwrap();
    let class = |id| {
        let fields = Structure::new().with("text", StringClass::default());
        EventClass::new(id, format!("large:{id}"), fields)
    };
    let made = Made {
        packets: 200,
        classes: vec![class(0), class(1)],
        event: |n| {
            (
                n % 2,
                format!("{}\0", n.to_string().repeat(8_000)).into_bytes(),
            )
        },
        ..Made::default()
    };
    made.write(&dir.path().join("t"));
    let size = fs::metadata(dir.path().join("t/lane_3")).unwrap().len();
    assert!(size > 128 << 20, "more than may be held: {size}");
    text(&dir, &["export", "t", "--to", "parquet", "-o", "tables"]);
    let mut all = 0;
    for id in [0, 1] {
        let (groups, batches) = batches(&dir.path().join(format!("tables/large.{id}.parquet")));
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows as u64, 200 * 25 / 2);
        all += groups;
    }
    assert!(all >= 3, "{all} row groups");
}
