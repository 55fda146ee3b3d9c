//! Lines of one event class as a form to fill in.
//!
//! ```text
//!  { vtid = ▁ }, { a = ▁, name = ▁ }\n     steps: "{ vtid = " i32 · " }, { a = " u64 · ", name = " text · " }\n"
//! ```
//! The text of an event is the same as that of any other of its class, but for the values and for what is not there.
//! So all that stays the same is made once, colours and names included, and lies in blocks between the values.
//!
//! Invariant: a form takes the same steps through a packet as [`visit`](crate::read::Event::visit) does.

use super::line::{BLOCK, Blocks};
use super::number::quoted;
use crate::model::{Encoding, Integer};
use crate::read::{
    ArrayNode, Choice, Count, IntegerNode, Maybe, Node, Read, Slot, Span, StructureNode, WideNode,
};

pub(super) const BOLD: &str = "\x1b[1m";
pub(super) const RESET: &str = "\x1b[0m";
pub(super) const EVENT: &str = "\x1b[1m\x1b[95m";
pub(super) const TIME: &str = "\x1b[1m\x1b[93m";
pub(super) const UNKNOWN: &str = "\x1b[1m\x1b[91m";
const CYAN: &str = "\x1b[36m";

/// A form.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) steps: Box<[Step]>,
}

/// Text, then a value.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) text: [u8; BLOCK],
    pub(super) length: u8,
    /// The alignment of the value in the packet.
    pub(super) align: u32,
    pub(super) value: Field,
}

/// A value to be read and shown.
#[derive(Debug)]
pub(super) enum Field {
    /// None: there is more text.
    None,
    /// Decimal numbers that nothing else depends on, as most are; of whole bytes, and others.
    UnsignedBytes(Read),
    SignedBytes(Read),
    Unsigned(Read),
    Signed(Read),
    Number(Read, Box<Number>),
    Leb128(Box<Number>),
    Float(Read),
    Wide(Box<WideNode>),
    Boolean {
        read: Read,
        slot: Option<Slot>,
    },
    Bits(Read),
    String(Encoding),
    Text(Count, Encoding),
    Blob(Count, Box<Value>),
    Array(Box<Array>),
    Variant(Choice<Form>),
    Optional(Box<Maybe<Form>>),
}

/// A number that is not just shown in decimal.
#[derive(Debug)]
pub(super) struct Number {
    pub(super) class: Integer,
    pub(super) slot: Option<Slot>,
    /// The format uses it, and users do not see it.
    pub(super) hidden: bool,
    pub(super) labels: Option<Labels>,
}

/// The labels of an enumeration.
#[derive(Debug)]
pub(super) struct Labels {
    pub(super) labels: Box<[(Box<[Span]>, Blocks)]>,
    /// What is shown if there is none.
    pub(super) unknown: Blocks,
    /// What stands before and behind the number.
    pub(super) number: [Blocks; 2],
}

/// What stands before and behind a value.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) around: [Blocks; 2],
    /// Whether elements have their index before them.
    pub(super) names: bool,
}

#[derive(Debug)]
pub(super) struct Array {
    pub(super) count: Count,
    pub(super) names: bool,
    pub(super) element: Form,
}

pub(super) fn name_equal(out: &mut Vec<u8>, name: &str, color: bool, with: &str) {
    colored(out, name.as_bytes(), color, with);
    out.extend_from_slice(b" = ");
}

pub(super) fn colored(out: &mut Vec<u8>, text: &[u8], color: bool, with: &str) {
    if color {
        out.extend_from_slice(with.as_bytes());
    }
    out.extend_from_slice(text);
    if color {
        out.extend_from_slice(RESET.as_bytes());
    }
}

/// Makes a form.
pub(super) struct FormBuilder {
    steps: Vec<Step>,
    /// What stands before the next value.
    text: Vec<u8>,
    /// What the next value is aligned to at least.
    align: u32,
    names: bool,
    color: bool,
}

impl FormBuilder {
    /// A form that is empty. `color` values and names.
    pub(super) fn new(color: bool) -> Self {
        FormBuilder {
            steps: Vec::new(),
            text: Vec::new(),
            align: 1,
            names: true,
            color,
        }
    }

    /// The form.
    pub(super) fn finish(mut self) -> Form {
        if !self.text.is_empty() || self.align > 1 {
            self.value(1, Field::None);
        }
        Form {
            steps: self.steps.into(),
        }
    }

    /// Appends fixed text.
    pub(super) fn text(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }

    /// Appends the name of a scope.
    pub(super) fn scope_name(&mut self, name: &str) {
        name_equal(&mut self.text, name, self.color, BOLD);
    }

    /// Appends a scope, with names before its fields or without.
    pub(super) fn scope(&mut self, node: &Node, names: bool) {
        self.names = names;
        self.node(node);
    }

    fn value(&mut self, align: u32, value: Field) {
        let text = Blocks::new(&std::mem::take(&mut self.text));
        let mut pieces: Vec<_> = text.pieces().collect();
        let (text, length) = pieces.pop().unwrap_or(([0; BLOCK], 0));
        for (text, length) in pieces {
            self.steps.push(Step {
                text,
                length,
                align: 1,
                value: Field::None,
            });
        }
        self.steps.push(Step {
            text,
            length,
            align: align.max(std::mem::replace(&mut self.align, 1)),
            value,
        });
    }

    /// Appends a value in the colour of values.
    fn bold(&mut self, align: u32, value: Field) {
        let [before, behind] = self.around();
        self.text(before.as_bytes());
        self.value(align, value);
        self.text(behind.as_bytes());
    }

