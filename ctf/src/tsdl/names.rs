//! Names as TSDL can say them.
//!
//! A TSDL identifier is a C identifier and no keyword. Like LTTng, the writer puts an underscore before every name
//! in a context or payload, which readers take away again; the names in headers and packet contexts have a meaning
//! and stay as they are.
//!
//! ```text
//!  type ─▶ _type     größe ─▶ _gr__e     a-b, a+b ─▶ _a_b, _a_b_2
//! ```
//!
//! Invariant: the identifiers of one structure are unique.

use std::collections::HashSet;

use crate::model::Structure;

const KEYWORDS: &[&str] = &[
    "_Bool",
    "_Complex",
    "_Imaginary",
    "align",
    "callsite",
    "char",
    "clock",
    "const",
    "double",
    "enum",
    "env",
    "event",
    "float",
    "floating_point",
    "int",
    "integer",
    "long",
    "short",
    "signed",
    "stream",
    "string",
    "struct",
    "trace",
    "typealias",
    "typedef",
    "unsigned",
    "variant",
    "void",
];

/// Whether `text` is reserved.
pub(crate) fn is_keyword(text: &str) -> bool {
    KEYWORDS.contains(&text)
}

/// The identifiers of a structure's fields, in order.
pub(crate) fn of_fields(structure: &Structure, prefixed: bool) -> Vec<String> {
    unique(structure.fields.iter().map(|f| f.name.as_str()), prefixed)
}

/// An identifier for each name, in order, none of them twice.
pub(crate) fn unique<'a>(names: impl IntoIterator<Item = &'a str>, prefixed: bool) -> Vec<String> {
    let mut taken = HashSet::new();
    let mut identifiers = Vec::new();
    for name in names {
        let base = identifier(name, prefixed);
        let mut candidate = base.clone();
        let mut n = 2;
        while !taken.insert(candidate.clone()) {
            candidate = format!("{base}_{n}");
            n += 1;
        }
        identifiers.push(candidate);
    }
    identifiers
}

/// The nearest identifier to `name`.
fn identifier(name: &str, prefixed: bool) -> String {
    let mut out = String::with_capacity(name.len() + 1);
    let starts_badly = !name.starts_with(|c: char| c.is_ascii_alphabetic());
    if prefixed || starts_badly || is_keyword(name) {
        out.push('_');
    }
    out.extend(name.chars().map(|c| match c {
        c if c.is_ascii_alphanumeric() => c,
        _ => '_',
    }));
    if is_keyword(&out) {
        out.insert(0, '_');
    }
    out
}

/// `text` as a TSDL string literal.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Octal, always three digits: nothing that follows can be taken for one more.
            c if c.is_ascii_control() => out.push_str(&format!("\\{:03o}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_becomes_an_identifier() {
        let names = ["id", "type", "größe", "", "0", "Bool", "_x"];
        assert_eq!(
            unique(names, true),
            ["_id", "_type", "_gr__e", "_", "_0", "__Bool", "__x"]
        );
        assert_eq!(
            unique(["id", "event", "_x"], false),
            ["id", "_event", "__x"]
        );
    }

    #[test]
    fn names_that_become_the_same_are_told_apart() {
        assert_eq!(
            unique(["a-b", "a+b", "a.b"], true),
            ["_a_b", "_a_b_2", "_a_b_3"]
        );
    }

    #[test]
    fn a_literal_keeps_quotes_and_control_characters() {
        assert_eq!(quoted("a\"b\\c\n\u{7}1"), "\"a\\\"b\\\\c\\n\\0071\"");
    }
}
