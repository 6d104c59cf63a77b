//! Accounts: who may log in, and all that a shard needs to begin serving one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;

use crate::document::Document;
use crate::inviter::Inviter;
use crate::log::{Position, Recent};
use crate::name::{NameChecks, Tombstone};
use crate::roster::Roster;
use crate::standing::Standing;

/// An account that is to be created.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The bare JID; it must have a local part.
    pub jid: Jid,
    /// The SCRAM keys. No password is ever stored.
    pub credentials: Credentials,
    /// When it was registered.
    pub created: Timestamp,
    /// What the registration form asked for (XEP-0077 fields such as `email`).
    pub details: BTreeMap<String, String>,
    /// The address it was registered from; none when an operator created it.
    pub address: Option<IpAddr>,
    /// What its name is checked for.
    pub checks: NameChecks,
    /// How it stands from the beginning.
    pub standing: Standing,
    /// By whose invitation it is made; none without one.
    pub inviter: Option<Inviter>,
}

/// What there is under a JID.
#[derive(Clone, Debug)]
pub enum Found {
    /// An account.
    Account(Box<Loaded>),
    /// What is left of a deleted one; its tombstone may hold no more.
    Gone(Tombstone),
    /// Neither.
    Nobody,
}

impl Found {
    /// The account, if there is one.
    pub fn account(self) -> Option<Loaded> {
        match self {
            Self::Account(loaded) => Some(*loaded),
            Self::Gone(_) | Self::Nobody => None,
        }
    }
}

/// An account as stored.
#[derive(Clone, Debug)]
pub struct AccountRecord {
    /// The bare JID.
    pub jid: Jid,
    /// The SCRAM keys.
    pub credentials: Credentials,
    /// When it was registered.
    pub created: Timestamp,
    /// Whether no operator has disabled it.
    pub enabled: bool,
    /// How it stands.
    pub standing: Standing,
    /// What the registration form asked for.
    pub details: BTreeMap<String, String>,
    /// The address it was registered from; none when an operator created it.
    pub address: Option<IpAddr>,
    /// By whose invitation it was made; none without one.
    pub inviter: Option<Inviter>,
}

impl AccountRecord {
    /// Whether its owner may log in.
    pub fn may_log_in(&self) -> bool {
        self.enabled && self.standing.is_member()
    }
}

/// All that a shard needs to begin serving an account, as of one moment.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The account itself.
    pub record: AccountRecord,
    /// Its roster.
    pub roster: Roster,
    /// The highest position its log ever had, also if that entry is gone: the next one must be
    /// above it. None while nothing was ever appended.
    pub log_tail: Option<Position>,
    /// How far its sessions were given what waited for them: the cursor
    /// [`DELIVERED`](crate::log::DELIVERED). None if it was never kept.
    pub delivered: Option<Position>,
    /// Entries of its log above that cursor that wait to be delivered. Found by looking at each entry above it, so
    /// whoever serves an account moves the cursor along.
    pub owed: u64,
    /// The newest entries of its log, newest first: those with an origin among the last
    /// [`RECENT_ENTRIES`](crate::limits::RECENT_ENTRIES). Whoever begins to serve the account knows by
    /// them what an earlier one has appended, if it is sent again. A backend need not look behind many epochs.
    pub recent: Vec<Recent>,
    /// The documents of the collection [`ACCOUNT_COLLECTION`](crate::document::ACCOUNT_COLLECTION),
    /// in order of key.
    pub documents: Vec<Document>,
}