    /// Appends text in quotes.
    fn quoted(&mut self, value: Field) {
        let [before, behind] = self.around();
        self.text(before.as_bytes());
        self.text(b"\"");
        self.value(8, value);
        self.text(b"\"");
        self.text(behind.as_bytes());
    }

    /// What stands before and behind every value.
    fn around(&self) -> [&'static str; 2] {
        if self.color { [BOLD, RESET] } else { ["", ""] }
    }

    /// A form of its own.
    fn nested(&self, build: impl FnOnce(&mut FormBuilder)) -> Form {
        let mut inner = FormBuilder::new(self.color);
        inner.names = self.names;
        build(&mut inner);
        inner.finish()
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::Integer(node) => self.integer(node),
            Node::VarInteger { class, slot } => {
                let number = Box::new(self.number(class, *slot));
                match number.hidden || number.labels.is_some() {
                    true => self.value(8, Field::Leb128(number)),
                    false => self.bold(8, Field::Leb128(number)),
                }
            }
            Node::BitArray { class, read } => self.bold(class.align, Field::Bits(*read)),
            Node::Boolean { align, read, slot } => {
                let (read, slot) = (*read, *slot);
                self.bold(*align, Field::Boolean { read, slot });
            }
            Node::Float { align, read } => self.bold(*align, Field::Float(*read)),
            Node::Wide(node) => {
                let (class, float) = (node.class.clone(), node.float);
                self.bold(
                    class.align,
                    Field::Wide(Box::new(WideNode { class, float })),
                );
            }
            Node::String { encoding } => self.quoted(Field::String(*encoding)),
            Node::Text { length, encoding } => self.quoted(Field::Text(*length, *encoding)),
            Node::Blob { length } => {
                let around = self.around().map(|text| Blocks::new(text.as_bytes()));
                let names = self.names;
                self.value(8, Field::Blob(*length, Box::new(Value { around, names })));
            }
            Node::Array(node) => self.array(node),
            Node::Structure(node) => self.structure(node),
            Node::Variant(choice) => {
                let forms = choice.map(|option| self.nested(|inner| inner.option(&option.node)));
                self.value(1, Field::Variant(forms));
            }
            Node::Optional(maybe) => {
                let form = maybe.map(|node| self.nested(|inner| inner.option(node)));
                self.value(1, Field::Optional(Box::new(form)));
            }
        }
    }

    fn integer(&mut self, node: &IntegerNode) {
        let class = &node.class;
        let plain = node.slot.is_none()
            && class.mappings.is_none()
            && class.roles.is_empty()
            && class.base == crate::model::Base::Decimal;
        if plain {
            let whole = node.read.is_whole() && class.align >= 8;
            let field = match (class.signed, whole) {
                (true, true) => Field::SignedBytes(node.read),
                (false, true) => Field::UnsignedBytes(node.read),
                (true, false) => Field::Signed(node.read),
                (false, false) => Field::Unsigned(node.read),
            };
            return self.bold(class.align, field);
        }
        let number = Box::new(self.number(class, node.slot));
        let bare = number.hidden || number.labels.is_some();
        let field = Field::Number(node.read, number);
        match bare {
            true => self.value(class.align, field),
            false => self.bold(class.align, field),
        }
    }

    fn number(&self, class: &Integer, slot: Option<Slot>) -> Number {
        let hidden = !class.roles.is_empty();
        let labels = match &class.mappings {
            Some(mappings) if !hidden => {
                let [bold, reset] = self.around();
                let label = |label: &str| {
                    let mut text = bold.as_bytes().to_owned();
                    quoted(&mut text, label.as_bytes());
                    text.extend_from_slice(reset.as_bytes());
                    Blocks::new(&text)
                };
                let mut unknown = Vec::new();
                colored(&mut unknown, b"<unknown>", self.color, UNKNOWN);
                Some(Labels {
                    labels: mappings
                        .iter()
                        .map(|m| (Span::all_of(&m.ranges, class.signed), label(&m.label)))
                        .collect(),
                    unknown: Blocks::new(&unknown),
                    number: [format!(" : container = {bold}"), format!("{reset} )")]
                        .map(|text| Blocks::new(text.as_bytes())),
                })
            }
            _ => None,
        };
        let class = Integer {
            mappings: None,
            ..class.clone()
        };
        Number {
            class,
            slot,
            hidden,
            labels,
        }
    }

    fn array(&mut self, node: &ArrayNode) {
        let element = self.nested(|inner| inner.node(&node.element));
        let array = Array {
            count: node.length,
            names: self.names,
            element,
        };
        self.value(node.align, Field::Array(Box::new(array)));
    }

    fn structure(&mut self, node: &StructureNode) {
        self.align = self.align.max(node.align);
        self.text(b"{");
        let mut shown = 0;
        for (name, field) in &node.fields {
            if is_hidden(field) {
                self.node(field);
                continue;
            }
            self.text(if shown == 0 { b" " } else { b", " });
            shown += 1;
            if self.names {
                name_equal(&mut self.text, name, self.color, CYAN);
            }
            self.node(field);
        }
        self.text(b" }");
    }

    fn option(&mut self, node: &Node) {
        self.text(b"{ ");
        self.node(node);
        self.text(b" }");
    }
}

/// Whether only the format uses a field.
fn is_hidden(node: &Node) -> bool {
    match node {
        Node::Integer(node) => !node.class.roles.is_empty(),
        Node::VarInteger { class, .. } => !class.roles.is_empty(),
        _ => false,
    }
}
