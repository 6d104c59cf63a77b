//! Who is banned from the cluster: a list with a version, which every node follows.
//!
//! Adding a target again replaces its reason and its end. A ban that has ended is worth nothing at once, for every node
//! looks at its clock; it is dropped from the list with the next change. Followers are told what has changed, as long
//! as the list remembers it ([`CHANGES_MAX`]); then the whole list.

mod target;

use std::collections::{BTreeMap, BTreeSet};

use rookery_xmpp::clock::Timestamp;
use serde::{Deserialize, Serialize};

pub use target::{BanTarget, BanTargetError};

use super::changes::Changes;
use super::{FormatError, Outcome};

/// One ban.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Whom it concerns.
    pub target: BanTarget,
    /// Why, for operators; [`REASON_BYTES_MAX`](Self::REASON_BYTES_MAX) at most.
    pub reason: String,
    /// When it was made.
    pub since: Timestamp,
    /// When it ends; never without it.
    pub expires: Option<Timestamp>,
}

impl Ban {
    /// Bytes of a reason; what is longer is cut.
    pub const REASON_BYTES_MAX: usize = 200;

    /// Whether it holds at this moment.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

/// All bans, at one version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanList {
    #[serde(flatten)]
    changes: Changes,
    bans: BTreeMap<BanTarget, Ban>,
}

/// What is new to somebody who knows an earlier version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanUpdate {
    /// The version that it leads to.
    pub version: u64,
    /// Whether nothing that was known before counts.
    pub whole: bool,
    /// Bans that are new or have changed.
    pub bans: Vec<Ban>,
    /// Whose bans are no more.
    pub removed: Vec<BanTarget>,
}

impl BanUpdate {
    /// The bytes of the update for another node.
    pub fn encode(&self) -> Vec<u8> {
        super::encode(self)
    }

    /// The update in another node's bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        super::decode(bytes)
    }
}

impl BanList {
    /// Bans at once, some 15 MB of state.
    pub const BANS_MAX: usize = 100_000;

    /// Grows with every change; the same version is the same list on every node.
    pub fn version(&self) -> u64 {
        self.changes.version()
    }

    /// The bans in the order of their targets, also those that have ended since the last change.
    pub fn iter(&self) -> impl Iterator<Item = &Ban> {
        self.bans.values()
    }

    /// The bans behind a target, in order; all without one.
    pub fn after<'a>(&'a self, target: Option<&'a BanTarget>) -> impl Iterator<Item = &'a Ban> {
        let start = target.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let range = self.bans.range((start, std::ops::Bound::Unbounded));
        range.map(|(_, ban)| ban)
    }

    /// Whether there is a ban of this target, also one that has ended.
    pub fn has(&self, target: &BanTarget) -> bool {
        self.bans.contains_key(target)
    }

    /// What is new to who knows this version.
    pub fn since(&self, version: u64) -> BanUpdate {
        let changed = self.changes.since(version);
        let mut update = BanUpdate {
            version: self.version(),
            whole: changed.is_none(),
            ..BanUpdate::default()
        };
        let Some(changed) = changed else {
            update.bans = self.bans.values().cloned().collect();
            return update;
        };
        for target in changed {
            match self.bans.get(target) {
                Some(ban) => update.bans.push(ban.clone()),
                None => update.removed.push(target.clone()),
            }
        }
        update
    }

    /// Takes over what another node told. What is older than is known is passed over.
    pub fn follow(&mut self, update: BanUpdate) {
        if update.version <= self.version() {
            return;
        }
        if update.whole {
            self.bans.clear();
        }
        let bans = update.bans.into_iter();
        self.bans.extend(bans.map(|ban| (ban.target.clone(), ban)));
        for target in &update.removed {
            self.bans.remove(target);
        }
        self.changes.follow(update.version);
    }

    /// Bans somebody, or changes their bans: all of them or, if there are too many, none.
    pub(super) fn add(&mut self, bans: &[Ban], now: Timestamp) -> Outcome {
        self.drop_ended(now);
        let new = bans.iter().map(|ban| &ban.target);
        let new: BTreeSet<_> = new
            .filter(|target| !self.bans.contains_key(target))
            .collect();
        if self.bans.len() + new.len() > Self::BANS_MAX {
            return Outcome::BansFull;
        }
        for ban in bans {
            let mut ban = ban.clone();
            while ban.reason.len() > Ban::REASON_BYTES_MAX {
                ban.reason.pop();
            }
            if self.bans.get(&ban.target) != Some(&ban) {
                self.changed(ban.target.clone());
                self.bans.insert(ban.target.clone(), ban);
            }
        }
        Outcome::Bans {
            version: self.version(),
            changed: bans.len() as u64,
        }
    }

