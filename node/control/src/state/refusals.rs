//! Registrations that were refused, by cause, over the whole cluster: by the hour for a day, and in all.
//!
//! A refusal costs no entry of the log: each router counts its own, and tells the group once a second
//! ([`RouterReport`](super::RouterReport)).

use std::collections::{BTreeMap, VecDeque};

use rookery_xmpp::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::{NameKind, WindowKind};

/// Why somebody was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCause {
    /// Registration is closed.
    Closed,
    /// The network is blocked.
    Blocked,
    /// Only listed networks may register.
    NotAllowed,
    /// A window of the throttle is full: the address's.
    Address,
    /// The IPv4 /24's.
    Prefix24,
    /// The IPv6 /64's.
    Prefix64,
    /// The IPv6 /48's.
    Prefix48,
    /// The host's.
    Host,
    /// That of everything.
    All,
    /// The throttle remembers as many registrations as it may.
    Overload,
    /// A rule reserves the name.
    Reserved,
    /// The name looks like a protected one.
    Protected,
    /// The name looks like another account's.
    Confusable,
    /// The name was a deleted account's.
    Gone,
    /// The name is taken.
    Conflict,
    /// The password is none, or too weak.
    Password,
    /// The form lacks something, or has something that it may not.
    Form,
    /// The challenge was not solved.
    Captcha,
    /// There was no invitation, or it is worth nothing any more.
    Invite,
    /// It could not be decided: no quorum, or no store.
    Unavailable,
}

impl RefusalCause {
    /// Every cause.
    pub const ALL: [Self; 20] = [
        Self::Closed,
        Self::Blocked,
        Self::NotAllowed,
        Self::Address,
        Self::Prefix24,
        Self::Prefix64,
        Self::Prefix48,
        Self::Host,
        Self::All,
        Self::Overload,
        Self::Reserved,
        Self::Protected,
        Self::Confusable,
        Self::Gone,
        Self::Conflict,
        Self::Password,
        Self::Form,
        Self::Captcha,
        Self::Invite,
        Self::Unavailable,
    ];

    /// A short name for logs, metrics and lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Blocked => "blocked",
            Self::NotAllowed => "not_allowed",
            Self::Address => "address",
            Self::Prefix24 => "prefix_24",
            Self::Prefix64 => "prefix_64",
            Self::Prefix48 => "prefix_48",
            Self::Host => "host",
            Self::All => "all",
            Self::Overload => "overload",
            Self::Reserved => "reserved",
            Self::Protected => "protected",
            Self::Confusable => "confusable",
            Self::Gone => "gone",
            Self::Conflict => "conflict",
            Self::Password => "password",
            Self::Form => "form",
            Self::Captcha => "captcha",
            Self::Invite => "invite",
            Self::Unavailable => "unavailable",
        }
    }

    /// Whether it is a limit that somebody ran into, of which operators want to hear when it happens often.
    pub fn is_limit(self) -> bool {
        matches!(
            self,
            Self::Address
                | Self::Prefix24
                | Self::Prefix64
                | Self::Prefix48
                | Self::Host
                | Self::All
                | Self::Overload
        )
    }
}

impl From<WindowKind> for RefusalCause {
    fn from(window: WindowKind) -> Self {
        match window {
            WindowKind::Address => Self::Address,
            WindowKind::Prefix24 => Self::Prefix24,
            WindowKind::Prefix64 => Self::Prefix64,
            WindowKind::Prefix48 => Self::Prefix48,
            WindowKind::Host => Self::Host,
            WindowKind::All => Self::All,
            WindowKind::Overload => Self::Overload,
        }
    }
}

impl From<NameKind> for RefusalCause {
    fn from(kind: NameKind) -> Self {
        match kind {
            NameKind::Reserved => Self::Reserved,
            NameKind::Protected => Self::Protected,
        }
    }
}

/// How many, by cause.
pub type RefusalCounts = BTreeMap<RefusalCause, u64>;

/// What the group has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// Since the group began.
    pub total: RefusalCounts,
    /// The hours of the last day in which there were any, the oldest first.
    pub hours: VecDeque<RefusalHour>,
}

