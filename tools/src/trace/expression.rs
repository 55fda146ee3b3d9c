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

use std::fmt;

use globset::{GlobBuilder, GlobMatcher};
use laneway_ctf::read::Value;

/// How deep parentheses and signs may be nested.
const MAX_DEPTH: usize = 64;

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

/// What a part of an expression comes to.
#[derive(Clone, Debug)]
enum Result_<'a> {
    Missing,
    Integer(i128, Option<&'a str>),
    Float(f64),
    Text(&'a [u8]),
    Boolean(bool),
}

impl Expression {
    /// Reads an expression.
    pub(crate) fn parse(text: &str) -> Result<Self, Wrong> {
        let mut parser = Parser {
            tokens: lex(text)?,
            at: 0,
            depth: 0,
            text,
            fields: Vec::new(),
        };
        let root = parser.or()?;
        match parser.peek() {
            Token::End => Ok(Expression {
                root,
                fields: parser.fields,
            }),
            other => Err(parser.wrong(format!("{} is not expected here", shown(other)))),
        }
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
        truth(&evaluate(&self.root, values))
    }
}

fn truth(result: &Result_<'_>) -> bool {
    match result {
        Result_::Missing => false,
        Result_::Integer(value, _) => *value != 0,
        Result_::Float(value) => *value != 0.0,
        Result_::Text(text) => !text.is_empty(),
        Result_::Boolean(value) => *value,
    }
}

fn evaluate<'a>(node: &'a Node, values: &[Option<&'a Value>]) -> Result_<'a> {
    match node {
        Node::Or(a, b) => {
            Result_::Boolean(truth(&evaluate(a, values)) || truth(&evaluate(b, values)))
        }
        Node::And(a, b) => {
            Result_::Boolean(truth(&evaluate(a, values)) && truth(&evaluate(b, values)))
        }
        Node::Not(a) => Result_::Boolean(!truth(&evaluate(a, values))),
        Node::Compare(a, how, b) => Result_::Boolean(compare(a, *how, b, values)),
        Node::Arithmetic(a, operator, b) => {
            arithmetic(&evaluate(a, values), *operator, &evaluate(b, values))
        }
        Node::Negative(a) => match evaluate(a, values) {
            Result_::Integer(value, _) => Result_::Integer(-value, None),
            Result_::Float(value) => Result_::Float(-value),
            _ => Result_::Missing,
        },
        Node::Integer(value) => Result_::Integer(*value, None),
        Node::Float(value) => Result_::Float(*value),
        Node::Text(text, _) => Result_::Text(text.as_bytes()),
        Node::Field(index) => match values.get(*index).copied().flatten() {
            Some(Value::Unsigned(value, label)) => {
                Result_::Integer(i128::from(*value), label.as_deref())
            }
            Some(Value::Signed(value, label)) => {
                Result_::Integer(i128::from(*value), label.as_deref())
            }
            Some(Value::Float(value)) => Result_::Float(*value),
            Some(Value::Boolean(value)) => Result_::Boolean(*value),
            Some(Value::Text(text)) => Result_::Text(text),
            Some(Value::Array(elements)) => Result_::Integer(elements.len() as i128, None),
            Some(Value::Blob(bytes)) => Result_::Integer(bytes.len() as i128, None),
            Some(Value::Nothing | Value::Structure(_)) | None => Result_::Missing,
        },
    }
}

fn compare<'a>(a: &'a Node, how: Comparison, b: &'a Node, values: &[Option<&'a Value>]) -> bool {
    use std::cmp::Ordering;
    let (left, right) = (evaluate(a, values), evaluate(b, values));
    if matches!(left, Result_::Missing) || matches!(right, Result_::Missing) {
        return false;
    }
    // A literal is a pattern for the text, or the label, on the other side.
    if let (
        Comparison::Equal | Comparison::Unequal,
        (_, Node::Text(_, glob)) | (Node::Text(_, glob), _),
    ) = (how, (a, b))
    {
        let other = if matches!(b, Node::Text(..)) {
            &left
        } else {
            &right
        };
        let matched = match other {
            Result_::Text(text) => glob.is_match(String::from_utf8_lossy(text).as_ref()),
            Result_::Integer(_, Some(label)) => glob.is_match(label),
            Result_::Boolean(value) => glob.is_match(if *value { "true" } else { "false" }),
            _ => return how == Comparison::Unequal,
        };
        return matched == (how == Comparison::Equal);
    }
    let ordering = match (&left, &right) {
        (Result_::Text(a), Result_::Text(b)) => Some(a.cmp(b)),
        (Result_::Integer(a, _), Result_::Integer(b, _)) => Some(a.cmp(b)),
        (a, b) => match (number(a), number(b)) {
            (Some(a), Some(b)) => a.partial_cmp(&b),
            _ => None,
        },
    };
    match (ordering, how) {
        (None, how) => how == Comparison::Unequal,
        (Some(ordering), Comparison::Equal) => ordering == Ordering::Equal,
        (Some(ordering), Comparison::Unequal) => ordering != Ordering::Equal,
        (Some(ordering), Comparison::Less) => ordering == Ordering::Less,
        (Some(ordering), Comparison::LessOrEqual) => ordering != Ordering::Greater,
        (Some(ordering), Comparison::Greater) => ordering == Ordering::Greater,
        (Some(ordering), Comparison::GreaterOrEqual) => ordering != Ordering::Less,
    }
}

