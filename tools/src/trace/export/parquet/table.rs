//! One event's table: a Parquet file.
//!
//! ```text
//!  time  event  cpu  process  pid  tid │ context fields │ payload fields
//! ```
//! A field whose name is taken, in whatever case, gets a number behind it: `time_2`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};
use laneway_ctf::model::{Scope, Structure};
use laneway_ctf::read::Event;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::columns::{Cells, Columns, Index, time_type};
use super::fill::Filler;
use crate::trace::select::{Origin, is_origin};

/// Rows that are handed to the encoder at once, or fewer if they are large.
const BATCH_ROWS: usize = 8 << 10;
const BATCH_BYTES: u64 = 4 << 20;

/// About how many bytes the columns take that every table has.
const ROW: u64 = 64;

/// Rows of a row group at most.
const GROUP: usize = 1 << 20;

/// The scopes whose fields become columns.
const SCOPES: [Scope; 3] = [Scope::EventContext, Scope::OwnContext, Scope::Payload];

/// What a table is made of: events of the same shape share one.
#[derive(Clone, PartialEq)]
pub(super) struct Shape {
    name: String,
    scopes: [Option<Structure>; 3],
}

impl Shape {
    pub(super) fn of(event: &Event<'_>) -> Shape {
        let class = event.class();
        let scopes = [
            &event.stream().class().event_context,
            &class.context,
            &class.payload,
        ];
        Shape {
            name: event.name().to_owned(),
            scopes: scopes.map(Clone::clone),
        }
    }

    /// The name of the event.
    pub(super) fn name(&self) -> &str {
        match self.name.as_str() {
            "" => "unnamed",
            name => name,
        }
    }
}

/// The columns that every table begins with.
struct Fixed {
    time: Index,
    event: Index,
    cpu: Index,
    process: Index,
    pid: Index,
    tid: Index,
}

/// A table that is being written.
pub(super) struct Table {
    path: PathBuf,
    name: String,
    columns: Columns,
    fixed: Fixed,
    /// For each scope, the structure whose members are its columns.
    scopes: [Option<Index>; 3],
    /// The columns of the file, in order.
    shown: Vec<Index>,
    schema: Arc<Schema>,
    writer: ArrowWriter<Appended>,
    /// Rows that the encoder has not seen.
    rows: usize,
    /// About how many bytes they take.
    batch: u64,
    /// About how many bytes of memory the row group at hand takes.
    held: u64,
}

