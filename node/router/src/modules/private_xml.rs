//! XEP-0049: Private XML Storage.
//!
//! ```text
//! C: <iq type='set'><query xmlns='jabber:iq:private'><exodus xmlns='exodus:prefs'>…</exodus></query></iq>
//! S: (stored) <iq type='result'/>
//! C: <iq type='get'><query xmlns='jabber:iq:private'><exodus xmlns='exodus:prefs'/></query></iq>
//! S: <iq type='result'><query xmlns='jabber:iq:private'><exodus xmlns='exodus:prefs'>…</exodus></query></iq>
//! ```

use std::collections::BTreeSet;

use bytes::Bytes;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::StanzaType;
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use super::{Info, Iq, IqRoute, Module, Outcome, Place, Status};
use crate::account::{Account, store_refusal};
use crate::shard::{Reply, Request, Turn};

/// XEP-0049.
pub(super) const INFO: Info = Info {
    xep: 49,
    title: "Private XML Storage",
    version: "1.2",
    status: Status::Complete,
    note: "",
};

/// Where the documents are kept.
const COLLECTION: &str = "private";

/// The longest key: a name and a namespace.
const KEY_BYTES_MAX: usize = 1023;

/// The keys that the account uses, once they were looked at.
#[derive(Default)]
struct Keys(BTreeSet<String>);

/// Keeps XML for the account's own clients.
pub(super) struct PrivateXml;

impl Module for PrivateXml {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn features(&self, place: Place) -> &'static [&'static str] {
        if place == Place::Account {
            &[]
        } else {
            &[ns::PRIVATE]
        }
    }

    fn iq_routes(&self) -> &'static [IqRoute] {
        const fn own(stanza_type: StanzaType) -> IqRoute {
            IqRoute {
                place: Place::Own,
                stanza_type,
                namespace: ns::PRIVATE,
                name: "query",
            }
        }
        const ROUTES: &[IqRoute] = &[own(StanzaType::Get), own(StanzaType::Set)];
        ROUTES
    }

    fn iq(&self, account: &mut Account, turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
        match wanted(&iq.payload) {
            Err(error) => Outcome::Error(error),
            Ok(element) if iq.is_set() => set(account, turn, element),
            Ok(element) => get(account, element),
        }
    }
}

/// The one child, in a namespace of its own (XEP-0049 2.2 to 2.4: errors by its tables).
fn wanted(query: &Element) -> Result<&Element, StanzaError> {
    let mut children = query.elements();
    let child = children.next().ok_or_else(|| {
        StanzaError::new(Condition::BadRequest).with_text("which element is asked for?")
    })?;
    if children.next().is_some() {
        return Err(StanzaError::new(Condition::BadRequest).with_text("one element at a time"));
    }
    let reserved = ["", ns::CLIENT, ns::SERVER, ns::PRIVATE, ns::VCARD];
    if reserved.contains(&child.ns()) {
        return Err(StanzaError::new(Condition::NotAcceptable)
            .with_text("the element needs a namespace of its own"));
    }
    if key(child).len() > KEY_BYTES_MAX {
        return Err(StanzaError::new(Condition::NotAcceptable).with_text("the name is too long"));
    }
    Ok(child)
}

fn key(element: &Element) -> String {
    format!("{} {}", element.name(), element.ns())
}

fn get(account: &Account, element: &Element) -> Outcome {
    let empty = Element::new(element.name().to_owned(), element.ns().to_owned());
    let request = Request::Document {
        owner: Jid::clone(account.jid()),
        collection: COLLECTION,
        key: key(element),
    };
    Outcome::wait(request, move |_, _, _, reply| match reply {
        Reply::Document(document) => {
            let stored = document.and_then(|bytes| Element::parse(&bytes).ok());
            let query = Element::new("query", ns::PRIVATE).with_child(stored.unwrap_or(empty));
            Outcome::Result(Some(query))
        }
        Reply::Failed(error) => Outcome::Error(store_refusal(&error)),
        _ => Outcome::internal(),
    })
}

fn set(account: &Account, turn: &Turn<'_>, element: &Element) -> Outcome {
    let document = element.to_bytes();
    if document.len() > turn.options.document_bytes_max as usize {
        return Outcome::Error(too_large());
    }
    let (owner, key) = (Jid::clone(account.jid()), key(element));
    let documents_max = turn.options.private_documents_max as usize;
    if account.slots.get::<Keys>().is_some() {
        return put(account, key, document, documents_max);
    }
    // The number of keys is bounded, so they are looked at first, once; the account does nothing
    // else in between.
    let list = Request::Documents {
        owner,
        collection: COLLECTION,
    };
    Outcome::wait(list, move |account, _, _, reply| match reply {
        Reply::Documents(held) => {
            let keys = held.into_iter().map(|(key, _)| key).collect();
            account.slots.set(Keys(keys));
            put(account, key, document, documents_max)
        }
        Reply::Failed(error) => Outcome::Error(store_refusal(&error)),
        _ => Outcome::internal(),
    })
}

fn put(account: &Account, key: String, document: Bytes, documents_max: usize) -> Outcome {
    let keys = account.slots.get::<Keys>().map(|keys| &keys.0);
    if keys.is_some_and(|keys| keys.len() >= documents_max && !keys.contains(&key)) {
        return Outcome::Error(too_large());
    }
    let request = Request::PutDocument {
        owner: Jid::clone(account.jid()),
        collection: COLLECTION,
        key: key.clone(),
        document,
    };
    Outcome::wait(request, move |account, _, _, reply| match reply {
        Reply::Done => {
            account.slots.get_or_default::<Keys>().0.insert(key);
            Outcome::Result(None)
        }
        Reply::Failed(error) => Outcome::Error(store_refusal(&error)),
        _ => Outcome::internal(),
    })
}

fn too_large() -> StanzaError {
    StanzaError::new(Condition::PolicyViolation)
        .with_type(ErrorType::Modify)
        .with_text("more private XML than an account may store")
}
