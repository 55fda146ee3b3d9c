//! The shared ring as a flight recorder: the newest events of all processes, over the oldest.
//!
//! ```text
//!   snapshot  ─▶ all lanes copied ─▶ DIR/snapshot-N/shared
//!   the end   ─▶ all lanes copied ─▶ DIR/end/shared
//! ```
//!
//! Invariant: a snapshot that was asked for is taken before the end is.

use std::path::Path;
use std::sync::atomic::Ordering;

use laneway_ringbuf::{BufferReader, Reading, SharedMemory};

use super::{Buffer, SharedReport, Work};
use crate::Error;
use crate::consumer::Shared;
use crate::drain::copies::{About, Copies, Written};
use crate::session::{END, SHARED};
use crate::storage::Origin;
use crate::summary::{SharedSummary, memory_bytes};

pub(super) struct Flight {
    pub(super) reader: BufferReader,
    memory_bytes: u64,
}

impl Flight {
    pub(super) fn prepare(
        buffer: &Buffer,
        memory: SharedMemory,
        shared: &Shared,
    ) -> Result<Flight, Error> {
        // Begins to measure it, so that it is known well when there is something to write.
        shared.session.clocks().look(buffer.clock)?;
        Ok(Flight {
            reader: BufferReader::of(memory, Reading::Snapshots),
            memory_bytes: 0,
        })
    }

    pub(super) fn run(
        mut self,
        buffer: &Buffer,
        shared: &Shared,
        report: &impl Fn(SharedReport),
    ) -> SharedSummary {
        loop {
            let Work {
                dead,
                snapshots,
                over,
            } = buffer.take_work();
            for (id, slot) in dead {
                report(buffer.bury(&mut self.reader, id, slot));
            }
            for order in snapshots {
                let written = self.write(&order.directory, buffer, shared, false);
                report(SharedReport::Snapshot(written.part(order.number)));
            }
            if over {
                return self.end(buffer, shared);
            }
            self.reader.wait(shared.options.flush_period);
            self.memory_bytes = self.memory_bytes.max(memory_bytes(&buffer.ring));
        }
    }

    fn end(mut self, buffer: &Buffer, shared: &Shared) -> SharedSummary {
        let directory = shared.session.directory().join(END);
        let written = self.write(&directory, buffer, shared, true);
        let end = buffer.summarize(&self.reader, written.lanes, written.problems);
        let lost = end.counts.lost.total();
        shared.progress.lost.fetch_add(lost, Ordering::Relaxed);
        SharedSummary {
            trace: written.trace,
            memory_bytes: self.memory_bytes.max(end.memory_bytes),
            ..end
        }
    }

    fn write(&mut self, parent: &Path, buffer: &Buffer, shared: &Shared, ended: bool) -> Written {
        let copies = Copies::take(&mut self.reader, ended);
        // Looked at later: whoever wrote a record that is copied had been let in before.
        let events = buffer.table().events.events().to_vec();
        let about = About {
            parent,
            name: SHARED.to_owned(),
            origin: Origin::Shared(&shared.channel),
            events: &events,
            clock: buffer.clock,
        };
        copies.write(self.reader.lanes(), &about, shared)
    }
}
