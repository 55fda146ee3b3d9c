//! Traces that grow: more packets, more streams, more event classes.
//!
//! ```text
//!  mark     how long are the files?          ┐ what is written by now,
//!  renew    what does the metadata say?      ├ the metadata read behind it describes
//!  resume   read, up to the mark             ┘
//! ```
//! Producers describe what they write before they write it. So whoever looks at the lengths first, and then at the
//! metadata, never meets an event that he has not been told of.

use super::Reader;
use crate::model::StreamClass;
use crate::read::stream::StreamReader;
use crate::read::trace::Trace;

impl Reader {
    /// Notes how much there is: nothing behind is read before the next mark, and nothing of streams without one.
    pub fn mark(&mut self) {
        for stream in &mut self.streams {
            stream.mark();
        }
    }

    /// Takes what the traces are now, as [`Trace::open`] read them: goes on in the streams that it knows where it was,
    /// and adds those that are new, behind the others. To be called at the end, when there is no event at hand.
    ///
    /// The classes of known streams may only have got more event classes; else they are read as they were.
    pub fn renew(&mut self, traces: &[Trace]) {
        if !self.heap.is_empty() {
            return;
        }
        let mut added = Vec::new();
        for trace in traces {
            for found in trace.streams() {
                let known = self.streams.iter_mut().find(|stream| {
                    stream.files.first() == found.files.first() && stream.class == found.class
                });
                let now = &trace.class().streams[found.class];
                match known {
                    Some(stream) if extends(now, stream.stream_class()) => {
                        stream.renew(trace.shared.clone(), &found.files);
                    }
                    Some(_) => {}
                    None => {
                        let (shared, files) = (trace.shared.clone(), found.files.clone());
                        let mut stream =
                            StreamReader::new(shared, found.class, files, 64 << 10, false);
                        stream.id = found.id_or_number;
                        stream.following = true;
                        stream.expect_mark();
                        added.push(stream);
                    }
                }
            }
        }
        self.streams.extend(added);
    }
}

/// Whether a class is another one with more event classes behind.
fn extends(now: &StreamClass, before: &StreamClass) -> bool {
    let same = |a: &StreamClass, b: &StreamClass| {
        a.id == b.id
            && a.clock == b.clock
            && a.packet_context == b.packet_context
            && a.event_header == b.event_header
            && a.event_context == b.event_context
    };
    same(now, before) && now.events.starts_with(&before.events)
}
