//! The fields of an event as babeltrace2 prints them.
//!
//! ```text
//!  { id = 1, st = ( "PAID" : container = 1 ), items = [ [0] = 7 ], maybe = { 42 } }
//! ```

use super::number::{general, integer, quoted, unsigned};
use crate::model::{BitArray, Integer};
use crate::read::Visitor;

pub(super) const BOLD: &str = "\x1b[1m";
pub(super) const RESET: &str = "\x1b[0m";
pub(super) const CYAN: &str = "\x1b[36m";
pub(super) const EVENT: &str = "\x1b[1m\x1b[95m";
pub(super) const TIME: &str = "\x1b[1m\x1b[93m";
pub(super) const UNKNOWN: &str = "\x1b[1m\x1b[91m";

/// A structure, array or option that is being printed.
pub(super) struct Frame {
    array: bool,
    /// How many members of it have been printed.
    printed: u32,
    /// Where its last member begins in the output.
    mark: usize,
}

pub(super) fn name_equal(out: &mut Vec<u8>, name: &str, color: bool, with: &str) {
    colored(out, name.as_bytes(), color, with);
    out.extend_from_slice(b" = ");
}

pub(super) fn colored(out: &mut Vec<u8>, text: &[u8], color: bool, with: &str) {
    if color {
        out.extend_from_slice(with.as_bytes());
    }
    out.extend_from_slice(text);
    if color {
        out.extend_from_slice(RESET.as_bytes());
    }
}

/// Prints the fields of a scope.
pub(super) struct FieldPrinter<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) names: bool,
    pub(super) color: bool,
    pub(super) frames: &'a mut Vec<Frame>,
}

impl FieldPrinter<'_> {
    #[inline(always)]
    fn begin_value(&mut self) {
        if self.color {
            self.out.extend_from_slice(BOLD.as_bytes());
        }
    }

    #[inline(always)]
    fn end_value(&mut self) {
        if self.color {
            self.out.extend_from_slice(RESET.as_bytes());
        }
    }

    #[inline(always)]
    fn number(&mut self, bits: u64, class: &Integer) {
        if !class.roles.is_empty() {
            return self.hide();
        }
        if class.mappings.is_some() {
            return self.enumeration(bits, class);
        }
        self.begin_value();
        integer(self.out, bits, class);
        self.end_value();
    }

    /// Takes the member that was just begun back: the format uses it, and users do not see it.
    #[cold]
    fn hide(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            self.out.truncate(frame.mark);
            frame.printed -= 1;
        }
    }

    fn enumeration(&mut self, bits: u64, class: &Integer) {
        let value = if class.signed {
            i128::from(bits as i64)
        } else {
            i128::from(bits)
        };
        self.out.extend_from_slice(b"( ");
        let mut labels = 0;
        for mapping in class.mappings.iter().flatten() {
            if mapping.ranges.iter().any(|range| range.contains(value)) {
                if labels > 0 {
                    self.out.extend_from_slice(b", ");
                }
                labels += 1;
                self.begin_value();
                quoted(self.out, mapping.label.as_bytes());
                self.end_value();
            }
        }
        if labels == 0 {
            colored(self.out, b"<unknown>", self.color, UNKNOWN);
        }
        self.out.extend_from_slice(b" : container = ");
        self.begin_value();
        integer(self.out, bits, class);
        self.end_value();
        self.out.extend_from_slice(b" )");
    }

    #[inline(always)]
    fn enter(&mut self, array: bool) {
        self.frames.push(Frame {
            array,
            printed: 0,
            mark: 0,
        });
    }
}

impl Visitor for FieldPrinter<'_> {
    #[inline]
    fn structure(&mut self, _: usize) {
        self.out.push(b'{');
        self.enter(false);
    }

    #[inline]
    fn member(&mut self, _: usize, name: &str) {
        if let Some(frame) = self.frames.last_mut() {
            frame.mark = self.out.len();
            let separator: &[u8] = if frame.printed == 0 { b" " } else { b", " };
            frame.printed += 1;
            self.out.extend_from_slice(separator);
        }
        if self.names {
            name_equal(self.out, name, self.color, CYAN);
        }
    }

    #[inline]
    fn array(&mut self, _: u64) {
        self.out.push(b'[');
        self.enter(true);
    }

    #[inline]
    fn element(&mut self, index: u64) {
        self.out
            .extend_from_slice(if index == 0 { b" " } else { b", " });
        if self.names {
            self.out.push(b'[');
            unsigned(self.out, index);
            self.out.extend_from_slice(b"] = ");
        }
    }

    fn option(&mut self, _: Option<&str>) {
        self.out.extend_from_slice(b"{ ");
        self.enter(false);
    }

    #[inline]
    fn end(&mut self) {
        let array = self.frames.pop().is_some_and(|frame| frame.array);
        self.out
            .extend_from_slice(if array { b" ]" } else { b" }" });
    }

    fn nothing(&mut self) {
        self.out.extend_from_slice(b"<none>");
    }

    #[inline]
    fn unsigned(&mut self, value: u64, class: &Integer) {
        self.number(value, class);
    }

    #[inline]
    fn signed(&mut self, value: i64, class: &Integer) {
        self.number(value as u64, class);
    }

    fn float(&mut self, value: f64, _: bool) {
        self.begin_value();
        general(self.out, value);
        self.end_value();
    }

    fn boolean(&mut self, value: bool) {
        self.begin_value();
        self.out
            .extend_from_slice(if value { b"true" } else { b"false" });
        self.end_value();
    }

    fn bits(&mut self, value: u64, _: &BitArray) {
        self.begin_value();
        self.out
            .extend_from_slice(format!("0x{value:X}").as_bytes());
        self.end_value();
    }

    #[inline]
    fn text(&mut self, text: &[u8]) {
        self.begin_value();
        quoted(self.out, text);
        self.end_value();
    }

    fn blob(&mut self, bytes: &[u8]) {
        self.array(bytes.len() as u64);
        for (i, byte) in bytes.iter().enumerate() {
            self.element(i as u64);
            self.begin_value();
            self.out.extend_from_slice(format!("0x{byte:X}").as_bytes());
            self.end_value();
        }
        self.end();
    }
}
