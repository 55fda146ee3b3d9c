//! What traced processes and consumers say to each other.

#![forbid(unsafe_code)]

mod codec;
mod error;
pub mod schema;

pub use error::Error;
pub use schema::{EventSchema, Field, FieldType, Level, decode_schemas, encode_schemas};
