//! Field classes made into nodes.
//!
//! ```text
//!  u8 tag; variant <tag> { u32 a; struct { u16 b; } s; }
//!     ─▶  where does each location lead? ─▶ these fields get slots ─▶ nodes that fill and use them
//! ```
//!
//! Invariant: locations only lead backwards, so a slot is filled before it is used; others are refused.

use std::collections::HashMap;

use super::bits::Read;
use super::choice::{Choice, ChoiceOption, Maybe, SelectorSlot};
use super::node::{ArrayNode, Count, IntegerNode, Node, OptionNode, Slot, StructureNode};
use super::span::Span;
use super::wide::WideNode;
use crate::model::{
    Array, FieldClass, FieldLocation, Integer, Length, MAX_BITS, Role, Scope, Selector, Structure,
    VarInteger, Variant,
};

/// The structures of the six scopes, in the order of [`Scope::ALL`].
pub(crate) type Scopes<'a> = [Option<&'a Structure>; 6];

/// Gives slots to fields, and makes nodes of scopes.
#[derive(Default)]
pub(crate) struct Compiler {
    /// The slots of the fields at these places.
    slots: HashMap<Address, Slot>,
    next: Slot,
    /// Slots below are those of the scopes that all event classes have.
    common: Slot,
    /// The greatest `next` ever.
    most: Slot,
}

/// A field: its scope, then the index of the member or option in every structure and variant on the way.
type Address = (Scope, Vec<usize>);

/// The structures around the field at hand, outermost first.
struct Place<'a> {
    scope: Scope,
    scopes: &'a Scopes<'a>,
    path: Vec<usize>,
    frames: Vec<(&'a Structure, usize)>,
}

impl Compiler {
    /// Forgets the fields of event contexts and payloads, which are others for every event class, and numbers the
    /// slots of the rest from 0.
    pub(crate) fn keep_common(&mut self) {
        self.forget_event();
        let mut numbers = HashMap::new();
        for slot in self.slots.values_mut() {
            let next = numbers.len() as Slot;
            *slot = *numbers.entry(*slot).or_insert(next);
        }
        self.next = numbers.len() as Slot;
        self.common = self.next;
    }

    /// Forgets the fields of the event class before, while others are still to be looked at.
    pub(crate) fn forget_event(&mut self) {
        self.slots
            .retain(|(scope, _), _| *scope < Scope::OwnContext);
    }

    /// Forgets the fields of the event class before; its slots are used again.
    pub(crate) fn next_event(&mut self) {
        self.forget_event();
        self.most = self.most.max(self.next);
        self.next = self.common;
    }

    /// How many slots there are.
    pub(crate) fn slots(&self) -> usize {
        self.most.max(self.next) as usize
    }

    /// Gives a slot to every field that a field of `scope` depends on. To be done for all scopes before any is compiled.
    pub(crate) fn reserve(&mut self, scopes: &Scopes<'_>, scope: Scope) -> Result<(), String> {
        self.walk(scopes, scope).map(drop)
    }

    /// The node of a scope.
    pub(crate) fn compile(
        &mut self,
        scopes: &Scopes<'_>,
        scope: Scope,
    ) -> Result<Option<Node>, String> {
        self.walk(scopes, scope)
    }

    fn walk(&mut self, scopes: &Scopes<'_>, scope: Scope) -> Result<Option<Node>, String> {
        let Some(structure) = scopes[scope as usize] else {
            return Ok(None);
        };
        let mut place = Place {
            scope,
            scopes,
            path: Vec::new(),
            frames: Vec::new(),
        };
        self.structure(structure, &mut place).map(Some)
    }

