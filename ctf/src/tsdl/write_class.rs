//! Writes field classes as TSDL declarations.
//!
//! ```text
//!  string _who;    integer { size = 32; … } _items[__items_length];    variant <__who_tag> { … } _who;
//! ```
//!
//! A class is what stands before the name and, for arrays, the lengths behind it. Where a class depends on another
//! field, that field is named as shortly as the scopes around allow: babeltrace 2.0 takes only a plain name as the
//! tag of a variant.

use std::fmt::Write as _;

use super::names::{of_fields, quoted, unique};
use super::write::order;
use crate::model::{
    Array, Base, ByteOrder, Encoding, FieldClass, FieldLocation, Float, Integer, Length, Mapping,
    Optional, Range, Role, Scope, Structure, Variant, VariantOption,
};

/// Writes the classes of one scope.
pub(super) struct ClassWriter<'o, 'a> {
    pub(super) out: &'o mut String,
    /// The clock of the stream class.
    pub(super) clock: Option<String>,
    /// The byte order of the trace.
    pub(super) byte_order: ByteOrder,
    pub(super) scope: Scope,
    /// Whether names get an underscore.
    pub(super) prefixed: bool,
    /// The structures around what is being written, outermost first.
    pub(super) frames: Vec<Frame<'a>>,
    pub(super) indent: usize,
}

/// A structure that is being written.
pub(super) struct Frame<'a> {
    structure: &'a Structure,
    identifiers: Vec<String>,
    /// The field being written.
    current: usize,
}

// Writing to a `String` cannot fail, so the results of `write!` are dropped.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => {{ let _ = write!($out, $($arg)*); }};
}

