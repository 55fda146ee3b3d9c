//! Tokens into blocks and statements.
//!
//! Reference: CTF 1.8.3, appendix C.2 (syntax grammar). Recursive descent; one token of lookahead decides.
//!
//! Invariant: nesting is bounded, so no text exhausts the stack.

use super::ast::{
    Attribute, Declaration, Declarator, Enumerator, LengthExpr, Statement, TypeKind, TypeSpec,
    Value,
};
use super::lex::{Token, lex};
use super::{Error, Position};

/// How deep types may be nested.
const MAX_DEPTH: usize = 100;

/// The words that C types are made of.
const C_TYPE_WORDS: [&str; 12] = [
    "void",
    "char",
    "short",
    "int",
    "long",
    "float",
    "double",
    "signed",
    "unsigned",
    "_Bool",
    "_Complex",
    "_Imaginary",
];

const BLOCKS: [&str; 6] = ["trace", "stream", "event", "clock", "env", "callsite"];

/// The statements of a metadata text.
pub(crate) fn parse(text: &str) -> Result<Vec<Statement>, Error> {
    let mut parser = Parser {
        tokens: lex(text)?,
        at: 0,
        depth: 0,
    };
    let mut statements = Vec::new();
    while *parser.peek() != Token::End {
        if !parser.eat(";") {
            statements.push(parser.top_level()?);
        }
    }
    Ok(statements)
}

