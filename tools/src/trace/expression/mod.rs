//! A small language over the fields of an event: `total > 10 && who == "al*"`.
//!
//! ```text
//!  or    = and { "||" and }             sum   = term { ("+" | "-") term }
//!  and   = not { "&&" not }             term  = unary { ("*" | "/" | "%") unary }
//!  not   = "!" not | comparison         unary = "-" unary | primary
//!  comparison = sum [ op sum ]          primary = number | "text" | field | "(" or ")"
//! ```
//! `op` is one of `== != < <= > >=`. Text compared with `==` or `!=` to a literal is matched with `*` and `?`; an
//! enumeration compares by its label with text and by its value with numbers. A comparison with a field that the event
//! does not have is false.
//!
//! Invariant: whatever the text is, reading it ends with a value or an error that points at a column.

mod evaluate;
mod lex;
mod parse;

use std::fmt;

use globset::GlobMatcher;
use laneway_ctf::read::Value;

/// An expression that was read.
#[derive(Debug)]
pub(crate) struct Expression {
    root: Node,
    fields: Vec<(String, usize)>,
}

/// What is wrong with an expression, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    text: String,
    column: usize,
    message: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pad = " ".repeat(self.column);
        write!(
            f,
            "column {}: {}\n  {}\n  {pad}^",
            self.column + 1,
            self.message,
            self.text
        )
    }
}

impl std::error::Error for Wrong {}

#[derive(Debug)]
enum Node {
    Or(Box<Node>, Box<Node>),
    And(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Compare(Box<Node>, Comparison, Box<Node>),
    Arithmetic(Box<Node>, char, Box<Node>),
    Negative(Box<Node>),
    Integer(i128),
    Float(f64),
    Text(String, GlobMatcher),
    Field(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Expression {
    /// Reads an expression.
    pub(crate) fn parse(text: &str) -> Result<Self, Wrong> {
        parse::parse(text)
    }

    /// The fields it speaks of, as `a.b`, in the order in which [`holds`](Self::holds) wants their values; and where in
    /// the text they stand first.
    pub(crate) fn fields(&self) -> &[(String, usize)] {
        &self.fields
    }

    /// What to say if there is no such field.
    pub(crate) fn unknown_field(&self, text: &str, index: usize) -> Wrong {
        let (name, column) = &self.fields[index];
        Wrong {
            text: text.to_owned(),
            column: *column,
            message: format!("no event has a field `{name}`"),
        }
    }

    /// Whether it is true for an event with these values.
    pub(crate) fn holds(&self, values: &[Option<&Value>]) -> bool {
        evaluate::holds(&self.root, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str) -> bool {
        let expression = Expression::parse(text).unwrap_or_else(|e| panic!("{e}"));
        let all = [
            ("n", Value::Unsigned(42, None)),
            ("minus", Value::Signed(-7, None)),
            ("big", Value::Unsigned(u64::MAX, None)),
            ("x", Value::Float(1.5)),
            ("who", Value::Text(b"alice".to_vec())),
            ("state", Value::Unsigned(1, Some("PAID".into()))),
            ("yes", Value::Boolean(true)),
            ("items", Value::Array(vec![Value::Nothing; 3])),
            ("a.b", Value::Signed(3, None)),
            ("none", Value::Nothing),
        ];
        let values: Vec<_> = expression
            .fields()
            .iter()
            .map(|(name, _)| all.iter().find(|(n, _)| n == name).map(|(_, value)| value))
            .collect();
        expression.holds(&values)
    }

    #[test]
    fn expressions_mean_what_c_programmers_expect() {
        for text in [
            "n == 42",
            "n == 0x2a",
            "n > 10 && who == \"al*\"",
            "who == 'a?ice' && who != \"bob\"",
            "1 + 2 * 3 == 7 && (1 + 2) * 3 == 9",
            "n % 5 == 2 && n / 4 == 10",
            "minus < 0 && -minus == 7",
            "big > 18446744073709551614",
            "x * 2 == 3 && x < 1.6e0",
            "state == \"PAID\" && state == 1",
            "yes && !(n < 42) || 0",
            "items == 3",
            "a.b == 3",
            "who < \"bob\" || 0",
            "yes == 1",
        ] {
            assert!(holds(text), "{text}");
        }
        for text in [
            "n != 42",
            "nothing == 1",
            "nothing != 1",
            "none == 0",
            "n / 0 == 1",
            "who == 5",
            "!n",
            "who == \"li\"",
        ] {
            assert!(!holds(text), "{text}");
        }
    }

    #[test]
    fn errors_point_at_the_column() {
        for (text, column, want) in [
            ("n = 5", 3, "`=` compares nothing, `==` does"),
            (
                "n == ",
                6,
                "expected a field, a number or a text, found the end",
            ),
            ("(n == 5", 8, "a `)` is missing"),
            ("n == 5)", 7, "`)` is not expected here"),
            ("größe == 5 $", 12, "`$` has no meaning here"),
            ("n == \"abc", 6, "this text has no end"),
            ("n == 5x", 6, "`5x` is no number"),
            ("a b", 3, "`b` is not expected here"),
        ] {
            let wrong = Expression::parse(text).unwrap_err();
            assert_eq!(
                (wrong.column + 1, wrong.message.as_str()),
                (column, want),
                "{text}"
            );
        }
        let shown = Expression::parse("n = 5").unwrap_err().to_string();
        assert!(shown.ends_with("\n  n = 5\n    ^"), "{shown}");
    }

    #[test]
    fn nesting_without_end_is_an_error() {
        for text in ["(".repeat(10_000), "!".repeat(10_000), "- ".repeat(10_000)] {
            let wrong = Expression::parse(&text).unwrap_err();
            assert!(
                wrong.message.contains("nested more than 64 deep"),
                "{}",
                wrong.message
            );
        }
    }
}
