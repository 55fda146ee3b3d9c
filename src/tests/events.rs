//! Names, levels, what is evaluated when, and which events there are.

use std::cell::{Cell, RefCell};
use std::hint;

use super::{text, texts};
use crate::registry;
use crate::sink::listen;
use crate::{Level, Value, event_enabled, trace};

/// The descriptions of all events of this name.
fn described(name: &str) -> Vec<laneway_control::EventSchema> {
    let mut events = registry::schemas();
    events.retain(|event| event.full_name() == name);
    events
}

#[test]
fn an_event_is_described_before_it_ever_happens() {
    fn never_called(id: u64, name: &str) {
        trace!(level: Warn, "events:never", id, who = name);
    }
    hint::black_box(never_called as fn(u64, &str));
    let [event] = &described("events:never")[..] else {
        panic!("not once")
    };
    assert_eq!(event.level, Level::Warn);
    assert_eq!(event.file, file!());
    assert_eq!(event.module, module_path!());
    assert_eq!(event.line, line!() - 9);
    let fields: Vec<_> = event
        .fields
        .iter()
        .map(|f| format!("{}: {}", f.name, f.ty))
        .collect();
    assert_eq!(fields, ["id: u64", "who: str"]);
}

#[test]
fn the_level_is_info_unless_it_is_said() {
    let records = listen(|| {
        trace!("events:level");
        trace!(level: Error, "events:level");
        trace!(level: Trace, "events:level", a = 1,);
        trace!(level: Debug, "events:level",);
    });
    let levels: Vec<_> = records.iter().map(|r| r.schema().level).collect();
    assert_eq!(
        levels,
        [Level::Info, Level::Error, Level::Trace, Level::Debug]
    );
}

