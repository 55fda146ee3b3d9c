//! The types of fields as constants, and the descriptions made of them.
//!
//! ```text
//!   compile time                       when somebody asks
//!   Type::Sequence(&<u16>::TYPE) ───▶  FieldType::Sequence { element: Unsigned { bits: 16 } }
//! ```
//! A callsite's types are inferred, so they are known only to its generic code; constants
//! of a trait let that code describe itself without running, allocating or registering
//! anything.
//!
//! Invariant: a [`Type`] says exactly how [`Encode`](crate::encode::Encode) lays a value out.

use laneway_control::{Field, FieldType};

/// How a value lies in a record. The meaning of each is that of [`FieldType`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[doc(hidden)]
#[non_exhaustive]
pub enum Type {
    Unsigned(u8),
    Signed(u8),
    F32,
    F64,
    Bool,
    Char,
    Str,
    Bytes,
    Array(u32, &'static Type),
    Sequence(&'static Type),
    Optional(&'static Type),
    Duration,
    Pointer,
    Struct(Names, &'static Types),
}

/// The types of the fields of an event or a structure, the last one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[doc(hidden)]
pub enum Types {
    None,
    Field {
        before: &'static Types,
        ty: &'static Type,
    },
}

/// The names of fields as they stand in the source, each split at its dots: `[["id"],
/// ["self", "who"], ["r#type"]]`.
pub type Names = &'static [&'static [&'static str]];

impl Type {
    /// How deep types are nested in this one, itself included. A structure counts as two, its
    /// list of fields and itself, as it does in [`laneway_control::schema`].
    #[must_use]
    pub const fn depth(&self) -> usize {
        match self {
            Type::Array(_, element) | Type::Sequence(element) | Type::Optional(element) => {
                1 + element.depth()
            }
            Type::Struct(_, fields) => 2 + fields.depth(),
            _ => 1,
        }
    }

    /// The same as a consumer gets it.
    pub(crate) fn to_field_type(self) -> FieldType {
        match self {
            Type::Unsigned(bits) => FieldType::Unsigned { bits },
            Type::Signed(bits) => FieldType::Signed { bits },
            Type::F32 => FieldType::F32,
            Type::F64 => FieldType::F64,
            Type::Bool => FieldType::Bool,
            Type::Char => FieldType::Char,
            Type::Str => FieldType::Str,
            Type::Bytes => FieldType::Bytes,
            Type::Array(len, element) => FieldType::Array {
                len,
                element: Box::new(element.to_field_type()),
            },
            Type::Sequence(element) => FieldType::Sequence {
                element: Box::new(element.to_field_type()),
            },
            Type::Optional(inner) => FieldType::Optional(Box::new(inner.to_field_type())),
            Type::Duration => FieldType::Duration,
            Type::Pointer => FieldType::Pointer,
            Type::Struct(names, types) => FieldType::Struct(types.to_fields(names)),
        }
    }
}

impl Types {
    /// The depth of the deepest.
    #[must_use]
    pub const fn depth(&self) -> usize {
        let mut deepest = 0;
        let mut rest = self;
        while let Types::Field { before, ty } = rest {
            let depth = ty.depth();
            if depth > deepest {
                deepest = depth;
            }
            rest = before;
        }
        deepest
    }

    /// These types under their `names`, first field first.
    pub(crate) fn to_fields(self, names: Names) -> Vec<Field> {
        let mut fields = Vec::with_capacity(names.len());
        let mut rest = &self;
        for name in names.iter().rev() {
            let Types::Field { before, ty } = rest else {
                break;
            };
            fields.push(Field::new(
                crate::names::field_name(name),
                ty.to_field_type(),
            ));
            rest = before;
        }
        fields.reverse();
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR: Types = Types::Field {
        before: &Types::Field {
            before: &Types::None,
            ty: &Type::Bool,
        },
        ty: &Type::Sequence(&Type::Array(2, &Type::Unsigned(8))),
    };

    #[test]
    fn fields_come_in_the_order_of_the_source() {
        let fields = PAIR.to_fields(&[&["self", "ok"], &["http", "r#type"]]);
        let shown: Vec<_> = fields
            .iter()
            .map(|f| format!("{}: {}", f.name, f.ty))
            .collect();
        assert_eq!(shown, ["ok: bool", "http.type: [[u8; 2]]"]);
    }

    #[test]
    fn depth_is_that_of_the_deepest_field() {
        assert_eq!(PAIR.depth(), 3);
        assert_eq!(Type::Struct(&[], &PAIR).depth(), 5);
        assert_eq!(Types::None.depth(), 0);
    }
}
