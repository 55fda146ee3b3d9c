//! Columns that are being filled, event by event.
//!
//! ```text
//!  payload { u64 id; u32 _items_length; u16 items[_items_length]; who: optional string }
//!
//!  columns   0 id: UInt64   1 items: List ─▶ 2 item: UInt16   3 who: Utf8, null where it is absent
//!  scope     [0, -, 1, -, 3]                   what the members of the payload go to; helpers go nowhere
//! ```
//! A variant is a structure of its options, all null but the one that was chosen; if all other options are empty, it is
//! an optional field. What has no fields, such as an empty structure, has no column.
//!
//! Invariant: behind every event all columns that are no list's elements have the same number of cells, whatever the
//! fields were.

use std::sync::Arc;

use anyhow::Result;
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, ListArray, NullArray, PrimitiveArray, StringArray,
    StructArray,
};
use arrow_buffer::{NullBuffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Fields, TimeUnit};
use laneway_ctf::model::{FieldClass, Structure};
use laneway_ctf::read::is_helper;

/// The number of a column.
pub(super) type Index = usize;

/// All columns of a table, nested ones included.
#[derive(Default)]
pub(super) struct Columns {
    all: Vec<Column>,
}

struct Column {
    present: NullBufferBuilder,
    cells: Cells,
}

pub(super) enum Cells {
    Boolean(Vec<bool>),
    /// Numbers of this type, as the bits of the widest of their kind: `u64`, `i64` or `f64`.
    Number(DataType, Vec<u64>),
    Text(Bytes),
    Blob(Bytes),
    /// Elements that have no content: their number is all there is.
    Nothing,
    List {
        element: Index,
        lengths: Vec<usize>,
    },
    Structure(Vec<Member>),
    /// One member for each option of a variant.
    Choice(Vec<Member>),
}

/// A member of a structure and its column; helpers have none.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) column: Option<Index>,
}

/// Strings of bytes, one behind the other.
#[derive(Default)]
pub(super) struct Bytes {
    bytes: Vec<u8>,
    lengths: Vec<usize>,
}

impl Bytes {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.lengths.push(bytes.len());
    }

    fn take(&mut self) -> (OffsetBuffer<i32>, Vec<u8>) {
        let offsets = OffsetBuffer::from_lengths(std::mem::take(&mut self.lengths));
        (offsets, std::mem::take(&mut self.bytes))
    }
}

/// The type of times: nanoseconds since 1970, UTC.
pub(super) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

impl Columns {
    pub(super) fn add(&mut self, cells: Cells) -> Index {
        self.all.push(Column {
            present: NullBufferBuilder::new(0),
            cells,
        });
        self.all.len() - 1
    }

    /// A column of numbers.
    pub(super) fn numbers(&mut self, of: DataType) -> Index {
        self.add(Cells::Number(of, Vec::new()))
    }

    /// A column of text.
    pub(super) fn texts(&mut self) -> Index {
        self.add(Cells::Text(Bytes::default()))
    }

    /// A column for a field; `None` if there would be nothing in it.
    pub(super) fn of_class(&mut self, class: &FieldClass) -> Option<Index> {
        Some(match class {
            FieldClass::Integer(class) if class.is_truth() => self.add(Cells::Boolean(Vec::new())),
            FieldClass::Integer(class) if class.mappings.is_some() => self.texts(),
            FieldClass::Integer(class) => self.numbers(integer_type(class.bits, class.signed)),
            FieldClass::VarInteger(class) if class.mappings.is_some() => self.texts(),
            FieldClass::VarInteger(class) => self.numbers(integer_type(64, class.signed)),
            FieldClass::BitArray(class) => self.numbers(integer_type(class.bits, false)),
            FieldClass::Boolean(_) => self.add(Cells::Boolean(Vec::new())),
            FieldClass::Float(class) if class.bits == 32 => self.numbers(DataType::Float32),
            FieldClass::Float(_) => self.numbers(DataType::Float64),
            FieldClass::String(_) | FieldClass::Text(_) => self.texts(),
            FieldClass::Blob(_) => self.add(Cells::Blob(Bytes::default())),
            FieldClass::Array(class) => {
                let element = self.of_class(&class.element);
                let element = element.unwrap_or_else(|| self.add(Cells::Nothing));
                self.add(Cells::List {
                    element,
                    lengths: Vec::new(),
                })
            }
            FieldClass::Structure(class) => {
                let members = self.of_structure(class);
                if members.iter().all(|member| member.column.is_none()) {
                    return None;
                }
                self.add(Cells::Structure(members))
            }
            FieldClass::Optional(class) => match self.of_class(&class.class)? {
                // So that it is plain which of the two an option belongs to.
                inner if matches!(*class.class, FieldClass::Variant(_)) => {
                    self.choice(vec![("value".to_owned(), Some(inner))])
                }
                inner => inner,
            },
            FieldClass::Variant(class) => {
                let mut options = Vec::new();
                for (i, option) in class.options.iter().enumerate() {
                    let name = option.name.clone();
                    let column = self.of_class(&option.class);
                    options.push((name.unwrap_or_else(|| format!("option_{i}")), column));
                }
                let mut full = class.options.iter().zip(&options);
                let mut full = full.by_ref().filter(|(_, (_, column))| column.is_some());
                match (full.next(), full.next()) {
                    (None, _) => return None,
                    (Some((class, (_, Some(column)))), None)
                        if options.len() == 2 && !matches!(class.class, FieldClass::Variant(_)) =>
                    {
                        *column
                    }
                    _ => self.choice(options),
                }
            }
        })
    }

