//! Lines of one event class as a form to fill in.
//!
//! ```text
//!  { vtid = ▁ }, { a = ▁, name = ▁ }\n      pieces: "{ vtid = " i32 · " }, { a = " u64 · ", name = " text · " }\n"
//! ```
//! Most events are flat: numbers and strings, one behind the other. Their text is the same but for the values, so it is
//! made once: pieces of 32 bytes that are copied whole, whatever of them is used, and numbers written in place between them.
//! Events with anything else are printed field by field.
//!
//! Invariant: what a template prints is what the visitor prints.

use super::number::{in_base, quoted};
use crate::model::{Base, Integer};
use crate::read::{Cursor, Node, Read, sign_extend};

/// Bytes of a piece of fixed text.
const PIECE: usize = 32;

/// A form for the scopes of an event class.
#[derive(Debug)]
pub(crate) struct Template {
    steps: Box<[Step]>,
    /// The room that all steps but strings take at most.
    room: usize,
}

#[derive(Debug)]
enum Step {
    /// Text: so many bytes of this.
    Text([u8; PIECE], u8),
    Align(u32),
    Unsigned(Read),
    Signed(Read, u32),
    Based(Read, Box<Integer>),
    String,
}

/// Collects the steps.
pub(crate) struct TemplateBuilder {
    steps: Vec<Step>,
    text: Vec<u8>,
}

impl TemplateBuilder {
    pub(crate) fn new() -> Self {
        TemplateBuilder {
            steps: Vec::new(),
            text: Vec::new(),
        }
    }

    /// Appends fixed text.
    pub(crate) fn text(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }

    fn value(&mut self, align: u32, step: Step) {
        let text = std::mem::take(&mut self.text);
        for chunk in text.chunks(PIECE) {
            let mut piece = [0; PIECE];
            piece[..chunk.len()].copy_from_slice(chunk);
            self.steps.push(Step::Text(piece, chunk.len() as u8));
        }
        if align > 1 {
            self.steps.push(Step::Align(align));
        }
        self.steps.push(step);
    }

    /// Appends a scope; `None` if it is not flat.
    pub(crate) fn scope(&mut self, node: &Node, names: bool) -> Option<()> {
        let Node::Structure(structure) = node else {
            return None;
        };
        if structure.align > 1 {
            self.steps.push(Step::Align(structure.align));
        }
        self.text(b"{");
        for (i, (name, field)) in structure.fields.iter().enumerate() {
            self.text(if i == 0 { b" " } else { b", " });
            if names {
                self.text(name.as_bytes());
                self.text(b" = ");
            }
            match field {
                Node::Integer(node) if node.slot.is_none() => {
                    let class = &node.class;
                    if class.mappings.is_some() || !class.roles.is_empty() {
                        return None;
                    }
                    let step = match (class.base, class.signed) {
                        (Base::Decimal, false) => Step::Unsigned(node.read),
                        (Base::Decimal, true) => Step::Signed(node.read, class.bits),
                        _ => Step::Based(node.read, Box::new(class.clone())),
                    };
                    self.value(class.align, step);
                }
                Node::String { encoding } if encoding.is_bytes() => self.value(8, Step::String),
                _ => return None,
            }
        }
        self.text(b" }");
        Some(())
    }

    /// The template, which ends with the text at hand.
    pub(crate) fn finish(mut self) -> Template {
        // The alignment by one bit changes nothing; it is there to carry the text.
        self.value(1, Step::Align(1));
        let room = self.steps.iter().map(|step| match step {
            Step::Text(..) => PIECE,
            Step::Align(_) | Step::String => 0,
            Step::Unsigned(_) | Step::Signed(..) => 20,
            Step::Based(..) => 72,
        });
        Template {
            room: room.sum::<usize>() + PIECE,
            steps: self.steps.into(),
        }
    }
}

