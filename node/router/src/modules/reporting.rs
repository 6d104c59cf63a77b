//! XEP-0377: Blocking Command Reports.
//!
//! ```text
//! C: <iq type='set'><block xmlns='urn:xmpp:blocking'><item jid='romeo@montague.net'>
//!      <report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'><text>…</text></report>
//!    </item></block></iq>
//! S: (blocked as without it) and an event for the operators of this server, who else nobody is told
//! ```
//!
//! A report that is none does not keep anybody from blocking (4). How many one account may make in an hour is bounded:
//! what is beyond that blocks, and is not told.

use rookery_control::{EventKind, NewEvent};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::{Jid, is_readable};
use rookery_xmpp::ns;

use super::{Info, Module, Place, Status};
use crate::account::Account;
use crate::shard::Turn;

/// XEP-0377.
pub(super) const INFO: Info = Info {
    xep: 377,
    title: "Blocking Command Reports",
    version: "0.4.1",
    status: Status::Complete,
    note: "told to the operators of this server, and to nobody else",
};

/// Announces that reports are read.
pub(super) struct Reporting;

impl Module for Reporting {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn features(&self, place: Place) -> &'static [&'static str] {
        if place == Place::Account {
            &[]
        } else {
            &[ns::REPORTING]
        }
    }
}

/// A report of one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// Who is reported.
    whom: Jid,
    /// For what: the last part of its URN, such as `spam`.
    reason: String,
    /// What the user says to it.
    text: String,
    /// How many stanzas it names.
    stanzas: usize,
}

/// The reports of a blocking command; what is malformed is none.
pub(super) fn reports(block: &Element) -> Vec<Report> {
    let items = block
        .elements()
        .filter(|item| item.is("item", ns::BLOCKING));
    items.filter_map(report).take(REPORTS_MAX).collect()
}

fn report(item: &Element) -> Option<Report> {
    let report = item.child("report", ns::REPORTING)?;
    let reason = report.attr("reason")?.rsplit(':').next()?;
    let is_word = |reason: &str| {
        let mut letters = reason.chars();
        (1..=REASON_CHARS_MAX).contains(&reason.len())
            && letters.all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    if !is_word(reason) {
        return None;
    }
    let text = report.child("text", ns::REPORTING).map(Element::text);
    let stanzas = report.elements();
    Some(Report {
        whom: Jid::parse(item.attr("jid")?).ok()?,
        reason: reason.to_owned(),
        text: one_line(&text.unwrap_or_default()),
        stanzas: stanzas
            .filter(|it| it.is("stanza-id", ns::STANZA_IDS))
            .count(),
    })
}

/// A text on one line, in which nothing moves a terminal's cursor or turns the line around.
fn one_line(text: &str) -> String {
    let words = text.split_whitespace();
    let words: Vec<_> = words.collect();
    let line = words.join(" ");
    let shown = line.chars().take(NewEvent::DETAIL_BYTES_MAX);
    shown
        .filter(|c| is_readable(c.encode_utf8(&mut [0; 4])))
        .collect()
}

/// Tells the operators, as far as the account may.
pub(super) fn tell(account: &mut Account, turn: &Turn<'_>, reports: Vec<Report>) {
    let (name, host) = (
        account.jid().local().unwrap_or_default().to_owned(),
        account.jid().domain().to_owned(),
    );
    let pace = account.slots.get_or_default::<Pace>();
    for report in reports {
        if !pace.may(turn.now) {
            tracing::info!(account = %account.jid(), "too many reports of one account, not told");
            return;
        }
        let event = NewEvent::new(EventKind::Reported, report.detail());
        turn.env
            .noticed
            .raise(event.about(name.clone(), host.clone()));
    }
}

impl Report {
    /// In one line: for what and whom, and what the user says.
    fn detail(&self) -> String {
        let mut detail = format!("{} by {}", self.reason, self.whom.bare_str());
        if self.stanzas > 0 {
            detail += &format!(", stanzas named: {}", self.stanzas);
        }
        if !self.text.is_empty() {
            detail += ": ";
            detail += &self.text;
        }
        detail
    }
}

/// How many reports an account has made in the hour that runs.
#[derive(Debug, Default)]
struct Pace {
    hour: u64,
    count: u32,
}

impl Pace {
    fn may(&mut self, now: Timestamp) -> bool {
        let hour = now.as_millis() / HOUR_MS;
        if hour != self.hour {
            *self = Self { hour, count: 0 };
        }
        self.count += 1;
        self.count <= REPORTS_PER_HOUR
    }
}

/// Reports in one command: each blocks one address.
const REPORTS_MAX: usize = 20;

/// Reports of one account in an hour: a person who is flooded reports a few, and a script must not hide them.
const REPORTS_PER_HOUR: u32 = 20;

/// Letters of a reason, `abuse` and `spam` so far.
const REASON_CHARS_MAX: usize = 32;

const HOUR_MS: u64 = 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn block(items: impl IntoIterator<Item = Element>) -> Element {
        let block = Element::new("block", ns::BLOCKING);
        items.into_iter().fold(block, Element::with_child)
    }

    fn item(jid: &str, reason: Option<&str>) -> Element {
        let mut report = Element::new("report", ns::REPORTING);
        if let Some(reason) = reason {
            report.set_attr("reason", reason);
        }
        let item = Element::new("item", ns::BLOCKING).with_attr("jid", jid);
        item.with_child(report)
    }

    #[test]
    fn a_report_says_for_what_and_whom_and_what_the_user_says() {
        let text = "Never  came\n\u{9b}\u{202e}trouble";
        let report = Element::new("report", ns::REPORTING)
            .with_attr("reason", "urn:xmpp:reporting:spam")
            .with_child(Element::new("stanza-id", ns::STANZA_IDS))
            .with_child(Element::new("text", ns::REPORTING).with_text(text));
        let item = Element::new("item", ns::BLOCKING)
            .with_attr("jid", "romeo@montague.net/orchard")
            .with_child(report);
        let found = reports(&block([item]));
        assert_eq!(
            found[0].detail(),
            "spam by romeo@montague.net, stanzas named: 1: Never came trouble"
        );
    }

    #[test]
    fn what_is_no_report_is_passed_over() {
        for (jid, reason) in [
            ("romeo@montague.net", None),
            ("romeo@montague.net", Some("")),
            ("romeo@montague.net", Some("spam and more")),
            ("@", Some("urn:xmpp:reporting:spam")),
        ] {
            let found = reports(&block([item(jid, reason)]));
            assert_eq!(found, [], "{jid} {reason:?}");
        }
        let plain = Element::new("item", ns::BLOCKING).with_attr("jid", "a@b.c");
        assert_eq!(reports(&block([plain])), []);
        let abuse = Some("urn:xmpp:reporting:abuse");
        let many = (0..99).map(|_| item("a@b.c", abuse));
        assert_eq!(reports(&block(many)).len(), REPORTS_MAX);
    }

    #[test]
    fn an_account_makes_so_many_reports_an_hour() {
        let mut pace = Pace::default();
        for _ in 0..REPORTS_PER_HOUR {
            assert!(pace.may(Timestamp(5)));
        }
        assert!(!pace.may(Timestamp(HOUR_MS - 1)));
        assert!(pace.may(Timestamp(HOUR_MS)));
    }
}