struct Parser {
    tokens: Vec<(Token, Position)>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    fn peek_second(&self) -> &Token {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].0
    }

    fn position(&self) -> Position {
        self.tokens[self.at].1
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(s) if *s == sign)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(w) if w == word)
    }

    fn eat(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        if found {
            self.next();
        }
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.next();
        }
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), Error> {
        match self.eat(sign) {
            true => Ok(()),
            false => Err(self.unexpected(&format!("`{sign}`"))),
        }
    }

    fn unexpected(&self, wanted: &str) -> Error {
        let found = match self.peek() {
            Token::Word(word) => format!("`{word}`"),
            Token::Integer(value) => format!("`{value}`"),
            Token::Text(text) => format!("{text:?}"),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::End => "the end of the text".to_owned(),
        };
        Error::new(self.position(), format!("expected {wanted}, found {found}"))
    }

    fn word(&mut self, wanted: &str) -> Result<String, Error> {
        match self.peek() {
            Token::Word(_) => match self.next() {
                Token::Word(word) => Ok(word),
                _ => unreachable!("peeked a word"),
            },
            _ => Err(self.unexpected(wanted)),
        }
    }

    fn top_level(&mut self) -> Result<Statement, Error> {
        let position = self.position();
        if let Token::Word(word) = self.peek()
            && BLOCKS.contains(&word.as_str())
            && *self.peek_second() == Token::Sign("{")
        {
            let name = self.word("a block")?;
            self.next();
            let mut statements = Vec::new();
            while !self.eat("}") {
                if !self.eat(";") {
                    statements.push(self.statement()?);
                }
            }
            self.expect(";")?;
            return Ok(Statement::Block(name, statements, position));
        }
        match self.declaration_or_none()? {
            Some(declaration) => Ok(Statement::Declare(declaration)),
            None => Err(self.unexpected("a block such as `trace { … };`, or a declaration")),
        }
    }

    /// A statement of a block.
    fn statement(&mut self) -> Result<Statement, Error> {
        let position = self.position();
        if let Some(declaration) = self.declaration_or_none()? {
            return Ok(Statement::Declare(declaration));
        }
        let path = self.path("a name")?;
        if self.eat(":=") {
            let spec = self.type_spec()?;
            self.expect(";")?;
            return Ok(Statement::AssignType(path, spec, position));
        }
        self.expect("=")?;
        let value = self.value()?;
        self.expect(";")?;
        Ok(Statement::Assign(path, value, position))
    }

    /// `typedef`, `typealias`, or a named `struct`, `variant` or `enum`.
    fn declaration_or_none(&mut self) -> Result<Option<Declaration>, Error> {
        if self.eat_word("typedef") {
            let spec = self.type_spec()?;
            let declarators = self.declarators()?;
            return Ok(Some(Declaration::Typedef(spec, declarators)));
        }
        if self.eat_word("typealias") {
            let spec = self.type_spec()?;
            let target = self.declarator(false)?;
            self.expect(":=")?;
            let alias = self.alias_name()?;
            self.expect(";")?;
            return Ok(Some(Declaration::Alias(spec, target, alias)));
        }
        if ["struct", "variant", "enum"]
            .iter()
            .any(|word| self.is_word(word))
        {
            let spec = self.type_spec()?;
            if self.eat(";") {
                return Ok(Some(Declaration::Named(spec)));
            }
            return Err(self.unexpected("`;`"));
        }
        Ok(None)
    }

    /// What a `typealias` defines: `uint32_t`, `unsigned long`, `struct x`, `char *`.
    fn alias_name(&mut self) -> Result<String, Error> {
        let mut words = Vec::new();
        loop {
            match self.peek() {
                Token::Word(_) => {
                    let word = self.word("a name")?;
                    if word != "const" {
                        words.push(word);
                    }
                }
                Token::Sign("*") => {
                    self.next();
                    words.push("*".to_owned());
                }
                _ if words.is_empty() => return Err(self.unexpected("the name of the alias")),
                _ => return Ok(words.join(" ")),
            }
        }
    }

    /// `declarator, declarator;`
    fn declarators(&mut self) -> Result<Vec<Declarator>, Error> {
        let mut declarators = vec![self.declarator(true)?];
        while self.eat(",") {
            declarators.push(self.declarator(true)?);
        }
        self.expect(";")?;
        Ok(declarators)
    }

    fn declarator(&mut self, named: bool) -> Result<Declarator, Error> {
        let mut declarator = Declarator::default();
        while self.eat("*") {
            declarator.pointers += 1;
            while self.eat_word("const") {}
        }
        if named {
            declarator.name = self.word("a name")?;
        }
        while self.eat("[") {
            let length = match self.peek() {
                &Token::Integer(value) => {
                    self.next();
                    LengthExpr::Fixed(value)
                }
                _ => LengthExpr::Path(
                    self.path("a length: a number, or the name of an integer field")?,
                ),
            };
            self.expect("]")?;
            declarator.lengths.push(length);
        }
        if named && self.eat(":") {
            let Token::Integer(bits) = *self.peek() else {
                return Err(self.unexpected("a number of bits"));
            };
            self.next();
            declarator.bits = Some(bits);
        }
        Ok(declarator)
    }

    /// Words joined by dots (or arrows); keywords are words.
    fn path(&mut self, wanted: &str) -> Result<Vec<String>, Error> {
        let mut path = vec![self.word(wanted)?];
        while self.eat(".") || self.eat("->") {
            path.push(self.word("a name")?);
        }
        Ok(path)
    }

    fn value(&mut self) -> Result<Value, Error> {
        let negative = self.is("-");
        if negative || self.is("+") {
            self.next();
        }
        match self.peek().clone() {
            Token::Integer(value) => {
                self.next();
                let value = i128::from(value);
                Ok(Value::Integer(if negative { -value } else { value }))
            }
            Token::Text(mut text) if !negative => {
                self.next();
                // As in C, literals that follow each other are one.
                while let Token::Text(more) = self.peek() {
                    text.push_str(more);
                    self.next();
                }
                Ok(Value::Text(text))
            }
            Token::Word(_) if !negative => Ok(Value::Words(self.path("a value")?)),
            _ => Err(self.unexpected("a number, a string or a name")),
        }
    }

    fn type_spec(&mut self) -> Result<TypeSpec, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = format!("types are nested more than {MAX_DEPTH} deep");
            return Err(Error::new(self.position(), message));
        }
        while self.eat_word("const") {}
        let position = self.position();
        let first = self.word("a type")?;
        let kind = match first.as_str() {
            "integer" => TypeKind::Integer(self.attributes()?),
            "floating_point" => TypeKind::Float(self.attributes()?),
            "string" => match self.is("{") {
                true => TypeKind::String(self.attributes()?),
                false => TypeKind::String(Vec::new()),
            },
            "enum" => self.enumeration()?,
            "struct" => self.structure()?,
            "variant" => self.variant()?,
            _ => TypeKind::Alias(self.c_type(first)),
        };
        while self.eat_word("const") {}
        self.depth -= 1;
        Ok(TypeSpec { kind, position })
    }

    /// The rest of a type that C knows, or a name on its own.
    fn c_type(&mut self, first: String) -> String {
        let mut name = first;
        if C_TYPE_WORDS.contains(&name.as_str()) {
            while let Token::Word(word) = self.peek()
                && (C_TYPE_WORDS.contains(&word.as_str()) || word == "const")
            {
                if word != "const" {
                    name.push(' ');
                    name.push_str(word);
                }
                self.next();
            }
        }
        name
    }

    fn attributes(&mut self) -> Result<Vec<Attribute>, Error> {
        self.expect("{")?;
        let mut attributes = Vec::new();
        while !self.eat("}") {
            if self.eat(";") {
                continue;
            }
            let position = self.position();
            let path = self.path("an attribute")?;
            self.expect("=")?;
            let value = self.value()?;
            // The last semicolon may be missing, as in some of the specification's own examples.
            if !self.is("}") {
                self.expect(";")?;
            }
            attributes.push((path, value, position));
        }
        Ok(attributes)
    }

    fn enumeration(&mut self) -> Result<TypeKind, Error> {
        let name = self.optional_name()?;
        let container = match self.eat(":") {
            true => Some(Box::new(self.type_spec()?)),
            false => None,
        };
        let mut body = None;
        if self.eat("{") {
            let mut enumerators = Vec::new();
            while !self.eat("}") {
                enumerators.push(self.enumerator()?);
                if !self.eat(",") && !self.is("}") {
                    return Err(self.unexpected("`,` or `}`"));
                }
            }
            body = Some(enumerators);
        }
        if name.is_none() && body.is_none() {
            return Err(self.unexpected("the labels of the enumeration"));
        }
        Ok(TypeKind::Enum {
            name,
            container,
            body,
        })
    }

    fn enumerator(&mut self) -> Result<Enumerator, Error> {
        let (Token::Word(label) | Token::Text(label)) = self.peek().clone() else {
            return Err(self.unexpected("a label"));
        };
        self.next();
        let mut range = None;
        if self.eat("=") {
            let low = self.integer()?;
            let high = match self.eat("...") {
                true => self.integer()?,
                false => low,
            };
            range = Some((low, high));
        }
        Ok(Enumerator { label, range })
    }

    fn integer(&mut self) -> Result<i128, Error> {
        if !matches!(self.peek(), Token::Integer(_) | Token::Sign("-" | "+")) {
            return Err(self.unexpected("a number"));
        }
        match self.value()? {
            Value::Integer(value) => Ok(value),
            _ => Err(self.unexpected("a number")),
        }
    }

    fn structure(&mut self) -> Result<TypeKind, Error> {
        let name = self.optional_name()?;
        let body = self.optional_body()?;
        if name.is_none() && body.is_none() {
            return Err(self.unexpected("the fields of the structure"));
        }
        let mut align = 1;
        if self.eat_word("align") {
            self.expect("(")?;
            let Token::Integer(value) = *self.peek() else {
                return Err(self.unexpected("an alignment in bits"));
            };
            self.next();
            self.expect(")")?;
            align = value;
        }
        Ok(TypeKind::Struct { name, body, align })
    }

    fn variant(&mut self) -> Result<TypeKind, Error> {
        let name = self.optional_name()?;
        let mut tag = None;
        if self.eat("<") {
            tag = Some(self.path("the name of an enumeration field")?);
            self.expect(">")?;
        }
        let body = self.optional_body()?;
        if name.is_none() && body.is_none() {
            return Err(self.unexpected("the options of the variant"));
        }
        Ok(TypeKind::Variant { name, tag, body })
    }

    /// The tag of a structure, variant or enumeration; a word before `{`, `:`, `<`, `;`, or a declarator.
    fn optional_name(&mut self) -> Result<Option<String>, Error> {
        match self.peek() {
            Token::Word(word) if word != "align" => Ok(Some(self.word("a name")?)),
            _ => Ok(None),
        }
    }

    fn optional_body(&mut self) -> Result<Option<Vec<Declaration>>, Error> {
        if !self.eat("{") {
            return Ok(None);
        }
        let mut declarations = Vec::new();
        while !self.eat("}") {
            if self.eat(";") {
                continue;
            }
            if self.is_word("typedef") || self.is_word("typealias") {
                declarations.extend(self.declaration_or_none()?);
                continue;
            }
            let spec = self.type_spec()?;
            if self.eat(";") {
                declarations.push(Declaration::Named(spec));
                continue;
            }
            let declarators = self.declarators()?;
            declarations.push(Declaration::Fields(spec, declarators));
        }
        Ok(Some(declarations))
    }
}
