//! What an expression comes to for the values of an event.

use laneway_ctf::read::Value;

use super::{Comparison, Node};

/// What a part of an expression comes to.
#[derive(Clone, Debug)]
enum Outcome<'a> {
    Missing,
    Integer(i128, Option<&'a str>),
    Float(f64),
    Text(&'a [u8]),
    Boolean(bool),
}

/// Whether the whole of it is true.
pub(super) fn holds(node: &Node, values: &[Option<&Value>]) -> bool {
    truth(&evaluate(node, values))
}

fn truth(result: &Outcome<'_>) -> bool {
    match result {
        Outcome::Missing => false,
        Outcome::Integer(value, _) => *value != 0,
        Outcome::Float(value) => *value != 0.0,
        Outcome::Text(text) => !text.is_empty(),
        Outcome::Boolean(value) => *value,
    }
}

fn evaluate<'a>(node: &'a Node, values: &[Option<&'a Value>]) -> Outcome<'a> {
    match node {
        Node::Or(a, b) => {
            Outcome::Boolean(truth(&evaluate(a, values)) || truth(&evaluate(b, values)))
        }
        Node::And(a, b) => {
            Outcome::Boolean(truth(&evaluate(a, values)) && truth(&evaluate(b, values)))
        }
        Node::Not(a) => Outcome::Boolean(!truth(&evaluate(a, values))),
        Node::Compare(a, how, b) => Outcome::Boolean(compare(a, *how, b, values)),
        Node::Arithmetic(a, operator, b) => {
            arithmetic(&evaluate(a, values), *operator, &evaluate(b, values))
        }
        Node::Negative(a) => match evaluate(a, values) {
            Outcome::Integer(value, _) => Outcome::Integer(-value, None),
            Outcome::Float(value) => Outcome::Float(-value),
            _ => Outcome::Missing,
        },
        Node::Integer(value) => Outcome::Integer(*value, None),
        Node::Float(value) => Outcome::Float(*value),
        Node::Text(text, _) => Outcome::Text(text.as_bytes()),
        Node::Field(index) => match values.get(*index).copied().flatten() {
            Some(Value::Unsigned(value, label)) => {
                Outcome::Integer(i128::from(*value), label.as_deref())
            }
            Some(Value::Signed(value, label)) => {
                Outcome::Integer(i128::from(*value), label.as_deref())
            }
            Some(Value::Float(value)) => Outcome::Float(*value),
            Some(Value::Boolean(value)) => Outcome::Boolean(*value),
            Some(Value::Text(text)) => Outcome::Text(text),
            Some(Value::Array(elements)) => Outcome::Integer(elements.len() as i128, None),
            Some(Value::Blob(bytes)) => Outcome::Integer(bytes.len() as i128, None),
            Some(Value::Nothing | Value::Structure(_)) | None => Outcome::Missing,
        },
    }
}

fn compare<'a>(a: &'a Node, how: Comparison, b: &'a Node, values: &[Option<&'a Value>]) -> bool {
    use std::cmp::Ordering;
    let (left, right) = (evaluate(a, values), evaluate(b, values));
    if matches!(left, Outcome::Missing) || matches!(right, Outcome::Missing) {
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
            Outcome::Text(text) => glob.is_match(String::from_utf8_lossy(text).as_ref()),
            Outcome::Integer(_, Some(label)) => glob.is_match(label),
            Outcome::Boolean(value) => glob.is_match(if *value { "true" } else { "false" }),
            _ => return how == Comparison::Unequal,
        };
        return matched == (how == Comparison::Equal);
    }
    let ordering = match (&left, &right) {
        (Outcome::Text(a), Outcome::Text(b)) => Some(a.cmp(b)),
        (Outcome::Integer(a, _), Outcome::Integer(b, _)) => Some(a.cmp(b)),
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

fn number(result: &Outcome<'_>) -> Option<f64> {
    match result {
        Outcome::Integer(value, _) => Some(*value as f64),
        Outcome::Float(value) => Some(*value),
        Outcome::Boolean(value) => Some(f64::from(u8::from(*value))),
        Outcome::Missing | Outcome::Text(_) => None,
    }
}

fn arithmetic<'a>(a: &Outcome<'_>, operator: char, b: &Outcome<'_>) -> Outcome<'a> {
    if let (Outcome::Integer(a, _), Outcome::Integer(b, _)) = (a, b) {
        let result = match operator {
            '+' => a.checked_add(*b),
            '-' => a.checked_sub(*b),
            '*' => a.checked_mul(*b),
            '/' => a.checked_div(*b),
            _ => a.checked_rem(*b),
        };
        // Dividing by zero has no result, and what has none is as good as not there.
        return result.map_or(Outcome::Missing, |value| Outcome::Integer(value, None));
    }
    let (Some(a), Some(b)) = (number(a), number(b)) else {
        return Outcome::Missing;
    };
    Outcome::Float(match operator {
        '+' => a + b,
        '-' => a - b,
        '*' => a * b,
        '/' => a / b,
        _ => a % b,
    })
}
