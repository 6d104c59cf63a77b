//! XEP-0012: Last Activity.
//!
//! ```text
//! C: <iq type='get' to='juliet@capulet.com'><query xmlns='jabber:iq:last'/></iq>
//! S: <iq type='result'><query xmlns='jabber:iq:last' seconds='903'>Heading Home</query></iq>
//!
//! last session ends ─► document last (time, status) in the collection account ─► read with the account
//! ```

use bytes::Bytes;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::StanzaType;
use rookery_xmpp::stanza_error::{Condition, StanzaError};

use super::{Flow, Hook, Info, Iq, IqRoute, Module, Outcome, Phase, Place, Stanza, Status};
use crate::account::{Account, Session};
use crate::shard::{Reply, Request, Turn};

/// XEP-0012.
pub const INFO: Info = Info {
    xep: 12,
    title: "Last Activity",
    version: "2.0",
    status: Status::Complete,
    note: "",
};

/// The document's key.
const KEY: &str = "last";

/// Knows when an account was last here, and how long the server is up.
pub struct LastActivity;

/// What is known of an account's last session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct LastSeen {
    at: Option<Timestamp>,
    status: String,
}

/// The status that a session's client said when it left.
#[derive(Default)]
struct Farewell(String);

/// When the account's last session ended, if it ever had one.
pub fn last_seen(account: &Account) -> Option<Timestamp> {
    account.slots.get::<LastSeen>().and_then(|last| last.at)
}

impl Module for LastActivity {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn features(&self, _place: Place) -> &'static [&'static str] {
        &[ns::LAST_ACTIVITY]
    }

    fn iq_routes(&self) -> &'static [IqRoute] {
        const fn get(place: Place) -> IqRoute {
            IqRoute {
                place,
                stanza_type: StanzaType::Get,
                namespace: ns::LAST_ACTIVITY,
                name: "query",
            }
        }
        const ROUTES: &[IqRoute] = &[get(Place::Own), get(Place::Account), get(Place::Host)];
        ROUTES
    }

    fn hooks(&self) -> &'static [(Hook, Phase)] {
        &[
            (Hook::Loaded, Phase::Stamp),
            (Hook::Submit, Phase::Notify),
            (Hook::SessionEnded, Phase::Notify),
        ]
    }

    /// XEP-0012 3 (offline), 4 (online, to those who see the presence), 5 (a server: its uptime).
    fn iq(&self, account: &mut Account, turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
        if iq.place == Place::Host {
            let up = turn.now.since(turn.env.started).as_secs();
            return Outcome::Result(Some(answer(up, "")));
        }
        if !account.may_be_seen_by(iq) {
            return Outcome::Error(StanzaError::new(Condition::Forbidden));
        }
        if account.sessions.available().next().is_some() {
            return Outcome::Result(Some(answer(0, "")));
        }
        let last = account.slots.get::<LastSeen>().cloned().unwrap_or_default();
        let since = last.at.unwrap_or(account.record.created);
        Outcome::Result(Some(answer(turn.now.since(since).as_secs(), &last.status)))
    }

    fn loaded(&self, account: &mut Account, documents: &[(String, Bytes)]) {
        let document = documents.iter().find(|(key, _)| key == KEY);
        if let Some(last) = document.and_then(|(_, bytes)| LastSeen::read(bytes)) {
            account.slots.set(last);
        }
    }

    /// XEP-0012 3: the status of the last `unavailable` is part of the answer.
    fn submit(&self, account: &mut Account, _turn: &mut Turn<'_>, stanza: Stanza<'_>) -> Flow {
        if stanza.rec.stanza_type == StanzaType::Unavailable && stanza.to.is_none() {
            let status = Element::parse(stanza.bytes())
                .ok()
                .and_then(|presence| presence.child("status", ns::CLIENT).map(Element::text));
            account.slots.set(Farewell(status.unwrap_or_default()));
        }
        Flow::Continue
    }

    fn session_ended(&self, account: &mut Account, turn: &mut Turn<'_>, _session: &Session) {
        if !account.sessions.is_empty() {
            return;
        }
        let status = std::mem::take(&mut account.slots.get_or_default::<Farewell>().0);
        let last = LastSeen {
            at: Some(turn.now),
            status,
        };
        let request = Request::PutDocument {
            owner: Jid::clone(account.jid()),
            collection: crate::account::COLLECTION,
            key: KEY.into(),
            document: last.write(),
        };
        account.slots.set(last);
        // Nobody waits for it: if it fails, the next end of a session writes it again.
        account.request_beside(turn, request, |_, _, reply| {
            if let Reply::Failed(error) = reply {
                tracing::debug!(%error, "last activity was not stored");
            }
        });
    }
}

impl LastSeen {
    /// The document: milliseconds, a line end, the status.
    fn write(&self) -> Bytes {
        let at = self.at.unwrap_or_default();
        Bytes::from(format!("{at}\n{}", self.status))
    }

    fn read(document: &[u8]) -> Option<Self> {
        let (at, status) = std::str::from_utf8(document).ok()?.split_once('\n')?;
        Some(Self {
            at: Some(Timestamp(at.parse().ok()?)),
            status: status.to_owned(),
        })
    }
}

fn answer(seconds: u64, status: &str) -> Element {
    let query = Element::new("query", ns::LAST_ACTIVITY).with_attr("seconds", seconds.to_string());
    if status.is_empty() {
        query
    } else {
        query.with_text(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_session_survives_its_document() {
        let last = LastSeen {
            at: Some(Timestamp(7)),
            status: "two\nlines".into(),
        };
        assert_eq!(LastSeen::read(&last.write()), Some(last));
        assert_eq!(LastSeen::read(b"nonsense"), None);
    }
}