#[test]
fn names_of_places_lose_self_and_raw() {
    struct Order {
        id: u32,
        r#type: char,
    }
    impl Order {
        fn trace(&self) {
            let order = self;
            trace!("events:places", self.id, order.r#type, http.r#in.status = 200, a = %self.id, ?order.id);
        }
    }
    assert_eq!(
        text(|| Order { id: 9, r#type: 'x' }.trace()),
        r#"id: u32 = 9, order.type: char = 'x', http.in.status: i32 = 200, a: str = "9", order.id: str = "9""#
    );
}

#[test]
fn every_expression_is_evaluated_once_and_in_order() {
    let seen = RefCell::new(Vec::new());
    let note = |what: &'static str| {
        seen.borrow_mut().push(what);
        what
    };
    let text = text(|| {
        trace!("events:once", a = note("a"), b = %note("b"), c = ?note("c"), d = [note("d")], e = Some(note("e")));
    });
    assert_eq!(seen.into_inner(), ["a", "b", "c", "d", "e"]);
    assert!(text.ends_with(r#"e: Option<str> = Some("e")"#), "{text}");
}

#[test]
fn a_value_is_asked_for_its_representation_once() {
    struct Counted(Cell<u32>);
    impl Value for Counted {
        type Repr<'a> = u32;
        fn repr(&self) -> u32 {
            self.0.set(self.0.get() + 1);
            self.0.get()
        }
    }
    let counted = Counted(Cell::new(0));
    assert_eq!(text(|| trace!("events:repr", counted)), "counted: u32 = 1");
    assert_eq!(counted.0.get(), 1);
}

#[test]
fn display_runs_once() {
    struct Counted(Cell<u32>);
    impl std::fmt::Display for Counted {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            self.0.set(self.0.get() + 1);
            write!(f, "{}", self.0.get())
        }
    }
    let counted = Counted(Cell::new(0));
    assert_eq!(
        text(|| trace!("events:display", %counted)),
        r#"counted: str = "1""#
    );
}

#[test]
fn temporaries_live_until_the_event_is_written() {
    fn owned() -> String {
        "temporary".repeat(3)
    }
    assert_eq!(
        text(
            || trace!("events:temporary", a = owned().as_str(), b = owned()[9..].trim(), c = &owned()[..4], d = %owned())
        ),
        r#"a: str = "temporarytemporarytemporary", b: str = "temporarytemporary", c: str = "temp", d: str = "temporarytemporarytemporary""#
    );
}

#[test]
fn a_generic_function_is_an_event_for_each_set_of_types() {
    fn generic<T: Value>(value: T) {
        trace!("events:generic", value, size = size_of::<T>() > 0);
    }
    let texts = texts(|| {
        generic(1_u8);
        generic("text");
        generic(String::from("same event"));
        generic([1.5_f32]);
        generic(None::<i64>);
    });
    assert_eq!(
        texts,
        [
            "value: u8 = 1, size: bool = true",
            r#"value: str = "text", size: bool = true"#,
            r#"value: str = "same event", size: bool = true"#,
            "value: [f32; 1] = [1.5], size: bool = true",
            "value: Option<i64> = None, size: bool = true",
        ]
    );
    assert_eq!(described("events:generic").len(), 4);
}

#[test]
fn one_name_may_stand_in_several_places() {
    let records = listen(|| {
        trace!("events:twice", a = 1_u8);
        trace!("events:twice", b = "x");
    });
    let texts: Vec<_> = records.iter().map(|r| r.text()).collect();
    assert_eq!(texts, ["a: u8 = 1", r#"b: str = "x""#]);
    assert_ne!(records[0].id, records[1].id);
}

#[test]
fn what_the_optimiser_copies_stays_one_event() {
    #[inline(always)]
    fn copied(n: u32) {
        for i in 0..n {
            trace!("events:copied", i);
        }
    }
    let ids: Vec<_> = listen(|| {
        copied(1);
        copied(3);
        (0..2).for_each(copied);
    })
    .iter()
    .map(|r| r.id)
    .collect();
    assert_eq!(ids, [ids[0]; 5]);
    assert_eq!(described("events:copied").len(), 1);
}

#[test]
fn event_enabled_knows_events_elsewhere_and_none_that_do_not_exist() {
    let _ = listen(|| {
        assert!(event_enabled!("events:level"));
        assert!(!event_enabled!("events:there_is_none"));
    });
}

#[test]
fn there_may_be_more_fields_than_a_tuple_has() {
    let text = text(|| {
        trace!(
            "events:many",
            a0 = 0,
            a1 = 1,
            a2 = 2,
            a3 = 3,
            a4 = 4,
            a5 = 5,
            a6 = 6,
            a7 = 7,
            a8 = 8,
            a9 = 9,
            b0 = 0,
            b1 = 1,
            b2 = 2,
            b3 = 3,
            b4 = 4,
            b5 = 5,
            b6 = 6,
            b7 = 7,
            b8 = 8,
            b9 = 9,
            c0 = 0,
            c1 = 1,
            c2 = 2,
            c3 = 3,
            c4 = 4,
            c5 = 5,
            c6 = 6,
            c7 = 7,
            c8 = 8,
            c9 = 9,
            d0 = 0,
            d1 = 1,
            d2 = 2,
            d3 = 3,
            d4 = 4,
            d5 = 5,
            d6 = "x",
        )
    });
    assert_eq!(text.matches("i32").count(), 36);
    assert!(text.ends_with(r#"d5: i32 = 5, d6: str = "x""#));
}

#[test]
fn everything_that_compiles_can_be_described_to_a_consumer() {
    type In<T> = Option<Option<Option<T>>>;
    struct Outer(Option<Inner>);
    struct Inner {
        deep: In<In<In<In<u8>>>>,
    }
    impl Value for Outer {
        type Repr<'a> = Option<<Inner as Value>::Repr<'a>>;
        fn repr(&self) -> Self::Repr<'_> {
            self.0.repr()
        }
    }
    crate::value_struct!(Inner { deep: In<In<In<In<u8>>>> });
    let texts = texts(|| {
        let deep: In<In<In<In<In<u8>>>>> = None;
        trace!("events:deep", deep);
        let inner = Inner { deep: None };
        trace!("events:deep", outer = Outer(Some(inner)));
    });
    assert!(texts[0].ends_with("= None"), "{texts:?}");
    assert!(texts[1].ends_with("= Some({ deep: None })"), "{texts:?}");

    let schemas = registry::schemas();
    let bytes = laneway_control::encode_schemas(&schemas).unwrap();
    assert_eq!(laneway_control::decode_schemas(&bytes).unwrap(), schemas);
}
