//! What operators may want to hear of: a ring of events, and how far they have been told.
//!
//! ```text
//! commit of a registration, ban, block, policy ─┐
//! RouterReport: removed account, report, …      ├─► Events (the latest 4,096) ─► admin events list
//!                                               ┘        │
//!                         the node that tells (watchers) ┴─ EventsHead ─► reads behind `told` ─► TellEvents
//! ```
//!
//! A new kind of event is a variant of [`EventKind`]. What the state machine itself decides calls [`Events::raise`];
//! what a router sees goes with its next report.

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use rookery_xmpp::clock::Timestamp;
use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Somebody has made an account.
    Registered,
    /// An account is gone.
    Removed,
    /// An administrator has banned somebody.
    Banned,
    /// The login guard blocks somebody.
    Blocked,
    /// A limit was met often.
    Limited,
    /// A user has reported somebody (XEP-0377).
    Reported,
    /// Who may register was changed.
    Policy,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Registered,
        Self::Removed,
        Self::Banned,
        Self::Blocked,
        Self::Limited,
        Self::Reported,
        Self::Policy,
    ];

    /// A short name for lists and configurations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Removed => "removed",
            Self::Banned => "banned",
            Self::Blocked => "blocked",
            Self::Limited => "limited",
            Self::Reported => "reported",
            Self::Policy => "policy",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no kind of event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no kind of event")]
pub struct EventKindError(String);

impl FromStr for EventKind {
    type Err = EventKindError;

    fn from_str(text: &str) -> Result<Self, EventKindError> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| EventKindError(text.chars().take(32).collect()))
    }
}

/// Something that happened, before the group has given it a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEvent {
    /// What.
    pub kind: EventKind,
    /// At which virtual host, prepared; none where it concerns all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Whom it concerns there: a localpart, prepared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// More, for people; [`DETAIL_BYTES_MAX`](Self::DETAIL_BYTES_MAX) at most. Never what somebody has written to
    /// somebody.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl NewEvent {
    /// Bytes of a detail; what is longer is cut.
    pub const DETAIL_BYTES_MAX: usize = 300;

    /// An event that concerns the server as a whole.
    pub fn new(kind: EventKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            host: None,
            name: None,
            address: None,
            detail: detail.into(),
        }
    }

    /// The same about an account.
    pub fn about(mut self, name: impl Into<String>, host: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self.host = Some(host.into());
        self
    }
}

/// An event as the group keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number: the first is 1, and none is left out.
    pub sequence: u64,
    /// When, by the group's time.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub what: NewEvent,
}

impl Event {
    /// Whom it concerns: an account, or a host.
    pub fn subject(&self) -> Option<String> {
        match (&self.what.name, &self.what.host) {
            (Some(name), Some(host)) => Some(format!("{name}@{host}")),
            (None, Some(host)) => Some(host.clone()),
            _ => None,
        }
    }
}

/// How far there are events, and how far they were told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EventsHead {
    /// The number of the latest; 0 before the first.
    pub newest: u64,
    /// All up to this one were told to whoever watches.
    pub told: u64,
}

/// The latest events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    head: EventsHead,
    ring: VecDeque<Event>,
}

impl Events {
    /// Events that are kept, some 1 MB of state.
    pub const EVENTS_MAX: usize = 4_096;

    /// Events in one answer.
    pub const PAGE_MAX: usize = 500;

    /// How far they reach.
    pub fn head(&self) -> EventsHead {
        self.head
    }

    /// Something has happened.
    pub(super) fn raise(&mut self, mut event: NewEvent, at: Timestamp) {
        cut(&mut event.detail, NewEvent::DETAIL_BYTES_MAX);
        self.head.newest += 1;
        let sequence = self.head.newest;
        let what = event;
        self.ring.push_back(Event { sequence, at, what });
        while self.ring.len() > Self::EVENTS_MAX {
            self.ring.pop_front();
        }
    }

    /// Whoever watches has been told of all up to this one.
    pub(super) fn tell(&mut self, up_to: u64) {
        self.head.told = up_to.min(self.head.newest).max(self.head.told);
    }

    /// The events behind this number, the oldest first. Those that are not kept any more are left out.
    pub(super) fn after(&self, sequence: u64, limit: usize) -> Vec<Event> {
        let start = self
            .ring
            .partition_point(|event| event.sequence <= sequence);
        let events = self.ring.iter().skip(start);
        events.take(limit.min(Self::PAGE_MAX)).cloned().collect()
    }

    /// The latest events before this number, the newest first.
    pub(super) fn before(&self, sequence: u64, limit: usize) -> Vec<Event> {
        let end = self.ring.partition_point(|event| event.sequence < sequence);
        let events = self.ring.iter().take(end).rev();
        events.take(limit.min(Self::PAGE_MAX)).cloned().collect()
    }
}

/// Cuts a text at the last letter that fits.
pub(super) fn cut(text: &mut String, bytes_max: usize) {
    while text.len() > bytes_max {
        text.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raise(events: &mut Events, count: u64) {
        for number in 0..count {
            let event = NewEvent::new(EventKind::Policy, number.to_string());
            events.raise(event, Timestamp(number));
        }
    }

    fn numbers(events: &[Event]) -> Vec<u64> {
        events.iter().map(|event| event.sequence).collect()
    }

    #[test]
    fn events_are_read_forwards_and_backwards_in_pages() {
        let mut events = Events::default();
        raise(&mut events, 5);
        assert_eq!(numbers(&events.after(0, 2)), [1, 2]);
        assert_eq!(numbers(&events.after(2, 9)), [3, 4, 5]);
        assert_eq!(numbers(&events.before(u64::MAX, 2)), [5, 4]);
        assert_eq!(numbers(&events.before(4, 9)), [3, 2, 1]);
        raise(&mut events, Events::EVENTS_MAX as u64);
        assert_eq!(
            numbers(&events.after(0, 1)),
            [6],
            "the oldest are forgotten"
        );
        assert_eq!(events.after(0, usize::MAX).len(), Events::PAGE_MAX);
    }

    #[test]
    fn what_was_told_stays_told_and_nothing_is_told_before_it_happens() {
        let mut events = Events::default();
        raise(&mut events, 5);
        for (told, head) in [(3, 3), (2, 3), (9, 5)] {
            events.tell(told);
            assert_eq!(
                events.head(),
                EventsHead {
                    newest: 5,
                    told: head
                }
            );
        }
    }

    #[test]
    fn a_detail_is_cut_at_a_letter() {
        let mut events = Events::default();
        events.raise(
            NewEvent::new(EventKind::Banned, "ü".repeat(200)),
            Timestamp(0),
        );
        let kept = &events.after(0, 1)[0];
        assert_eq!(kept.what.detail.len(), NewEvent::DETAIL_BYTES_MAX);
    }

    #[test]
    fn each_kind_is_read_as_it_is_written() {
        for kind in EventKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert!("nothing".parse::<EventKind>().is_err());
    }
}
