//! XEP-0441: Message Archive Management Preferences.
//!
//! ```text
//! C: <iq type='set'><prefs xmlns='urn:xmpp:mam:2' default='roster'><always><jid>…</jid></always><never/></prefs></iq>
//! S: (stored) <iq type='result'><prefs xmlns='urn:xmpp:mam:2' default='roster'>…</prefs></iq>
//! ```
//!
//! An account that has set none has the server's default. What they mean for a message is in `account::archiving`.

use std::collections::BTreeSet;

use bytes::Bytes;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::StanzaType;
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use super::{Hook, Info, Iq, IqRoute, Module, Outcome, Phase, Place, Status};
use crate::ArchiveDefault;
use crate::account::{Account, COLLECTION, Preferences, store_refusal};
use crate::shard::{Reply, Request, Turn};

/// XEP-0441.
pub(super) const INFO: Info = Info {
    xep: 441,
    title: "Message Archive Management Preferences",
    version: "0.2.0",
    status: Status::Complete,
    note: "",
};

/// The document's key.
const KEY: &str = "archive";

/// Lets an account say what is archived.
pub(super) struct ArchivePreferences;

impl Module for ArchivePreferences {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn iq_routes(&self) -> &'static [IqRoute] {
        const fn own(stanza_type: StanzaType) -> IqRoute {
            IqRoute {
                place: Place::Own,
                stanza_type,
                namespace: ns::ARCHIVE,
                name: "prefs",
            }
        }
        const ROUTES: &[IqRoute] = &[own(StanzaType::Get), own(StanzaType::Set)];
        ROUTES
    }

    fn hooks(&self) -> &'static [(Hook, Phase)] {
        &[(Hook::Loaded, Phase::Archive)]
    }

    fn iq(&self, account: &mut Account, turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
        let options = turn.env.archive.load();
        if !iq.is_set() {
            let stored = account.archiving.preferences.as_deref();
            let shown = match stored {
                Some(preferences) => write(preferences),
                None => write(&Preferences::all(options.default)),
            };
            return Outcome::Result(Some(shown));
        }
        match read(&iq.payload) {
            Ok(preferences) => set(account, preferences, options.preferences_max as usize),
            Err(error) => Outcome::Error(error),
        }
    }

    fn loaded(&self, account: &mut Account, documents: &[(String, Bytes)]) {
        let document = documents.iter().find(|(key, _)| key == KEY);
        let stored = document.and_then(|(_, document)| Element::parse(document).ok());
        let preferences = stored.and_then(|prefs| read(&prefs).ok());
        account.archiving.preferences = preferences.map(Box::new);
    }
}

/// In force, and told, once they are durable.
fn set(account: &Account, preferences: Preferences, most: usize) -> Outcome {
    if preferences.always.len() + preferences.never.len() > most {
        return Outcome::Error(
            StanzaError::new(Condition::PolicyViolation)
                .with_type(ErrorType::Modify)
                .with_text("too many addresses"),
        );
    }
    let request = Request::PutDocument {
        owner: Jid::clone(account.jid()),
        collection: COLLECTION,
        key: KEY.into(),
        document: write(&preferences).to_bytes(),
    };
    Outcome::wait(request, move |account, _, _, reply| match reply {
        Reply::Done => {
            let shown = write(&preferences);
            account.archiving.preferences = Some(Box::new(preferences));
            Outcome::Result(Some(shown))
        }
        Reply::Failed(error) => Outcome::Error(store_refusal(&error)),
        _ => Outcome::internal(),
    })
}

/// A list that is missing is empty (2.1.2, 2.1.3).
fn read(prefs: &Element) -> Result<Preferences, StanzaError> {
    let default = prefs.attr("default").and_then(ArchiveDefault::from_name);
    let default = default.ok_or_else(|| {
        StanzaError::new(Condition::BadRequest)
            .with_text("the default is one of always, never, roster")
    })?;
    let list = |name| {
        let list = prefs.child(name, ns::ARCHIVE);
        let jids = list
            .into_iter()
            .flat_map(|list| list.elements().filter(|child| child.is("jid", ns::ARCHIVE)));
        jids.map(|jid| {
            Jid::parse(jid.text().trim()).map_err(|_| StanzaError::new(Condition::JidMalformed))
        })
        .collect::<Result<BTreeSet<Jid>, _>>()
    };
    Ok(Preferences {
        default,
        always: list("always")?,
        never: list("never")?,
    })
}

fn write(preferences: &Preferences) -> Element {
    let list = |name: &'static str, jids: &BTreeSet<Jid>| {
        let jid = |jid: &Jid| Element::new("jid", ns::ARCHIVE).with_text(jid.as_str());
        Element::new(name, ns::ARCHIVE).with_children(jids.iter().map(jid))
    };
    Element::new("prefs", ns::ARCHIVE)
        .with_attr("default", preferences.default.name())
        .with_child(list("always", &preferences.always))
        .with_child(list("never", &preferences.never))
}
