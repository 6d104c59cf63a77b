//! Invitations: whoever shows a token may make an account, as often as the invitation says and not once more, over the
//! whole cluster.
//!
//! ```text
//!                Reserve                  Commit
//!   free ──────────────────────► taken ────────────► used
//!     ▲   (token, host, name,      │
//!     │    time, uses are right)   │ Release, or not settled in time
//!     └────────────────────────────┘
//! ```
//!
//! A use is taken with the reservation of a registration and shares its fate, so whatever fails on the way, and
//! wherever: nobody gets a use twice, and none is lost. The state knows tokens by their hashes only ([`InviteId`]).
//!
//! A fixed name is kept for its invitation as long as that can be used (XEP-0445 4).

mod id;
mod invite;
mod reserve;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use rookery_xmpp::clock::Timestamp;
use serde::{Deserialize, Serialize};

pub use id::{InviteId, InviteIdError};
pub use invite::{
    Invite, InviteKind, InvitePage, InviteRefused, InviteTerms, NewInvites, ShownInvite,
};

pub(super) use reserve::Wanted;

use super::{Outcome, ReservationId};

/// All invitations, and those uses of them that are being made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Invites {
    invites: BTreeMap<InviteId, Invite>,
    takes: BTreeMap<ReservationId, Take>,
    /// Derived: the invitations by their ends.
    ends: BTreeSet<(Timestamp, InviteId)>,
    /// Derived: the takes by when they are given back.
    unsettled: BTreeSet<(Timestamp, ReservationId)>,
    /// Derived: which invitation has a fixed name, by host and name.
    names: BTreeMap<(String, String), InviteId>,
    /// Derived: how many invitations each user has.
    users: BTreeMap<String, u32>,
    /// Derived: how many they have together.
    of_users: usize,
}

/// A use that is being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Take {
    invite: InviteId,
    /// When it is given back, together with the reservation.
    expires: Timestamp,
}

/// What is kept.
#[derive(Serialize, Deserialize)]
struct Stored {
    invites: Vec<Invite>,
    takes: Vec<(ReservationId, Take)>,
}

impl Invites {
    /// Invitations at once, some 30 MB of state.
    pub const INVITES_MAX: usize = 100_000;

    /// Of these as many may be users': the operator always finds room.
    pub const OF_USERS_MAX: usize = 90_000;

    /// Invitations that one command makes.
    pub const AT_ONCE_MAX: usize = 100;

    /// Accounts that may be made with one invitation.
    pub const USES_MAX: u32 = 10_000;

    /// How long an invitation may last, in milliseconds: a year.
    pub const LIFE_MS_MAX: u64 = 366 * 86_400_000;

    /// How long a token that was good when it was shown stays good for that stream, in milliseconds: an hour. As long
    /// an invitation is kept behind its end.
    pub const SHOWN_MS_MAX: u64 = 3_600_000;

    /// Gives back the uses that were not settled by `now`, and forgets what ended long ago.
    pub(super) fn advance(&mut self, now: Timestamp) {
        while let Some((expires, reservation)) = self.unsettled.first().copied()
            && expires <= now
        {
            self.settle(reservation, false);
        }
        while let Some((expires, id)) = self.ends.first().copied()
            && expires.0.saturating_add(Self::SHOWN_MS_MAX) <= now.0
        {
            self.forget(id);
        }
    }

    /// Makes invitations: all of them, or none.
    pub(super) fn create(&mut self, new: &NewInvites, now: Timestamp) -> Outcome {
        let of_user = |user: &String| self.users.get(user).copied().unwrap_or(0) as usize;
        let count = new.ids.len();
        if let Some(user) = &new.by {
            if of_user(user) + count > new.user_max as usize {
                return Outcome::InvitesOfUserFull;
            }
            if self.of_users + count > Self::OF_USERS_MAX {
                return Outcome::InvitesFull;
            }
        }
        if self.invites.len() + count > Self::INVITES_MAX || count > Self::AT_ONCE_MAX {
            return Outcome::InvitesFull;
        }
        let name = new.name.as_deref();
        let is_held = |name: &str| self.holder(&new.host, name, now).is_some();
        let is_known = new.ids.iter().any(|id| self.invites.contains_key(id));
        if is_known || name.is_some_and(is_held) || name.is_some() && count != 1 {
            return Outcome::InviteHeld;
        }
        let latest = now.0.saturating_add(Self::LIFE_MS_MAX);
        let most = if name.is_some() { 1 } else { Self::USES_MAX };
        for id in &new.ids {
            self.insert(Invite {
                id: *id,
                kind: new.kind,
                host: new.host.clone(),
                by: new.by.clone(),
                name: new.name.clone(),
                uses: new.uses.clamp(1, most),
                used: 0,
                taken: 0,
                created: now,
                expires: Timestamp(new.expires.0.min(latest)),
            });
        }
        Outcome::InvitesMade
    }

    /// Ends invitations; those that do not exist are passed over. What is being made with one goes on.
    pub(super) fn revoke(&mut self, ids: &[InviteId]) -> Outcome {
        let before = self.invites.len();
        ids.iter().for_each(|id| self.forget(*id));
        Outcome::InvitesRevoked {
            revoked: (before - self.invites.len()) as u64,
        }
    }