    fn structure<'a>(
        &mut self,
        class: &'a Structure,
        place: &mut Place<'a>,
    ) -> Result<Node, String> {
        place.frames.push((class, place.path.len()));
        let mut fields = Vec::with_capacity(class.fields.len());
        for (i, field) in class.fields.iter().enumerate() {
            place.path.push(i);
            let node = self.node(&field.class, place);
            place.path.pop();
            fields.push((
                field.name.as_str().into(),
                node.map_err(|e| within(&field.name, e))?,
            ));
        }
        place.frames.pop();
        Ok(Node::Structure(StructureNode {
            align: class.align(),
            fields: fields.into(),
        }))
    }

    fn node<'a>(&mut self, class: &'a FieldClass, place: &mut Place<'a>) -> Result<Node, String> {
        let slot = self.slots.get(&(place.scope, place.path.clone())).copied();
        Ok(match class {
            FieldClass::Integer(class) if class.bits > 64 => wide(class)?,
            FieldClass::Integer(class) => {
                check_bits(class.bits)?;
                Node::Integer(Box::new(IntegerNode {
                    read: Read::of(class.bits, class.order, class.reversed),
                    class: class.clone(),
                    slot,
                }))
            }
            FieldClass::VarInteger(class) => Node::VarInteger {
                class: Box::new(as_integer(class)),
                slot,
            },
            FieldClass::BitArray(class) if class.bits > 64 => wide(&Integer {
                align: class.align,
                order: class.order,
                reversed: class.reversed,
                ..Integer::unsigned(class.bits).hex()
            })?,
            FieldClass::BitArray(class) => {
                check_bits(class.bits)?;
                let read = Read::of(class.bits, class.order, class.reversed);
                Node::BitArray {
                    class: class.clone(),
                    read,
                }
            }
            FieldClass::Boolean(class) => {
                check_bits(class.bits)?;
                let read = Read::of(class.bits, class.order, class.reversed);
                Node::Boolean {
                    align: class.align,
                    read,
                    slot,
                }
            }
            FieldClass::Float(class) if class.bits == 128 => {
                let class = Integer {
                    align: class.align,
                    order: class.order,
                    reversed: class.reversed,
                    ..Integer::unsigned(128)
                };
                let float = true;
                Node::Wide(Box::new(WideNode { class, float }))
            }
            FieldClass::Float(class) => {
                let bits = class.bits;
                if !matches!(bits, 16 | 32 | 64) {
                    return Err(format!(
                        "a floating point number of {bits} bits is not supported: 16, 32, 64 or 128"
                    ));
                }
                let read = Read::of(class.bits, class.order, class.reversed);
                Node::Float {
                    align: class.align,
                    read,
                }
            }
            FieldClass::String(class) => Node::String {
                encoding: class.encoding,
            },
            FieldClass::Text(class) => Node::Text {
                length: self.count(&class.length, place)?,
                encoding: class.encoding,
            },
            // Read byte by byte, so that a byte of it can be found in TSDL and CTF 2 the same way.
            FieldClass::Blob(class) if class.roles.has(Role::TraceUuid) => {
                let byte = Integer::unsigned(8).role(Role::TraceUuid);
                let element = IntegerNode {
                    class: byte,
                    read: Read::U8,
                    slot: None,
                };
                Node::Array(Box::new(ArrayNode {
                    align: 8,
                    length: self.count(&class.length, place)?,
                    element: Node::Integer(Box::new(element)),
                }))
            }
            FieldClass::Blob(class) => Node::Blob {
                length: self.count(&class.length, place)?,
            },
            FieldClass::Array(array) => {
                let length = self.count(&array.length, place)?;
                let element = self.node(&array.element, place)?;
                Node::Array(Box::new(ArrayNode {
                    align: class.align(),
                    length,
                    element,
                }))
            }
            FieldClass::Structure(class) => self.structure(class, place)?,
            FieldClass::Variant(class) => {
                let selector = match always_first(class, place) {
                    true => None,
                    false => Some(self.slot_of(&class.selector, place)?),
                };
                let signed = selector.is_some_and(|selector| selector.signed);
                let mut options = Vec::with_capacity(class.options.len());
                for (i, option) in class.options.iter().enumerate() {
                    place.path.push(i);
                    let node = self.node(&option.class, place);
                    place.path.pop();
                    options.push(ChoiceOption {
                        spans: Span::all_of(&option.ranges, signed),
                        then: OptionNode {
                            name: option.name.as_deref().map(Into::into),
                            node: node?,
                        },
                    });
                }
                Node::Variant(Choice {
                    selector,
                    options: options.into(),
                })
            }
            FieldClass::Optional(class) => {
                let selector = self.slot_of(class.selector.location(), place)?;
                let ranges = match &class.selector {
                    Selector::Boolean(_) => None,
                    Selector::Integer(_, ranges) => Some(ranges.as_slice()),
                };
                let node = self.node(&class.class, place)?;
                Node::Optional(Box::new(Maybe::new(selector, ranges, node)))
            }
        })
    }

    fn count(&mut self, length: &Length, place: &Place<'_>) -> Result<Count, String> {
        Ok(match length {
            Length::Fixed(count) => Count::Fixed(*count),
            Length::Field(location) => match self.slot_of(location, place)? {
                SelectorSlot {
                    slot,
                    signed: false,
                } => Count::Slot(slot),
                _ => return Err("its length is a signed integer".to_owned()),
            },
        })
    }

    /// The slot of the field that `location` leads to, and whether its value is signed.
    fn slot_of(
        &mut self,
        location: &FieldLocation,
        place: &Place<'_>,
    ) -> Result<SelectorSlot, String> {
        let shown = || {
            let names: Vec<_> = location
                .path
                .iter()
                .map(|name| name.as_deref().unwrap_or(".."))
                .collect();
            names.join(".")
        };
        let targets = targets(location, place);
        let Some((_, first)) = targets.first() else {
            return Err(format!(
                "there is no field `{}` that it could depend on",
                shown()
            ));
        };
        let signed = match first {
            FieldClass::Integer(class) if class.bits > 64 => {
                return Err(format!(
                    "`{}`, which it depends on, has more than 64 bits",
                    shown()
                ));
            }
            FieldClass::Integer(class) => class.signed,
            FieldClass::VarInteger(class) => class.signed,
            FieldClass::Boolean(_) => false,
            _ => {
                return Err(format!(
                    "`{}`, which it depends on, is neither integer nor boolean",
                    shown()
                ));
            }
        };
        let here = (place.scope, place.path.clone());
        if targets.iter().any(|(address, _)| *address >= here) {
            return Err(format!(
                "`{}`, which it depends on, is not before it",
                shown()
            ));
        }
        // The field may be in several options of a variant: whichever is there fills the same slot.
        let known = targets
            .iter()
            .find_map(|(address, _)| self.slots.get(address).copied());
        let slot = match known {
            Some(slot) => slot,
            None => {
                let slot = self.next;
                self.next = slot
                    .checked_add(1)
                    .ok_or("too many fields are lengths or selectors")?;
                slot
            }
        };
        for (address, _) in targets {
            self.slots.insert(address, slot);
        }
        Ok(SelectorSlot { slot, signed })
    }
}

