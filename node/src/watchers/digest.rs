//! When watchers are written to: at once, or, under a flood, once in a while with what there was.
//!
//! ```text
//! event ─► fewer than `singles` letters in this stretch? ─yes─► a letter about it, at once
//!             │ no, or it is long past
//!             ▼
//!          pending ─── the stretch is over ───► one letter about all that is pending
//! ```
//!
//! So in any stretch there are at most `singles` letters and one digest, however much happens. What is pending is not
//! told: if this node dies, the next one reads it again from the control group. A machine: time comes with each call.

use std::collections::BTreeMap;

use rookery_control::{Event, EventKind};
use rookery_xmpp::clock::Timestamp;

/// How often watchers are written to, and of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Letters about single events in one stretch.
    pub(super) singles: u32,
    /// How long a stretch is, in milliseconds.
    pub(super) stretch_ms: u64,
    /// What watchers want to hear of.
    pub(super) kinds: Vec<EventKind>,
}

/// What watchers are to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Letter {
    /// One event.
    Single(Box<Event>),
    /// Many.
    Digest(Summary),
}

/// What was pending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// How many events, by kind.
    pub(super) counts: BTreeMap<EventKind, u64>,
    /// The first of them.
    pub(super) samples: Vec<Event>,
    /// When the first was, and the last.
    pub(super) between: Option<(Timestamp, Timestamp)>,
    /// Events that the control group had not kept until they were read.
    pub(super) lost: u64,
}

/// What one node knows of events and letters.
#[derive(Debug)]
pub(super) struct Digest {
    pace: Pace,
    /// The number of the last event that it took.
    read: u64,
    /// The number of the first that is pending.
    pending_from: Option<u64>,
    pending: Summary,
    /// When the stretch began, and the letters in it; none before the first event.
    stretch: Option<(Timestamp, u32)>,
}

impl Summary {
    /// Events that are told one by one; the others are only counted.
    pub(super) const SAMPLES_MAX: usize = 10;

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The only event, if there was no other and none is missing.
    pub(super) fn alone(&self) -> Option<&Event> {
        let event = self.samples.first()?;
        (self.count() == 1 && self.lost == 0).then_some(event)
    }

    fn add(&mut self, event: Event) {
        *self.counts.entry(event.what.kind).or_default() += 1;
        let first = self.between.map_or(event.at, |(first, _)| first);
        self.between = Some((first, event.at));
        if self.samples.len() < Self::SAMPLES_MAX {
            self.samples.push(event);
        }
    }

    fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.lost == 0
    }
}

impl Digest {
    /// Goes on behind the event up to which watchers were told.
    pub(super) fn new(pace: Pace, told: u64) -> Self {
        Self {
            pace,
            read: told,
            pending_from: None,
            pending: Summary::default(),
            stretch: None,
        }
    }

