//! The part of the handle that is about invitations.

use rookery_xmpp::clock::Timestamp;

use super::{Control, Reserve, unexpected};
use crate::error::{InvitesRefused, RegistrationRefused, Unavailable};
use crate::gauges;
use crate::state::{
    Command, InviteId, InvitePage, InviteRefused, InviteTerms, NewInvites, Outcome, ReservationId,
    ShownInvite,
};

/// A place for a registration, and the use of an invitation that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invited {
    /// The place: settling it settles the use.
    pub reservation: ReservationId,
    /// What the invitation says.
    pub terms: InviteTerms,
}

impl Control {
    /// As [`reserve_registration`](Self::reserve_registration), for somebody who has shown a token.
    pub async fn reserve_invited(
        &self,
        reserve: Reserve,
        invite: ShownInvite,
    ) -> Result<Invited, RegistrationRefused> {
        let decision = match self.ask_for_place(reserve, Some(invite)).await {
            Ok(Outcome::Invited { reservation, terms }) => Ok(Invited { reservation, terms }),
            Ok(other) => Err(unexpected(&other).into()),
            Err(refused) => Err(refused),
        };
        gauges::registration(decision.as_ref().err());
        decision
    }

    /// What a token is worth, at a host or at all, by all that was decided before this call. It takes no use.
    pub async fn check_invite(
        &self,
        host: Option<&str>,
        id: InviteId,
    ) -> Result<Result<InviteTerms, InviteRefused>, Unavailable> {
        let host = host.map(str::to_owned);
        let command = Command::CheckInvite { host, id };
        match self.propose(command, Timestamp::now()).await? {
            Outcome::InviteChecked(checked) => Ok(checked),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes invitations, durably: all of them or none.
    pub async fn create_invites(&self, invites: NewInvites) -> Result<(), InvitesRefused> {
        let command = Command::CreateInvites { invites };
        match self.propose(command, Timestamp::now()).await? {
            Outcome::InvitesMade => Ok(()),
            Outcome::InvitesFull => Err(InvitesRefused::Full),
            Outcome::InvitesOfUserFull => Err(InvitesRefused::OfUserFull),
            Outcome::InviteHeld => Err(InvitesRefused::NameHeld),
            other => Err(unexpected(&other).into()),
        }
    }

    /// Ends invitations; those that do not exist are passed over. Returns how many there were.
    pub async fn revoke_invites(&self, ids: Vec<InviteId>) -> Result<u64, Unavailable> {
        let command = Command::RevokeInvites { ids };
        match self.propose(command, Timestamp::now()).await? {
            Outcome::InvitesRevoked { revoked } => Ok(revoked),
            other => Err(unexpected(&other)),
        }
    }

    /// The invitations behind an id, in order; of one user if one is named.
    pub async fn invites(
        &self,
        after: Option<InviteId>,
        by: Option<String>,
    ) -> Result<InvitePage, Unavailable> {
        let command = Command::ListInvites { after, by };
        match self.propose(command, Timestamp::now()).await? {
            Outcome::InvitePage(page) => Ok(page),
            other => Err(unexpected(&other)),
        }
    }
}
