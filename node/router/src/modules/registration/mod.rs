//! XEP-0077: In-Band Registration.
//!
//! ```text
//! a stranger, before authentication                    a bound session
//! C: <iq type='get'>  S: the fields, as form as well    C: get     S: <registered/> and the own name
//! C: <iq type='set'>  S: see [`stranger`]               C: set     S: see [`change`]
//!                                                       C: remove  S: see [`removal`]
//! ```

mod challenges;
mod change;
mod form;
mod operator;
mod proof;
mod refusal;
mod removal;
mod stranger;

use std::collections::BTreeMap;
use std::net::IpAddr;

use rookery_store::account::NewAccount;
use rookery_store::inviter::Inviter;
use rookery_store::name::NameChecks;
use rookery_store::standing::Standing;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::scram::Credentials;
use rookery_xmpp::stanza::StanzaType;
use rookery_xmpp::stanza_error::{Condition, StanzaError};

pub(crate) use self::challenges::{Asked, Challenges};
pub(crate) use self::operator::create_for_operator;
pub(crate) use self::stranger::answer;
use super::{Info, Iq, IqRoute, Module, Outcome, Place, Status};
use crate::account::Account;
use crate::shard::{Request, Turn};

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
        if removal::is_wanted(&iq.payload) {
            return removal::remove(account, turn, iq);
        }
        change::change_password(account, turn, iq)
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

/// An account that is to be made.
struct Making {
    jid: Jid,
    keys: Credentials,
    /// What was filled in besides.
    details: BTreeMap<String, String>,
    /// Where who wants it connects from; none for an operator.
    address: Option<IpAddr>,
    checks: NameChecks,
    standing: Standing,
    inviter: Option<Inviter>,
}

/// What names are checked for, for everybody who does not insist.
fn checks(turn: &Turn<'_>) -> NameChecks {
    NameChecks {
        look_alikes: turn.env.names.load().confusable,
        tombstones: true,
    }
}

fn derivation(turn: &mut Turn<'_>, password: String) -> Request {
    let mut salt = [0; 16];
    turn.entropy.fill(&mut salt);
    Request::Derive {
        password,
        salt,
        iterations: turn.options.scram_iterations,
    }
}

fn creation(turn: &Turn<'_>, making: Making) -> Request {
    Request::CreateAccount(Box::new(NewAccount {
        jid: making.jid,
        credentials: making.keys,
        created: turn.now,
        details: making.details,
        address: making.address,
        checks: making.checks,
        standing: making.standing,
        inviter: making.inviter,
    }))
}
