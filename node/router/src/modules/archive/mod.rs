//! XEP-0313: Message Archive Management.
//!
//! ```text
//! C: <iq type='set'><query xmlns='urn:xmpp:mam:2' queryid='f27'><x type='submit'>…</x><set>…</set></query></iq>
//! S: <message><result xmlns='urn:xmpp:mam:2' queryid='f27' id='…'><forwarded>…</forwarded></result></message>   (each)
//! S: <iq type='result'><fin xmlns='urn:xmpp:mam:2' complete='true'><set>…</set></fin></iq>
//! ```
//!
//! What is archived is decided in `account::archiving`; it is the account's log itself. A query reads the log beside
//! all else that the account does, as soon as all that came before it is there. Only the account's own sessions may ask
//! (7.1). What comes meanwhile is not shown, nor what is behind it, so that whoever goes on behind the last result
//! misses nothing.

mod query;
mod results;
mod search;

use rookery_store::log::{LogEntry, LogQuery, Marks};
use rookery_xmpp::datetime;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::StanzaType;
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use self::query::Query;
use super::{Info, Iq, IqRoute, Module, Outcome, Place, Status};
use crate::account::{Account, archive_id, store_refusal};
use crate::shard::{Reply, Request, Turn};

/// XEP-0313.
pub(super) const INFO: Info = Info {
    xep: 313,
    title: "Message Archive Management",
    version: "1.1.3",
    status: Status::Complete,
    note: "archives of accounts; ids tell the order of messages",
};

/// XEP-0313 6: flipped pages, single results, `before-id`, `after-id`, metadata.
const EXTENDED: &str = "urn:xmpp:mam:2#extended";

/// Answers queries of archives.
pub(super) struct Archive;

impl Module for Archive {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn features(&self, place: Place) -> &'static [&'static str] {
        match place {
            Place::Own => &[ns::ARCHIVE, EXTENDED],
            Place::Account | Place::Host => &[],
        }
    }

    fn iq_routes(&self) -> &'static [IqRoute] {
        const fn route(place: Place, stanza_type: StanzaType, name: &'static str) -> IqRoute {
            IqRoute {
                place,
                stanza_type,
                namespace: ns::ARCHIVE,
                name,
            }
        }
        const ROUTES: &[IqRoute] = &[
            route(Place::Own, StanzaType::Get, "query"),
            route(Place::Own, StanzaType::Set, "query"),
            route(Place::Own, StanzaType::Get, "metadata"),
            route(Place::Account, StanzaType::Get, "query"),
            route(Place::Account, StanzaType::Set, "query"),
            route(Place::Account, StanzaType::Get, "metadata"),
        ];
        ROUTES
    }

    fn iq(&self, account: &mut Account, turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
        if !iq.is_own() {
            // Whoever may not know of the account learns nothing; the others have no right to its archive (7.1).
            return match account.may_be_seen_by(iq) && iq.place == Place::Account {
                true => Outcome::Error(StanzaError::new(Condition::Forbidden)),
                false => Outcome::unavailable(),
            };
        }
        match (iq.payload.name(), iq.is_set()) {
            ("query", true) => set_query(account, turn, iq),
            ("query", false) => Outcome::Result(Some(query::form())),
            _ => metadata(account, turn, iq),
        }
    }
}

fn set_query(account: &mut Account, turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
    let options = turn.env.archive.load_full();
    if account.archiving.queries >= options.queries_max {
        return others_under_way();
    }
    let limits = (options.search_entries_per_s, options.search_entries_burst);
    if !account.archiving.searched.is_open(turn.now, limits) {
        return later("this account has searched much, and may go on in some seconds");
    }
    match Query::read(&iq.payload, &options) {
        Ok(query) => {
            account.archiving.queries += 1;
            search::begin(account, turn, iq.clone(), query, options);
            Outcome::Silence
        }
        Err(error) => Outcome::Error(error),
    }
}

/// The client may ask again.
fn later(text: &str) -> Outcome {
    Outcome::Error(
        StanzaError::new(Condition::ResourceConstraint)
            .with_type(ErrorType::Wait)
            .with_text(text),
    )
}

fn others_under_way() -> Outcome {
    later("other queries of this account are under way")
}

/// XEP-0313 5: the first and the last entry, as soon as all that came before is there. It counts as a query while it
/// waits for that.
fn metadata(account: &mut Account, turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
    if account.archiving.queries >= turn.env.archive.load().queries_max {
        return others_under_way();
    }
    account.archiving.queries += 1;
    let iq = iq.clone();
    account.when_in_log(turn, move |account, turn, _| {
        account.archiving.queries -= 1;
        let ends = ends(account);
        account.conclude(turn, iq, ends);
    });
    Outcome::Silence
}

fn ends(account: &Account) -> Outcome {
    let end = account.log_end();
    let ends = move |newest_first| LogQuery {
        before: end,
        newest_first,
        ..LogQuery::after(None, 1).only(Marks::ARCHIVED)
    };
    let owner = Jid::clone(account.jid());
    let first = Request::ReadLog(owner.clone(), ends(false));
    Outcome::wait(first, move |_, _, _, reply| match reply {
        Reply::Log(first) if first.is_empty() => {
            Outcome::Result(Some(Element::new("metadata", ns::ARCHIVE)))
        }
        Reply::Log(first) => {
            let last = Request::ReadLog(owner, ends(true));
            Outcome::wait(last, move |_, _, _, reply| match reply {
                Reply::Log(last) => Outcome::Result(Some(described(&first, &last))),
                other => refused(other),
            })
        }
        other => refused(other),
    })
}

fn described(first: &[LogEntry], last: &[LogEntry]) -> Element {
    let end = |name, entry: &LogEntry| {
        Element::new(name, ns::ARCHIVE)
            .with_attr("id", archive_id(entry.position))
            .with_attr("timestamp", datetime::format(entry.received))
    };
    let start = first.first().map(|entry| end("start", entry));
    let end = last.first().map(|entry| end("end", entry));
    Element::new("metadata", ns::ARCHIVE).with_children(start.into_iter().chain(end))
}

fn refused(reply: Reply) -> Outcome {
    match reply {
        Reply::Failed(error) => Outcome::Error(store_refusal(&error)),
        _ => Outcome::internal(),
    }
}
