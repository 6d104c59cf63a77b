//! XEP-0445: Pre-Authenticated In-Band Registration.
//!
//! ```text
//! a stranger, before authentication
//! C: <iq type='set'><preauth xmlns='urn:xmpp:pars:0' token='…'/></iq>  S: result, or item-not-found
//! C: <iq type='set'><query xmlns='jabber:iq:register'>…                S: see `registration::stranger`
//! ```
//!
//! The session keeps the token and sends it along (`rookery_session`, `phase::preauth`), so a shard remembers nothing
//! of it: whichever is asked next finds it in the question. A use is taken with the place in the throttle and settled
//! with it. What a user has made is worth nothing once that account is removed, disabled or banned.

use std::net::IpAddr;

use rookery_control::{
    InviteRefused, InviteTerms, Invited, RegistrationRefused, ReservationId, Unavailable,
};
use rookery_session::carrier::ShownToken;
use rookery_store::account::Found;
use rookery_store::standing::Standing;
use rookery_xmpp::jid::Jid;

use super::{Info, Module, Status};
use crate::shard::{InviteReply, InviteRequest, Reply, Request, Turn};

/// XEP-0445.
pub(super) const INFO: Info = Info {
    xep: 445,
    title: "Pre-Authenticated In-Band Registration",
    version: "0.2.0",
    status: Status::Complete,
    note: "a use is one account over the whole cluster",
};

/// Says that invitations can be shown; the stream's features say it to clients.
pub(super) struct Preauth;

impl Module for Preauth {
    fn info(&self) -> &'static Info {
        &INFO
    }
}

/// What goes on with an answer.
type Then<T> = Box<dyn FnOnce(&mut Turn<'_>, Result<T, RegistrationRefused>) + Send>;

/// Whether a token is good at a host.
pub(super) fn check(
    turn: &mut Turn<'_>,
    host: &str,
    token: &ShownToken,
    then: impl FnOnce(&mut Turn<'_>, Result<InviteTerms, RegistrationRefused>) + Send + 'static,
) {
    let request = InviteRequest::Check {
        host: host.to_owned(),
        token: token.clone(),
    };
    let then: Then<InviteTerms> = Box::new(then);
    turn.request_free(Request::Invite(request), move |turn, reply| match reply {
        Reply::Invite(InviteReply::Good(terms)) => with_inviter(turn, terms, then),
        other => then(turn, Err(why_not(other))),
    });
}

/// Takes a place for a registration, and a use of the invitation.
pub(super) fn reserve(
    turn: &mut Turn<'_>,
    host: &str,
    address: IpAddr,
    name: &str,
    token: &ShownToken,
    then: impl FnOnce(&mut Turn<'_>, Result<Invited, RegistrationRefused>) + Send + 'static,
) {
    let request = InviteRequest::Reserve {
        host: host.to_owned(),
        address,
        name: name.to_owned(),
        token: token.clone(),
    };
    let then: Then<Invited> = Box::new(then);
    turn.request_free(Request::Invite(request), move |turn, reply| match reply {
        Reply::Invite(InviteReply::Reserved(Invited { reservation, terms })) => {
            let kept: Then<InviteTerms> = Box::new(move |turn, stands| match stands {
                Ok(terms) => then(turn, Ok(Invited { reservation, terms })),
                Err(why) => give_back(turn, reservation, why, then),
            });
            with_inviter(turn, terms, kept);
        }
        other => then(turn, Err(why_not(other))),
    });
}

/// Goes on if the inviter is the operator, or a user who may still log in.
fn with_inviter(turn: &mut Turn<'_>, terms: InviteTerms, then: Then<InviteTerms>) {
    let Some(by) = terms.by.as_deref().and_then(|by| Jid::parse(by).ok()) else {
        return then(turn, Ok(terms));
    };
    turn.request_free(Request::Load(by), move |turn, reply| match reply {
        Reply::Loaded(Found::Account(stored))
            if stored.record.enabled && stored.record.standing == Standing::Member =>
        {
            then(turn, Ok(terms));
        }
        Reply::Loaded(_) => then(turn, Err(InviteRefused::Unknown.into())),
        _ => then(turn, Err(UNAVAILABLE)),
    });
}

fn give_back(
    turn: &mut Turn<'_>,
    place: ReservationId,
    why: RegistrationRefused,
    then: Then<Invited>,
) {
    // If it cannot be given back now, it expires.
    turn.request_free(Request::ReleaseReservation(place), move |turn, _| {
        then(turn, Err(why));
    });
}

fn why_not(reply: Reply) -> RegistrationRefused {
    match reply {
        Reply::RegistrationRefused(why) => why,
        _ => UNAVAILABLE,
    }
}

/// What is said when nobody can be asked.
const UNAVAILABLE: RegistrationRefused = RegistrationRefused::Unavailable(Unavailable::NoQuorum);
