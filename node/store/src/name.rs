//! Names: who may have one, and what is left of one whose account is gone.
//!
//! ```text
//! create(olga)  exists? ─► AlreadyExists    tombstone that holds? ─► Gone    0lga has an account? ─► Confusable
//! delete(olga)  account gone, tombstone there, in one write ─► load: Gone ─► lifted, or ended: the name is free
//! ```
//!
//! Every account claims the skeleton of its localpart (UTS #39, [`skeleton`](rookery_xmpp::jid::skeleton())) at its
//! host, in the same step that creates it; so of two look-alikes that are created at once one is refused.

use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;

/// What a new account's name is checked for. That the name is free is always checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameChecks {
    /// Whether it is refused where it looks like the name of another account of the host. Its skeleton is claimed in
    /// any case, so what is created without this check stands in the way of later look-alikes too.
    pub look_alikes: bool,
    /// Whether it is refused while the tombstone of an earlier account holds. What is created without this check lifts
    /// the tombstone.
    pub tombstones: bool,
}

impl NameChecks {
    /// What is asked of strangers.
    pub const ALL: Self = Self {
        look_alikes: true,
        tombstones: true,
    };

    /// For an operator who insists, and for copies of accounts that were created before.
    pub const NONE: Self = Self {
        look_alikes: false,
        tombstones: false,
    };
}

impl Default for NameChecks {
    fn default() -> Self {
        Self::ALL
    }
}

/// Stands for an account that was deleted: nobody may have its name, and who writes to it is told that it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// When the account was deleted.
    pub at: Timestamp,
    /// From when on the name is free again; never without it.
    pub until: Option<Timestamp>,
}

impl Tombstone {
    /// Whether the name is still withheld.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// A tombstone with the name that it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buried {
    /// The bare JID.
    pub jid: Jid,
    /// The tombstone, perhaps one that holds no more.
    pub tombstone: Tombstone,
}
