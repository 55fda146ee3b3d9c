//! A stream that grows, and what its trace says of it by now.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Shared, StreamReader};

impl StreamReader {
    /// Notes how long its last file is.
    pub(crate) fn mark(&mut self) {
        let last = self.files.last();
        let length = last.and_then(|path| path.metadata().ok());
        self.mark = length.map_or(0, |metadata| metadata.len());
    }

    /// Reads nothing before it is marked.
    pub(crate) fn expect_mark(&mut self) {
        self.mark = 0;
    }

    /// Whether a packet ends behind the mark: it is read later.
    pub(super) fn is_beyond_mark(&self, offset: u64, size: u64) -> bool {
        self.file + 1 >= self.files.len() && offset.saturating_add(size / 8) > self.mark
    }

    /// Takes what the trace is now. To be called between two packets: what the slots hold is not what it was.
    pub(crate) fn renew(&mut self, shared: Arc<Shared>, files: &[PathBuf]) {
        let plan = &shared.plan.streams[self.class];
        let slots = plan.slots.max(shared.plan.header_slots);
        self.slots = vec![Cell::new(0); slots].into();
        if files.len() > self.files.len() && files.starts_with(&self.files) {
            self.files = files.to_vec();
            // How much of a new file is described is not known yet.
            self.expect_mark();
        }
        self.shared = shared;
    }
}
