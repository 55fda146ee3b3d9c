//! Values that carry their own length or presence, and the fields they turn into.
//!
//! A CTF field of varying length takes it from another field. Whoever writes values as `length, elements` or
//! `tag, value` describes them as a [`Shape`] and gets those helper fields made and named, as LTTng names them:
//!
//! ```text
//!  items: Sequence(u16)   ─▶   u32 _items_length; u16 items[_items_length]
//!  who: Optional(String)  ─▶   enum u8 { none, some } _who_tag; optional<_who_tag> string who
//! ```
//!
//! Invariant: the bytes are the shape's own, in order; nothing is aligned to more than a byte unless a class is.

use super::{
    Array, Base, Blob, FieldClass, FieldLocation, Integer, Length, Optional, Range, Selector,
    Structure,
};

/// A value as a writer lays it out, byte behind byte.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A value of one class.
    Class(FieldClass),
    /// One byte: 0 is false, 1 is true. Shown by its label.
    Bool,
    /// A `u32` number of elements, then the elements.
    Sequence(Box<Shape>),
    /// This many elements.
    Array(u64, Box<Shape>),
    /// A byte, 0 or 1, and if it is 1, the value.
    Optional(Box<Shape>),
    /// A `u32` number of bytes, then the bytes, shown in hexadecimal.
    Bytes,
    /// An unsigned 128-bit integer: the low half, then the high half.
    Unsigned128,
    /// A signed 128-bit integer: the low half, then the signed high half.
    Signed128,
    /// Fields one behind the other.
    Structure(Vec<(String, Shape)>),
}

impl<C: Into<FieldClass>> From<C> for Shape {
    fn from(class: C) -> Self {
        Shape::Class(class.into())
    }
}

impl Structure {
    /// The structure of these fields, helper fields included.
    pub fn of_shapes(fields: impl IntoIterator<Item = (String, Shape)>) -> Self {
        let mut structure = Structure::new();
        for (name, shape) in fields {
            structure.push_shape(name, shape);
        }
        structure
    }

    /// Appends a field of this shape, and before it the helper field that it needs.
    pub fn push_shape(&mut self, name: impl Into<String>, shape: Shape) {
        let name = name.into();
        let helper = |of: &str| format!("_{name}_{of}");
        match shape {
            Shape::Sequence(element) => {
                let length = helper("length");
                self.push(length.clone(), Integer::unsigned(32));
                self.push(
                    name,
                    Array {
                        length: Length::Field(FieldLocation::sibling(length)),
                        element: Box::new(element.into_class()),
                        align: 1,
                    },
                );
            }
            Shape::Bytes => {
                let length = helper("length");
                self.push(length.clone(), Integer::unsigned(32));
                self.push(
                    name,
                    Blob {
                        length: Length::Field(FieldLocation::sibling(length)),
                        media_type: None,
                        roles: super::Roles::NONE,
                    },
                );
            }
            Shape::Optional(value) => {
                let tag = helper("tag");
                let class = Integer::unsigned(8)
                    .label("none", 0, 0)
                    .label("some", 1, 255);
                self.push(tag.clone(), class);
                let there =
                    Selector::Integer(FieldLocation::sibling(tag), vec![Range::new(1, 255)]);
                self.push(
                    name,
                    Optional {
                        selector: there,
                        class: Box::new(value.into_class()),
                    },
                );
            }
            other => self.push(name, other.into_class()),
        }
    }
}

impl Shape {
    /// The class of a value that stands alone, as an array's element does: what needs a helper field becomes a
    /// structure of the helper and `value` or `values`.
    fn into_class(self) -> FieldClass {
        match self {
            Shape::Class(class) => class,
            Shape::Bool => Integer::unsigned(8)
                .label("false", 0, 0)
                .label("true", 1, 255)
                .into(),
            Shape::Array(length, element) => Array {
                length: Length::Fixed(length),
                element: Box::new(element.into_class()),
                align: 1,
            }
            .into(),
            Shape::Unsigned128 => halves(Integer::unsigned(64)).into(),
            Shape::Signed128 => halves(Integer::signed(64)).into(),
            Shape::Structure(fields) => Structure::of_shapes(fields).into(),
            Shape::Sequence(_) | Shape::Bytes => {
                Structure::of_shapes([("values".to_owned(), self)]).into()
            }
            Shape::Optional(_) => Structure::of_shapes([("value".to_owned(), self)]).into(),
        }
    }
}

fn halves(high: Integer) -> Structure {
    let low = Integer {
        base: Base::Hexadecimal,
        ..Integer::unsigned(64)
    };
    let high = Integer {
        base: Base::Hexadecimal,
        ..high
    };
    Structure::new().with("low", low).with("high", high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(structure: &Structure) -> Vec<&str> {
        structure.fields.iter().map(|f| f.name.as_str()).collect()
    }

    #[test]
    fn values_that_vary_are_preceded_by_what_says_how() {
        let shapes = [
            ("plain".to_owned(), Shape::from(Integer::unsigned(32))),
            ("items".to_owned(), Shape::Sequence(Box::new(Shape::Bool))),
            ("raw".to_owned(), Shape::Bytes),
            (
                "maybe".to_owned(),
                Shape::Optional(Box::new(Shape::Unsigned128)),
            ),
        ];
        let structure = Structure::of_shapes(shapes);
        assert_eq!(
            names(&structure),
            [
                "plain",
                "_items_length",
                "items",
                "_raw_length",
                "raw",
                "_maybe_tag",
                "maybe"
            ]
        );
    }

    #[test]
    fn an_element_that_varies_carries_its_helper_in_a_structure() {
        let inner = Shape::Optional(Box::new(Shape::Bytes));
        let FieldClass::Array(array) = Shape::Array(2, Box::new(inner)).into_class() else {
            panic!("an array shape becomes an array");
        };
        let FieldClass::Structure(element) = *array.element else {
            panic!("an optional element becomes a structure");
        };
        assert_eq!(names(&element), ["_value_tag", "value"]);
        let Some(FieldClass::Optional(value)) = element.get("value") else {
            panic!("the value is optional");
        };
        let FieldClass::Structure(bytes) = value.class.as_ref() else {
            panic!("bytes in an optional become a structure");
        };
        assert_eq!(names(bytes), ["_values_length", "values"]);
    }
}
