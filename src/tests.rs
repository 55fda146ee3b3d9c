//! What users see of `trace!`, tested through the macro and an in-memory sink.

use crate::sink::listen;
use crate::trace;

#[test]
fn the_first_events_are_recorded_as_written() {
    let records = listen(|| {
        let (id, name) = (7_u64, String::from("Ada"));
        trace!("test:plain");
        trace!("test:first", id, who = name, total = 9.5 * 2.0,);
    });
    let texts: Vec<_> = records.iter().map(|r| r.text()).collect();
    assert_eq!(
        texts,
        ["", "id: u64 = 7, who: str = \"Ada\", total: f64 = 19"]
    );
}
