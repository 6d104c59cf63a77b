//! Invitations as the control group knows them.

use std::sync::Arc;

use rookery_control::{InviteRefused, Invited, InvitesRefused, RegistrationRefused, Unavailable};
use rookery_router::shard::{InviteReply, InviteRequest, Reply};
use rookery_router::{InviteOptions, InviteSettings};

use super::World;

impl World {
    /// What users may do from now on.
    pub(crate) fn set_invites(&self, options: InviteOptions, base_url: &str) {
        let base_url = base_url.to_owned();
        let settings = InviteSettings { options, base_url };
        self.env.invites.store(Arc::new(settings));
    }

    pub(super) fn ask_about_invites(&mut self, request: InviteRequest) -> Reply {
        let token = match &request {
            InviteRequest::Create(new) => {
                let is_full = self.made.len() >= new.user_max as usize;
                self.made.push(new.clone());
                return Reply::Invite(match is_full {
                    true => InviteReply::NotMade(InvitesRefused::OfUserFull),
                    false => InviteReply::Made,
                });
            }
            InviteRequest::Check { token, .. } | InviteRequest::Reserve { token, .. } => token,
        };
        let known = self.invited.clone().filter(|_| token.token == "good");
        let Some(terms) = known else {
            return Reply::RegistrationRefused(InviteRefused::Unknown.into());
        };
        let reply = match request {
            InviteRequest::Reserve { .. } => {
                self.reserved += 1;
                let reservation = serde_json::from_str("1").expect("a reservation's id");
                InviteReply::Reserved(Invited { reservation, terms })
            }
            _ => InviteReply::Good(terms),
        };
        Reply::Invite(reply)
    }
}

/// A refusal without a quorum.
pub(crate) fn no_quorum() -> RegistrationRefused {
    RegistrationRefused::Unavailable(Unavailable::NoQuorum)
}
