//! The stream reader: everything a peer sends is checked once, here, and leaves in one canonical
//! form.
//!
//! ```text
//! bytes ─► skip white space between items ─► fast lane ── done ───────────► header + canonical bytes
//!                                                │ unfinished: wait          ▲
//!                                                └ unknown ─► reference lane ┴─► error: the stream ends
//! ```
//!
//! The reference lane is the rxml parser with our own namespaces and writer; it reads anything, and
//! it alone makes errors.
//!
//! # The canonical form
//!
//! | matter | rule |
//! |---|---|
//! | elements | no prefix ever |
//! | namespaces | `xmlns="…"` directly behind the name, exactly where it is not the parent's |
//! | stanzas | no `xmlns`, so that one fits streams of clients and of servers |
//! | declarations | unused and repeated ones vanish |
//! | attributes | source order behind `xmlns`, `name="value"`, one space before each |
//! | `xml:lang` and the like | keep their prefix |
//! | attributes in a namespace | ` xmlns:a0="…" a0:name="…"`, declared on the same element before its first use |
//! | text | `&amp;` `&lt;` `&gt;`, quotes raw, TAB and LF raw, every line end one LF, `&#13;` |
//! | values | `&amp;` `&lt;` `&gt;` `&quot;`, `'` raw, white space one space each |
//! | white space from references in values | `&#9;` `&#10;` `&#13;` |
//! | all else | raw UTF-8, no CDATA; an empty element is `<x/>` |
//!
//! So `<` and `>` occur only as delimiters of tags and `"` in tags only as delimiter of values:
//! consumers may scan for them blindly.
//!
//! # What is refused although it may be well-formed
//!
//! Comments, processing instructions, DTDs and entities (RFC 6120 11.1); names outside ASCII;
//! elements in the XML namespace; white space and control characters in a namespace name; an
//! element of the other content namespace under content, which would become content behind the next
//! link.

mod canonical;
mod counts;
mod env;
mod error;
mod fast;
mod faults;
mod item;
mod limits;
pub(crate) mod names;
mod outline;
mod reader;
mod reference;
mod scratch;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;
mod write;

pub use self::canonical::canonicalize;
pub use self::counts::{LaneCounts, UnknownReason};
pub use self::error::ReadError;
pub use self::item::{Item, StreamHeader};
pub use self::limits::XmlLimits;
pub use self::reader::Reader;
pub use self::write::{STREAM_CLOSE, StreamOpen, write_stream_open};
pub use crate::stanza::Content;
