//! What routing knows of a stanza without parsing it again.
//!
//! ```text
//! xml::Reader ──► Header (rich, one a reader, overwritten by each stanza)
//!                   └─► Rec (36 bytes, Copy) ──► Batch { buf: Bytes, recs: Vec<Rec> } ──► shards, sessions
//! ```

mod batch;
mod flags;
mod header;
mod namespace;
mod rec;

pub use batch::Batch;
pub use flags::Flags;
pub use header::{CHILDREN_MAX, Child, Header, Span};
pub use namespace::{Content, Namespace};
pub use rec::{Kind, Rec, StanzaType};