impl Template {
    /// Fills the form in. Says whether it could; if not, `out` is as it was.
    pub(crate) fn fill(&self, out: &mut Vec<u8>, cursor: &mut Cursor<'_>) -> bool {
        let begin = out.len();
        let mut at = begin;
        out.resize(begin + self.room, 0);
        for step in &self.steps {
            match step {
                Step::Text(piece, length) => {
                    if let Some(place) = out.get_mut(at..at + PIECE) {
                        place.copy_from_slice(piece);
                    }
                    at += usize::from(*length);
                }
                Step::Align(align) => cursor.align(*align),
                Step::Unsigned(read) => {
                    let Ok(value) = cursor.number(*read) else {
                        out.truncate(begin);
                        return false;
                    };
                    at += decimal(&mut out[at..], value);
                }
                Step::Signed(read, bits) => {
                    let Ok(value) = cursor.number(*read) else {
                        out.truncate(begin);
                        return false;
                    };
                    let value = sign_extend(value, *bits);
                    if value < 0 {
                        out[at] = b'-';
                        at += 1;
                    }
                    at += decimal(&mut out[at..], value.unsigned_abs());
                }
                Step::Based(read, class) => {
                    let Ok(value) = cursor.number(*read) else {
                        out.truncate(begin);
                        return false;
                    };
                    let value = if class.signed {
                        sign_extend(value, class.bits) as u64
                    } else {
                        value
                    };
                    out.truncate(at);
                    match class.base {
                        Base::Hexadecimal if !class.signed => hexadecimal(out, value),
                        _ => in_base(out, value, class),
                    }
                    at = out.len();
                    out.resize(at + self.room, 0);
                }
                Step::String => {
                    let Ok(text) = cursor.string(1) else {
                        out.truncate(begin);
                        return false;
                    };
                    out.truncate(at);
                    quoted(out, text);
                    at = out.len();
                    out.resize(at + self.room, 0);
                }
            }
        }
        out.truncate(at);
        true
    }
}

/// The decimal digits from 00 to 99.
const PAIRS: [u8; 200] = {
    let mut pairs = [0; 200];
    let mut n = 0;
    while n < 100 {
        pairs[2 * n] = b'0' + (n / 10) as u8;
        pairs[2 * n + 1] = b'0' + (n % 10) as u8;
        n += 1;
    }
    pairs
};

/// Writes a number at the begin of `place`; how many digits.
#[inline]
pub(crate) fn decimal(place: &mut [u8], value: u64) -> usize {
    if value < 10 {
        place[0] = b'0' + value as u8;
        return 1;
    }
    let digits = value.ilog10() as usize + 1;
    let Some(place) = place.get_mut(..digits) else {
        return 0;
    };
    let mut rest = value;
    let mut pairs = place.rchunks_exact_mut(2);
    for pair in &mut pairs {
        let two = (rest % 100) as usize * 2;
        rest /= 100;
        pair.copy_from_slice(&PAIRS[two..two + 2]);
    }
    if let [first] = pairs.into_remainder() {
        *first = b'0' + rest as u8;
    }
    digits
}

fn hexadecimal(out: &mut Vec<u8>, value: u64) {
    let digits = (64 - (value | 1).leading_zeros()).div_ceil(4) as usize;
    let mut text = [0; 16];
    for (i, digit) in text[..digits].iter_mut().enumerate() {
        *digit = b"0123456789ABCDEF"[(value >> (4 * (digits - 1 - i)) & 15) as usize];
    }
    out.extend_from_slice(b"0x");
    out.extend_from_slice(&text[..digits]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length_are_written_in_place() {
        let mut value = 1u64;
        for _ in 0..64 {
            for value in [value - 1, value, value.wrapping_mul(7), u64::MAX - value] {
                let mut place = [b'x'; 24];
                let length = decimal(&mut place, value);
                assert_eq!(
                    std::str::from_utf8(&place[..length]).unwrap(),
                    value.to_string()
                );
                let mut out = Vec::new();
                hexadecimal(&mut out, value);
                assert_eq!(String::from_utf8(out).unwrap(), format!("0x{value:X}"));
            }
            value = value.wrapping_mul(2).max(1);
        }
    }
}
