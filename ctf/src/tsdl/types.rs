//! Types as they were written into field classes.
//!
//! A name means what the nearest scope around says: a block, a structure, a variant. A class that takes its length
//! or its option from another field carries that field's path as it was written until [`super::bind`] looks it up.
//!
//! Reference: CTF 1.8.3, chapter 4.

use std::collections::HashMap;

use super::ast::{
    Attribute, Declaration, Declarator, Enumerator, LengthExpr, TypeKind, TypeSpec, Value,
};
use super::attributes::{alignment, base, bits, boolean, byte_order, encoding, string, unsigned};
use super::{Error, Position};
use crate::model::MAX_BITS;
use crate::model::{
    Array, ByteOrder, Field, FieldClass, FieldLocation, Float, Integer, Length, Mapping, Range,
    Role, Structure, Text, Variant, VariantOption,
};

/// The most elements or bytes of an array of fixed length: what a packet could hold.
const MAX_ARRAY: u64 = 1 << 40;

/// How many field classes the metadata may come to when every name is replaced by what it stands for.
const MAX_CLASSES: usize = 1 << 20;

/// The names that stand for types, innermost scope last.
pub(super) struct Types {
    scopes: Vec<HashMap<String, FieldClass>>,
    byte_order: ByteOrder,
    classes: usize,
}

impl Types {
    pub(super) fn new(byte_order: ByteOrder) -> Self {
        Types {
            scopes: vec![HashMap::new()],
            byte_order,
            classes: 0,
        }
    }

    pub(super) fn enter(&mut self) {
        self.scopes.push(HashMap::new());
    }

    pub(super) fn leave(&mut self) {
        self.scopes.pop();
    }