impl<'a> ClassWriter<'_, 'a> {
    pub(super) fn structure(&mut self, structure: &'a Structure) {
        if structure.fields.is_empty() {
            self.out.push_str("struct { }");
        } else {
            self.out.push_str("struct {\n");
            self.frames.push(Frame {
                structure,
                identifiers: of_fields(structure, self.prefixed),
                current: 0,
            });
            self.indent += 1;
            for (i, field) in structure.fields.iter().enumerate() {
                let name = self.enter(i);
                self.tabs();
                self.declaration(&field.class, &name);
            }
            self.indent -= 1;
            self.frames.pop();
            self.tabs();
            self.out.push('}');
        }
        if structure.align > 1 {
            put!(self.out, " align({})", structure.align);
        }
    }

    /// Goes to field `i` of the innermost structure; its identifier.
    fn enter(&mut self, i: usize) -> String {
        let Some(frame) = self.frames.last_mut() else {
            return String::new();
        };
        frame.current = i;
        frame.identifiers[i].clone()
    }

    fn tabs(&mut self) {
        self.out.extend(std::iter::repeat_n('\t', self.indent));
    }

    fn declaration(&mut self, class: &'a FieldClass, name: &str) {
        let mut lengths = String::new();
        self.class(class, &mut lengths);
        put!(self.out, " {name}{lengths};\n");
    }

    /// What stands before the name; what stands behind it is added to `lengths`.
    fn class(&mut self, class: &'a FieldClass, lengths: &mut String) {
        match class {
            FieldClass::Integer(class) => self.integer(class),
            FieldClass::VarInteger(_) => {
                // LEB128 has no word in TSDL, nor a layout; `lower` refuses it before it comes here.
                self.out.push_str("string");
            }
            FieldClass::BitArray(class) => self.integer(&Integer {
                align: class.align,
                order: class.order,
                ..Integer::unsigned(class.bits).hex()
            }),
            FieldClass::Boolean(class) => {
                let most = (1i128 << class.bits) - 1;
                self.integer(
                    &Integer {
                        align: class.align,
                        order: class.order,
                        ..Integer::unsigned(class.bits)
                    }
                    .label("false", 0, 0)
                    .label("true", 1, most),
                );
            }
            FieldClass::Float(class) => self.float(class),
            FieldClass::String(class) => match class.encoding {
                Encoding::Ascii => self.out.push_str("string { encoding = ASCII; }"),
                _ => self.out.push_str("string"),
            },
            FieldClass::Text(class) => {
                let character = Integer {
                    encoding: Some(class.encoding),
                    ..Integer::unsigned(8)
                };
                self.integer(&character);
                self.length(&class.length, lengths);
            }
            FieldClass::Blob(class) => {
                self.integer(&Integer::unsigned(8).hex());
                self.length(&class.length, lengths);
            }
            FieldClass::Array(class) => self.array(class, lengths),
            FieldClass::Structure(class) => self.structure(class),
            FieldClass::Variant(class) => self.variant(class),
            FieldClass::Optional(class) => self.optional(class),
        }
    }

    fn integer(&mut self, class: &Integer) {
        if class.mappings.is_some() {
            self.out.push_str("enum : ");
        }
        put!(
            self.out,
            "integer {{ size = {}; align = {};",
            class.bits,
            class.align
        );
        if class.signed {
            self.out.push_str(" signed = true;");
        }
        match class.base {
            Base::Binary => self.out.push_str(" base = 2;"),
            Base::Octal => self.out.push_str(" base = 8;"),
            Base::Decimal => {}
            Base::Hexadecimal => self.out.push_str(" base = 16;"),
        }
        self.byte_order_unless_default(class.order, class.bits);
        match class.encoding {
            None => {}
            Some(Encoding::Ascii) => self.out.push_str(" encoding = ASCII;"),
            Some(_) => self.out.push_str(" encoding = UTF8;"),
        }
        if let Some(clock) = &self.clock
            && (class.roles.has(Role::Timestamp) || class.roles.has(Role::PacketEnd))
        {
            put!(self.out, " map = clock.{clock}.value;");
        }
        self.out.push_str(" }");
        if let Some(mappings) = &class.mappings {
            self.mappings(mappings);
        }
    }

    fn byte_order_unless_default(&mut self, of: ByteOrder, bits: u32) {
        // A field of one byte or less has no byte order of its own, but the bits of a byte have.
        if of != self.byte_order && bits != 8 {
            put!(self.out, " byte_order = {};", order(of));
        }
    }

    fn mappings(&mut self, mappings: &[Mapping]) {
        self.out.push_str(" {");
        let mut separator = " ";
        for mapping in mappings {
            for range in &mapping.ranges {
                put!(
                    self.out,
                    "{separator}{} = {}",
                    quoted(&mapping.label),
                    spell(*range)
                );
                separator = ", ";
            }
        }
        self.out.push_str(" }");
    }

    fn float(&mut self, class: &Float) {
        let (exponent, mantissa) = match class.bits {
            16 => (5, 11),
            32 => (8, 24),
            128 => (15, 113),
            _ => (11, 53),
        };
        put!(
            self.out,
            "floating_point {{ exp_dig = {exponent}; mant_dig = {mantissa}; align = {};",
            class.align
        );
        self.byte_order_unless_default(class.order, class.bits);
        self.out.push_str(" }");
    }

    fn array(&mut self, class: &'a Array, lengths: &mut String) {
        // As in C, the outer array's length stands first: `x[2][3]` is two arrays of three.
        self.length(&class.length, lengths);
        self.class(&class.element, lengths);
    }

    fn length(&self, length: &Length, lengths: &mut String) {
        match length {
            Length::Fixed(length) => put!(lengths, "[{length}]"),
            Length::Field(location) => put!(lengths, "[{}]", self.path(location)),
        }
    }

    fn variant(&mut self, class: &'a Variant) {
        put!(self.out, "variant <{}> {{\n", self.path(&class.selector));
        let names: Vec<_> = class.options.iter().enumerate().map(option_name).collect();
        let names = unique(names.iter().map(String::as_str), false);
        self.indent += 1;
        for (option, name) in class.options.iter().zip(names) {
            self.tabs();
            self.declaration(&option.class, &name);
        }
        self.indent -= 1;
        self.tabs();
        self.out.push('}');
    }

    fn optional(&mut self, class: &'a Optional) {
        put!(
            self.out,
            "variant <{}> {{\n",
            self.path(class.selector.location())
        );
        self.indent += 1;
        self.tabs();
        self.out.push_str("struct { } none;\n");
        self.tabs();
        self.declaration(&class.class, "some");
        self.indent -= 1;
        self.tabs();
        self.out.push('}');
    }

    /// The shortest path that leads to `location` from here.
    fn path(&self, location: &FieldLocation) -> String {
        let Some((scope, path)) = self.absolute(location) else {
            return location_as_is(location);
        };
        if scope == self.scope {
            let enclosing = self.frames.len().min(path.len());
            let inside =
                (0..enclosing).take_while(|&i| i == 0 || self.entered(i - 1) == Some(&path[i - 1]));
            if let Some(depth) = inside.last()
                && !self.shadowed(depth, &path[depth])
            {
                return self.spelled(self.frames[depth].structure, &path[depth..]);
            }
        }
        let prefix = match scope {
            Scope::PacketHeader => "trace.packet.header",
            Scope::PacketContext => "stream.packet.context",
            Scope::EventHeader => "stream.event.header",
            Scope::EventContext => "stream.event.context",
            Scope::OwnContext => "event.context",
            Scope::Payload => "event.fields",
        };
        let underscore = matches!(
            scope,
            Scope::EventContext | Scope::OwnContext | Scope::Payload
        );
        let names: Vec<_> = path
            .iter()
            .map(|name| unique([name.as_str()], underscore).remove(0))
            .collect();
        format!("{prefix}.{}", names.join("."))
    }

    /// The name of the field of frame `i` that the next frame is in.
    fn entered(&self, i: usize) -> Option<&String> {
        let frame = &self.frames[i];
        frame
            .structure
            .fields
            .get(frame.current)
            .map(|field| &field.name)
    }

    /// Whether a structure inside of frame `depth` has an earlier field of this name.
    fn shadowed(&self, depth: usize, name: &str) -> bool {
        self.frames[depth + 1..].iter().any(|frame| {
            let before = &frame.structure.fields[..frame.current];
            before.iter().any(|field| field.name == name)
        })
    }

    /// `location` as a scope and a path from its beginning.
    fn absolute(&self, location: &FieldLocation) -> Option<(Scope, Vec<String>)> {
        let (scope, mut path): (_, Vec<String>) = match location.origin {
            Some(scope) => (scope, Vec::new()),
            None => {
                let around = 0..self.frames.len().saturating_sub(1);
                let names = around.filter_map(|i| self.entered(i).cloned());
                (self.scope, names.collect())
            }
        };
        for step in &location.path {
            match step {
                Some(name) => path.push(name.clone()),
                None => {
                    path.pop()?;
                }
            }
        }
        (!path.is_empty()).then_some((scope, path))
    }

    /// A path of names from `structure` on, as identifiers.
    fn spelled(&self, structure: &Structure, path: &[String]) -> String {
        let mut out = String::new();
        let mut inside = Some(structure);
        for name in path {
            if !out.is_empty() {
                out.push('.');
            }
            let at = inside.and_then(|s| s.fields.iter().position(|field| field.name == *name));
            match (inside, at) {
                (Some(structure), Some(at)) => {
                    out.push_str(&of_fields(structure, self.prefixed)[at]);
                    inside = inner_structure(&structure.fields[at].class);
                }
                _ => out.push_str(&unique([name.as_str()], self.prefixed)[0]),
            }
        }
        out
    }
}

/// The structure that a path goes on in when it has come to a field of this class.
fn inner_structure(class: &FieldClass) -> Option<&Structure> {
    match class {
        FieldClass::Structure(structure) => Some(structure),
        FieldClass::Array(array) => inner_structure(&array.element),
        FieldClass::Optional(optional) => inner_structure(&optional.class),
        _ => None,
    }
}

fn location_as_is(location: &FieldLocation) -> String {
    let names: Vec<_> = location.path.iter().flatten().map(String::as_str).collect();
    unique(names, false).join(".")
}

fn option_name((i, option): (usize, &VariantOption)) -> String {
    option.name.clone().unwrap_or_else(|| format!("option_{i}"))
}

fn spell(range: Range) -> String {
    if range.low == range.high {
        range.low.to_string()
    } else {
        format!("{} ... {}", range.low, range.high)
    }
}
