//! Records of tests, in memory: what `trace!` writes on a thread goes to whoever listens there.
//!
//! Invariant: a record is as long as it was measured, and every byte of it was written.

use std::cell::RefCell;

use laneway_control::{EventSchema, Field, FieldType};

use crate::registry;
use crate::writer::Writer;

/// One event as it was recorded.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) id: u16,
    pub(crate) payload: Vec<u8>,
}

thread_local! {
    static LISTENING: RefCell<Option<Vec<Record>>> = const { RefCell::new(None) };
}

/// Takes an event, if this thread listens; otherwise it goes the usual way.
pub(crate) fn record(id: u16, bytes: usize, write: &impl Fn(&mut Writer<'_>)) -> bool {
    LISTENING.with_borrow_mut(|records| {
        let Some(records) = records else { return false };
        let mut payload = vec![0xaa; bytes];
        // SAFETY: the vector outlives the writer and is not used meanwhile.
        let mut writer = unsafe { Writer::new(payload.as_mut_ptr(), bytes) };
        write(&mut writer);
        assert_eq!(writer.left(), 0, "measured larger than written");
        records.push(Record { id, payload });
        true
    })
}

/// Enables all events, and collects those that `emit` emits on this thread.
pub(crate) fn listen(emit: impl FnOnce()) -> Vec<Record> {
    registry::set_enabled(1, true);
    LISTENING.set(Some(Vec::new()));
    emit();
    LISTENING.take().unwrap_or_default()
}

impl Record {
    /// The description of the event.
    pub(crate) fn schema(&self) -> EventSchema {
        registry::schemas().swap_remove(self.id.into())
    }

    /// The fields as text: `id: u64 = 7, who: str = "Ada"`.
    pub(crate) fn text(&self) -> String {
        let mut rest = &self.payload[..];
        let text = show_fields(&self.schema().fields, &mut rest, true);
        assert_eq!(rest, b"", "the fields end before the record");
        text
    }
}

fn show_fields(fields: &[Field], rest: &mut &[u8], with_types: bool) -> String {
    let shown = fields.iter().map(|field| {
        let value = show(&field.ty, rest);
        if with_types {
            format!("{}: {} = {value}", field.name, field.ty)
        } else {
            format!("{}: {value}", field.name)
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Reads one value by its type alone, as a consumer has to.
fn show(ty: &FieldType, rest: &mut &[u8]) -> String {
    macro_rules! number {
        ($ty:ty) => {
            <$ty>::from_ne_bytes(take(rest, size_of::<$ty>()).try_into().unwrap()).to_string()
        };
    }
    match ty {
        FieldType::Unsigned { bits: 8 } => number!(u8),
        FieldType::Unsigned { bits: 16 } => number!(u16),
        FieldType::Unsigned { bits: 32 } => number!(u32),
        FieldType::Unsigned { bits: 64 } => number!(u64),
        FieldType::Signed { bits: 8 } => number!(i8),
        FieldType::Signed { bits: 16 } => number!(i16),
        FieldType::Signed { bits: 32 } => number!(i32),
        FieldType::Signed { bits: 64 } => number!(i64),
        FieldType::Unsigned { bits: 128 } => wide(rest).to_string(),
        FieldType::Signed { bits: 128 } => wide(rest).cast_signed().to_string(),
        FieldType::Unsigned { bits } | FieldType::Signed { bits } => panic!("{bits} bits"),
        FieldType::F32 => number!(f32),
        FieldType::F64 => number!(f64),
        FieldType::Bool => ["false", "true"][usize::from(take(rest, 1)[0])].to_owned(),
        FieldType::Char => format!("'{}'", String::from_utf8(terminated(rest)).unwrap()),
        FieldType::Str => format!("\"{}\"", terminated(rest).escape_ascii()),
        FieldType::Bytes => {
            let len = len(rest);
            take(rest, len).iter().map(|b| format!("{b:02x}")).collect()
        }
        FieldType::Array { len, element } => elements(*len as usize, element, rest),
        FieldType::Sequence { element } => {
            let len = len(rest);
            elements(len, element, rest)
        }
        FieldType::Optional(inner) => match take(rest, 1)[0] {
            0 => "None".to_owned(),
            1 => format!("Some({})", show(inner, rest)),
            tag => panic!("tag {tag}"),
        },
        FieldType::Duration => format!("{}ns", number!(u64)),
        FieldType::Pointer => format!("0x{:x}", number!(u64).parse::<u64>().unwrap()),
        FieldType::Struct(fields) => format!("{{ {} }}", show_fields(fields, rest, false)),
    }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
    rest.split_off(..len)
        .expect("the record ends within a field")
}

fn len(rest: &mut &[u8]) -> usize {
    u32::from_ne_bytes(take(rest, 4).try_into().unwrap()) as usize
}

fn wide(rest: &mut &[u8]) -> u128 {
    let mut half = || u128::from(u64::from_ne_bytes(take(rest, 8).try_into().unwrap()));
    half() | half() << 64
}

fn terminated(rest: &mut &[u8]) -> Vec<u8> {
    let end = rest
        .iter()
        .position(|&b| b == 0)
        .expect("text without an end");
    let text = take(rest, end).to_vec();
    take(rest, 1);
    text
}

fn elements(len: usize, element: &FieldType, rest: &mut &[u8]) -> String {
    let shown: Vec<_> = (0..len).map(|_| show(element, rest)).collect();
    format!("[{}]", shown.join(", "))
}
