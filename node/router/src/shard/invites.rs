//! What a shard asks of the control group about invitations.

use std::net::IpAddr;

use metrics::counter;
use rookery_control::{
    BanTarget, Control, InviteId, InviteRefused, InviteTerms, Invited, InvitesRefused, NewInvites,
    RegistrationMode, RegistrationRefused, Reserve, ShownInvite,
};
use rookery_session::carrier::ShownToken;
use rookery_xmpp::clock::Timestamp;

use super::Reply;

/// A question about invitations.
pub enum InviteRequest {
    /// What a token is worth at a host. It takes nothing.
    Check {
        /// The virtual host.
        host: String,
        /// The token.
        token: ShownToken,
    },
    /// A user makes an invitation.
    Create(NewInvites),
    /// Takes a place in the registration throttle, and a use of the invitation.
    Reserve {
        /// The virtual host.
        host: String,
        /// Where the client connects from.
        address: IpAddr,
        /// The localpart it wants.
        name: String,
        /// The token.
        token: ShownToken,
    },
}

/// What comes of it, beside [`Reply::RegistrationRefused`].
#[derive(Debug)]
pub enum InviteReply {
    /// The token is good at this moment.
    Good(InviteTerms),
    /// The invitation is made.
    Made,
    /// It is not.
    NotMade(InvitesRefused),
    /// A place and a use are taken, to be settled like every place.
    Reserved(Invited),
}

/// Asks the control group.
pub async fn ask_about_invites(control: &Control, request: InviteRequest, now: Timestamp) -> Reply {
    let answer = match request {
        InviteRequest::Create(new) => Ok(create(control, new).await),
        InviteRequest::Check { host, token } => check(control, &host, &token).await,
        InviteRequest::Reserve {
            host,
            address,
            name,
            token,
        } => {
            let ask = Reserve {
                host,
                address,
                name,
                now,
            };
            reserve(control, ask, &token).await
        }
    };
    answer.map_or_else(Reply::RegistrationRefused, Reply::Invite)
}

async fn create(control: &Control, new: NewInvites) -> InviteReply {
    let (by, kind) = (new.by.clone(), new.kind.as_str());
    match control.create_invites(new).await {
        Ok(()) => {
            counter!("rookery_invites_made_total", "by" => "user").increment(1);
            tracing::info!(by, kind, "invitation made");
            InviteReply::Made
        }
        Err(why) => {
            tracing::info!(by, kind, %why, "invitation not made");
            InviteReply::NotMade(why)
        }
    }
}

async fn check(
    control: &Control,
    host: &str,
    token: &ShownToken,
) -> Result<InviteReply, RegistrationRefused> {
    if control.policy().registration.mode == RegistrationMode::Closed {
        return Err(RegistrationRefused::Closed);
    }
    let checked = control
        .check_invite(Some(host), InviteId::of(&token.token))
        .await?;
    let checked = checked.and_then(|terms| of_somebody_who_may(control, terms));
    let result = checked
        .as_ref()
        .map_or_else(|refused| refused.as_str(), |_| "good");
    counter!("rookery_invites_shown_total", "by" => "stream", "result" => result).increment(1);
    Ok(InviteReply::Good(checked?))
}

async fn reserve(
    control: &Control,
    ask: Reserve,
    token: &ShownToken,
) -> Result<InviteReply, RegistrationRefused> {
    let shown = ShownInvite {
        id: InviteId::of(&token.token),
        shown: Timestamp(ask.now.as_millis().saturating_sub(token.age_ms)),
    };
    let invited = control.reserve_invited(ask, shown).await?;
    if let Err(refused) = of_somebody_who_may(control, invited.terms.clone()) {
        // If it cannot be given back now, it expires.
        let _ = control.release_registration(invited.reservation).await;
        return Err(refused.into());
    }
    Ok(InviteReply::Reserved(invited))
}

/// The terms again, or that they are worth nothing because somebody has invited who is banned by now.
pub fn of_somebody_who_may(
    control: &Control,
    terms: InviteTerms,
) -> Result<InviteTerms, InviteRefused> {
    let Some(Ok(target)) = terms.by.as_deref().map(str::parse::<BanTarget>) else {
        return Ok(terms);
    };
    let (bans, now) = (control.bans(), Timestamp::now());
    let holds = || {
        bans.iter()
            .any(|ban| ban.target == target && ban.holds(now))
    };
    let is_banned = bans.has(&target) && holds();
    match is_banned {
        true => Err(InviteRefused::Unknown),
        false => Ok(terms),
    }
}
