//! Makes a trace class of CTF 2 sayable in TSDL.
//!
//! In TSDL a variant chooses its option by the label of an enumeration, and an optional field is a variant. So the
//! selecting fields become enumerations that have a label for every option:
//!
//! ```text
//!  boolean flag; optional<flag> u8 x           ─▶  enum { none = 0, some = 1..255 } flag; variant<flag> { none, some } x
//!  u8 tag; variant<tag> { [0,3]: a, [4,9]: b }  ─▶  enum { a = 0..3, b = 4..9 } tag; variant<tag> { a, b }
//! ```
//! The bytes of a stream do not change. What has no form in TSDL at all is refused.

use super::names::unique;
use crate::model::{
    Encoding, EventClass, FieldClass, FieldLocation, Integer, Length, Mapping, Mappings, Range,
    Scope, Selector, StreamClass, Structure, TraceClass,
};

/// The same class as TSDL can say it.
///
/// # Errors
/// If it cannot; the error says which field and why.
pub fn lower(trace: &TraceClass) -> Result<TraceClass, String> {
    let mut trace = trace.clone();
    if let Some(header) = &mut trace.packet_header {
        lower_scope(Scope::PacketHeader, header, &mut Vec::new())?;
    }
    for stream in &mut trace.streams {
        lower_stream(stream)?;
    }
    // In TSDL names have meanings that they have not in CTF 2, such as `uuid`: whoever reads it has to agree.
    match super::read(&super::write(&trace)) {
        Ok(_) => Ok(trace),
        Err(e) => Err(format!("what is said in TSDL is not understood: {e}")),
    }
}

fn lower_stream(stream: &mut StreamClass) -> Result<(), String> {
    // A field may select in scopes behind its own: those have been lowered when it is their turn.
    let mut wanted = Vec::new();
    for event in &mut stream.events {
        for (scope, structure) in [
            (Scope::OwnContext, &mut event.context),
            (Scope::Payload, &mut event.payload),
        ] {
            if let Some(structure) = structure {
                lower_scope(scope, structure, &mut wanted)?;
            }
        }
        let own: Vec<_> = wanted
            .extract_if(.., |want: &mut Want| want.scope >= Scope::OwnContext)
            .collect();
        for want in own {
            apply_in_event(event, &want)?;
        }
    }
    for (scope, structure) in [
        (Scope::EventContext, &mut stream.event_context),
        (Scope::EventHeader, &mut stream.event_header),
        (Scope::PacketContext, &mut stream.packet_context),
    ] {
        if let Some(structure) = structure {
            lower_scope(scope, structure, &mut wanted)?;
        }
    }
    for want in wanted {
        let structure = match want.scope {
            Scope::EventContext => &mut stream.event_context,
            Scope::EventHeader => &mut stream.event_header,
            Scope::PacketContext => &mut stream.packet_context,
            _ => return Err("a selector in the packet header cannot be said in TSDL".to_owned()),
        };
        apply(structure.as_mut(), &want)?;
    }
    Ok(())
}

fn apply_in_event(event: &mut EventClass, want: &Want) -> Result<(), String> {
    let structure = match want.scope {
        Scope::OwnContext => event.context.as_mut(),
        _ => event.payload.as_mut(),
    };
    apply(structure, want)
}

/// A field that has to be an enumeration with these labels.
struct Want {
    scope: Scope,
    path: Vec<String>,
    labels: Mappings,
}

fn lower_scope(
    scope: Scope,
    structure: &mut Structure,
    wanted: &mut Vec<Want>,
) -> Result<(), String> {
    let from = wanted.len();
    lower_structure(scope, structure, &[], wanted)?;
    let here: Vec<_> = wanted
        .extract_if(from.., |want| want.scope == scope)
        .collect();
    for want in here {
        apply(Some(structure), &want)?;
    }
    Ok(())
}

fn lower_structure(
    scope: Scope,
    structure: &mut Structure,
    path: &[String],
    wanted: &mut Vec<Want>,
) -> Result<(), String> {
    for field in &mut structure.fields {
        let name = field.name.clone();
        lower_class(scope, &mut field.class, path, &name, wanted).map_err(|e| {
            if e.starts_with("field ") {
                e
            } else {
                format!("field `{name}`: {e}")
            }
        })?;
    }
    Ok(())
}

