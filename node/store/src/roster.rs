//! Rosters (RFC 6121 section 2): an account's contacts and the state of their subscriptions.

use bytes::Bytes;
use rookery_xmpp::jid::Jid;

/// A whole roster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// RFC 6121 2.6: grows with every change; 0 for a roster that never changed.
    pub version: u64,
    /// The items in order of JID, also those that the client does not see
    /// ([`RosterItem::in_roster`]).
    pub items: Vec<RosterItem>,
}

/// What an account knows of one contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterItem {
    /// The contact. Usually bare, but RFC 6121 2.1.2.3 allows any JID.
    pub jid: Jid,
    /// The handle the user gave the contact.
    pub name: Option<String>,
    /// The groups, in the order of the client that set them.
    pub groups: Vec<String>,
    /// Who sees whose presence.
    pub subscription: Subscription,
    /// RFC 6121 2.1.2.2 `ask='subscribe'`: a request of the user's is unanswered ("pending out").
    pub ask: bool,
    /// A request of the contact's that the user has not answered ("pending in"): the canonical
    /// stanza, to be delivered again at each login (RFC 6121 3.1.3).
    pub pending_in: Option<Bytes>,
    /// RFC 6121 3.4: the user approved a request before it came.
    pub approved: bool,
    /// Whether the client is told of the item; false for a contact that is only "pending in" or
    /// pre-approved.
    pub in_roster: bool,
}

impl RosterItem {
    /// An item of a contact that the user has just added, without name, groups or subscription.
    pub fn new(jid: Jid) -> Self {
        Self {
            jid,
            name: None,
            groups: Vec::new(),
            subscription: Subscription::None,
            ask: false,
            pending_in: None,
            approved: false,
            in_roster: true,
        }
    }
}

/// RFC 6121 2.1.2.5, without `remove`, which is never stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Subscription {
    /// Neither sees the other's presence.
    #[default]
    None,
    /// The user sees the contact's presence.
    To,
    /// The contact sees the user's presence.
    From,
    /// Both see each other's.
    Both,
}

impl Subscription {
    /// The value of the attribute `subscription`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::To => "to",
            Self::From => "from",
            Self::Both => "both",
        }
    }
}

/// A change of a roster, applied as one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RosterChange {
    /// Items to add, or to replace where the JID is there.
    pub put: Vec<RosterItem>,
    /// Contacts to remove, before anything is put; those that are not there are skipped.
    pub remove: Vec<Jid>,
    /// The roster's version behind the change.
    pub version: u64,
}