/// Whether a variant has one option, for every value its selector can have.
fn always_first(class: &Variant, place: &Place<'_>) -> bool {
    let [only] = class.options.as_slice() else {
        return false;
    };
    targets(&class.selector, place)
        .iter()
        .all(|(address, target)| match target {
            FieldClass::Integer(selector)
                if !selector.signed && (1..=64).contains(&selector.bits) =>
            {
                let most = (1i128 << selector.bits) - 1;
                let before = *address < (place.scope, place.path.clone());
                before
                    && only
                        .ranges
                        .iter()
                        .any(|range| range.contains(0) && range.contains(most))
            }
            _ => false,
        })
}

fn within(name: &str, error: String) -> String {
    match error.strip_prefix("in ") {
        Some(inner) => format!("in {name}.{inner}"),
        None => format!("in {name}: {error}"),
    }
}

/// An integer of more than 64 bits.
fn wide(class: &Integer) -> Result<Node, String> {
    let bits = class.bits;
    if bits > MAX_BITS {
        return Err(format!(
            "a number of {bits} bits is not supported: 1 to {MAX_BITS}"
        ));
    }
    if class.mappings.is_some() || !class.roles.is_empty() {
        return Err(format!(
            "an enumeration or a number that the format uses cannot have {bits} bits: 1 to 64"
        ));
    }
    let class = class.clone();
    Ok(Node::Wide(Box::new(WideNode {
        class,
        float: false,
    })))
}

fn check_bits(bits: u32) -> Result<(), String> {
    match bits {
        1..=64 => Ok(()),
        _ => Err(format!("a number of {bits} bits is not supported: 1 to 64")),
    }
}

/// A variable-length integer as what visitors are told of integers.
fn as_integer(class: &VarInteger) -> Integer {
    Integer {
        signed: class.signed,
        base: class.base,
        mappings: class.mappings.clone(),
        roles: class.roles,
        ..Integer::unsigned(64)
    }
}

/// All fields that a location can mean: more than one if it leads through a variant.
fn targets<'a>(location: &FieldLocation, place: &Place<'a>) -> Vec<(Address, &'a FieldClass)> {
    let mut names = location.path.as_slice();
    let (scope, structure, path) = match location.origin {
        Some(scope) => match place.scopes[scope as usize] {
            Some(structure) => (scope, structure, Vec::new()),
            None => return Vec::new(),
        },
        None => {
            let mut frame = place.frames.len();
            while let Some((None, rest)) = names.split_first() {
                frame = frame.saturating_sub(1);
                names = rest;
            }
            match frame.checked_sub(1).map(|frame| place.frames[frame]) {
                Some((structure, depth)) => (place.scope, structure, place.path[..depth].to_vec()),
                None => return Vec::new(),
            }
        }
    };
    let mut found = Vec::new();
    in_structure(structure, names, &path, &mut |path, class| {
        found.push(((scope, path), class))
    });
    found
}

fn in_structure<'a>(
    structure: &'a Structure,
    names: &[Option<String>],
    path: &[usize],
    found: &mut dyn FnMut(Vec<usize>, &'a FieldClass),
) {
    let Some((Some(name), rest)) = names.split_first() else {
        return;
    };
    if let Some(i) = structure
        .fields
        .iter()
        .position(|field| field.name == *name)
    {
        let path = [path, &[i]].concat();
        in_class(&structure.fields[i].class, rest, path, found);
    }
}

fn in_class<'a>(
    class: &'a FieldClass,
    names: &[Option<String>],
    path: Vec<usize>,
    found: &mut dyn FnMut(Vec<usize>, &'a FieldClass),
) {
    match class {
        FieldClass::Variant(variant) => {
            // TSDL may name the option on the way.
            let named = names.first().and_then(|name| {
                variant
                    .options
                    .iter()
                    .position(|option| option.name == *name && name.is_some())
            });
            for (i, option) in variant.options.iter().enumerate() {
                let path = [path.as_slice(), &[i]].concat();
                match named {
                    Some(at) if at == i => in_class(&option.class, &names[1..], path, found),
                    Some(_) => {}
                    None => in_class(&option.class, names, path, found),
                }
            }
        }
        FieldClass::Optional(optional) => in_class(&optional.class, names, path, found),
        FieldClass::Array(Array { element, .. }) => in_class(element, names, path, found),
        FieldClass::Structure(structure) if !names.is_empty() => {
            in_structure(structure, names, &path, found)
        }
        class if names.is_empty() => found(path, class),
        _ => {}
    }
}
