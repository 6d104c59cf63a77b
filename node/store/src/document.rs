//! Documents: named values of an owner, for modules that keep something small (private XML, vCard,
//! block list …).
//!
//! A document has an owner, a collection (the module's name for its kind of thing) and a key within
//! it. The store never looks inside.

use bytes::Bytes;

/// A key and its value.
pub type Document = (String, Bytes);

/// The collection that [`Store::load`](crate::Store::load) hands over with an account: what is
/// needed at every login.
pub const ACCOUNT_COLLECTION: &str = "account";