fn number(result: &Result_<'_>) -> Option<f64> {
    match result {
        Result_::Integer(value, _) => Some(*value as f64),
        Result_::Float(value) => Some(*value),
        Result_::Boolean(value) => Some(f64::from(u8::from(*value))),
        Result_::Missing | Result_::Text(_) => None,
    }
}

fn arithmetic<'a>(a: &Result_<'_>, operator: char, b: &Result_<'_>) -> Result_<'a> {
    if let (Result_::Integer(a, _), Result_::Integer(b, _)) = (a, b) {
        let result = match operator {
            '+' => a.checked_add(*b),
            '-' => a.checked_sub(*b),
            '*' => a.checked_mul(*b),
            '/' => a.checked_div(*b),
            _ => a.checked_rem(*b),
        };
        // Dividing by zero has no result, and what has none is as good as not there.
        return result.map_or(Result_::Missing, |value| Result_::Integer(value, None));
    }
    let (Some(a), Some(b)) = (number(a), number(b)) else {
        return Result_::Missing;
    };
    Result_::Float(match operator {
        '+' => a + b,
        '-' => a - b,
        '*' => a * b,
        '/' => a / b,
        _ => a % b,
    })
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Integer(i128),
    Float(f64),
    Text(String),
    Field(String),
    Sign(&'static str),
    End,
}

const SIGNS: [&str; 17] = [
    "||", "&&", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "+", "-", "*", "/", "%", "=",
];

fn shown(token: &Token) -> String {
    match token {
        Token::Integer(value) => format!("`{value}`"),
        Token::Float(value) => format!("`{value}`"),
        Token::Text(text) => format!("{text:?}"),
        Token::Field(name) => format!("`{name}`"),
        Token::Sign(sign) => format!("`{sign}`"),
        Token::End => "the end".to_owned(),
    }
}

/// The tokens of a text, and the column of each, from 0.
fn lex(text: &str) -> Result<Vec<(Token, usize)>, Wrong> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let column = text[..text.len() - rest.len()].chars().count();
        let wrong = |message: String| Wrong {
            text: text.to_owned(),
            column,
            message,
        };
        let Some(first) = rest.chars().next() else {
            tokens.push((Token::End, column));
            return Ok(tokens);
        };
        let (token, length) = if first.is_ascii_digit() {
            number_token(rest).map_err(wrong)?
        } else if first == '"' || first == '\'' {
            let end = rest[1..]
                .find(first)
                .ok_or_else(|| wrong("this text has no end".into()))?;
            (Token::Text(rest[1..=end].to_owned()), end + 2)
        } else if first.is_alphabetic() || first == '_' {
            let in_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
            let end = rest.find(|c| !in_name(c)).unwrap_or(rest.len());
            (Token::Field(rest[..end].to_owned()), end)
        } else {
            let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
            let sign = sign.ok_or_else(|| wrong(format!("`{first}` has no meaning here")))?;
            (Token::Sign(sign), sign.len())
        };
        tokens.push((token, column));
        rest = &rest[length..];
    }
}

fn number_token(rest: &str) -> Result<(Token, usize), String> {
    let hexadecimal = rest.starts_with("0x");
    let mut end = 0;
    let mut before = ' ';
    for c in rest.chars() {
        let exponent = !hexadecimal && matches!(before, 'e' | 'E') && matches!(c, '+' | '-');
        if !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || exponent) {
            break;
        }
        end += c.len_utf8();
        before = c;
    }
    let digits = rest[..end].replace('_', "");
    let parsed = match digits.strip_prefix("0x") {
        Some(digits) => i128::from_str_radix(digits, 16).ok().map(Token::Integer),
        None => digits
            .parse()
            .map(Token::Integer)
            .ok()
            .or_else(|| digits.parse().ok().map(Token::Float)),
    };
    parsed
        .map(|token| (token, end))
        .ok_or_else(|| format!("`{}` is no number", &rest[..end]))
}

