//! The exact sliding windows: for each key the moments of what was granted.

use std::collections::{BTreeMap, VecDeque};

use rookery_xmpp::clock::Timestamp;

use super::ReservationId;
use super::source::Key;
use crate::window::Window;

/// When each remembered registration was granted, by key, in order of time.
///
/// A window of length `per` is full at `now` when `limit` grants lie in `(now - per, now]`. Since time never goes
/// backwards, refusing then means that no stretch of that length, wherever it begins, ever holds more than `limit`
/// (tried against the definition in the tests of [`registration`](super::registration)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    grants: BTreeMap<Key, VecDeque<(Timestamp, ReservationId)>>,
}

impl Ledger {
    /// `None` if the window has a free place, otherwise the milliseconds until one is free.
    pub(super) fn wait_ms(&self, key: &Key, window: Window, now: Timestamp) -> Option<u64> {
        let grants = self.grants.get(key)?;
        let left = |at: Timestamp| at.0.saturating_add(window.per_ms());
        let aged = grants.partition_point(|(at, _)| left(*at) <= now.0);
        let limit = window.limit() as usize;
        let counted = grants.len() - aged;
        // The place that must become free is the oldest one's, or a later one's if the limit was lowered since.
        let leaving = aged + counted.checked_sub(limit)?;
        Some(left(grants[leaving].0) - now.0)
    }

    /// Counts a grant. Grants come in order of time and of id.
    pub(super) fn add(&mut self, key: Key, at: Timestamp, id: ReservationId) {
        self.grants.entry(key).or_default().push_back((at, id));
    }

    /// How many grants a window counts at this moment; without a window all that are remembered.
    pub(super) fn used(&self, key: &Key, window: Option<Window>, now: Timestamp) -> usize {
        let Some(grants) = self.grants.get(key) else {
            return 0;
        };
        let aged = window.map_or(0, |window| {
            grants.partition_point(|(at, _)| at.0.saturating_add(window.per_ms()) <= now.0)
        });
        grants.len() - aged
    }

    /// How many grants of a key are remembered, whether a window counts them or not.
    pub(super) fn held(&self, key: &Key) -> usize {
        self.grants.get(key).map_or(0, VecDeque::len)
    }

    /// The keys that have grants.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.grants.keys()
    }

    /// Forgets all grants of one key; which they were.
    pub(super) fn take(&mut self, key: &Key) -> Vec<ReservationId> {
        let grants = self.grants.remove(key).unwrap_or_default();
        grants.into_iter().map(|(_, id)| id).collect()
    }

    /// Gives back or forgets a grant.
    pub(super) fn remove(&mut self, key: &Key, at: Timestamp, id: ReservationId) {
        let Some(grants) = self.grants.get_mut(key) else {
            return;
        };
        if let Ok(place) = grants.binary_search(&(at, id)) {
            grants.remove(place);
        }
        if grants.is_empty() {
            self.grants.remove(key);
        }
    }

    /// Keys that are held.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.grants.len()
    }
}