    /// What a token is worth, at a host or at all.
    pub(super) fn check(
        &self,
        host: Option<&str>,
        id: InviteId,
        now: Timestamp,
    ) -> Result<InviteTerms, InviteRefused> {
        let invite = match host {
            Some(host) => self.at(host, id)?,
            None => self.invites.get(&id).ok_or(InviteRefused::Unknown)?,
        };
        invite.judge(now).map(|()| invite.terms())
    }

    /// Takes a use for a reservation, which gives it back at `expires` unless it is settled. It must have been found
    /// good by [`judge`](Self::judge).
    pub(super) fn take(&mut self, reservation: ReservationId, id: InviteId, expires: Timestamp) {
        if let Some(invite) = self.invites.get_mut(&id) {
            invite.taken += 1;
            let take = Take {
                invite: id,
                expires,
            };
            self.unsettled.insert((expires, reservation));
            self.takes.insert(reservation, take);
        }
    }

    /// The reservation was committed (its use is used up) or released (it is free again). Again it changes nothing.
    pub(super) fn settle(&mut self, reservation: ReservationId, is_used: bool) {
        let Some(take) = self.takes.remove(&reservation) else {
            return;
        };
        self.unsettled.remove(&(take.expires, reservation));
        if let Some(invite) = self.invites.get_mut(&take.invite) {
            invite.taken = invite.taken.saturating_sub(1);
            invite.used += u32::from(is_used);
        }
    }

    /// The invitations behind an id, in order, of one user or of all.
    pub(super) fn page(&self, after: Option<InviteId>, by: Option<&str>) -> InvitePage {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.invites.range((start, Bound::Unbounded));
        let wanted = |invite: &&Invite| by.is_none_or(|by| invite.by.as_deref() == Some(by));
        let mut behind = behind.map(|(_, invite)| invite).filter(wanted);
        InvitePage {
            invites: behind
                .by_ref()
                .take(InvitePage::INVITES_MAX)
                .cloned()
                .collect(),
            more: behind.next().is_some(),
            in_all: self.invites.len() as u64,
        }
    }

    /// How many there are, ended ones that are still remembered among them.
    pub fn len(&self) -> usize {
        self.invites.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.invites.is_empty()
    }

    /// Whether a registration may be made with a shown token.
    fn judge(
        &self,
        host: &str,
        name: &str,
        shown: ShownInvite,
        now: Timestamp,
    ) -> Result<InviteTerms, InviteRefused> {
        let invite = self.at(host, shown.id)?;
        let earliest = Timestamp(now.0.saturating_sub(Self::SHOWN_MS_MAX));
        invite.judge(shown.shown.clamp(earliest, now))?;
        match &invite.name {
            Some(fixed) if fixed != name => Err(InviteRefused::OtherName),
            _ => Ok(invite.terms()),
        }
    }

    /// Another host's invitation is none here, and nobody is told that there is one.
    fn at(&self, host: &str, id: InviteId) -> Result<&Invite, InviteRefused> {
        let invite = self.invites.get(&id).filter(|invite| invite.host == host);
        invite.ok_or(InviteRefused::Unknown)
    }

    /// The invitation that keeps a name to itself, if one does.
    fn holder(&self, host: &str, name: &str, now: Timestamp) -> Option<InviteId> {
        let id = self.names.get(&(host.to_owned(), name.to_owned()))?;
        let invite = self.invites.get(id)?;
        // One whose use is taken holds the name as well: the use may come back.
        (invite.used < invite.uses && now < invite.expires).then_some(*id)
    }

    fn insert(&mut self, invite: Invite) {
        self.ends.insert((invite.expires, invite.id));
        if let Some(name) = &invite.name {
            let key = (invite.host.clone(), name.clone());
            self.names.insert(key, invite.id);
        }
        if let Some(user) = &invite.by {
            *self.users.entry(user.clone()).or_default() += 1;
            self.of_users += 1;
        }
        self.invites.insert(invite.id, invite);
    }

    fn forget(&mut self, id: InviteId) {
        let Some(invite) = self.invites.remove(&id) else {
            return;
        };
        self.ends.remove(&(invite.expires, id));
        if invite.taken > 0 {
            self.takes.retain(|_, take| take.invite != id);
            let takes = &self.takes;
            self.unsettled
                .retain(|(_, reservation)| takes.contains_key(reservation));
        }
        if let Some(name) = invite.name {
            let key = (invite.host, name);
            if self.names.get(&key) == Some(&id) {
                self.names.remove(&key);
            }
        }
        if let Some(user) = invite.by
            && let Some(count) = self.users.get_mut(&user)
        {
            *count -= 1;
            self.of_users -= 1;
            if *count == 0 {
                self.users.remove(&user);
            }
        }
    }
}

impl From<Stored> for Invites {
    fn from(stored: Stored) -> Self {
        let mut invites = Self::default();
        let mut all = stored.invites;
        // In the order in which they were made, so that of two with one fixed name the later one has it.
        all.sort_by_key(|invite| (invite.created, invite.id));
        all.into_iter().for_each(|invite| invites.insert(invite));
        for (reservation, take) in stored.takes {
            invites.unsettled.insert((take.expires, reservation));
            invites.takes.insert(reservation, take);
        }
        invites
    }
}

impl From<Invites> for Stored {
    fn from(invites: Invites) -> Self {
        Self {
            invites: invites.invites.into_values().collect(),
            takes: invites.takes.into_iter().collect(),
        }
    }
}