struct Parser<'a> {
    tokens: Vec<(Token, usize)>,
    at: usize,
    depth: usize,
    text: &'a str,
    fields: Vec<(String, usize)>,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    fn wrong(&self, message: String) -> Wrong {
        Wrong {
            text: self.text.to_owned(),
            column: self.tokens[self.at].1,
            message,
        }
    }

    fn eat(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(s) if *s == sign);
        if found {
            self.at += 1;
        }
        found
    }

    fn or(&mut self) -> Result<Node, Wrong> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wrong(format!("this is nested more than {MAX_DEPTH} deep")));
        }
        let mut left = self.and()?;
        while self.eat("||") {
            left = Node::Or(Box::new(left), Box::new(self.and()?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn and(&mut self) -> Result<Node, Wrong> {
        let mut left = self.not()?;
        while self.eat("&&") {
            left = Node::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Node, Wrong> {
        if !self.eat("!") {
            return self.comparison();
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wrong(format!("this is nested more than {MAX_DEPTH} deep")));
        }
        let inner = self.not()?;
        self.depth -= 1;
        Ok(Node::Not(Box::new(inner)))
    }

    fn comparison(&mut self) -> Result<Node, Wrong> {
        let left = self.sum()?;
        let how = match self.peek() {
            Token::Sign("==") => Comparison::Equal,
            Token::Sign("!=") => Comparison::Unequal,
            Token::Sign("<") => Comparison::Less,
            Token::Sign("<=") => Comparison::LessOrEqual,
            Token::Sign(">") => Comparison::Greater,
            Token::Sign(">=") => Comparison::GreaterOrEqual,
            Token::Sign("=") => return Err(self.wrong("`=` compares nothing, `==` does".into())),
            _ => return Ok(left),
        };
        self.at += 1;
        let right = self.sum()?;
        Ok(Node::Compare(Box::new(left), how, Box::new(right)))
    }

    fn sum(&mut self) -> Result<Node, Wrong> {
        let mut left = self.term()?;
        loop {
            let operator = match self.peek() {
                Token::Sign("+") => '+',
                Token::Sign("-") => '-',
                _ => return Ok(left),
            };
            self.at += 1;
            left = Node::Arithmetic(Box::new(left), operator, Box::new(self.term()?));
        }
    }

    fn term(&mut self) -> Result<Node, Wrong> {
        let mut left = self.unary()?;
        loop {
            let operator = match self.peek() {
                Token::Sign("*") => '*',
                Token::Sign("/") => '/',
                Token::Sign("%") => '%',
                _ => return Ok(left),
            };
            self.at += 1;
            left = Node::Arithmetic(Box::new(left), operator, Box::new(self.unary()?));
        }
    }

    fn unary(&mut self) -> Result<Node, Wrong> {
        if !self.eat("-") {
            return self.primary();
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wrong(format!("this is nested more than {MAX_DEPTH} deep")));
        }
        let inner = self.unary()?;
        self.depth -= 1;
        Ok(Node::Negative(Box::new(inner)))
    }

    fn primary(&mut self) -> Result<Node, Wrong> {
        let column = self.tokens[self.at].1;
        let node = match self.peek().clone() {
            Token::Integer(value) => Node::Integer(value),
            Token::Float(value) => Node::Float(value),
            Token::Text(text) => {
                let glob = GlobBuilder::new(&text).literal_separator(false).build();
                let glob = glob.map_err(|e| self.wrong(format!("this pattern is wrong: {e}")))?;
                Node::Text(text, glob.compile_matcher())
            }
            Token::Field(name) => {
                let known = self.fields.iter().position(|(known, _)| *known == name);
                Node::Field(known.unwrap_or_else(|| {
                    self.fields.push((name, column));
                    self.fields.len() - 1
                }))
            }
            Token::Sign("(") => {
                self.at += 1;
                let inner = self.or()?;
                if !self.eat(")") {
                    return Err(self.wrong("a `)` is missing".into()));
                }
                return Ok(inner);
            }
            other => {
                let message = format!(
                    "expected a field, a number or a text, found {}",
                    shown(&other)
                );
                return Err(self.wrong(message));
            }
        };
        self.at += 1;
        Ok(node)
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