    /// Lifts bans; those that do not exist are passed over.
    pub(super) fn remove(&mut self, targets: &[BanTarget], now: Timestamp) -> Outcome {
        let mut changed = 0;
        for target in targets {
            if self.bans.remove(target).is_some() {
                self.changed(target.clone());
                changed += 1;
            }
        }
        self.drop_ended(now);
        Outcome::Bans {
            version: self.version(),
            changed,
        }
    }

    fn drop_ended(&mut self, now: Timestamp) {
        let ended: Vec<_> = self
            .bans
            .values()
            .filter(|ban| !ban.holds(now))
            .map(|ban| ban.target.clone())
            .collect();
        for target in ended {
            self.bans.remove(&target);
            self.changed(target);
        }
    }

    fn changed(&mut self, target: BanTarget) {
        self.changes.add(target, CHANGES_MAX);
    }
}

/// Changes that are remembered for nodes that were away.
const CHANGES_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn ban(target: &str, expires: Option<u64>) -> Ban {
        Ban {
            target: target.parse().unwrap(),
            reason: "spam".into(),
            since: NOW,
            expires: expires.map(Timestamp),
        }
    }

    fn targets(list: &BanList) -> Vec<String> {
        list.iter().map(|ban| ban.target.to_string()).collect()
    }

    fn follow(follower: &mut BanList, list: &BanList) {
        let update = list.since(follower.version());
        follower.follow(BanUpdate::decode(&update.encode()).unwrap());
        assert_eq!(
            (follower.version(), &follower.bans),
            (list.version(), &list.bans)
        );
    }

    #[test]
    fn who_follows_the_changes_has_the_same_list() {
        let (mut list, mut follower) = (BanList::default(), BanList::default());
        list.add(&[ban("192.0.2.0/24", None), ban("a@x", Some(2_000))], NOW);
        follow(&mut follower, &list);
        list.add(&[ban("a@x", None)], NOW);
        let removed = list.remove(
            &["192.0.2.0/24".parse().unwrap(), "x".parse().unwrap()],
            NOW,
        );
        let expected = Outcome::Bans {
            version: 4,
            changed: 1,
        };
        assert_eq!(removed, expected);
        assert!(!list.since(follower.version()).whole);
        follow(&mut follower, &list);
        assert_eq!(targets(&follower), ["a@x"]);
        follower.follow(list.since(0));
        for _ in 0..CHANGES_MAX {
            list.add(&[ban("y", None)], NOW);
            list.remove(&["y".parse().unwrap()], NOW);
        }
        assert!(list.since(follower.version()).whole, "too much to remember");
        follow(&mut follower, &list);
    }

    #[test]
    fn a_ban_ends_and_is_dropped_with_the_next_change() {
        let mut list = BanList::default();
        list.add(&[ban("x", Some(2_000))], NOW);
        let known = list.version();
        assert!(list.iter().all(|ban| ban.holds(Timestamp(1_999))));
        assert!(!list.iter().any(|ban| ban.holds(Timestamp(2_000))));
        list.add(&[ban("y", None)], Timestamp(2_000));
        assert_eq!(targets(&list), ["y"]);
        assert_eq!(list.since(known).removed, ["x".parse().unwrap()]);
    }

    #[test]
    fn adding_again_changes_nothing_or_the_end_only() {
        let mut list = BanList::default();
        list.add(&[ban("x", None)], NOW);
        list.add(&[ban("x", None)], NOW);
        assert_eq!(list.version(), 1);
        list.add(&[ban("x", Some(9_000))], NOW);
        assert_eq!((list.version(), list.iter().count()), (2, 1));
    }

    #[test]
    fn the_list_is_bounded_and_a_reason_is() {
        let mut list = BanList::default();
        let long = Ban {
            reason: "ü".repeat(500),
            ..ban("x", None)
        };
        list.add(&[long], NOW);
        assert_eq!(
            list.iter().next().unwrap().reason.len(),
            Ban::REASON_BYTES_MAX
        );
        let many: Vec<_> = (0..BanList::BANS_MAX)
            .map(|number| Ban {
                target: BanTarget::Domain(format!("d{number}").into()),
                ..ban("x", None)
            })
            .collect();
        assert_eq!(list.add(&many, NOW), Outcome::BansFull);
        assert_eq!(list.iter().count(), 1, "all or nothing");
        assert_ne!(list.add(&many[1..], NOW), Outcome::BansFull);
    }

    #[test]
    fn pages_follow_one_another() {
        let mut list = BanList::default();
        list.add(
            &[ban("a", None), ban("b", None), ban("192.0.2.1", None)],
            NOW,
        );
        let first = list.after(None).next().unwrap().target.clone();
        assert_eq!(list.after(Some(&first)).count(), 2);
    }
}
