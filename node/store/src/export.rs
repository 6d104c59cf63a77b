//! Export: the parts of a copy of a store, the same from every backend, read page by page.
//!
//! ```text
//! owners(after) ──► a page of owners, and where the next begins
//!     export_owner(owner) ──► Owned: account, roster, cursors, height of the log; and the name of this life
//!         export_documents(owner, life, after) ──► pages
//!         export_log(owner, life, after) ─────────► pages
//! ```
//!
//! Everything that is read of one owner belongs to one *life*: an owner whose account is deleted, or made, begins
//! another, and pages of the former are empty from then on. So an owner that is deleted while it is read is in the copy
//! as far as it was read, and never mixed with its successor.
//!
//! From a store that does not change meanwhile (see [`freeze`](crate::Store::freeze)) a copy is of one moment. From one
//! that does, the parts of an owner are read one after another, each from a consistent view of its own, and a log in
//! order of its positions: what is appended behind a page is on a later one.
//!
//! To put a copy into a store there is nothing special but [`raise_log`](crate::Store::raise_log) and
//! [`bury`](crate::Store::bury): the account first, unchecked, for look-alikes may have been forced; then the rest, by
//! the methods that routers use, each of which may be repeated.

use bytes::Bytes;
use rookery_xmpp::jid::Jid;

use crate::account::AccountRecord;
use crate::log::Position;
use crate::name::Tombstone;
use crate::roster::Roster;

/// A page of owners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnersPage {
    /// The owners, in an order of the backend's own. Some may own nothing.
    pub owners: Vec<Jid>,
    /// Where the next page begins: opaque, and good for as long as the store lives. None on the last.
    pub next: Option<String>,
}

/// What an owner owns, but for its documents and the entries of its log.
#[derive(Clone, Debug)]
pub struct Owned {
    /// The name of the owner's life; opaque.
    pub life: String,
    /// Its account; none for a host, a room, or whoever else owns something without one.
    pub account: Option<AccountRecord>,
    /// Its roster.
    pub roster: Roster,
    /// Its cursors, in order of name by bytes.
    pub cursors: Vec<(String, Position)>,
    /// The highest position its log ever had, also if that entry is gone.
    pub log_high: Option<Position>,
    /// What is left of a deleted account; then there is none.
    pub tombstone: Option<Tombstone>,
}

/// A document with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDocument {
    /// The collection it is in.
    pub collection: String,
    /// Its key.
    pub key: String,
    /// The document.
    pub value: Bytes,
}
