//! One invitation, and what may be said of it.

use rookery_xmpp::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::InviteId;

/// What an invitation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InviteKind {
    /// An account, and nothing else.
    Account,
    /// An account, whose owner and the inviter are each other's contacts from the start (XEP-0379).
    Contact,
}

impl InviteKind {
    /// A word for operators.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Contact => "contact",
        }
    }
}

/// An invitation: who has its token may make an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// What its token hashes to.
    pub id: InviteId,
    /// What it is for.
    pub kind: InviteKind,
    /// The host of the accounts.
    pub host: String,
    /// The bare JID of the user who invites; `None` for the operator.
    pub by: Option<String>,
    /// The only localpart that may be registered with it.
    pub name: Option<String>,
    /// How many accounts may be made with it.
    pub uses: u32,
    /// How many were.
    pub used: u32,
    /// How many are being made: places that are given back if they do not come to be.
    pub taken: u32,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

impl Invite {
    /// What the invitation lets its bearer do.
    pub fn terms(&self) -> InviteTerms {
        InviteTerms {
            kind: self.kind,
            host: self.host.clone(),
            by: self.by.clone(),
            name: self.name.clone(),
            expires: self.expires,
        }
    }

    /// Whether an account can be made with it at this moment.
    pub(super) fn judge(&self, now: Timestamp) -> Result<(), InviteRefused> {
        if self.used.saturating_add(self.taken) >= self.uses {
            return Err(InviteRefused::Used);
        }
        match now < self.expires {
            true => Ok(()),
            false => Err(InviteRefused::Expired),
        }
    }
}

/// What an invitation lets its bearer do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteTerms {
    /// What it is for.
    pub kind: InviteKind,
    /// The host of the accounts.
    pub host: String,
    /// The bare JID of the user who invites; `None` for the operator.
    pub by: Option<String>,
    /// The only localpart that may be registered with it.
    pub name: Option<String>,
    /// When it ends.
    pub expires: Timestamp,
}

/// Why no account is made with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum InviteRefused {
    /// There is no such invitation at this host: it was never made, was revoked, or ended long ago.
    #[error("there is no such invitation")]
    Unknown,
    /// It has ended.
    #[error("the invitation has expired")]
    Expired,
    /// As many accounts as may be were made with it, or are being made.
    #[error("the invitation is used up")]
    Used,
    /// It is for another name.
    #[error("the invitation is for another name")]
    OtherName,
}

impl InviteRefused {
    /// A short name for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Used => "used",
            Self::OtherName => "other_name",
        }
    }
}

/// A token that somebody showed who wants to register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownInvite {
    /// What the token hashes to.
    pub id: InviteId,
    /// When it was shown: what was good then is good for the whole stream (XEP-0445 3), as far as
    /// [`Invites::SHOWN_MS_MAX`](super::Invites::SHOWN_MS_MAX) goes.
    pub shown: Timestamp,
}

/// Invitations that somebody wants to make, alike but for their tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewInvites {
    /// What the tokens hash to.
    pub ids: Vec<InviteId>,
    /// What they are for.
    pub kind: InviteKind,
    /// The host of the accounts, prepared.
    pub host: String,
    /// The bare JID of the user who invites; `None` for the operator.
    pub by: Option<String>,
    /// The only localpart that may be registered, prepared. There is one invitation then, for one account.
    pub name: Option<String>,
    /// How many accounts may be made with each.
    pub uses: u32,
    /// When they end.
    pub expires: Timestamp,
    /// How many this user may have that have not ended, used or not. It says nothing about the operator.
    pub user_max: u32,
}

/// A page of the list of invitations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitePage {
    /// In the order of their ids.
    pub invites: Vec<Invite>,
    /// Whether more follow.
    pub more: bool,
    /// How many there are in all.
    pub in_all: u64,
}

impl InvitePage {
    /// Invitations on one page, some 40 kB.
    pub const INVITES_MAX: usize = 100;
}