/// One hour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalHour {
    /// When it began.
    pub since: Timestamp,
    /// What was refused in it.
    pub counts: RefusalCounts,
}

impl Refusals {
    /// Hours that are kept.
    pub const HOURS_MAX: usize = 24;

    /// Adds what a router has counted. Gives the limits that have been met `often` times in this hour now and had not
    /// before; none where that is 0.
    pub(super) fn add(
        &mut self,
        counts: &RefusalCounts,
        now: Timestamp,
        often: u32,
    ) -> Vec<(RefusalCause, u64)> {
        if counts.is_empty() {
            return Vec::new();
        }
        let since = Timestamp(now.as_millis() / HOUR_MS * HOUR_MS);
        if self.hours.back().is_none_or(|hour| hour.since < since) {
            let counts = RefusalCounts::new();
            self.hours.push_back(RefusalHour { since, counts });
        }
        self.forget(now);
        let Some(hour) = self.hours.back_mut() else {
            return Vec::new();
        };
        let mut reached = Vec::new();
        for (&cause, &count) in counts {
            let in_hour = hour.counts.entry(cause).or_default();
            let before = *in_hour;
            *in_hour = before.saturating_add(count);
            let total = self.total.entry(cause).or_default();
            *total = total.saturating_add(count);
            let often = u64::from(often);
            if cause.is_limit() && often > 0 && before < often && *in_hour >= often {
                reached.push((cause, *in_hour));
            }
        }
        reached
    }

    /// What was counted, without the hours that are over for a day.
    pub(super) fn report(&self, now: Timestamp) -> Self {
        let mut report = self.clone();
        report.forget(now);
        report
    }

    fn forget(&mut self, now: Timestamp) {
        let day = HOUR_MS * Self::HOURS_MAX as u64;
        let is_over = |hour: &RefusalHour| hour.since.as_millis() + day <= now.as_millis();
        while self.hours.front().is_some_and(is_over) || self.hours.len() > Self::HOURS_MAX {
            self.hours.pop_front();
        }
    }
}

const HOUR_MS: u64 = 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(cause: RefusalCause, count: u64) -> RefusalCounts {
        RefusalCounts::from([(cause, count)])
    }

    #[test]
    fn each_cause_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<_> = RefusalCause::ALL
            .iter()
            .map(|cause| cause.as_str())
            .collect();
        assert_eq!(words.len(), RefusalCause::ALL.len());
    }

    #[test]
    fn hours_are_kept_for_a_day_and_the_sum_for_ever() {
        let mut refusals = Refusals::default();
        for hour in 0..30 {
            refusals.add(
                &counts(RefusalCause::Host, 1),
                Timestamp(hour * HOUR_MS + 5),
                0,
            );
        }
        assert_eq!(refusals.hours.len(), Refusals::HOURS_MAX);
        assert_eq!(refusals.total, counts(RefusalCause::Host, 30));
        assert_eq!(refusals.hours[0].since, Timestamp(6 * HOUR_MS));
        let later = refusals.report(Timestamp(50 * HOUR_MS));
        assert_eq!(later.hours.len(), 3, "hours 27, 28 and 29");
        refusals.add(&RefusalCounts::new(), Timestamp(90 * HOUR_MS), 0);
        assert_eq!(
            refusals.hours.len(),
            Refusals::HOURS_MAX,
            "nothing was told"
        );
    }

    #[test]
    fn a_limit_that_is_met_often_is_told_once_an_hour() {
        let mut refusals = Refusals::default();
        let mut add = |cause, count, at| refusals.add(&counts(cause, count), Timestamp(at), 10);
        assert_eq!(add(RefusalCause::Host, 9, 0), []);
        assert_eq!(add(RefusalCause::Host, 3, 1), [(RefusalCause::Host, 12)]);
        assert_eq!(add(RefusalCause::Host, 50, 2), []);
        assert_eq!(add(RefusalCause::Conflict, 50, 3), [], "no limit");
        assert_eq!(
            add(RefusalCause::Host, 10, HOUR_MS),
            [(RefusalCause::Host, 10)]
        );
    }
}
