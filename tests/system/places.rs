//! Events from places where little else works: each of them is in the trace, once.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use laneway_tests::events::events;
use laneway_tests::{Event, Place, Record, Recorded, Running, plugin, run, scratch};

#[track_caller]
fn record(arguments: &[&str]) -> Recorded {
    let recorded = Record::program("odd_places")
        .args(arguments)
        .options(["--mode=block", "--block-timeout=60s"])
        .run();
    assert!(recorded.output.status.success(), "{:#?}", recorded.output);
    recorded
}

/// The fields of the events called `name`.
fn of_name<'e>(events: &'e [Event], name: &str) -> Vec<&'e str> {
    let events = events.iter().filter(|event| event.name == name);
    events.map(|event| event.fields.as_str()).collect()
}

/// The events called `name` are numbered from 0 to `count`, in this order.
#[track_caller]
fn assert_numbered(events: &[Event], name: &str, count: u64) {
    let numbers = events
        .iter()
        .filter(|e| e.name == name)
        .map(|e| e.number("n"));
    assert!(numbers.eq(0..count), "not every {name} once and in order");
}

#[test]
fn a_signal_handler_may_interrupt_an_event_with_another() {
    let recorded = record(&["signal"]);
    let events = recorded.events();
    let handled = recorded.output.number("handled");
    assert!(handled >= 2000, "the test tests nothing");
    assert_numbered(&events, "places:handler", handled);
    let interrupted = recorded.output.number("interrupted");
    assert_numbered(&events, "places:interrupted", interrupted);
    assert_eq!(events.len() as u64, handled + interrupted);
}

#[test]
fn a_destructor_of_a_thread_local_may_be_the_first_of_its_thread_to_emit() {
    let events = record(&["thread-local"]).events();
    let threads: BTreeSet<_> = events.iter().map(|e| e.thread).collect();
    assert_eq!(threads.len(), 4, "each from a thread of its own");
    assert_eq!(
        of_name(&events, "places:destructor"),
        ["thread = 1", "thread = 2", "thread = 3", "thread = 0"]
    );
}

#[test]
fn constructors_and_exit_handlers_emit_like_main() {
    let recorded = Record::program("around_main").run();
    let events = recorded.events();
    let places: Vec<_> = events.iter().map(|e| e.field("place")).collect();
    assert_eq!(
        places,
        [
            "\"early constructor\"",
            "\"constructor\"",
            "\"main\"",
            "\"atexit\"",
            "\"destructor\""
        ]
    );
}

#[test]
fn a_generic_function_emits_each_type_as_what_it_is() {
    assert_eq!(
        of_name(&record(&["generic"]).events(), "places:generic"),
        [
            "value = 7",
            r#"value = "text""#,
            r#"value = "same event""#,
            "value = [ [0] = 1.5, [1] = 2.5 ]",
            r#"_value_tag = ( "none" : container = 0 ), value = { { } }"#,
        ]
    );
}

#[test]
fn closures_emit_what_they_captured() {
    assert_eq!(
        of_name(&record(&["closure"]).events(), "places:closure"),
        [
            r#"n = 0, first = ( "true" : container = 1 )"#,
            r#"n = 0, second = "captured""#,
            r#"n = 1, first = ( "true" : container = 1 )"#,
            r#"n = 1, second = "captured""#,
        ]
    );
}

#[test]
fn an_async_function_emits_from_whichever_thread_polls_it() {
    let recorded = record(&["async"]);
    let events = recorded.events();
    assert_eq!(
        of_name(&events, "places:after_await"),
        [
            r#"n = 0, local = "step 0""#,
            r#"n = 1, local = "step 1""#,
            r#"n = 2, local = "step 2""#,
        ]
    );
    assert_eq!(of_name(&events, "places:before_await").len(), 3);
    let threads: BTreeSet<_> = events.iter().map(|e| e.thread).collect();
    assert_eq!(threads.len() as u64, recorded.output.number("polls"));
}

