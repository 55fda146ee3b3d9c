//! TSDL as it was written: blocks of statements.
//!
//! ```text
//!  stream { id = 0; event.header := struct { … }; };
//!           └ Assign  └ AssignType
//! ```

use super::Position;

/// A statement of the top level or of a block.
#[derive(Clone, Debug)]
pub(crate) enum Statement {
    /// `path = value;`
    Assign(Vec<String>, Value, Position),
    /// `path := type;`
    AssignType(Vec<String>, TypeSpec, Position),
    /// `typedef`, `typealias`, or a type declared for its name alone.
    Declare(Declaration),
    /// `name { … };` at the top level.
    Block(String, Vec<Statement>, Position),
}

/// What makes a name stand for a type, or declares fields.
#[derive(Clone, Debug)]
pub(crate) enum Declaration {
    /// `typedef type declarator, …;`
    Typedef(TypeSpec, Vec<Declarator>),
    /// `typealias type := alias;`: the alias is one string, words joined by spaces.
    Alias(TypeSpec, Declarator, String),
    /// `struct name { … };` and its like.
    Named(TypeSpec),
    /// `type declarator, …;` in a structure or variant.
    Fields(TypeSpec, Vec<Declarator>),
}

/// The right side of an assignment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Integer(i128),
    Text(String),
    /// Words joined by dots: `clock.monotonic.value`, `true`, `UTF8`.
    Words(Vec<String>),
}

/// A type before a declarator.
#[derive(Clone, Debug)]
pub(crate) struct TypeSpec {
    pub(crate) kind: TypeKind,
    pub(crate) position: Position,
}

#[derive(Clone, Debug)]
pub(crate) enum TypeKind {
    /// `uint32_t`, `unsigned long`.
    Alias(String),
    Integer(Vec<Attribute>),
    Float(Vec<Attribute>),
    String(Vec<Attribute>),
    Enum {
        name: Option<String>,
        container: Option<Box<TypeSpec>>,
        body: Option<Vec<Enumerator>>,
    },
    Struct {
        name: Option<String>,
        body: Option<Vec<Declaration>>,
        align: u64,
    },
    Variant {
        name: Option<String>,
        tag: Option<Vec<String>>,
        body: Option<Vec<Declaration>>,
    },
}

/// `size = 32;`
pub(crate) type Attribute = (Vec<String>, Value, Position);

/// `label = low ... high`; without a value it is one more than the last.
#[derive(Clone, Debug)]
pub(crate) struct Enumerator {
    pub(crate) label: String,
    pub(crate) range: Option<(i128, i128)>,
}

/// A name, and what turns the type before it into another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declarator {
    pub(crate) name: String,
    /// Stars before the name.
    pub(crate) pointers: usize,
    /// `[…]` behind it, in order.
    pub(crate) lengths: Vec<LengthExpr>,
    /// `: bits` behind it.
    pub(crate) bits: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) enum LengthExpr {
    Fixed(u64),
    Path(Vec<String>),
}