fn lower_class(
    scope: Scope,
    class: &mut FieldClass,
    around: &[String],
    name: &str,
    wanted: &mut Vec<Want>,
) -> Result<(), String> {
    let utf8 = |encoding: Encoding| match encoding {
        Encoding::Utf8 | Encoding::Ascii => Ok(()),
        _ => Err("TSDL knows no text but UTF-8 and ASCII".to_owned()),
    };
    let natural = |reversed: bool| match reversed {
        false => Ok(()),
        true => Err("TSDL knows no bit order but that of the byte order".to_owned()),
    };
    match class {
        FieldClass::VarInteger(_) => {
            return Err("TSDL knows no integers of variable length".to_owned());
        }
        FieldClass::Integer(class) => natural(class.reversed)?,
        FieldClass::BitArray(class) => natural(class.reversed)?,
        FieldClass::Boolean(class) => natural(class.reversed)?,
        FieldClass::Float(class) => natural(class.reversed)?,
        FieldClass::String(class) => utf8(class.encoding)?,
        FieldClass::Text(class) => utf8(class.encoding)?,
        FieldClass::Blob(_) => {}
        FieldClass::Array(class) => {
            if class.align > class.element.align() {
                return Err("TSDL knows no alignment of arrays".to_owned());
            }
            if let (Length::Field(location), _) = (&class.length, ()) {
                absolute(scope, location, around)?;
            }
            lower_class(scope, &mut class.element, around, name, wanted)?;
        }
        FieldClass::Structure(class) => {
            let inner = [around, &[name.to_owned()]].concat();
            lower_structure(scope, class, &inner, wanted)?;
        }
        FieldClass::Optional(class) => {
            let there = match &class.selector {
                Selector::Boolean(_) => vec![Range::new(1, i128::MAX)],
                Selector::Integer(_, ranges) => ranges.clone(),
            };
            let location = class.selector.location().clone();
            let (scope_of, path) = absolute(scope, &location, around)?;
            let labels = vec![
                Mapping {
                    label: "none".into(),
                    ranges: complement(&there),
                },
                Mapping {
                    label: "some".into(),
                    ranges: there.clone(),
                },
            ];
            wanted.push(Want {
                scope: scope_of,
                path,
                labels,
            });
            class.selector = Selector::Integer(location, there);
            lower_class(scope, &mut class.class, around, name, wanted)?;
        }
        FieldClass::Variant(class) => {
            let (scope_of, path) = absolute(scope, &class.selector, around)?;
            let names: Vec<_> = class
                .options
                .iter()
                .enumerate()
                .map(|(i, option)| option.name.clone().unwrap_or_else(|| format!("option_{i}")))
                .collect();
            let labels = unique(names.iter().map(String::as_str), false);
            let mut mappings = Vec::new();
            for (option, label) in class.options.iter_mut().zip(labels) {
                mappings.push(Mapping {
                    label: label.clone(),
                    ranges: option.ranges.clone(),
                });
                option.name = Some(label);
                lower_class(scope, &mut option.class, around, name, wanted)?;
            }
            wanted.push(Want {
                scope: scope_of,
                path,
                labels: mappings,
            });
        }
    }
    Ok(())
}

/// All values that are in none of the ranges.
fn complement(ranges: &[Range]) -> Vec<Range> {
    let mut sorted = ranges.to_vec();
    sorted.sort();
    let mut out = Vec::new();
    let mut next = i128::MIN;
    for range in sorted {
        if range.low > next {
            out.push(Range::new(next, range.low - 1));
        }
        next = next.max(range.high.saturating_add(1));
    }
    if next < i128::MAX {
        out.push(Range::new(next, i128::MAX));
    }
    out
}

/// A location as a scope and a path from its beginning, seen from a field in the structures `around`.
fn absolute(
    scope: Scope,
    location: &FieldLocation,
    around: &[String],
) -> Result<(Scope, Vec<String>), String> {
    let (scope, mut path) = match location.origin {
        Some(origin) => (origin, Vec::new()),
        None => (scope, around.to_vec()),
    };
    for step in &location.path {
        match step {
            Some(name) => path.push(name.clone()),
            None => drop(path.pop().ok_or("a path leads out of its scope")?),
        }
    }
    Ok((scope, path))
}

