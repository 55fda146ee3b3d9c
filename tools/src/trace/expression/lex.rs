//! The tokens of an expression, each with its column.

use super::Wrong;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
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

/// A token as error messages show it.
pub(super) fn shown(token: &Token) -> String {
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
pub(super) fn lex(text: &str) -> Result<Vec<(Token, usize)>, Wrong> {
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