    /// Other settings from now on.
    pub(super) fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }

    /// The number of the last event that it took.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// Up to which event watchers have been told, once the letters so far have gone out.
    pub(super) fn told(&self) -> u64 {
        self.pending_from.map_or(self.read, |first| first - 1)
    }

    /// Takes the next event. Those that it took before are passed over.
    pub(super) fn take(&mut self, event: Event, now: Timestamp) -> Option<Letter> {
        if event.sequence <= self.read {
            return None;
        }
        let lost = event.sequence - self.read - 1;
        let first = self.read + 1;
        self.read = event.sequence;
        if lost > 0 {
            self.begin(now);
            self.pending.lost += lost;
            self.pending_from.get_or_insert(first);
        }
        if !self.pace.kinds.contains(&event.what.kind) {
            return None;
        }
        let letters = self.begin(now);
        let age_ms = now.since(event.at).as_millis();
        let is_news = age_ms <= u128::from(self.pace.stretch_ms);
        if self.pending.is_empty() && letters < self.pace.singles && is_news {
            self.stretch = self.stretch.map(|(since, letters)| (since, letters + 1));
            return Some(Letter::Single(Box::new(event)));
        }
        self.pending_from.get_or_insert(event.sequence);
        self.pending.add(event);
        None
    }

    /// The letter that is due, if one is.
    pub(super) fn due(&mut self, now: Timestamp) -> Option<Letter> {
        let due = self.due_at()?;
        if now < due {
            return None;
        }
        // The digest is the first letter of the next stretch.
        self.stretch = Some((now, 1));
        self.pending_from = None;
        Some(Letter::Digest(std::mem::take(&mut self.pending)))
    }

    /// When a letter will be due; none while nothing is pending.
    pub(super) fn due_at(&self) -> Option<Timestamp> {
        let (since, _) = self.stretch.filter(|_| !self.pending.is_empty())?;
        Some(Timestamp(
            since.as_millis().saturating_add(self.pace.stretch_ms),
        ))
    }

    /// The letters of the stretch that runs; one begins if none does.
    fn begin(&mut self, now: Timestamp) -> u32 {
        let stretch_ms = self.pace.stretch_ms;
        let runs =
            |since: Timestamp| now.as_millis() < since.as_millis().saturating_add(stretch_ms);
        match self.stretch {
            // What is pending keeps its stretch until it is told.
            Some((since, letters)) if runs(since) || !self.pending.is_empty() => letters,
            _ => {
                self.stretch = Some((now, 0));
                0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rookery_control::NewEvent;

    use super::*;

    const STRETCH_MS: u64 = 600_000;

    fn digest(singles: u32) -> Digest {
        let pace = Pace {
            singles,
            stretch_ms: STRETCH_MS,
            kinds: vec![EventKind::Registered, EventKind::Banned],
        };
        Digest::new(pace, 0)
    }

    fn event(sequence: u64, at: u64, kind: EventKind) -> Event {
        Event {
            sequence,
            at: Timestamp(at),
            what: NewEvent::new(kind, ""),
        }
    }

    fn take(digest: &mut Digest, sequence: u64, now: u64) -> Option<Letter> {
        digest.take(event(sequence, now, EventKind::Registered), Timestamp(now))
    }

    fn summary(letter: Option<Letter>) -> Summary {
        match letter {
            Some(Letter::Digest(summary)) => summary,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_few_events_are_told_at_once_and_a_flood_in_one_letter() {
        let mut digest = digest(2);
        for sequence in 1..=2 {
            let letter = take(&mut digest, sequence, 1_000);
            assert!(matches!(letter, Some(Letter::Single(_))), "{letter:?}");
            assert_eq!(digest.told(), sequence);
        }
        for sequence in 3..=500 {
            assert_eq!(take(&mut digest, sequence, 2_000), None);
            assert_eq!(digest.told(), 2, "what is pending is not told");
        }
        assert_eq!(digest.due_at(), Some(Timestamp(1_000 + STRETCH_MS)));
        assert_eq!(digest.due(Timestamp(STRETCH_MS + 999)), None);
        let told = summary(digest.due(Timestamp(STRETCH_MS + 1_000)));
        assert_eq!(
            (told.count(), told.samples.len()),
            (498, Summary::SAMPLES_MAX)
        );
        assert_eq!((digest.told(), digest.due_at()), (500, None));
    }

    #[test]
    fn however_much_happens_a_stretch_has_so_many_letters_and_one_more() {
        let mut digest = digest(3);
        let (mut sequence, mut letters) = (0, Vec::new());
        for now in (0..10 * STRETCH_MS).step_by(1_000) {
            sequence += 1;
            letters.extend(take(&mut digest, sequence, now).map(|_| now));
            letters.extend(digest.due(Timestamp(now)).map(|_| now));
        }
        for pair in letters.windows(5) {
            assert!(pair[4] - pair[0] >= STRETCH_MS, "{pair:?}");
        }
        assert!(letters.len() > 10, "{letters:?}");
    }

    #[test]
    fn what_nobody_wants_to_hear_of_is_told_without_a_letter() {
        let mut digest = digest(2);
        let removed = event(1, 0, EventKind::Removed);
        assert_eq!(digest.take(removed, Timestamp(0)), None);
        assert_eq!((digest.told(), digest.due_at()), (1, None));
        assert_eq!(take(&mut digest, 1, 0), None, "an event is taken once");
    }

    #[test]
    fn a_backlog_is_one_letter_and_says_what_was_not_kept() {
        let mut digest = digest(5);
        let now = Timestamp(STRETCH_MS * 9);
        for sequence in 100..200 {
            let old = event(sequence, 5, EventKind::Banned);
            assert_eq!(digest.take(old, now), None);
        }
        assert_eq!(digest.told(), 0);
        let due = digest.due_at().unwrap();
        let told = summary(digest.due(due));
        assert_eq!((told.lost, told.count()), (99, 100));
        assert_eq!(digest.told(), 199);
    }

    #[test]
    fn the_next_node_goes_on_where_the_last_letter_ended() {
        let mut first = digest(1);
        take(&mut first, 1, 0);
        take(&mut first, 2, 0);
        let mut next = Digest::new(first.pace.clone(), first.told());
        let letter = take(&mut next, 2, 0);
        assert!(matches!(letter, Some(Letter::Single(event)) if event.sequence == 2));
    }

    #[test]
    fn without_single_letters_all_goes_into_digests() {
        let mut digest = digest(0);
        assert_eq!(take(&mut digest, 1, 7), None);
        assert_eq!(summary(digest.due(Timestamp(7 + STRETCH_MS))).count(), 1);
        let letter = take(&mut digest, 2, 8 + STRETCH_MS);
        assert_eq!(letter, None);
    }
}
