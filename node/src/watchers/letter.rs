//! What watchers read: a template with the event's words put in, and the digest.

use std::fmt::Write;

use rookery_control::{Event, EventKind};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::datetime;
use serde_json::{Value, json};

use super::digest::{Letter, Summary};

/// A text with places for an event's words, such as `{account}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Word(Word),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    What,
    Kind,
    Account,
    Name,
    Host,
    Address,
    Time,
    Detail,
    Number,
}

/// The words of a template.
const WORDS: [(&str, Word); 9] = [
    ("what", Word::What),
    ("kind", Word::Kind),
    ("account", Word::Account),
    ("name", Word::Name),
    ("host", Word::Host),
    ("address", Word::Address),
    ("time", Word::Time),
    ("detail", Word::Detail),
    ("number", Word::Number),
];

/// What is wrong with a template. The operator's mistake, worded for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A place for a word that no event has.
    #[error(
        "`{{{0}}}` is no word of an event: there are {{what}}, {{kind}}, {{account}}, {{name}}, {{host}}, {{address}}, \
         {{time}}, {{detail}} and {{number}}"
    )]
    Word(String),
    /// A brace that is not closed.
    #[error("a `{{` is not closed: write `{{{{` for the sign itself")]
    Open,
}

impl std::str::FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            parts.push(Part::Text(before.to_owned()));
            if let Some(after) = after.strip_prefix('{') {
                parts.push(Part::Text("{".to_owned()));
                rest = after;
                continue;
            }
            let (name, after) = after.split_once('}').ok_or(TemplateError::Open)?;
            let word = WORDS.iter().find(|(known, _)| *known == name);
            let shown = || name.chars().take(32).collect();
            let (_, word) = word.ok_or_else(|| TemplateError::Word(shown()))?;
            parts.push(Part::Word(*word));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }
}

/// The event in a line.
impl Default for Template {
    fn default() -> Self {
        Self(vec![Part::Word(Word::What)])
    }
}

impl Template {
    fn fill(&self, event: &Event) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text += part,
                Part::Word(word) => text += &value(*word, event),
            }
        }
        text
    }
}

fn value(word: Word, event: &Event) -> String {
    let what = &event.what;
    let or_none = |text: &Option<String>| text.clone().unwrap_or_default();
    match word {
        Word::What => sentence(event),
        Word::Kind => what.kind.as_str().to_owned(),
        Word::Account => event.subject().unwrap_or_default(),
        Word::Name => or_none(&what.name),
        Word::Host => or_none(&what.host),
        Word::Address => what.address.map(|it| it.to_string()).unwrap_or_default(),
        Word::Time => moment(event.at),
        Word::Detail => what.detail.clone(),
        Word::Number => event.sequence.to_string(),
    }
}

/// A moment, to the second (XEP-0082).
fn moment(at: Timestamp) -> String {
    datetime::format(Timestamp(at.as_millis() / 1_000 * 1_000)).replace(".000", "")
}

/// What has happened, in a line.
fn sentence(event: &Event) -> String {
    let (what, who) = (&event.what, event.subject());
    let who = who.unwrap_or_else(|| "somebody".to_owned());
    let detail = &what.detail;
    match what.kind {
        EventKind::Registered => {
            let from = what.address.map(|it| format!(" from {it}"));
            // Such as that it awaits approval.
            let comma = if detail.is_empty() { "" } else { ", " };
            let from = from.unwrap_or_default();
            format!("{who} registered{from}{comma}{detail}")
        }
        EventKind::Removed => format!("{who} was removed"),
        EventKind::Banned => format!("banned: {detail}"),
        EventKind::Blocked => format!("blocked: {detail}"),
        EventKind::Limited => format!("limit: {detail}"),
        EventKind::Reported => format!("{who} reports {detail}"),
        EventKind::Policy => format!("registration: {detail}"),
    }
}

impl Letter {
    /// The body of a message.
    pub(super) fn text(&self, template: &Template) -> String {
        match self {
            Self::Single(event) => template.fill(event),
            // A digest of one event reads like a letter about it.
            Self::Digest(summary) => summary
                .alone()
                .map_or_else(|| summary.text(), |event| template.fill(event)),
        }
    }

