//! From tokens to a tree; the grammar is that of the [module above](super).

use globset::GlobBuilder;

use super::lex::{Token, lex, shown};
use super::{Comparison, Expression, Node, Wrong};

/// How deep parentheses and signs may be nested.
const MAX_DEPTH: usize = 64;

/// Reads an expression.
pub(super) fn parse(text: &str) -> Result<Expression, Wrong> {
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
