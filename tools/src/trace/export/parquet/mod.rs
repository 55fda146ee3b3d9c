//! Parquet: a directory with one table for each event, typed columns.
//!
//! ```text
//!  shop:order { u64 id; f64 total; string who }   ─▶   DIR/shop.order.parquet
//!
//!   time                  event       cpu  process   pid  tid │ id  total  who
//!   2026-11-20 08:40:00Z  shop:order    3  shop     4711  100 │  0    0.0  alice
//! ```
//! Events of one name whose fields differ, as in traces of different versions of a program, get tables of their own:
//! `shop.order-2.parquet`.
//!
//! Invariant: no more than about [`BUDGET`] bytes of rows are held in memory, whatever the number of tables: when there
//! are more, the largest row group is written out.

mod columns;
mod fill;
mod table;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use laneway_ctf::read::Event;

use self::table::{Shape, Table};
use super::Exporter;

/// Bytes of rows to hold in memory.
const BUDGET: u64 = 64 << 20;

pub(super) struct Parquet {
    directory: PathBuf,
    tables: Vec<(Shape, Table)>,
    /// By stream and event class: the table.
    known: Vec<Vec<Option<usize>>>,
    files: HashSet<String>,
    held: u64,
}

impl Parquet {
    /// Tables in this directory, which is there and empty.
    pub(super) fn new(directory: &Path) -> Self {
        Parquet {
            directory: directory.to_owned(),
            tables: Vec::new(),
            known: Vec::new(),
            files: HashSet::new(),
            held: 0,
        }
    }

    /// The table of an event's class.
    fn table(&mut self, event: &Event<'_>) -> Result<usize> {
        let (stream, class) = (event.stream_index(), event.class_index());
        if self.known.len() <= stream {
            self.known.resize_with(stream + 1, Vec::new);
        }
        if self.known[stream].len() <= class {
            self.known[stream].resize(class + 1, None);
        }
        if let Some(table) = self.known[stream][class] {
            return Ok(table);
        }
        let shape = Shape::of(event);
        let same = self.tables.iter().position(|(known, _)| *known == shape);
        let table = match same {
            Some(table) => table,
            None => {
                let name = self.file_name(shape.name());
                let path = self.directory.join(name);
                let table = Table::create(path, &shape)?;
                self.tables.push((shape, table));
                self.tables.len() - 1
            }
        };
        self.known[stream][class] = Some(table);
        Ok(table)
    }

    /// A file name that is like the event's name and not taken.
    fn file_name(&mut self, event: &str) -> String {
        // Readers take what stands before a colon for a protocol.
        let plain = laneway_consumer::file_name(&event.replace(':', "."));
        let mut name = format!("{plain}.parquet");
        let mut number = 2;
        while !self.files.insert(name.to_ascii_lowercase()) {
            name = format!("{plain}-{number}.parquet");
            number += 1;
        }
        name
    }
}

impl Exporter for Parquet {
    fn event(&mut self, event: &Event<'_>) -> Result<()> {
        let table = self.table(event)?;
        let table = &mut self.tables[table].1;
        let before = table.held();
        table.row(event)?;
        // A row group that became full was written out on the way.
        self.held = self.held + table.held() - before;
        if self.held > BUDGET {
            let tables = self.tables.iter_mut().map(|(_, table)| table);
            if let Some(largest) = tables.max_by_key(|table| table.held()) {
                self.held -= largest.held();
                largest.end_group()?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        for (_, table) in self.tables.drain(..) {
            table.finish()?;
        }
        Ok(())
    }
}
