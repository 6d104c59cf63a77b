//! Floor 0 of Rookery: the words of XMPP, as pure values.
//!
//! ```text
//! bytes ─► xml::Reader ─► canonical bytes + stanza::Header ─► stanza::Rec in a stanza::Batch
//!                                     │                          └─► carried, routed, delivered
//!                                     └─► element::Element, only where a module must look inside
//! ```
//!
//! * [`jid`]: addresses by RFC 7622.
//! * [`xml`]: the stream reader (fast lane and reference), the one canonical form, its limits.
//! * [`stanza`]: what routing knows of a stanza, and how its head is rewritten.
//! * [`element`]: a small tree for modules.
//! * [`stanza_error`], [`stream_error`]: the error vocabularies of RFC 6120.
//! * [`scram`]: SCRAM keys, the only form in which credentials exist.
//! * [`invitation`], [`uri`]: how invitations are handed out, and other addresses as URIs.
//! * [`units`]: rates and lengths of time as operators write them.
//! * [`decaying`]: counts of what happened lately.
//! * [`clock`], [`entropy`]: time and randomness, as values that movers pass in.
//!
//! Nothing here does IO, reads a clock, or draws randomness of its own.

pub mod clock;
pub mod dataform;
pub mod datetime;
pub mod decaying;
pub mod element;
pub mod entropy;
pub mod escape;
pub mod invitation;
pub mod jid;
pub mod ns;
pub mod options;
pub mod scram;
pub mod stanza;
pub mod stanza_error;
pub mod stream_error;
pub mod units;
pub mod uri;
pub mod xml;
