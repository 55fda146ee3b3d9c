//! TSDL, the C-like language of CTF 1.8 metadata.
//!
//! ```text
//!  text ─lex─▶ tokens ─parse─▶ statements ─read─▶ classes ─bind─▶ TraceClass ─write─▶ text
//! ```
//!
//! Reference: "Common Trace Format Specification v1.8.3", chapters 4 to 7 and appendix C (the grammar).

mod ast;
mod attributes;
mod bind;
mod lex;
mod lower;
mod names;
mod parse;
mod read;
mod types;
mod write;
mod write_class;

pub use lower::lower;
pub use read::read;
pub use write::write;

/// A place in a text: both from 1, columns in characters; line 0 is the text as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// What is wrong with a metadata text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", place(.position))]
pub struct Error {
    /// Where.
    pub position: Position,
    /// What, in words.
    pub message: String,
}

fn place(position: &Position) -> String {
    match position.line {
        0 => String::new(),
        line => format!("line {line}, column {}: ", position.column),
    }
}

impl Error {
    pub(crate) fn new(position: Position, message: impl Into<String>) -> Self {
        Error {
            position,
            message: message.into(),
        }
    }
}
