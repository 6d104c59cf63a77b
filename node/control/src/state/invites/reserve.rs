//! A registration with a token: what it needs beside the token, and what it is let off.

use std::net::IpAddr;
use std::time::Duration;

use super::ShownInvite;
use crate::state::{
    Command, ControlState, NameKind, Outcome, RegistrationMode, RegistrationPolicy, ReservationId,
};

/// What a registration wants.
pub(in crate::state) struct Wanted<'a> {
    /// The index of its log entry.
    pub(in crate::state) index: u64,
    /// The virtual host.
    pub(in crate::state) host: &'a str,
    /// Where it comes from.
    pub(in crate::state) address: IpAddr,
    /// The localpart.
    pub(in crate::state) name: &'a str,
    /// The token that was shown.
    pub(in crate::state) invite: Option<ShownInvite>,
    /// Whether the lists let it through.
    pub(in crate::state) is_listed: bool,
}

impl ControlState {
    /// Takes a place for a registration that nothing else refuses, and a use of its invitation if it has one.
    ///
    /// Where only the invited may register, the others are refused. An operator's invitation passes the windows of the
    /// throttle, for the operator has decided who comes and how many; a user's does not, for whoever has one account
    /// must not get any number of them.
    pub(in crate::state) fn reserve_place(
        &mut self,
        wanted: &Wanted<'_>,
        policy: &RegistrationPolicy,
    ) -> Outcome {
        if policy.mode == RegistrationMode::Closed {
            return Outcome::Closed;
        }
        let holder = self.invites.holder(wanted.host, wanted.name, self.time);
        if holder.is_some_and(|holder| wanted.invite.is_none_or(|shown| shown.id != holder)) {
            return Outcome::NameWithheld {
                by: "an invitation".to_owned(),
                kind: NameKind::Reserved,
            };
        }
        match wanted.invite {
            Some(shown) => self.reserve_invited(wanted, shown, policy),
            None if policy.mode == RegistrationMode::Invite => Outcome::InviteNeeded,
            None => self.reserve_open(wanted, wanted.is_listed, policy),
        }
    }

    /// Settles a place, and the use that goes with it.
    pub(in crate::state) fn settle(&mut self, command: &Command) -> Outcome {
        match *command {
            Command::Commit { reservation } => {
                let outcome = self.commit(reservation);
                let is_used = outcome == Outcome::Settled;
                self.invites.settle(reservation, is_used);
                outcome
            }
            Command::Release { reservation } => {
                let outcome = self.registrations.release(reservation);
                if outcome == Outcome::Settled {
                    self.invites.settle(reservation, false);
                }
                outcome
            }
            _ => Outcome::Stale,
        }
    }

    /// What operators and users do about invitations.
    pub(in crate::state) fn change_invites(&mut self, command: &Command) -> Outcome {
        let (now, invites) = (self.time, &mut self.invites);
        match command {
            Command::CreateInvites { invites: new } => invites.create(new, now),
            Command::RevokeInvites { ids } => invites.revoke(ids),
            Command::CheckInvite { host, id } => {
                Outcome::InviteChecked(invites.check(host.as_deref(), *id, now))
            }
            Command::ListInvites { after, by } => {
                Outcome::InvitePage(invites.page(*after, by.as_deref()))
            }
            _ => Outcome::Stale,
        }
    }

    fn reserve_open(
        &mut self,
        wanted: &Wanted<'_>,
        is_let_off: bool,
        policy: &RegistrationPolicy,
    ) -> Outcome {
        let (now, registrations) = (self.time, &mut self.registrations);
        let Wanted {
            index,
            host,
            address,
            ..
        } = *wanted;
        registrations.reserve(index, now, host, address, policy, is_let_off)
    }

    fn reserve_invited(
        &mut self,
        wanted: &Wanted<'_>,
        shown: ShownInvite,
        policy: &RegistrationPolicy,
    ) -> Outcome {
        let now = self.time;
        let judged = self.invites.judge(wanted.host, wanted.name, shown, now);
        let terms = match judged {
            Ok(terms) => terms,
            Err(refused) => return Outcome::InviteRefused(refused),
        };
        let is_let_off = wanted.is_listed || terms.by.is_none();
        let outcome = self.reserve_open(wanted, is_let_off, policy);
        let Outcome::Reserved(reservation) = outcome else {
            return outcome;
        };
        self.keep_use(reservation, shown, policy);
        Outcome::Invited { reservation, terms }
    }

    fn keep_use(
        &mut self,
        reservation: ReservationId,
        shown: ShownInvite,
        policy: &RegistrationPolicy,
    ) {
        // As long as the reservation itself.
        let held = Duration::from_millis(policy.reservation_ms());
        self.invites
            .take(reservation, shown.id, self.time.plus(held));
    }
}
