//! Filling in a form with the values of an event.
//!
//! ```text
//!  form   "{ a = " u64 · ", name = " text · " }\n"
//!  packet  07 00 00 00 00 00 00 00  62 6f 62 00        ─▶   { a = 7, name = "bob" }
//! ```
//!
//! Reference: babeltrace 2.0.4, component class `sink.text.pretty`.

use std::cell::Cell;

use super::float::general;
use super::form::{Array, Field, Form, Labels, Number, Value};
use super::line::Line;
use super::number::in_base;
use crate::model::Base;
use crate::read::{Cursor, Slot, Stop, as_utf8, contains, float_of, sign_extend, unit, until_nul};

impl Form {
    /// Appends the form with the values at the cursor.
    #[inline]
    pub(super) fn fill(
        &self,
        line: &mut Line,
        cursor: &mut Cursor<'_>,
        slots: &[Cell<u64>],
    ) -> Result<(), Stop> {
        for step in &self.steps {
            line.block(&step.text, usize::from(step.length));
            cursor.align(step.align);
            match &step.value {
                Field::None => {}
                Field::UnsignedBytes(read) => {
                    let value = match cursor.whole(*read) {
                        Some(high) => high >> (64 - read.bits()),
                        None => cursor.number(*read)?,
                    };
                    line.unsigned(value);
                }
                Field::SignedBytes(read) => {
                    let value = match cursor.whole(*read) {
                        Some(high) => high as i64 >> (64 - read.bits()),
                        None => sign_extend(cursor.number(*read)?, read.bits() as u32),
                    };
                    line.signed(value);
                }
                Field::Unsigned(read) => line.unsigned(cursor.number(*read)?),
                Field::Signed(read) => {
                    let value = cursor.number(*read)?;
                    line.signed(sign_extend(value, read.bits() as u32));
                }
                Field::Number(read, number) => {
                    let value = cursor.number(*read)?;
                    let value = match number.class.signed {
                        true => sign_extend(value, read.bits() as u32) as u64,
                        false => value,
                    };
                    save(slots, number.slot, value);
                    number.show(line, value);
                }
                Field::Leb128(number) => {
                    let value = cursor.leb128(number.class.signed)?;
                    save(slots, number.slot, value);
                    number.show(line, value);
                }
                Field::Float(read) => {
                    let bits = cursor.number(*read)?;
                    general(line, float_of(bits, *read));
                }
                Field::Wide(node) => {
                    let wide = node.read(cursor)?;
                    match node.float {
                        true => general(line, wide.quad()),
                        false => line.text(wide.to_string().as_bytes()),
                    }
                }
                Field::Boolean { read, slot } => {
                    let value = cursor.number(*read)?;
                    save(slots, *slot, value);
                    match value {
                        0 => line.block(b"false", 5),
                        _ => line.block(b"true", 4),
                    }
                }
                Field::Bits(read) => line.hexadecimal(cursor.number(*read)?),
                Field::String(encoding) => {
                    let text = cursor.string(unit(*encoding))?;
                    match encoding.is_bytes() {
                        true => line.escaped(text),
                        false => line.escaped(&as_utf8(text, *encoding)),
                    }
                }
                Field::Text(count, encoding) => {
                    let text = cursor.bytes(count.get(slots))?;
                    let text = until_nul(text, unit(*encoding));
                    line.escaped(&as_utf8(text, *encoding));
                }
                Field::Blob(count, value) => {
                    let bytes = cursor.bytes(count.get(slots))?;
                    value.blob(line, bytes);
                }
                Field::Array(array) => array.fill(line, cursor, slots)?,
                Field::Variant(choice) => {
                    choice.chosen(slots)?.fill_inner(line, cursor, slots)?;
                }
                Field::Optional(maybe) => match maybe.there(slots) {
                    Some(form) => form.fill_inner(line, cursor, slots)?,
                    None => line.block(b"<none>", 6),
                },
            }
        }
        Ok(())
    }

    #[inline(never)]
    fn fill_inner(
        &self,
        line: &mut Line,
        cursor: &mut Cursor<'_>,
        slots: &[Cell<u64>],
    ) -> Result<(), Stop> {
        self.fill(line, cursor, slots)
    }
}

#[inline(always)]
fn save(slots: &[Cell<u64>], slot: Option<Slot>, value: u64) {
    if let Some(slot) = slot {
        slots[slot as usize].set(value);
    }
}

impl Number {
    /// Shows a value, which is sign-extended.
    #[inline(never)]
    fn show(&self, line: &mut Line, value: u64) {
        match &self.labels {
            _ if self.hidden => {}
            None => self.digits(line, value),
            Some(labels) => {
                labels.show(line, value);
                self.digits(line, value);
                line.blocks(&labels.number[1]);
            }
        }
    }

    #[inline]
    fn digits(&self, line: &mut Line, value: u64) {
        match (self.class.base, self.class.signed) {
            (Base::Decimal, false) => line.unsigned(value),
            (Base::Decimal, true) => line.signed(value as i64),
            (Base::Hexadecimal, false) => line.hexadecimal(value),
            (Base::Hexadecimal, true) if (value as i64) >= 0 => line.hexadecimal(value),
            _ => {
                let mut text = Vec::new();
                in_base(&mut text, value, &self.class);
                line.text(&text);
            }
        }
    }
}

impl Labels {
    /// Shows the labels of a value, up to the number.
    #[inline(never)]
    fn show(&self, line: &mut Line, value: u64) {
        line.block(b"( ", 2);
        let mut labels = 0;
        for (spans, label) in &self.labels {
            if contains(spans, value) {
                if labels > 0 {
                    line.block(b", ", 2);
                }
                labels += 1;
                line.blocks(label);
            }
        }
        if labels == 0 {
            line.blocks(&self.unknown);
        }
        line.blocks(&self.number[0]);
    }
}

impl Array {
    #[inline(never)]
    fn fill(
        &self,
        line: &mut Line,
        cursor: &mut Cursor<'_>,
        slots: &[Cell<u64>],
    ) -> Result<(), Stop> {
        line.byte(b'[');
        for i in 0..self.count.get(slots) {
            index(line, i, self.names);
            let before = cursor.at;
            self.element.fill_inner(line, cursor, slots)?;
            if cursor.at == before && !cursor.may_idle() {
                break;
            }
        }
        line.block(b" ]", 2);
        Ok(())
    }
}

/// Appends what stands before an element.
#[inline(always)]
fn index(line: &mut Line, index: u64, names: bool) {
    line.block(b",", usize::from(index != 0));
    line.byte(b' ');
    if names {
        line.byte(b'[');
        line.unsigned(index);
        line.block(b"] = ", 4);
    }
}

impl Value {
    #[inline(never)]
    fn blob(&self, line: &mut Line, bytes: &[u8]) {
        line.byte(b'[');
        for (i, &byte) in bytes.iter().enumerate() {
            index(line, i as u64, self.names);
            line.blocks(&self.around[0]);
            line.hexadecimal(u64::from(byte));
            line.blocks(&self.around[1]);
        }
        line.block(b" ]", 2);
    }
}