    fn define(&mut self, name: String, class: FieldClass) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name, class);
        }
    }

    fn look_up(&mut self, name: &str, position: Position) -> Result<FieldClass, Error> {
        let found = self.scopes.iter().rev().find_map(|scope| scope.get(name));
        let class = found
            .cloned()
            .ok_or_else(|| Error::new(position, format!("no type is named `{name}` here")))?;
        self.count(weight(&class), position)?;
        Ok(class)
    }

    fn count(&mut self, classes: usize, position: Position) -> Result<(), Error> {
        self.classes = self.classes.saturating_add(classes);
        match self.classes > MAX_CLASSES {
            false => Ok(()),
            true => Err(Error::new(
                position,
                format!("the types come to more than {MAX_CLASSES} fields"),
            )),
        }
    }

    /// Defines what a declaration outside of a structure's fields defines.
    pub(super) fn declare(&mut self, declaration: &Declaration) -> Result<(), Error> {
        match declaration {
            Declaration::Typedef(spec, declarators) => {
                let class = self.class(spec)?;
                for declarator in declarators {
                    let class = self.declared(class.clone(), declarator, spec.position)?;
                    self.define(declarator.name.clone(), class);
                }
            }
            Declaration::Alias(spec, target, name) => {
                let class = self.class(spec)?;
                let class = self.declared(class, target, spec.position)?;
                self.define(name.clone(), class);
            }
            Declaration::Named(spec) => {
                self.class(spec)?;
            }
            Declaration::Fields(spec, _) => {
                return Err(Error::new(
                    spec.position,
                    "fields are declared in structures and variants",
                ));
            }
        }
        Ok(())
    }

    /// The class of a scope's structure.
    pub(super) fn structure(&mut self, spec: &TypeSpec) -> Result<Structure, Error> {
        match self.class(spec)? {
            FieldClass::Structure(structure) => Ok(structure),
            _ => Err(Error::new(spec.position, "a scope has to be a structure")),
        }
    }

    fn class(&mut self, spec: &TypeSpec) -> Result<FieldClass, Error> {
        let position = spec.position;
        self.count(1, position)?;
        match &spec.kind {
            TypeKind::Alias(name) => self.look_up(name, position),
            TypeKind::Integer(attributes) => Ok(self.integer(attributes, position)?.into()),
            TypeKind::Float(attributes) => Ok(self.float(attributes, position)?.into()),
            TypeKind::String(attributes) => string(attributes),
            TypeKind::Enum {
                name,
                container,
                body,
            } => {
                let Some(body) = body else {
                    return self.look_up(
                        &format!("enum {}", name.as_deref().unwrap_or_default()),
                        position,
                    );
                };
                let class = self.enumeration(container.as_deref(), body, position)?;
                self.define_tagged("enum", name, &class);
                Ok(class)
            }
            TypeKind::Struct { name, body, align } => {
                let align = alignment(*align, position)?;
                let Some(body) = body else {
                    let name = format!("struct {}", name.as_deref().unwrap_or_default());
                    let mut class = self.look_up(&name, position)?;
                    if let FieldClass::Structure(structure) = &mut class {
                        structure.align = structure.align.max(align);
                    }
                    return Ok(class);
                };
                let fields = self.body(body)?;
                let class = FieldClass::Structure(Structure { fields, align });
                self.define_tagged("struct", name, &class);
                Ok(class)
            }
            TypeKind::Variant { name, tag, body } => {
                let mut class = match body {
                    Some(body) => {
                        let options = self.body(body)?.into_iter().map(|field| VariantOption {
                            name: Some(field.name),
                            class: field.class,
                            ranges: Vec::new(),
                            attributes: None,
                        });
                        let class = FieldClass::Variant(Variant {
                            selector: written(&[]),
                            options: options.collect(),
                        });
                        self.define_tagged("variant", name, &class);
                        class
                    }
                    None => self.look_up(
                        &format!("variant {}", name.as_deref().unwrap_or_default()),
                        position,
                    )?,
                };
                if let (FieldClass::Variant(variant), Some(tag)) = (&mut class, tag) {
                    variant.selector = written(tag);
                }
                Ok(class)
            }
        }
    }

    fn define_tagged(&mut self, kind: &str, name: &Option<String>, class: &FieldClass) {
        if let Some(name) = name {
            self.define(format!("{kind} {name}"), class.clone());
        }
    }

    /// The fields of a structure or variant; its own declarations are forgotten afterwards.
    fn body(&mut self, declarations: &[Declaration]) -> Result<Vec<Field>, Error> {
        self.enter();
        let mut fields: Vec<Field> = Vec::new();
        for declaration in declarations {
            let Declaration::Fields(spec, declarators) = declaration else {
                self.declare(declaration)?;
                continue;
            };
            let class = self.class(spec)?;
            for declarator in declarators {
                let class = self.declared(class.clone(), declarator, spec.position)?;
                fields.push(Field::new(declarator.name.clone(), class));
            }
        }
        self.leave();
        let mut names = std::collections::HashSet::new();
        for field in &fields {
            if !names.insert(field.name.as_str()) {
                let at = declarations.iter().find_map(|d| match d {
                    Declaration::Fields(spec, _) => Some(spec.position),
                    _ => None,
                });
                let message = format!("two fields of this structure are named `{}`", field.name);
                return Err(Error::new(at.unwrap_or_default(), message));
            }
        }
        Ok(fields)
    }

    /// `class` with the stars, lengths and bits of `declarator`.
    fn declared(
        &mut self,
        class: FieldClass,
        declarator: &Declarator,
        position: Position,
    ) -> Result<FieldClass, Error> {
        self.count(weight(&class), position)?;
        let mut class = class;
        if declarator.pointers > 0 {
            return Err(Error::new(
                position,
                "a pointer has no layout: use an integer",
            ));
        }
        if let Some(bits) = declarator.bits {
            match &mut class {
                FieldClass::Integer(integer) if (1..=u64::from(integer.bits)).contains(&bits) => {
                    integer.bits = bits as u32;
                    integer.align = 1;
                }
                _ => {
                    return Err(Error::new(
                        position,
                        format!("a bit field of {bits} bits does not fit its type"),
                    ));
                }
            }
        }
        // `x[2][3]` is two arrays of three: the last length is the innermost.
        for length in declarator.lengths.iter().rev() {
            self.count(1, position)?;
            let length = match length {
                LengthExpr::Fixed(length) if *length > MAX_ARRAY => {
                    return Err(Error::new(
                        position,
                        format!("an array of {length} elements fits in no packet"),
                    ));
                }
                LengthExpr::Fixed(length) => Length::Fixed(*length),
                LengthExpr::Path(path) => Length::Field(written(path)),
            };
            class = array(class, length);
        }
        Ok(class)
    }

    fn integer(&self, attributes: &[Attribute], position: Position) -> Result<Integer, Error> {
        let mut class = Integer {
            bits: 0,
            align: 0,
            order: self.byte_order,
            ..Integer::unsigned(0)
        };
        for (path, value, at) in attributes {
            match path.join(".").as_str() {
                "size" => class.bits = bits(value, u64::from(MAX_BITS), "integer", *at)?,
                "align" => class.align = alignment(unsigned(value, *at)?, *at)?,
                "signed" => class.signed = boolean(value, *at)?,
                "base" => class.base = base(value, *at)?,
                "byte_order" => class.order = byte_order(value, self.byte_order, *at)?,
                "encoding" => class.encoding = encoding(value, *at)?,
                "map" => self.map(&mut class, value, *at)?,
                _ => {} // Unknown attributes may be ignored: later versions may add some.
            }
        }
        if class.bits == 0 {
            return Err(Error::new(position, "an integer needs a `size` in bits"));
        }
        if class.align == 0 {
            class.align = if class.bits.is_multiple_of(8) { 8 } else { 1 };
        }
        Ok(class)
    }

    /// `map = clock.NAME.value`
    fn map(&self, class: &mut Integer, value: &Value, position: Position) -> Result<(), Error> {
        let clock = match value {
            Value::Words(words) => match words.as_slice() {
                [clock, name, value] if clock == "clock" && value == "value" => Some(name.clone()),
                _ => None,
            },
            // Old tracers wrote the path as a string.
            Value::Text(text) => {
                let name = text
                    .strip_prefix("clock.")
                    .and_then(|text| text.strip_suffix(".value"));
                name.map(str::to_owned)
            }
            Value::Integer(_) => None,
        };
        let Some(clock) = clock else {
            return Err(Error::new(position, "`map` takes `clock.NAME.value`"));
        };
        class.clock = Some(clock);
        class.roles.insert(Role::Timestamp);
        Ok(())
    }

    fn float(&self, attributes: &[Attribute], position: Position) -> Result<Float, Error> {
        let (mut exponent, mut mantissa) = (0, 0);
        let mut class = Float {
            align: 0,
            order: self.byte_order,
            ..Float::new(0)
        };
        for (path, value, at) in attributes {
            match path.join(".").as_str() {
                "exp_dig" => exponent = unsigned(value, *at)?,
                "mant_dig" => mantissa = unsigned(value, *at)?,
                "align" => class.align = alignment(unsigned(value, *at)?, *at)?,
                "byte_order" => class.order = byte_order(value, self.byte_order, *at)?,
                _ => {}
            }
        }
        class.bits = match (exponent, mantissa) {
            (5, 11) => 16,
            (8, 24) => 32,
            (11, 53) => 64,
            (15, 113) => 128,
            _ => {
                let message = format!(
                    "a number with exp_dig = {exponent} and mant_dig = {mantissa} is none of binary16 (5, 11), \
                     binary32 (8, 24), binary64 (11, 53) and binary128 (15, 113)"
                );
                return Err(Error::new(position, message));
            }
        };
        if class.align == 0 {
            class.align = 8;
        }
        Ok(class)
    }

    fn enumeration(
        &mut self,
        container: Option<&TypeSpec>,
        body: &[Enumerator],
        position: Position,
    ) -> Result<FieldClass, Error> {
        let container = match container {
            Some(spec) => self.class(spec)?,
            None => self.look_up("int", position).map_err(|_| {
                Error::new(
                    position,
                    "an enumeration without a container needs a type named `int` before it",
                )
            })?,
        };
        let FieldClass::Integer(mut class) = container else {
            return Err(Error::new(
                position,
                "the container of an enumeration has to be an integer",
            ));
        };
        let mut mappings: Vec<Mapping> = Vec::new();
        let mut index: HashMap<&str, usize> = HashMap::new();
        let mut next = 0;
        let limits = match class.signed {
            true => Range::new(i128::from(i64::MIN), i128::from(i64::MAX)),
            false => Range::new(0, i128::from(u64::MAX)),
        };
        for enumerator in body {
            let (low, high) = enumerator.range.unwrap_or((next, next));
            if low > high || !limits.contains(low) || !limits.contains(high) {
                let label = &enumerator.label;
                let message = format!(
                    "label {label:?} stands for {low} ... {high}, which its integer cannot hold"
                );
                return Err(Error::new(position, message));
            }
            next = high + 1;
            let range = Range::new(low, high);
            match index.get(enumerator.label.as_str()) {
                Some(&at) => mappings[at].ranges.push(range),
                None => {
                    index.insert(&enumerator.label, mappings.len());
                    mappings.push(Mapping {
                        label: enumerator.label.clone(),
                        ranges: vec![range],
                    });
                }
            }
        }
        class.mappings = Some(mappings);
        Ok(class.into())
    }
}

/// A path to be looked up: as it was written, without an origin.
fn written(path: &[String]) -> FieldLocation {
    FieldLocation {
        origin: None,
        path: path.iter().cloned().map(Some).collect(),
    }
}

/// An array; of 8-bit characters, it is text.
fn array(element: FieldClass, length: Length) -> FieldClass {
    if let FieldClass::Integer(class) = &element
        && let Some(encoding) = class.encoding
        && class.bits == 8
        && class.align == 8
    {
        return Text { length, encoding }.into();
    }
    Array {
        length,
        element: Box::new(element),
        align: 1,
    }
    .into()
}

/// How many classes a class is made of.
fn weight(class: &FieldClass) -> usize {
    match class {
        FieldClass::Structure(class) => {
            1 + class
                .fields
                .iter()
                .map(|field| weight(&field.class))
                .sum::<usize>()
        }
        FieldClass::Variant(class) => {
            1 + class
                .options
                .iter()
                .map(|option| weight(&option.class))
                .sum::<usize>()
        }
        FieldClass::Array(class) => 1 + weight(&class.element),
        FieldClass::Optional(class) => 1 + weight(&class.class),
        _ => 1,
    }
}
