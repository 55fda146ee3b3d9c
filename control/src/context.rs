//! What a channel's records say besides the fields of their events.
//!
//! ```text
//!   header │ cpu_id u32 │ vpid i32 │ vtid i32 │ procname [u8; 16] │ the event's own fields │ padding
//!            concurrency  shared     thread     shared
//!            lanes        buffers    ids        buffers
//! ```
//! A lane of one CPU says in its packets which CPU it is, and the buffer of one process whose it is; where a lane or a
//! buffer has many, each record says so itself.
//!
//! Invariant: the set-up of a channel decides alone which fields there are, and a record holds all of them, packed, in this
//! order, in the byte order of the machine.

use crate::channel::{Buffers, ChannelConfig, Lanes};

/// Bytes of a process's name in a record: those of `/proc/self/comm`, padded with NUL, the last of which always is one.
pub const PROCNAME_BYTES: usize = 16;

/// The context of a channel's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContextFields {
    /// Whether they name their thread.
    pub thread: bool,
    /// Whether they name their process.
    pub process: bool,
    /// Whether they name their CPU.
    pub cpu: bool,
}

/// One value of the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContextField {
    /// The number of the CPU, a `u32`.
    CpuId,
    /// The process's id as it sees it itself, an `i32`.
    Vpid,
    /// The thread's id as it sees it itself, an `i32`.
    Vtid,
    /// The process's short name, [`PROCNAME_BYTES`] bytes of UTF-8 and NUL.
    Procname,
}

impl ContextFields {
    /// Those of the records of a channel.
    #[must_use]
    pub fn of(channel: &ChannelConfig) -> Self {
        ContextFields {
            thread: channel.thread_ids,
            process: channel.buffers == Buffers::Shared,
            cpu: channel.lanes == Lanes::Concurrency,
        }
    }

    /// The fields, in the order in which they lie in a record.
    pub fn iter(self) -> impl Iterator<Item = ContextField> {
        [
            (self.cpu, ContextField::CpuId),
            (self.process, ContextField::Vpid),
            (self.thread, ContextField::Vtid),
            (self.process, ContextField::Procname),
        ]
        .into_iter()
        .filter_map(|(there, field)| there.then_some(field))
    }

    /// Bytes of all of them together.
    #[must_use]
    pub const fn bytes(self) -> usize {
        let mut bytes = 0;
        if self.cpu {
            bytes += ContextField::CpuId.bytes();
        }
        if self.process {
            bytes += ContextField::Vpid.bytes() + ContextField::Procname.bytes();
        }
        if self.thread {
            bytes += ContextField::Vtid.bytes();
        }
        bytes
    }
}

impl ContextField {
    /// The name that readers of traces know it by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ContextField::CpuId => "cpu_id",
            ContextField::Vpid => "vpid",
            ContextField::Vtid => "vtid",
            ContextField::Procname => "procname",
        }
    }

    /// Its bytes in a record.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            ContextField::CpuId | ContextField::Vpid | ContextField::Vtid => 4,
            ContextField::Procname => PROCNAME_BYTES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(channel: &ChannelConfig) -> Vec<&'static str> {
        let fields = ContextFields::of(channel).iter();
        fields.map(ContextField::name).collect()
    }

    #[test]
    fn records_say_what_their_lane_and_buffer_leave_open() {
        let usual = ChannelConfig::default();
        assert_eq!(names(&usual), ["vtid"]);
        let bare = ChannelConfig {
            thread_ids: false,
            ..usual.clone()
        };
        assert_eq!(names(&bare), [""; 0]);
        let shared = ChannelConfig {
            buffers: Buffers::Shared,
            ..usual.clone()
        };
        assert_eq!(names(&shared), ["vpid", "vtid", "procname"]);
        let concurrency = ChannelConfig {
            lanes: Lanes::Concurrency,
            ..usual
        };
        assert_eq!(names(&concurrency), ["cpu_id", "vtid"]);
    }

    #[test]
    fn the_context_is_as_long_as_its_fields_together() {
        for bits in 0..8 {
            let fields = ContextFields {
                thread: bits & 1 != 0,
                process: bits & 2 != 0,
                cpu: bits & 4 != 0,
            };
            let sum: usize = fields.iter().map(ContextField::bytes).sum();
            assert_eq!(fields.bytes(), sum, "{fields:?}");
        }
    }
}