#[test]
fn a_child_that_does_not_exec_is_a_process_of_its_own() {
    let recorded = record(&["fork"]);
    let events = recorded.events();
    assert_eq!(recorded.summary().processes.len(), 3);
    let of = |name: &str| -> Vec<_> {
        let events = events.iter().filter(|e| e.name == name);
        events.map(|e| (e.pid, e.thread)).collect()
    };
    let [parent, child, grandchild] =
        ["places:parent", "places:child", "places:grandchild"].map(|name| of(name)[0].0);
    assert_eq!(of("places:parent"), [(parent, Some(parent)); 2]);
    assert_eq!(of("places:child"), [(child, Some(child)); 2]);
    assert_eq!(of("places:grandchild"), [(grandchild, Some(grandchild))]);
    let [(process, thread)] = of("places:thread_of_child")[..] else {
        panic!("not one event of the child's thread");
    };
    assert_eq!(process, child);
    assert_ne!(thread, Some(child));
    let processes = BTreeSet::from([parent, child, grandchild]);
    assert_eq!(processes.len(), 3);
}

#[test]
fn children_of_a_process_in_the_middle_of_events_lose_none_of_theirs() {
    const CHILDREN: u64 = 30;
    let recorded = record(&["fork-under-load", &CHILDREN.to_string()]);
    let events = recorded.events();
    let load = recorded.output.number("load");
    assert_eq!(events.len() as u64, load + CHILDREN * 100);
    for child in 0..CHILDREN {
        let of_child = |e: &&Event| e.name == "places:born" && e.number("child") == child;
        let of_child: Vec<_> = events.iter().filter(of_child).collect();
        assert!(of_child.iter().map(|e| e.number("n")).eq(0..100));
        let processes: BTreeSet<_> = of_child.iter().map(|e| e.pid).collect();
        assert_eq!(processes.len(), 1);
    }
}

#[test]
fn a_daemon_whose_parents_had_no_consumer_is_recorded_by_the_one_that_comes() {
    let place = Place::new();
    let mut application = Running::start(place.application("odd_places").arg("daemonize"));
    let pid = application.await_number("pid");
    // Time to emit in vain, and for the daemon's agent to go to sleep.
    std::thread::sleep(Duration::from_millis(300));
    let daemon = place.daemon("trace", &["--flush-period=20ms"]);
    let trace = daemon.trace.clone();
    let took = daemon.await_events();
    assert!(took < Duration::from_secs(3), "{took:?}");
    let _ = daemon.finish();
    let events = events(&trace);
    assert!(!events.is_empty());
    for event in &events {
        assert_eq!(
            (event.name.as_str(), u64::from(event.pid)),
            ("places:daemon", pid)
        );
        assert_eq!(event.thread, Some(event.pid));
    }
}

#[test]
fn every_program_of_an_exec_chain_is_recorded() {
    let recorded = record(&["exec", "4"]);
    let events = recorded.events();
    let left: Vec<_> = events.iter().map(|e| e.number("left")).collect();
    assert_eq!(left, [4, 3, 2, 1, 0]);
    let processes: BTreeSet<_> = events.iter().map(|e| e.pid).collect();
    assert_eq!(processes.len(), 1, "the process stays the same");
    assert_eq!(recorded.summary().processes.len(), 5, "a trace for each");
}

#[test]
fn a_library_that_a_c_program_loads_is_traced() {
    let dir = scratch();
    let host = dir.path().join("host");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/plugin/host.c");
    let compiled = run(Command::new("cc")
        .args(["-Wall", "-Werror", "-o"])
        .arg(&host)
        .args([source, "-ldl"]));
    assert!(compiled.status.success(), "{compiled:#?}");
    let recorded = Record::command(host).args([plugin()]).run();
    assert!(recorded.output.status.success(), "{:#?}", recorded.output);
    let events = recorded.events();
    assert_eq!(
        of_name(&events, "plugin:work"),
        [
            "i = 0, of = 2",
            "i = 1, of = 2",
            "i = 0, of = 3",
            "i = 1, of = 3",
            "i = 2, of = 3"
        ]
    );
    assert_eq!(recorded.process().name, "host");
}

#[test]
fn a_traced_program_may_load_a_traced_library() {
    for tunables in ["", "glibc.pthread.rseq=0"] {
        let recorded = Record::program("odd_places")
            .args(["library".as_ref(), plugin().as_os_str()])
            .env("GLIBC_TUNABLES", tunables)
            .run();
        assert!(recorded.output.status.success(), "{:#?}", recorded.output);
        let events = recorded.events();
        let names: Vec<_> = events.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "places:before_library",
                "plugin:work",
                "plugin:work",
                "plugin:work",
                "places:after_library"
            ]
        );
    }
}
