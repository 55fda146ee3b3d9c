//! Everything that can go wrong between an application and a consumer.

/// Why a message, a description or a meeting point could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value could not be turned into bytes.
    #[error("cannot encode: {0}")]
    Encode(String),

    /// The bytes are not what was expected.
    #[error("cannot decode: {0}")]
    Decode(String),

    /// More bytes than a value may have.
    #[error("{bytes} bytes are more than the {limit} that fit here")]
    TooLong {
        /// How many there are, or are claimed to be.
        bytes: u64,
        /// How many are allowed.
        limit: usize,
    },

    /// Something follows a value that should be the last.
    #[error("{bytes} unexpected bytes behind the end")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },

    /// A process describes more events than there are event ids.
    #[error("{events} events are more than the 65535 a process can have")]
    TooManyEvents {
        /// How many.
        events: u64,
    },

    /// The description of an event cannot be right.
    #[error("event {id} is described wrongly: {reason}")]
    BadEvent {
        /// Its number.
        id: usize,
        /// What is wrong.
        reason: String,
    },
}
