//! What must always be true of a group, whatever happens to it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use super::{NodeId, ReservationId, Unavailable, WINDOW_LIMIT, WINDOW_MS};
use crate::state::ControlState;

#[derive(Default)]
pub(super) struct Oracle {
    /// By index of the log: what the state's bytes hash to.
    states: BTreeMap<u64, u64>,
    /// Every address asks once, so it may be granted once.
    granted: BTreeMap<IpAddr, ReservationId>,
    moments: BTreeMap<ReservationId, u64>,
    reserved: BTreeSet<ReservationId>,
    committed: BTreeSet<ReservationId>,
    leaders: BTreeSet<NodeId>,
    refused: BTreeSet<&'static str>,
}

impl Oracle {
    /// Members at the same index are the same, and no request was applied twice.
    pub(super) fn saw(&mut self, state: &ControlState) {
        let mut hasher = DefaultHasher::new();
        state.snapshot().hash(&mut hasher);
        let hash = hasher.finish();
        let known = *self.states.entry(state.applied()).or_insert(hash);
        assert_eq!(known, hash, "members differ at entry {}", state.applied());
        for (id, at, address, _) in state.registrations() {
            let first = *self.granted.entry(address).or_insert(id);
            assert_eq!(first, id, "{address} was granted twice");
            self.moments.insert(id, at.0);
        }
    }

    pub(super) fn saw_leader(&mut self, leader: Option<NodeId>) {
        self.leaders.extend(leader);
    }

    pub(super) fn reserved(&mut self, reservation: ReservationId) {
        assert!(
            self.reserved.insert(reservation),
            "{reservation:?} given to two"
        );
    }

    pub(super) fn committed(&mut self, reservation: ReservationId) {
        self.committed.insert(reservation);
    }

    pub(super) fn unavailable(&mut self, unavailable: Unavailable) {
        self.refused.insert(unavailable.as_str());
    }

    /// At the end: every acknowledged commit is in the state while the window counts it, and no stretch of time holds
    /// more of them than the limit.
    pub(super) fn finish(&self, state: &ControlState) {
        let held: BTreeSet<_> = state
            .registrations()
            .filter_map(|(id, _, _, committed)| committed.then_some(id))
            .collect();
        let mut moments = Vec::new();
        for id in &self.committed {
            let at = self.moments.get(id).copied();
            let at = at.expect("an acknowledged reservation was seen in a state");
            let counted = at + WINDOW_MS > state.time().0;
            assert!(!counted || held.contains(id), "acknowledged {id:?} is lost");
            moments.push(at);
        }
        moments.sort_unstable();
        for stretch in moments.windows(WINDOW_LIMIT as usize + 1) {
            let length = stretch[stretch.len() - 1] - stretch[0];
            assert!(length >= WINDOW_MS, "{stretch:?} is more than the limit");
        }
    }

    pub(super) fn leaders(&self) -> usize {
        self.leaders.len()
    }

    pub(super) fn commits(&self) -> usize {
        self.committed.len()
    }

    pub(super) fn refused(&self) -> &BTreeSet<&'static str> {
        &self.refused
    }

    /// All that was seen, as one number.
    pub(super) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.states, &self.granted, &self.moments, &self.committed).hash(&mut hasher);
        hasher.finish()
    }
}