fn apply(structure: Option<&mut Structure>, want: &Want) -> Result<(), String> {
    let mut found = 0;
    let mut result = Ok(());
    if let Some(structure) = structure {
        follow(structure, &want.path, &mut |class| {
            found += 1;
            if result.is_ok() {
                result = label(class, want);
            }
        });
    }
    match found {
        0 => Err(format!("there is no field `{}`", want.path.join("."))),
        _ => result,
    }
}

/// Gives a selecting field the labels that are wanted of it.
fn label(class: &mut FieldClass, want: &Want) -> Result<(), String> {
    if let FieldClass::Boolean(boolean) = class {
        *class = Integer {
            align: boolean.align,
            order: boolean.order,
            ..Integer::unsigned(boolean.bits)
        }
        .into();
    }
    let FieldClass::Integer(class) = class else {
        return Err(format!(
            "`{}` selects and is no integer of fixed length",
            want.path.join(".")
        ));
    };
    if class.bits > 64 {
        return Err(format!(
            "`{}` selects and has {} bits: at most 64 can",
            want.path.join("."),
            class.bits
        ));
    }
    let (least, most) = match class.signed {
        true => (
            -(1i128 << (class.bits - 1)),
            (1i128 << (class.bits - 1)) - 1,
        ),
        false => (0, (1i128 << class.bits) - 1),
    };
    let mappings = class.mappings.get_or_insert_default();
    for label in &want.labels {
        let within = |range: &Range| {
            let range = Range::new(range.low.max(least), range.high.min(most));
            (range.low <= range.high).then_some(range)
        };
        let ranges: Vec<_> = label.ranges.iter().filter_map(within).collect();
        match mappings
            .iter_mut()
            .find(|mapping| mapping.label == label.label)
        {
            Some(mapping) => mapping.ranges = ranges,
            None => mappings.push(Mapping {
                label: label.label.clone(),
                ranges,
            }),
        }
    }
    Ok(())
}

/// Finds the field at a path: one in each option of the variants on the way that has it.
fn follow(structure: &mut Structure, path: &[String], found: &mut dyn FnMut(&mut FieldClass)) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if let Some(field) = structure
        .fields
        .iter_mut()
        .find(|field| field.name == *first)
    {
        follow_class(&mut field.class, rest, found);
    }
}

fn follow_class(class: &mut FieldClass, path: &[String], found: &mut dyn FnMut(&mut FieldClass)) {
    match class {
        FieldClass::Array(array) => follow_class(&mut array.element, path, found),
        FieldClass::Optional(optional) => follow_class(&mut optional.class, path, found),
        FieldClass::Variant(variant) => {
            for option in &mut variant.options {
                follow_class(&mut option.class, path, found);
            }
        }
        FieldClass::Structure(structure) => follow(structure, path, found),
        class if path.is_empty() => found(class),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_means_something_else_in_tsdl_is_refused() {
        let trace = TraceClass {
            packet_header: Some(Structure::new().with("uuid", Integer::unsigned(64))),
            ..TraceClass::default()
        };
        let error = lower(&trace).unwrap_err();
        assert!(
            error.contains("`uuid` in the packet header has to be 16 bytes"),
            "{error}"
        );
    }

    #[test]
    fn a_selector_that_is_too_wide_is_refused() {
        let class = crate::model::Optional {
            selector: Selector::Integer(FieldLocation::sibling("n"), vec![Range::new(1, 1)]),
            class: Box::new(Integer::unsigned(8).into()),
        };
        let payload = Structure::new()
            .with("n", Integer::unsigned(130))
            .with("x", class);
        let mut trace = TraceClass::default();
        let mut stream = crate::lane::stream_class(0, "tsc", false);
        stream.events.push(EventClass::new(0, "e", payload));
        trace.streams.push(stream);
        let error = lower(&trace).unwrap_err();
        assert!(error.contains("`n` selects and has 130 bits"), "{error}");
    }
}
