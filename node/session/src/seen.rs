//! What an account or a session has received of whom, so that what is sent to it a second time is dropped.
//!
//! Frames are sent again when the owner of a shard is gone before it could say what it had done. Of one
//! session's stanzas for one recipient the numbers only grow on every way. But there are two ways to a session,
//! directly and through the log, and neither waits for the other: so it is known of the last [`EXACT`] numbers which
//! of them came. A message that another session gives back at its end may have come long before.

mod came;

use std::collections::VecDeque;

use came::{Came, EXACT};

use crate::carrier::{Delivered, Origin, Origins, SessionId};

/// The newest stanzas of each of the sessions that were heard of last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen(VecDeque<(SessionId, Newest)>);

/// Which stanzas of a run have been seen.
#[derive(Debug, PartialEq, Eq)]
enum Repeats {
    /// So many, from the first on.
    Leading(usize),
    /// Those that are not marked, of which some are behind new ones: they came by themselves before, in a page of the
    /// log.
    Scattered(Vec<bool>),
}

/// The numbers that came last from one session.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Newest {
    /// The one behind the last that came.
    next: u64,
    /// Which of those before that came.
    came: Came,
}

impl Seen {
    /// Which of these stanzas have been seen; all of them are from now on. They were sent one behind the other.
    fn repeats_of_run(&mut self, origin: Origin, stanzas: usize) -> Repeats {
        let newest = self.newest(origin);
        let numbers = origin.sequence..origin.sequence.saturating_add(stanzas as u64);
        // What is older than can be known was seen: nothing that is new comes so late.
        let is_new = |number: &u64| newest.has(*number) == Some(false);
        let repeats = numbers.clone().take_while(|number| !is_new(number)).count();
        let mut behind = numbers.clone().skip(repeats);
        let repeats = match behind.all(|number| is_new(&number)) {
            true => Repeats::Leading(repeats),
            false => Repeats::Scattered(numbers.clone().map(|number| is_new(&number)).collect()),
        };
        numbers.for_each(|number| newest.add(number));
        repeats
    }

    /// Whether this stanza, the first of its origin, has not been seen.
    pub fn is_new(&mut self, origin: Origin) -> bool {
        matches!(self.repeats_of_run(origin, 1), Repeats::Leading(0))
    }

    /// Whether this stanza has come, or is older than can be known.
    pub fn has(&self, origin: Origin) -> bool {
        let known = self.0.iter().find(|(known, _)| *known == origin.session);
        known.is_some_and(|(_, newest)| newest.has(origin.sequence) != Some(false))
    }

    /// These stanzas have come.
    pub fn note(&mut self, delivered: &Delivered) {
        for at in 0..delivered.batch.recs.len() {
            if let Some(origin) = delivered.origins.at(at) {
                self.newest(origin).add(origin.sequence);
            }
        }
    }

    /// These stanzas have not come after all.
    pub fn forget(&mut self, delivered: &Delivered) {
        for at in 0..delivered.batch.recs.len() {
            let origin = delivered.origins.at(at);
            let known = origin.and_then(|origin| {
                let known = self
                    .0
                    .iter_mut()
                    .find(|(known, _)| *known == origin.session)?;
                Some((origin, &mut known.1))
            });
            if let Some((origin, newest)) = known {
                newest.remove(origin.sequence);
            }
        }
    }

    /// What is known, to be told to another node: sessions, the one that was heard of last behind the others, each with
    /// the number behind the last that came, and with those of the 64 before it that came; then the same of those
    /// before, if any of them came.
    pub fn told(&self) -> Vec<(SessionId, u64, u64)> {
        let told = |(session, newest): &(SessionId, Newest)| {
            let (session, next) = (*session, newest.next);
            let words = newest.came.words().into_iter().enumerate();
            let words = words.filter(|(at, came)| *at == 0 || *came != 0);
            words.map(move |(at, came)| (session, next.saturating_sub(64 * at as u64), came))
        };
        self.0.iter().flat_map(told).collect()
    }

    /// What another node has told, as far as so much is remembered.
    pub fn heard(told: impl IntoIterator<Item = (SessionId, u64, u64)>) -> Self {
        let mut heard = Self::default();
        for (session, next, came) in told {
            let last = heard.0.back_mut().filter(|(last, _)| *last == session);
            if let Some((_, newest)) = last {
                let before = newest.next.saturating_sub(next) / 64;
                newest.came.put(before as usize, came);
            } else if heard.0.len() < SESSIONS_MAX {
                let mut newest = Newest::before(next);
                newest.came.put(0, came);
                heard.0.push_back((session, newest));
            }
        }
        heard
    }

