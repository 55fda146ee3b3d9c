//! The events of a shared session: one number for each, whatever program it comes from.
//!
//! ```text
//!   shop 1.0   0 shop:order   1 shop:paid              ─▶  0 1
//!   shop 1.1   0 shop:hello   1 shop:order             ─▶  2 0       the same name, level and fields: the same event
//!   cart       0 cart:add     1 shop:order (another)   ─▶  3 4
//! ```
//!
//! Invariant: a number means the same event for as long as the session lasts; and no application takes more than half of
//! the numbers that are left, so there are always some for the next one.

use std::collections::HashMap;

use laneway_control::schema::{MAX_EVENTS, MAX_SCHEMA_BYTES};
use laneway_control::{EventIds, EventSchema, encode_schemas};

use crate::Error;

/// All events of the session, in the order of their numbers.
#[derive(Debug, Default)]
pub(crate) struct EventTable {
    events: Vec<EventSchema>,
    numbers: HashMap<EventSchema, u16>,
    bytes: usize,
}

impl EventTable {
    /// The table that an earlier consumer had of these events.
    ///
    /// # Errors
    /// They are more than there are numbers for.
    pub(crate) fn restore(events: Vec<EventSchema>) -> Result<EventTable, Error> {
        let bytes = encode_schemas(&events)?.len();
        let numbers = events.iter().cloned().zip(0..).collect();
        Ok(EventTable {
            events,
            numbers,
            bytes,
        })
    }

    /// Whether these are the numbers of the events of one process.
    pub(crate) fn agrees(&self, schemas: &[EventSchema], ids: &EventIds) -> bool {
        let ids = ids.as_slice();
        let number = |schema: &EventSchema| self.numbers.get(&identity(schema));
        schemas.len() == ids.len() && schemas.iter().zip(ids).all(|(s, id)| number(s) == Some(id))
    }

    /// The events in the order of their numbers.
    pub(crate) fn events(&self) -> &[EventSchema] {
        &self.events
    }

    /// The numbers of the events of one process; new ones get a number.
    ///
    /// # Errors
    /// [`Error::TooManySharedEvents`]: they would leave too few for others.
    pub(crate) fn admit(&mut self, schemas: &[EventSchema]) -> Result<EventIds, Error> {
        let mut new: Vec<EventSchema> = Vec::new();
        let mut added: HashMap<EventSchema, u16> = HashMap::new();
        let mut ids = Vec::with_capacity(schemas.len());
        for schema in schemas {
            let event = identity(schema);
            let known = self.numbers.get(&event).or_else(|| added.get(&event));
            ids.push(match known {
                Some(id) => *id,
                None => {
                    let id = (self.events.len() + new.len()) as u16; // fewer than MAX_EVENTS, see below
                    added.insert(event.clone(), id);
                    new.push(event);
                    id
                }
            });
        }
        let left = MAX_EVENTS - self.events.len();
        let bytes = encode_schemas(&new)?.len();
        if new.len() > left / 2 || bytes > (MAX_SCHEMA_BYTES - self.bytes) / 2 {
            return Err(Error::TooManySharedEvents {
                new: new.len(),
                known: self.events.len(),
            });
        }
        self.bytes += bytes;
        self.events.extend(new);
        self.numbers.extend(added);
        Ok(EventIds::new(ids)?)
    }
}

/// What makes it the same event: what readers of the trace see of it, not where it stands in which version of a program.
fn identity(schema: &EventSchema) -> EventSchema {
    EventSchema {
        file: String::new(),
        line: 0,
        module: String::new(),
        ..schema.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use laneway_control::{Field, FieldType, Level};

    fn event(name: &str, line: u32, fields: &[&str]) -> EventSchema {
        let fields = fields.iter();
        EventSchema {
            provider: "shop".into(),
            name: name.into(),
            level: Level::Info,
            file: format!("{line}.rs"),
            line,
            module: "shop".into(),
            fields: fields
                .map(|name| Field::new(*name, FieldType::Bool))
                .collect(),
        }
    }

    fn admit(table: &mut EventTable, events: &[EventSchema]) -> Vec<u16> {
        table.admit(events).unwrap().as_slice().to_vec()
    }

    #[test]
    fn versions_of_a_program_agree_about_what_they_have_in_common() {
        let mut table = EventTable::default();
        let old = [event("order", 1, &["id"]), event("paid", 2, &[])];
        let new = [
            event("hello", 1, &[]),
            event("order", 9, &["id"]),
            event("paid", 10, &["by"]),
        ];
        assert_eq!(admit(&mut table, &old), [0, 1]);
        assert_eq!(
            admit(&mut table, &new),
            [2, 0, 3],
            "other fields: another event"
        );
        assert_eq!(admit(&mut table, &old), [0, 1]);
        assert_eq!(table.events().len(), 4);
    }

    #[test]
    fn an_event_that_a_program_has_twice_gets_one_number() {
        let mut table = EventTable::default();
        let twice = [event("order", 1, &[]), event("order", 2, &[])];
        assert_eq!(admit(&mut table, &twice), [0, 0]);
    }

    #[test]
    fn a_table_that_was_written_down_gives_the_same_numbers() {
        let mut table = EventTable::default();
        let (old, new) = ([event("order", 1, &["id"])], [event("paid", 2, &[])]);
        admit(&mut table, &old);
        admit(&mut table, &new);
        let mut table = EventTable::restore(table.events().to_vec()).unwrap();
        let ids = |ids: &[u16]| EventIds::new(ids.to_vec()).unwrap();
        assert!(table.agrees(&old, &ids(&[0])) && table.agrees(&new, &ids(&[1])));
        assert!(!table.agrees(&old, &ids(&[1])), "another's number");
        assert!(!table.agrees(&old, &ids(&[7])), "nobody's number");
        assert!(!table.agrees(&old, &ids(&[])), "fewer numbers");
        assert_eq!(
            admit(&mut table, &[event("new", 3, &[]), old[0].clone()]),
            [2, 0]
        );
    }

    #[test]
    fn one_application_cannot_take_all_numbers() {
        let mut table = EventTable::default();
        let many = |n: usize, name: &str| -> Vec<EventSchema> {
            (0..n)
                .map(|i| event(&format!("{name}{i}"), 1, &[]))
                .collect()
        };
        let error = table
            .admit(&many(MAX_EVENTS / 2 + 1, "greedy"))
            .unwrap_err();
        assert!(error.to_string().contains("32768 new events"), "{error}");
        assert_eq!(table.events().len(), 0, "nothing is kept of it");
        for name in ["a", "b", "c"] {
            let left = MAX_EVENTS - table.events().len();
            admit(&mut table, &many(left / 2, name));
        }
        assert_eq!(admit(&mut table, &many(100, "modest")).len(), 100);
    }
}
