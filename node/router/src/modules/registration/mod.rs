//! XEP-0077: In-Band Registration.
//!
//! ```text
//! a stranger, before authentication                    a bound session
//! C: <iq type='get'>  S: the fields, as form as well    C: get     S: <registered/> and the own name
//! C: <iq type='set'>  S: see [`stranger`]               C: set     S: a new password, stored
//!                                                       C: remove  S: result, then not-authorized; gone behind its grace
//! ```

mod fields;
mod stranger;

use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::scram::Credentials;
use rookery_xmpp::stanza::StanzaType;
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use self::fields::Submission;
pub(crate) use self::stranger::{answer, create_for_operator};
use super::{Info, Iq, IqRoute, Module, Outcome, Place, Status};
use crate::account::{Account, store_refusal};
use crate::shard::{Reply, Request, Turn};

/// XEP-0077.
pub const INFO: Info = Info {
    xep: 77,
    title: "In-Band Registration",
    version: "2.4",
    status: Status::Complete,
    note: "throttled over the whole cluster",
};

/// Password change and account removal for bound sessions.
pub struct Registration;

impl Module for Registration {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn features(&self, place: Place) -> &'static [&'static str] {
        if place == Place::Account {
            &[]
        } else {
            &[ns::REGISTER]
        }
    }

    fn iq_routes(&self) -> &'static [IqRoute] {
        const fn route(place: Place, stanza_type: StanzaType) -> IqRoute {
            IqRoute {
                place,
                stanza_type,
                namespace: ns::REGISTER,
                name: "query",
            }
        }
        const ROUTES: &[IqRoute] = &[
            route(Place::Own, StanzaType::Get),
            route(Place::Own, StanzaType::Set),
            route(Place::Host, StanzaType::Get),
            route(Place::Host, StanzaType::Set),
        ];
        ROUTES
    }

    fn iq(&self, account: &mut Account, turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
        // Another host of this server has accounts of its own, and this session has none there.
        if iq.host() != account.jid().domain() {
            return Outcome::Error(StanzaError::new(Condition::NotAllowed));
        }
        if !iq.is_set() {
            return Outcome::Result(Some(registered(account)));
        }
        if iq.payload.child("remove", ns::REGISTER).is_some() {
            return remove(account, turn, &iq.payload);
        }
        match Submission::read(&iq.payload) {
            Ok(submission) => change_password(account, turn, submission),
            Err(error) => Outcome::Error(error),
        }
    }
}

/// XEP-0077 3.1: what is on file. A password is not.
fn registered(account: &Account) -> Element {
    let name = account.jid().local().unwrap_or_default();
    Element::new("query", ns::REGISTER)
        .with_child(Element::new("registered", ns::REGISTER))
        .with_child(Element::new("username", ns::REGISTER).with_text(name))
        .with_child(Element::new("password", ns::REGISTER))
}

/// XEP-0077 3.2.
fn remove(account: &Account, turn: &Turn<'_>, query: &Element) -> Outcome {
    if query.elements().count() != 1 {
        return Outcome::Error(StanzaError::new(Condition::BadRequest));
    }
    account.remove_for_owner(turn)
}

/// XEP-0077 3.3. Sessions stay as they are.
fn change_password(account: &Account, turn: &mut Turn<'_>, submission: Submission) -> Outcome {
    let own = account.jid().local().unwrap_or_default();
    let same = Jid::from_parts(Some(&submission.username), account.jid().domain(), None)
        .is_ok_and(|named| named.local() == Some(own));
    if !same {
        return Outcome::Error(
            StanzaError::new(Condition::BadRequest)
                .with_text("only the password of the own account can be changed"),
        );
    }
    if let Err(error) = submission.check_password(&turn.options) {
        return Outcome::Error(error);
    }
    let mut salt = [0; 16];
    turn.entropy.fill(&mut salt);
    let iterations = turn.options.scram_iterations;
    let derive = Request::Derive {
        password: submission.password,
        salt,
        iterations,
    };
    Outcome::wait(derive, |account, _, _, reply| match reply {
        Reply::Credentials(keys) => store_password(account, keys),
        Reply::BadPassword => Outcome::Error(bad_password()),
        _ => Outcome::internal(),
    })
}

fn store_password(account: &Account, keys: Box<Credentials>) -> Outcome {
    let request = Request::SetCredentials(Jid::clone(account.jid()), keys.clone());
    Outcome::wait(request, move |account, _, _, reply| match reply {
        Reply::Done => {
            account.record.credentials = *keys;
            Outcome::Result(None)
        }
        Reply::Failed(error) => Outcome::Error(store_refusal(&error)),
        _ => Outcome::internal(),
    })
}

/// A password that no account may have (RFC 8265 4.2).
fn bad_password() -> StanzaError {
    StanzaError::new(Condition::NotAcceptable)
        .with_type(ErrorType::Modify)
        .with_text("the password is empty, too short, too long, or has characters that no password may have")
}