    /// Takes out of a delivery what has been seen. What lay in a log is there for the very reason that somebody may
    /// not have got it, so of that only what is known to have come.
    pub fn drop_repeats(&mut self, delivered: &mut Delivered) {
        match &mut delivered.origins {
            Origins::None => {}
            Origins::Run(first) => match self.repeats_of_run(*first, delivered.batch.recs.len()) {
                Repeats::Leading(repeats) => {
                    delivered.batch.recs.drain(..repeats);
                    *first = first.plus(repeats);
                    if delivered.arrival != 0 {
                        delivered.arrival += repeats as u64;
                    }
                    delivered.logged = delivered.logged.behind(repeats);
                }
                Repeats::Scattered(news) => {
                    // They did not arrive one behind the other.
                    delivered.arrival = 0;
                    delivered.retain(&news);
                }
            },
            Origins::Each(each) => {
                let news = each.iter().copied();
                let news = news.map(|origin| origin.is_none_or(|origin| self.is_news(origin)));
                let news: Vec<bool> = news.collect();
                if !news.iter().all(|is_new| *is_new) {
                    delivered.retain(&news);
                }
            }
        }
    }

    /// Whether a stanza is not known to have come; from now on it has.
    fn is_news(&mut self, origin: Origin) -> bool {
        let newest = self.newest(origin);
        let is_known = newest.has(origin.sequence) == Some(true);
        newest.add(origin.sequence);
        !is_known
    }

    /// What is known of a session; that nothing has come yet, if it was not heard of.
    fn newest(&mut self, origin: Origin) -> &mut Newest {
        let known = self
            .0
            .iter()
            .rposition(|(known, _)| *known == origin.session);
        match known {
            // The last heard of is found first, and forgotten last.
            Some(at) => {
                let last = self.0.len() - 1;
                self.0.swap(at, last);
            }
            None => {
                if self.0.len() == SESSIONS_MAX {
                    self.0.pop_front();
                }
                let newest = Newest::before(origin.sequence);
                self.0.push_back((origin.session, newest));
            }
        }
        let (_, newest) = self.0.back_mut().expect("one was found or put there");
        newest
    }
}

impl Newest {
    /// None came before this number.
    fn before(next: u64) -> Self {
        let came = Came::default();
        Self { next, came }
    }

    /// Whether a number came, if that is known.
    fn has(&self, number: u64) -> Option<bool> {
        match self.next.checked_sub(number) {
            None | Some(0) => Some(false),
            Some(back @ 1..=EXACT) => Some(self.came.has(back)),
            Some(_) => None,
        }
    }

    /// A number has not come.
    fn remove(&mut self, number: u64) {
        if let Some(back @ 1..=EXACT) = self.next.checked_sub(number) {
            self.came.set(back, false);
        }
    }

    /// A number came.
    fn add(&mut self, number: u64) {
        if number >= self.next {
            self.came.shift((number - self.next).saturating_add(1));
            self.next = number.saturating_add(1);
        }
        if let Some(back @ 1..=EXACT) = self.next.checked_sub(number) {
            self.came.set(back, true);
        }
    }
}

