//! TSDL text into tokens.
//!
//! Keywords are ordinary words here: `event.header` and `stream_id` use them as names, and only the parser knows.
//!
//! Reference: CTF 1.8.3, appendix C.1 (lexical grammar, that of C99).

use super::{Error, Position};

/// A piece of TSDL text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// An identifier or keyword.
    Word(String),
    /// An unsigned integer literal.
    Integer(u64),
    /// A string literal, unescaped.
    Text(String),
    /// One of `{ } [ ] ( ) < > ; , : . * + - = := ... ->`.
    Sign(&'static str),
    /// The end of the text.
    End,
}

const SIGNS: [&str; 20] = [
    "...", ":=", "->", "{", "}", "[", "]", "(", ")", "<", ">", ";", ",", ":", ".", "*", "+", "-",
    "=", "&",
];

/// All tokens of `text` with their positions, the last of them [`Token::End`].
pub(crate) fn lex(text: &str) -> Result<Vec<(Token, Position)>, Error> {
    let mut lexer = Lexer {
        text,
        at: 0,
        position: Position { line: 1, column: 1 },
    };
    let mut tokens = Vec::with_capacity(text.len() / 6);
    loop {
        lexer.skip_blanks()?;
        let position = lexer.position;
        let token = lexer.token()?;
        let end = token == Token::End;
        tokens.push((token, position));
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    position: Position,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn error(&self, message: impl Into<String>) -> Error {
        Error::new(self.position, message)
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let taken = &self.rest()[..bytes];
        self.at += bytes;
        match taken.rfind('\n') {
            Some(last) => {
                self.position.line += taken.matches('\n').count();
                self.position.column = taken[last..].chars().count();
            }
            None => self.position.column += taken.chars().count(),
        }
        taken
    }

    fn skip_blanks(&mut self) -> Result<(), Error> {
        loop {
            let rest = self.rest();
            let blanks = rest.len()
                - rest
                    .trim_start_matches([' ', '\t', '\r', '\n', '\x0b', '\x0c'])
                    .len();
            if blanks > 0 {
                self.take(blanks);
            } else if rest.starts_with("//") {
                self.take(rest.find('\n').unwrap_or(rest.len()));
            } else if rest.starts_with("/*") {
                let end = rest
                    .find("*/")
                    .ok_or_else(|| self.error("this comment has no end"))?;
                self.take(end + 2);
            } else {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Result<Token, Error> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Ok(Token::End);
        };
        if first.is_ascii_digit() {
            return self.integer();
        }
        if first == '"' || rest.starts_with("L\"") {
            return self.quoted('"');
        }
        if first == '\'' || rest.starts_with("L'") {
            return self.quoted('\'');
        }
        let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '\\';
        if in_word(first) {
            let end = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
            return Ok(Token::Word(self.take(end).to_owned()));
        }
        match SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            Some(sign) => {
                self.take(sign.len());
                Ok(Token::Sign(sign))
            }
            None => Err(self.error(format!("{first:?} has no meaning here"))),
        }
    }

    fn integer(&mut self) -> Result<Token, Error> {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let literal = &rest[..end];
        let digits = literal.trim_end_matches(['u', 'U', 'l', 'L']);
        let hexadecimal = digits
            .strip_prefix("0x")
            .or_else(|| digits.strip_prefix("0X"));
        let value = match (hexadecimal, digits.strip_prefix('0')) {
            (Some(digits), _) => u64::from_str_radix(digits, 16),
            (None, Some(digits)) if !digits.is_empty() => u64::from_str_radix(digits, 8),
            _ => digits.parse(),
        };
        let value = value
            .map_err(|_| self.error(format!("`{literal}` is no integer of at most 64 bits")))?;
        self.take(end);
        Ok(Token::Integer(value))
    }

    fn quoted(&mut self, quote: char) -> Result<Token, Error> {
        let rest = self.rest();
        let open = rest.find(quote).map_or(1, |at| at + 1);
        let mut out = Vec::new();
        let mut chars = rest[open..].char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c == quote {
                let text = String::from_utf8_lossy(&out).into_owned();
                self.take(open + at + 1);
                return Ok(Token::Text(text));
            }
            if c != '\\' {
                let mut utf8 = [0; 4];
                out.extend(c.encode_utf8(&mut utf8).as_bytes());
                continue;
            }
            let Some((_, escaped)) = chars.next() else {
                break;
            };
            let mut number = |radix: u32, most: usize, mut value: u32| {
                for _ in 0..most {
                    let Some(digit) = chars.peek().and_then(|(_, c)| c.to_digit(radix)) else {
                        break;
                    };
                    value = value * radix + digit;
                    chars.next();
                }
                value as u8
            };
            match escaped {
                'a' => out.push(7),
                'b' => out.push(8),
                'f' => out.push(12),
                'n' => out.push(b'\n'),
                'r' => out.push(b'\r'),
                't' => out.push(b'\t'),
                'v' => out.push(11),
                'x' => out.push(number(16, 2, 0)),
                '0'..='7' => out.push(number(8, 2, escaped as u32 - '0' as u32)),
                '"' | '\'' | '\\' | '?' => out.push(escaped as u8),
                other => return Err(self.error(format!("`\\{other}` is no escape sequence"))),
            }
        }
        Err(self.error("this literal has no end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token> {
        lex(text)
            .unwrap()
            .into_iter()
            .map(|(token, _)| token)
            .collect()
    }

    #[test]
    fn literals_are_those_of_c() {
        let want = [
            Token::Integer(0x1f),
            Token::Integer(8),
            Token::Integer(0),
            Token::Integer(u64::MAX),
        ];
        assert_eq!(tokens("0x1FuLL 010 0 18446744073709551615")[..4], want);
        assert_eq!(
            tokens(r#" "a\"\n\x41\101\0071" "#)[0],
            Token::Text("a\"\nAA\u{7}1".into())
        );
    }

    #[test]
    fn comments_and_line_ends_of_either_kind_are_skipped() {
        let words = tokens("/* a\n * b */ x // c\r\n y");
        assert_eq!(
            words,
            [Token::Word("x".into()), Token::Word("y".into()), Token::End]
        );
    }

    #[test]
    fn errors_say_where() {
        for (text, line, column) in [
            ("a\n  $", 2, 3),
            ("\"abc", 1, 1),
            ("\n/* x", 2, 1),
            ("0x", 1, 1),
        ] {
            let error = lex(text).unwrap_err();
            assert_eq!(
                (error.position.line, error.position.column),
                (line, column),
                "{text}: {error}"
            );
        }
    }
}
