//! Invitations as the control group knows them.

use rookery_control::{InviteRefused, Invited};
use rookery_router::shard::{InviteReply, InviteRequest, Reply};

use super::World;

impl World {
    pub(super) fn ask_about_invites(&mut self, request: InviteRequest) -> Reply {
        let (InviteRequest::Check { token, .. } | InviteRequest::Reserve { token, .. }) = &request;
        let known = self.invited.clone().filter(|_| token.token == "good");
        let Some(terms) = known else {
            return Reply::RegistrationRefused(InviteRefused::Unknown.into());
        };
        let reply = match request {
            InviteRequest::Check { .. } => InviteReply::Good(terms),
            InviteRequest::Reserve { .. } => {
                self.reserved += 1;
                let reservation = serde_json::from_str("1").expect("a reservation's id");
                InviteReply::Reserved(Invited { reservation, terms })
            }
        };
        Reply::Invite(reply)
    }
}