/// How many sessions are remembered. What is sent again is seconds old, so this many would have to
/// write to one account within seconds to make a repeat pass.
const SESSIONS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rookery_xmpp::stanza::{Batch, Rec};

    use super::Repeats::Leading;
    use super::*;

    fn origin(serial: u64, sequence: u64) -> Origin {
        let session = SessionId { node: 1, serial };
        Origin { session, sequence }
    }

    /// What is left of a page with these stanzas of the session 1, and one of nobody.
    fn left(seen: &mut Seen, numbers: &[u64]) -> Vec<Option<u64>> {
        let each = numbers.iter().map(|number| Some(origin(1, *number)));
        let each: Box<[_]> = each.chain([None]).collect();
        let batch = Batch {
            buf: Bytes::new(),
            recs: vec![Rec::default(); each.len()],
        };
        let mut page = Delivered {
            origins: Origins::Each(each),
            ..Delivered::from(batch)
        };
        seen.drop_repeats(&mut page);
        let all = 0..page.batch.recs.len();
        all.map(|at| page.origins.at(at).map(|origin| origin.sequence))
            .collect()
    }

    #[test]
    fn what_was_seen_is_not_new_and_sessions_do_not_mix() {
        let mut seen = Seen::default();
        assert!(seen.is_new(origin(1, 0)) && seen.is_new(origin(1, 4)));
        assert!(!seen.has(origin(2, 3)) && !seen.has(origin(1, 3)) && !seen.has(origin(1, 5)));
        assert!(seen.is_new(origin(2, 3)));
        assert!(seen.has(origin(2, 3)) && seen.has(origin(1, 4)) && seen.has(origin(1, 0)));
        assert!(!seen.is_new(origin(1, 4)) && !seen.is_new(origin(1, 0)));
        assert!(seen.is_new(origin(1, 5)) && !seen.is_new(origin(2, 3)));
    }

    #[test]
    fn only_the_stanzas_that_were_seen_are_repeats() {
        let mut seen = Seen::default();
        assert_eq!(seen.repeats_of_run(origin(1, 10), 3), Leading(0));
        assert_eq!(seen.repeats_of_run(origin(1, 11), 4), Leading(2));
        assert_eq!(seen.repeats_of_run(origin(1, 12), 3), Leading(3));
        assert_eq!(seen.repeats_of_run(origin(1, 20), 1), Leading(0));
    }

    #[test]
    fn of_stanzas_that_come_together_each_that_was_seen_is_a_repeat() {
        let mut seen = Seen::default();
        assert_eq!(left(&mut seen, &[11, 13]), [Some(11), Some(13), None]);
        let batch = Batch {
            buf: Bytes::new(),
            recs: vec![Rec::default(); 4],
        };
        let mut again = Delivered {
            origins: Origins::Run(origin(1, 10)),
            arrival: 7,
            ..Delivered::from(batch)
        };
        seen.drop_repeats(&mut again);
        let numbers = [0, 1].map(|at| again.origins.at(at).map(|origin| origin.sequence));
        assert_eq!(numbers, [Some(10), Some(12)]);
        assert_eq!((again.batch.recs.len(), again.arrival), (2, 0));
    }

    #[test]
    fn what_has_not_come_after_all_is_new() {
        let mut seen = Seen::default();
        assert_eq!(seen.repeats_of_run(origin(1, 7), 3), Leading(0));
        let batch = Batch {
            buf: Bytes::new(),
            recs: vec![Rec::default(); 2],
        };
        seen.forget(&Delivered {
            origins: Origins::Run(origin(1, 8)),
            ..Delivered::from(batch)
        });
        assert!(!seen.is_new(origin(1, 7)));
        assert!(seen.is_new(origin(1, 8)) && seen.is_new(origin(1, 9)));
    }

    #[test]
    fn one_that_was_overtaken_is_new_and_one_that_is_too_old_to_know_is_not() {
        let mut seen = Seen::default();
        assert!(seen.is_new(origin(1, 100)));
        assert!(seen.is_new(origin(1, 100 + EXACT)));
        assert!(seen.is_new(origin(1, 101)) && !seen.is_new(origin(1, 101)));
        assert!(seen.has(origin(1, 100)), "it is not known any more");
        assert!(!seen.is_new(origin(1, 100)));
        assert!(seen.is_new(origin(1, 9_000)) && !seen.is_new(origin(1, 102)));
        assert!(seen.is_new(origin(1, 8_999)));
    }

    #[test]
    fn of_a_page_only_what_is_known_to_have_come_is_dropped() {
        let mut seen = Seen::default();
        assert_eq!(seen.repeats_of_run(origin(1, 7), 2), Leading(0));
        let new = left(&mut seen, &[6, 7, 9]);
        assert_eq!(new, [Some(6), Some(9), None]);
        // What came in a page is not given directly after it, nor again in the next one.
        assert_eq!(seen.repeats_of_run(origin(1, 9), 2), Leading(1));
        assert_eq!(left(&mut seen, &[6, 9, 10, 11]), [Some(11), None]);
        assert!(seen.is_new(origin(1, 12 + EXACT)));
        assert_eq!(
            left(&mut seen, &[11]),
            [Some(11), None],
            "it is too old to know"
        );
    }

    #[test]
    fn another_node_is_told_all_that_is_known() {
        let mut seen = Seen::default();
        for sequence in [0, 40, 500, 511, 640] {
            assert!(seen.is_new(origin(1, sequence)));
        }
        assert!(seen.is_new(origin(2, 3)));
        let told = seen.told();
        assert_eq!(told.len(), 2 + 1);
        let mut heard = Seen::heard(told);
        assert_eq!(heard, seen);
        assert!(!heard.is_new(origin(1, 500)) && heard.is_new(origin(1, 501)));
    }

    #[test]
    fn the_sessions_that_were_heard_of_longest_ago_are_forgotten() {
        let mut seen = Seen::default();
        for serial in 0..=SESSIONS_MAX as u64 {
            assert!(seen.is_new(origin(serial, 7)));
        }
        assert!(!seen.is_new(origin(1, 7)));
        assert!(seen.is_new(origin(0, 7)));
    }
}
