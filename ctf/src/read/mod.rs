//! Reading traces.
//!
//! ```text
//!  find_traces ─▶ Trace::open ─▶ Reader ─▶ Item::Event ─▶ Event::visit ─▶ your Visitor
//!                  metadata       merges    lazily          fields
//! ```

mod bits;
mod choice;
mod compile;
mod count;
mod event;
mod glance;
mod index;
mod node;
mod packet;
mod plan;
mod program;
mod reader;
mod source;
mod span;
mod stream;
mod trace;
mod transcode;
mod value;
mod visit;
mod wide;

pub(crate) use bits::{Cursor, Read, sign_extend};
pub(crate) use choice::{Choice, Maybe};
pub use count::Counts;
pub use index::{IndexEntry, index_of};
pub(crate) use node::{ArrayNode, Count, IntegerNode, Node, Slot, StructureNode};
pub use packet::Packet;
pub(crate) use program::{Stop, unit};
pub use reader::{Event, Item, Loss, Lost, Notice, Reader, Stream, span};
pub use source::Source;
pub(crate) use span::{Span, contains};
pub(crate) use stream::Shared;
pub use trace::{StreamFiles, Trace, find_traces};
pub use transcode::StreamCopy;
pub use value::{Value, ValueBuilder, is_helper};
pub use visit::Visitor;
pub(crate) use visit::{as_utf8, float_of, until_nul};
pub use wide::Wide;
pub(crate) use wide::WideNode;