    /// What a webhook is sent: `text` for those that show a line, and the rest for programs.
    pub(super) fn json(&self, template: &Template) -> Value {
        let (events, counts, lost) = match self {
            Self::Single(event) => (std::slice::from_ref(&**event), None, 0),
            Self::Digest(summary) => {
                let counts = summary.counts.iter();
                let counts = counts.map(|(kind, count)| (kind.as_str().to_owned(), json!(count)));
                let counts: serde_json::Map<_, _> = counts.collect();
                (&summary.samples[..], Some(counts), summary.lost)
            }
        };
        let events: Vec<_> = events.iter().map(event_json).collect();
        json!({
            "text": self.text(template), "events": events, "counts": counts, "lost": lost,
        })
    }
}

fn event_json(event: &Event) -> Value {
    json!({
        "sequence": event.sequence,
        "at_ms": event.at.as_millis(),
        "kind": event.what.kind.as_str(),
        "account": event.subject(),
        "address": event.what.address.map(|it| it.to_string()),
        "detail": event.what.detail,
    })
}

impl Summary {
    fn text(&self) -> String {
        let counts = self.counts.iter();
        let counts = counts.map(|(kind, count)| format!("{count} {kind}"));
        let counts: Vec<_> = counts.collect();
        let mut text = format!("{} events", self.count());
        if let Some((first, last)) = self.between {
            let (first, last) = (moment(first), moment(last));
            let _ = write!(text, " from {first} to {last}: {}", counts.join(", "));
        }
        for event in &self.samples {
            let _ = write!(text, "\n· {}", sentence(event));
        }
        let more = self.count().saturating_sub(self.samples.len() as u64);
        if more > 0 {
            let _ = write!(text, "\nand {more} more: `rookery admin events list`");
        }
        if self.lost > 0 {
            let _ = write!(text, "\n{} before them were not kept", self.lost);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use rookery_control::NewEvent;

    use super::*;

    fn event() -> Event {
        let what = NewEvent {
            address: "192.0.2.7".parse().ok(),
            ..NewEvent::new(EventKind::Registered, "").about("juliet", "capulet.example")
        };
        let (sequence, at) = (7, Timestamp(0));
        Event { sequence, at, what }
    }

    #[test]
    fn a_template_is_filled_with_the_words_of_the_event() {
        let fill = |text: &str| text.parse::<Template>().unwrap().fill(&event());
        assert_eq!(
            fill("{what}"),
            "juliet@capulet.example registered from 192.0.2.7"
        );
        assert_eq!(
            fill("#{number} {{{kind}: {name} at {host}, {address} {detail}!"),
            "#7 {registered: juliet at capulet.example, 192.0.2.7 !"
        );
        assert!(fill("{time}").starts_with("1970-01-01"));
        let mut waits = event();
        waits.what.detail = "awaits approval".to_owned();
        assert_eq!(
            "{what}".parse::<Template>().unwrap().fill(&waits),
            "juliet@capulet.example registered from 192.0.2.7, awaits approval"
        );
    }

    #[test]
    fn a_template_that_cannot_be_filled_says_why() {
        let wrong = |text: &str| text.parse::<Template>().unwrap_err();
        assert_eq!(wrong("{user}"), TemplateError::Word("user".into()));
        assert_eq!(wrong("{what"), TemplateError::Open);
        assert!(wrong("{user}").to_string().contains("{account}"));
        assert!(wrong("{").to_string().contains("`{{`"));
    }

    #[test]
    fn a_digest_counts_shows_the_first_and_says_what_is_missing() {
        let summary = Summary {
            counts: [(EventKind::Registered, 57), (EventKind::Banned, 2)].into(),
            samples: vec![event()],
            between: Some((Timestamp(0), Timestamp(60_000))),
            lost: 3,
        };
        let letter = Letter::Digest(summary);
        let template = "{what}".parse().unwrap();
        let text = letter.text(&template);
        assert!(text.starts_with("59 events from 1970-01-01"), "{text}");
        for part in [
            "57 registered, 2 banned",
            "\n· juliet@capulet.example registered from 192.0.2.7",
            "\nand 58 more",
            "\n3 before them were not kept",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let one = Summary {
            counts: [(EventKind::Registered, 1)].into(),
            samples: vec![event()],
            ..Summary::default()
        };
        let own = "{kind}".parse().unwrap();
        assert_eq!(Letter::Digest(one).text(&own), "registered");
        let json = letter.json(&template);
        assert_eq!(json["text"], text);
        assert_eq!(json["counts"]["registered"], 57);
        assert_eq!(json["events"][0]["account"], "juliet@capulet.example");
    }
}
