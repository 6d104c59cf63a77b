//! What routing knows of a stanza without parsing it again.
//!
//! ```text
//! xml::Reader ──► Header (rich, one a reader, overwritten by each stanza)
//!                   └─► Rec (36 bytes, Copy) ──► Batch { buf: Bytes, recs: Vec<Rec> } ──► shards, sessions
//! ```

mod batch;
mod children;
mod flags;
mod head;
mod header;
mod namespace;
mod parse;
mod rec;
mod reply;
mod tag;

pub use batch::Batch;
pub use children::{ChildBytes, Children};
pub use flags::Flags;
pub use head::{HeadChanges, append_child, rewrite_head};
pub use header::{CHILDREN_MAX, Child, Header, Span};
pub use namespace::{Content, Namespace};
pub use parse::parse_rec;
pub use rec::{Kind, Rec, StanzaType};
pub use reply::iq_result;
pub(crate) use reply::reply;
