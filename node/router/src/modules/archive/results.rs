//! A page as the session gets it: a message for each result, and the answer behind them (XEP-0313 4.2 and 4.3).

use rookery_session::carrier::Delivered;
use rookery_store::log::{LogEntry, Position};
use rookery_xmpp::datetime;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::{Batch, iq_result, parse_rec};

use super::super::result_sets::page_set;
use super::query::Query;
use crate::account::archive_id;
use crate::modules::Iq;

/// What was found.
#[derive(Default)]
pub(super) struct Page {
    /// In the order of the archive.
    pub(super) entries: Vec<LogEntry>,
    /// The last entry that was looked at, where none was found and there is more.
    pub(super) reached: Option<Position>,
    /// Whether nothing more matches in the direction of the page.
    pub(super) complete: bool,
    /// Whether it would be the same if it were asked for again (4.3.2).
    pub(super) stable: bool,
    /// How many there are in all, where only that is asked for.
    pub(super) count: Option<u64>,
}

/// Results and answer, in one batch: the session takes all of it or nothing.
pub(super) fn delivered(account: &Jid, iq: &Iq, query: &Query, page: Page) -> Delivered {
    let answer = answer(account, iq, &page);
    let bytes: usize = page
        .entries
        .iter()
        .map(|it| it.stanza.len() + FRAME_BYTES)
        .sum();
    let (mut buf, mut recs) = (Vec::with_capacity(bytes + answer.len()), Vec::new());
    let mut add = |stanza: &[u8]| {
        let start = u32::try_from(buf.len()).expect("a page is bounded far below 4 GiB");
        let rec = parse_rec(stanza).expect("the server writes canonical stanzas");
        recs.push(rec.moved_to(start));
        buf.extend_from_slice(stanza);
    };
    let mut entries = page.entries;
    if query.flipped {
        entries.reverse();
    }
    for entry in &entries {
        if let Some(result) = result(account, iq, query, entry) {
            add(&result);
        }
    }
    add(&answer);
    let buf = buf.into();
    Delivered::from(Batch { buf, recs })
}

/// A result; none of an entry that is no stanza.
fn result(account: &Jid, iq: &Iq, query: &Query, entry: &LogEntry) -> Option<Vec<u8>> {
    let message = Element::parse(&entry.stanza).ok()?;
    let delay =
        Element::new("delay", ns::DELAY).with_attr("stamp", datetime::format(entry.received));
    let forwarded = Element::new("forwarded", ns::FORWARD)
        .with_child(delay)
        .with_child(message);
    let result = Element::new("result", ns::ARCHIVE)
        .with_optional_attr("queryid", query.queryid.as_deref())
        .with_attr("id", archive_id(entry.position))
        .with_child(forwarded);
    let message = Element::new("message", ns::CLIENT)
        .with_attr("from", account.as_str())
        .with_attr("to", iq.from.as_str())
        .with_child(result);
    let mut out = Vec::with_capacity(entry.stanza.len() + FRAME_BYTES);
    message.write(&mut out);
    Some(out)
}

fn answer(account: &Jid, iq: &Iq, page: &Page) -> bytes::Bytes {
    let id = |entry: &LogEntry| archive_id(entry.position);
    let ends = match (page.entries.first(), page.entries.last(), page.reached) {
        (Some(first), Some(last), _) => Some((id(first), id(last))),
        (_, _, Some(reached)) => Some((archive_id(reached), archive_id(reached))),
        _ => None,
    };
    let ends = ends
        .as_ref()
        .map(|(first, last)| (first.as_str(), last.as_str()));
    let complete = page.complete.then_some("true");
    let stable = (!page.stable).then_some("false");
    let fin = Element::new("fin", ns::ARCHIVE)
        .with_optional_attr("complete", complete)
        .with_optional_attr("stable", stable)
        .with_child(page_set(ends, page.count));
    let from = iq.to.as_ref().map(|_| account.as_str());
    iq_result(
        iq.rec.bytes(&iq.bytes),
        &iq.rec.moved_to(0),
        from,
        Some(iq.from.as_str()),
        Some(&fin),
    )
}

/// What is written around a stanza.
const FRAME_BYTES: usize = 320;
