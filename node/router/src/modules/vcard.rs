//! XEP-0054: vcard-temp.
//!
//! ```text
//! C: <iq type='get' to='romeo@montague.lit'><vCard xmlns='vcard-temp'/></iq>
//! S: <iq type='result' from='romeo@montague.lit'><vCard xmlns='vcard-temp'>…</vCard></iq>
//! C: <iq type='set'><vCard xmlns='vcard-temp'>…</vCard></iq>
//! S: (stored) <iq type='result'/>
//! ```

use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::StanzaType;
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use super::vcard_avatar;
use super::{Info, Iq, IqRoute, Module, Outcome, Place, Status};
use crate::account::{Account, store_refusal};
use crate::shard::{Reply, Request, Turn};

/// XEP-0054.
pub(super) const INFO: Info = Info {
    xep: 54,
    title: "vcard-temp",
    version: "1.3.0",
    status: Status::Complete,
    note: "",
};

/// The document's collection and key.
pub(super) const COLLECTION: &str = "vcard";
pub(super) const KEY: &str = "vcard-temp";

/// Keeps the account's vCard, for everybody to read.
pub(super) struct VCard;

impl Module for VCard {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn features(&self, _place: Place) -> &'static [&'static str] {
        &[ns::VCARD]
    }

    fn iq_routes(&self) -> &'static [IqRoute] {
        const fn route(place: Place, stanza_type: StanzaType) -> IqRoute {
            IqRoute {
                place,
                stanza_type,
                namespace: ns::VCARD,
                name: "vCard",
            }
        }
        const ROUTES: &[IqRoute] = &[
            route(Place::Own, StanzaType::Get),
            route(Place::Own, StanzaType::Set),
            route(Place::Account, StanzaType::Get),
            route(Place::Host, StanzaType::Get),
        ];
        ROUTES
    }

    fn iq(&self, account: &mut Account, turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
        match (iq.place, iq.is_set()) {
            (Place::Host, _) => Outcome::Result(Some(host_card(iq.host()))),
            (_, true) => set(account, turn, iq),
            (_, false) => get(account, iq),
        }
    }
}

fn host_card(host: &str) -> Element {
    let field = |name, text: &str| Element::new(name, ns::VCARD).with_text(text);
    Element::new("vCard", ns::VCARD)
        .with_child(field("FN", super::version::NAME))
        .with_child(field("NICKNAME", host))
}

/// XEP-0054 3.1 and 3.3: an account without a vCard gives an empty one to itself. Others get what
/// an account that does not exist gives.
fn get(account: &Account, iq: &Iq) -> Outcome {
    let own = iq.place == Place::Own;
    let request = Request::Document {
        owner: Jid::clone(account.jid()),
        collection: COLLECTION,
        key: KEY.into(),
    };
    Outcome::wait(request, move |_, _, _, reply| match reply {
        Reply::Document(document) => match document.and_then(|bytes| Element::parse(&bytes).ok()) {
            Some(card) => Outcome::Result(Some(card)),
            None if own => Outcome::Result(Some(Element::new("vCard", ns::VCARD))),
            None => Outcome::unavailable(),
        },
        Reply::Failed(error) => Outcome::Error(store_refusal(&error)),
        _ => Outcome::internal(),
    })
}

fn set(account: &Account, turn: &Turn<'_>, iq: &Iq) -> Outcome {
    let document = iq.payload.to_bytes();
    if document.len() > turn.options.document_bytes_max as usize {
        return Outcome::Error(
            StanzaError::new(Condition::PolicyViolation)
                .with_type(ErrorType::Modify)
                .with_text("the vCard is larger than an account may store"),
        );
    }
    let avatar = vcard_avatar::Avatar::of(&iq.payload);
    let request = Request::PutDocument {
        owner: Jid::clone(account.jid()),
        collection: COLLECTION,
        key: KEY.into(),
        document,
    };
    Outcome::wait(request, move |account, turn, _, reply| match reply {
        Reply::Done => {
            vcard_avatar::changed(account, turn, avatar);
            Outcome::Result(None)
        }
        Reply::Failed(error) => Outcome::Error(store_refusal(&error)),
        _ => Outcome::internal(),
    })
}
