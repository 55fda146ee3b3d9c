//! Metadata and a stream that it may describe: read, printed, copied and counted, whatever they are; reading and
//! counting come to the same number of events.
//!
//! ```text
//!  input  ▕ length of the metadata (u16) ▏ metadata ▏ stream ▏
//! ```
#![no_main]

use std::sync::Arc;

use laneway_ctf::metadata;
use laneway_ctf::model::{Scope, TraceClass};
use laneway_ctf::read::{Item, Reader, Source, StreamCopy};
use laneway_ctf::text::{Babeltrace, Pretty};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return;
    };
    let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (text, stream) = rest.split_at(length);
    let Ok(class) = metadata::read(text) else {
        return;
    };
    let Some(reader) = reader(&class, stream) else {
        return;
    };
    let counted = reader.count().total();
    let Some(mut reader) = self::reader(&class, stream) else {
        return;
    };
    let mut babeltrace = Babeltrace::new(Default::default());
    let mut pretty = Pretty::new(Default::default());
    let mut copy = StreamCopy::new(Vec::new(), false);
    let (mut out, mut read) = (Vec::new(), 0);
    while let Some(item) = reader.next_item() {
        if let Item::Event(event) = item {
            read += 1;
            out.clear();
            babeltrace.event(&mut out, &event);
            assert!(out.ends_with(b"\n"));
            pretty.event(&mut out, &event);
            for scope in Scope::ALL {
                let _ = event.value(scope);
            }
            let _ = copy.event(&event);
        }
    }
    assert_eq!(read, counted, "counting and reading come to the same");
    if reader.streams() > 0 {
        let _ = copy.finish(reader.stream(0));
    }
});

fn reader(class: &TraceClass, stream: &[u8]) -> Option<Reader> {
    let source: Arc<[u8]> = stream.into();
    let sources = vec![("stream".into(), Box::new(source) as Box<dyn Source>)];
    Reader::of_sources(class.clone(), sources).ok()
}
