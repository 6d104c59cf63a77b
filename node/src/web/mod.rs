//! The public pages: what an invitation is about, and what is well known (RFC 8615).
//!
//! ```text
//! a place (in all, per address) ─► TLS, or plain behind a proxy ─► requests per address ─► page
//!        │ none: closed                 │ too slow: closed               │ too many: 429
//! ```
//!
//! | path | what |
//! |---|---|
//! | `/invite/TOKEN` | the [page] about an invitation; it takes no use |
//! | `/.well-known/security.txt` | whom to tell of a hole (RFC 9116), where `contact.security` says it |
//! | `/style.css` | how pages look |
//!
//! There is no `/.well-known/host-meta`: XEP-0156 tells ways to connect over WebSocket and BOSH, and there are none. No
//! path is ever logged, for it may have a token.

mod answer;
mod client;
mod guests;
mod options;
mod page;
mod port;

pub use options::WebOptions;
pub use port::{WebError, WebPort};