impl Table {
    /// A new file.
    pub(super) fn create(path: PathBuf, shape: &Shape) -> Result<Table> {
        let mut columns = Columns::default();
        let fixed = Fixed {
            time: columns.numbers(time_type()),
            event: columns.texts(),
            cpu: columns.numbers(DataType::UInt32),
            process: columns.texts(),
            pid: columns.numbers(DataType::Int64),
            tid: columns.numbers(DataType::Int64),
        };
        let mut shown = Shown::default();
        for (name, column) in [
            ("time", fixed.time),
            ("event", fixed.event),
            ("cpu", fixed.cpu),
            ("process", fixed.process),
            ("pid", fixed.pid),
            ("tid", fixed.tid),
        ] {
            shown.add(name, column);
        }
        let scopes = [0, 1, 2].map(|i| {
            let mut members = columns.of_structure(shape.scopes[i].as_ref()?);
            for member in &mut members {
                // These are columns already.
                if SCOPES[i] != Scope::Payload && is_origin(&member.name) {
                    member.column = None;
                }
                if let Some(column) = member.column {
                    shown.add(&member.name, column);
                }
            }
            Some(columns.add(Cells::Structure(members)))
        });
        let fields: Vec<_> = shown
            .names
            .iter()
            .zip(&shown.columns)
            .map(|(name, &column)| Field::new(name, columns.data_type(column), true))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("laneway version ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(vec![KeyValue::new(
                "event".to_owned(),
                shape.name.clone(),
            )]))
            .set_max_row_group_row_count(Some(GROUP))
            .build();
        let file =
            Appended::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties))
            .map_err(|e| cannot_write(&path, e))?;
        Ok(Table {
            path,
            name: shape.name.clone(),
            columns,
            fixed,
            scopes,
            shown: shown.columns,
            schema,
            writer,
            rows: 0,
            batch: 0,
            held: 0,
        })
    }

    /// Adds a row.
    pub(super) fn row(&mut self, event: &Event<'_>) -> Result<()> {
        let origin = Origin::of(event);
        self.number(self.fixed.time, event.ns().map(|ns| ns as u64));
        self.text(self.fixed.event, Some(event.name()));
        self.number(
            self.fixed.cpu,
            origin.cpu.filter(|&cpu| u32::try_from(cpu).is_ok()),
        );
        self.text(self.fixed.process, origin.name.as_deref());
        self.number(self.fixed.pid, origin.process.map(|id| id as u64));
        self.number(self.fixed.tid, origin.thread.map(|id| id as u64));
        for (scope, column) in SCOPES.into_iter().zip(self.scopes) {
            if let Some(column) = column {
                event.visit(scope, &mut Filler::new(&mut self.columns, column));
            }
        }
        let bytes = event.bits().div_ceil(8) + ROW;
        self.held += bytes;
        self.rows += 1;
        self.batch += bytes;
        if self.rows == BATCH_ROWS || self.batch >= BATCH_BYTES {
            self.encode()?;
        }
        Ok(())
    }

    fn number(&mut self, column: Index, value: Option<u64>) {
        match value {
            None => self.columns.put_null(column),
            Some(value) => self.columns.put(column, |cells| match cells {
                Cells::Number(_, values) => {
                    values.push(value);
                    true
                }
                _ => false,
            }),
        }
    }

    fn text(&mut self, column: Index, value: Option<&str>) {
        match value {
            None => self.columns.put_null(column),
            Some(value) => self.columns.put(column, |cells| match cells {
                Cells::Text(texts) => {
                    texts.push(value.as_bytes());
                    true
                }
                _ => false,
            }),
        }
    }

    /// Hands the rows to the encoder.
    fn encode(&mut self) -> Result<()> {
        let mut arrays = Vec::with_capacity(self.shown.len());
        for &column in &self.shown {
            arrays.push(self.columns.take(column)?);
        }
        for scope in self.scopes.into_iter().flatten() {
            self.columns.forget(scope);
        }
        (self.rows, self.batch) = (0, 0);
        let batch = RecordBatch::try_new(self.schema.clone(), arrays)
            .with_context(|| format!("the rows of {} do not fit its columns", self.name))?;
        self.writer
            .write(&batch)
            .map_err(|e| cannot_write(&self.path, e))?;
        if self.writer.in_progress_rows() == 0 {
            self.held = 0;
        }
        Ok(())
    }

    /// About how many bytes of memory would be free after [`end_group`](Self::end_group).
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Writes out what is held in memory.
    pub(super) fn end_group(&mut self) -> Result<()> {
        self.encode()?;
        self.writer
            .flush()
            .map_err(|e| cannot_write(&self.path, e))?;
        self.held = 0;
        Ok(())
    }

    /// Writes out everything.
    pub(super) fn finish(mut self) -> Result<()> {
        self.end_group()?;
        self.writer
            .close()
            .map_err(|e| cannot_write(&self.path, e))?;
        Ok(())
    }
}

/// What the operating system says, if it was that.
fn cannot_write(path: &Path, error: ParquetError) -> anyhow::Error {
    let error = match error {
        ParquetError::External(error) => anyhow::Error::from_boxed(error),
        error => error.into(),
    };
    error.context(format!("cannot write {}", path.display()))
}

/// Columns with names of their own.
#[derive(Default)]
struct Shown {
    names: Vec<String>,
    columns: Vec<Index>,
}

impl Shown {
    fn add(&mut self, name: &str, column: Index) {
        let taken = |name: &str| self.names.iter().any(|n| n.eq_ignore_ascii_case(name));
        let mut free = name.to_owned();
        let mut number = 2;
        while taken(&free) {
            free = format!("{name}_{number}");
            number += 1;
        }
        self.names.push(free);
        self.columns.push(column);
    }
}

/// A file that is open only while it is written to: there may be more tables than files that may be open.
struct Appended(PathBuf);

impl Appended {
    fn create(path: &Path) -> io::Result<Appended> {
        OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Appended(path.to_owned()))
    }
}

impl Write for Appended {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        OpenOptions::new().append(true).open(&self.0)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
