//! CTF 2 metadata: a sequence of JSON texts.
//!
//! ```text
//!  ␞ { "type": "preamble", "version": 2, "uuid": [ … ] }
//!  ␞ { "type": "trace-class", … }       ␞ { "type": "clock-class", … }
//!  ␞ { "type": "data-stream-class", … } ␞ { "type": "event-record-class", … }
//! ```
//! Each text is a *fragment*, preceded by the byte 0x1e (RFC 7464).
//!
//! Reference: CTF2-SPEC-2.0, sections 5 (metadata stream) and 6 (data streams).

mod json;
mod read;
mod read_class;
mod write;

pub use read::read;
pub use write::write;

/// The log levels that LTTng and babeltrace name, from 0 on.
const LOG_LEVELS: [&str; 15] = [
    "emergency",
    "alert",
    "critical",
    "error",
    "warning",
    "notice",
    "info",
    "debug:system",
    "debug:program",
    "debug:process",
    "debug:module",
    "debug:unit",
    "debug:function",
    "debug:line",
    "debug",
];

/// The namespaces of user attributes in which tracers put log levels.
const LTTNG: &str = "lttng.org,2009";
const BABELTRACE: &str = "babeltrace.org,2020";

/// The byte before every fragment.
const RECORD_SEPARATOR: u8 = 0x1e;

/// What is wrong with a metadata stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fragment {fragment}{}: {message}", at(.path))]
pub struct Error {
    /// Which JSON text, from 1.
    pub fragment: usize,
    /// The property in it, as `payload-field-class.member-classes[2].field-class`.
    pub path: String,
    /// What is wrong, in words.
    pub message: String,
}

fn at(path: &str) -> String {
    match path {
        "" => String::new(),
        path => format!(", {path}"),
    }
}
