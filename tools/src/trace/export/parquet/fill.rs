//! From the fields of an event into columns.
//!
//! What an event has and its columns do not expect, as where a variant is empty that was taken for an optional field,
//! becomes null.

use laneway_ctf::model::{BitArray, Integer};
use laneway_ctf::read::Visitor;

use super::columns::{Cells, Columns, Index};

/// Puts the fields of one scope into columns.
pub(super) struct Filler<'a> {
    columns: &'a mut Columns,
    /// Where the value that comes next goes.
    next: Option<Index>,
    /// What is open.
    open: Vec<Open>,
}

#[derive(Clone, Copy)]
enum Open {
    /// A structure and its column; without one, nothing of it is wanted.
    Structure(Option<Index>),
    /// An array, its column and that of its elements, and how many of those there were before.
    Array(Option<(Index, Index, usize)>),
    Option,
}

impl<'a> Filler<'a> {
    /// A filler of the columns of this structure.
    pub(super) fn new(columns: &'a mut Columns, scope: Index) -> Self {
        Filler {
            columns,
            next: Some(scope),
            open: Vec::new(),
        }
    }

    fn put(&mut self, put: impl FnOnce(&mut Cells) -> bool) {
        if let Some(column) = self.next {
            self.columns.put(column, put);
        }
    }

    /// An integer into a column of numbers, labels or truth values.
    fn integer(&mut self, bits: u64, value: i128, class: &Integer) {
        self.put(|cells| {
            match cells {
                Cells::Number(_, values) => values.push(bits),
                Cells::Boolean(values) => values.push(bits != 0),
                Cells::Text(texts) => {
                    let mut mappings = class.mappings.iter().flatten();
                    let found = mappings.find(|m| m.ranges.iter().any(|r| r.contains(value)));
                    match found {
                        Some(mapping) => texts.push(mapping.label.as_bytes()),
                        None => texts.push(value.to_string().as_bytes()),
                    }
                }
                _ => return false,
            }
            true
        });
    }
}

impl Visitor for Filler<'_> {
    fn structure(&mut self, members: usize) {
        let column = self.next.filter(|&column| {
            let expected = matches!(self.columns.cells(column), Cells::Structure(_))
                && self.columns.members(column).len() == members;
            match expected {
                true => self.columns.put(column, |_| true),
                false => self.columns.put_null(column),
            }
            expected
        });
        self.open.push(Open::Structure(column));
    }

    fn member(&mut self, index: usize, _: &str) {
        self.next = match self.open.last() {
            Some(Open::Structure(Some(column))) => self.columns.members(*column)[index].column,
            _ => None,
        };
    }

    fn array(&mut self, _: u64) {
        let list = self.next.and_then(|column| {
            let Cells::List { element, .. } = *self.columns.cells(column) else {
                self.columns.put_null(column);
                return None;
            };
            Some((column, element, self.columns.len(element)))
        });
        self.open.push(Open::Array(list));
    }

    fn element(&mut self, _: u64) {
        self.next = match self.open.last() {
            Some(Open::Array(Some((_, element, _)))) => Some(*element),
            _ => None,
        };
    }

    fn option(&mut self, name: Option<&str>) {
        self.open.push(Open::Option);
        let Some(column) = self.next else {
            return;
        };
        if let Cells::Choice(options) = self.columns.cells(column) {
            let chosen = options
                .iter()
                .position(|option| name.is_none_or(|name| option.name == name));
            self.next = chosen.and_then(|chosen| options[chosen].column);
            self.columns.put(column, |_| true);
            self.columns.put_null_below(column, chosen);
        }
    }

    fn end(&mut self) {
        if let Some(Open::Array(Some((column, element, before)))) = self.open.pop() {
            let length = self.columns.len(element) - before;
            self.columns.put(column, |cells| match cells {
                Cells::List { lengths, .. } => {
                    lengths.push(length);
                    true
                }
                _ => false,
            });
        }
    }

    fn nothing(&mut self) {
        if let Some(column) = self.next {
            self.columns.put_null(column);
        }
    }

    fn unsigned(&mut self, value: u64, class: &Integer) {
        self.integer(value, i128::from(value), class);
    }

    fn signed(&mut self, value: i64, class: &Integer) {
        self.integer(value as u64, i128::from(value), class);
    }

    fn float(&mut self, value: f64, _: bool) {
        self.put(|cells| match cells {
            Cells::Number(_, values) => {
                values.push(value.to_bits());
                true
            }
            _ => false,
        });
    }

    fn boolean(&mut self, value: bool) {
        self.put(|cells| match cells {
            Cells::Boolean(values) => {
                values.push(value);
                true
            }
            _ => false,
        });
    }

    fn bits(&mut self, value: u64, _: &BitArray) {
        self.put(|cells| match cells {
            Cells::Number(_, values) => {
                values.push(value);
                true
            }
            _ => false,
        });
    }

    fn text(&mut self, text: &[u8]) {
        self.put(|cells| match cells {
            Cells::Text(texts) => {
                texts.push(String::from_utf8_lossy(text).as_bytes());
                true
            }
            _ => false,
        });
    }

    fn blob(&mut self, bytes: &[u8]) {
        self.put(|cells| match cells {
            Cells::Blob(blobs) => {
                blobs.push(bytes);
                true
            }
            _ => false,
        });
    }
}