    fn choice(&mut self, options: Vec<(String, Option<Index>)>) -> Index {
        let members = options
            .into_iter()
            .map(|(name, column)| Member { name, column });
        self.add(Cells::Choice(members.collect()))
    }

    /// The columns of a structure's members.
    pub(super) fn of_structure(&mut self, class: &Structure) -> Vec<Member> {
        let mut members = Vec::with_capacity(class.fields.len());
        for field in &class.fields {
            let column = match is_helper(&field.name) {
                true => None,
                false => self.of_class(&field.class),
            };
            members.push(Member {
                name: field.name.clone(),
                column,
            });
        }
        members
    }

    /// What a column holds.
    pub(super) fn cells(&self, column: Index) -> &Cells {
        &self.all[column].cells
    }

    /// How many cells a column has.
    pub(super) fn len(&self, column: Index) -> usize {
        self.all[column].present.len()
    }

    /// Puts something into a column; nothing, if the column is of another kind.
    pub(super) fn put(&mut self, column: Index, put: impl FnOnce(&mut Cells) -> bool) {
        let Column { present, cells } = &mut self.all[column];
        match put(cells) {
            true => present.append_non_null(),
            false => self.put_null(column),
        }
    }

    /// Puts nothing into a column and those below it.
    pub(super) fn put_null(&mut self, column: Index) {
        let Column { present, cells } = &mut self.all[column];
        present.append_null();
        match cells {
            Cells::Boolean(values) => values.push(false),
            Cells::Number(_, values) => values.push(0),
            Cells::Text(bytes) | Cells::Blob(bytes) => bytes.push(&[]),
            Cells::List { lengths, .. } => lengths.push(0),
            Cells::Nothing => {}
            Cells::Structure(_) | Cells::Choice(_) => self.put_null_below(column, None),
        }
    }

    /// Puts nothing into the members of a structure, but for one.
    pub(super) fn put_null_below(&mut self, column: Index, except: Option<usize>) {
        for i in 0..self.members(column).len() {
            if except != Some(i)
                && let Some(member) = self.members(column)[i].column
            {
                self.put_null(member);
            }
        }
    }

    /// The members of a structure or a choice.
    pub(super) fn members(&self, column: Index) -> &[Member] {
        match &self.all[column].cells {
            Cells::Structure(members) | Cells::Choice(members) => members,
            _ => &[],
        }
    }

    /// The type of a column.
    pub(super) fn data_type(&self, column: Index) -> DataType {
        match &self.all[column].cells {
            Cells::Boolean(_) => DataType::Boolean,
            Cells::Number(of, _) => of.clone(),
            Cells::Text(_) => DataType::Utf8,
            Cells::Blob(_) => DataType::Binary,
            Cells::Nothing => DataType::Null,
            Cells::List { element, .. } => DataType::List(Arc::new(self.element_field(*element))),
            Cells::Structure(_) | Cells::Choice(_) => DataType::Struct(self.fields(column)),
        }
    }

    fn element_field(&self, element: Index) -> Field {
        Field::new_list_field(self.data_type(element), true)
    }

    fn fields(&self, column: Index) -> Fields {
        let members = self.members(column).iter();
        let fields =
            members.filter_map(|m| Some(Field::new(&m.name, self.data_type(m.column?), true)));
        fields.collect()
    }

    /// Empties a structure without its members.
    pub(super) fn forget(&mut self, column: Index) {
        self.all[column].present.finish();
    }

    /// Takes the cells of a column, which is empty then.
    pub(super) fn take(&mut self, column: Index) -> Result<ArrayRef> {
        let length = self.len(column);
        let nulls = self.all[column].present.finish();
        Ok(match &mut self.all[column].cells {
            Cells::Boolean(values) => Arc::new(BooleanArray::new(
                std::mem::take(values).into_iter().collect(),
                nulls,
            )),
            Cells::Number(of, values) => numbers(of, &std::mem::take(values), nulls)?,
            Cells::Text(bytes) => {
                let (offsets, bytes) = bytes.take();
                Arc::new(StringArray::try_new(offsets, bytes.into(), nulls)?)
            }
            Cells::Blob(bytes) => {
                let (offsets, bytes) = bytes.take();
                Arc::new(BinaryArray::try_new(offsets, bytes.into(), nulls)?)
            }
            Cells::Nothing => Arc::new(NullArray::new(length)),
            Cells::List { element, lengths } => {
                let element = *element;
                let offsets = OffsetBuffer::from_lengths(std::mem::take(lengths));
                let field = Arc::new(self.element_field(element));
                Arc::new(ListArray::try_new(
                    field,
                    offsets,
                    self.take(element)?,
                    nulls,
                )?)
            }
            Cells::Structure(_) | Cells::Choice(_) => {
                let fields = self.fields(column);
                let members: Vec<_> = self.members(column).iter().map(|m| m.column).collect();
                let arrays: Result<Vec<_>> = members
                    .into_iter()
                    .flatten()
                    .map(|m| self.take(m))
                    .collect();
                Arc::new(StructArray::try_new(fields, arrays?, nulls)?)
            }
        })
    }
}

/// The smallest type that holds integers of so many bits.
fn integer_type(bits: u32, signed: bool) -> DataType {
    match (bits, signed) {
        (..=8, false) => DataType::UInt8,
        (..=8, true) => DataType::Int8,
        (..=16, false) => DataType::UInt16,
        (..=16, true) => DataType::Int16,
        (..=32, false) => DataType::UInt32,
        (..=32, true) => DataType::Int32,
        (_, false) => DataType::UInt64,
        (_, true) => DataType::Int64,
    }
}

/// An array of numbers of a type, made from the bits of the widest of their kind.
fn numbers(of: &DataType, bits: &[u64], nulls: Option<NullBuffer>) -> Result<ArrayRef> {
    fn array<T: ArrowPrimitiveType>(
        bits: &[u64],
        nulls: Option<NullBuffer>,
        narrow: impl Fn(u64) -> T::Native,
    ) -> Result<PrimitiveArray<T>> {
        let values: ScalarBuffer<_> = bits.iter().map(|&bits| narrow(bits)).collect();
        Ok(PrimitiveArray::try_new(values, nulls)?)
    }
    Ok(match of {
        DataType::UInt8 => Arc::new(array::<UInt8Type>(bits, nulls, |n| n as u8)?),
        DataType::UInt16 => Arc::new(array::<UInt16Type>(bits, nulls, |n| n as u16)?),
        DataType::UInt32 => Arc::new(array::<UInt32Type>(bits, nulls, |n| n as u32)?),
        DataType::UInt64 => Arc::new(array::<UInt64Type>(bits, nulls, |n| n)?),
        DataType::Int8 => Arc::new(array::<Int8Type>(bits, nulls, |n| n as i8)?),
        DataType::Int16 => Arc::new(array::<Int16Type>(bits, nulls, |n| n as i16)?),
        DataType::Int32 => Arc::new(array::<Int32Type>(bits, nulls, |n| n as i32)?),
        DataType::Int64 => Arc::new(array::<Int64Type>(bits, nulls, |n| n as i64)?),
        DataType::Float32 => Arc::new(array::<Float32Type>(bits, nulls, |n| {
            f64::from_bits(n) as f32
        })?),
        DataType::Float64 => Arc::new(array::<Float64Type>(bits, nulls, f64::from_bits)?),
        _ => Arc::new(
            array::<TimestampNanosecondType>(bits, nulls, |n| n as i64)?.with_data_type(of.clone()),
        ),
    })
}
