//! Who is let in no more for a while: a list with a version, which every connection node follows.

use std::collections::BTreeMap;

use ipnet::IpNet;
use rookery_xmpp::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::changes::Changes;
use super::super::{BanTarget, FormatError};

/// One network or account that failed too often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardBlock {
    /// Which.
    pub target: BanTarget,
    /// When it began.
    pub since: Timestamp,
    /// When it ends, by every node's own clock.
    pub until: Timestamp,
    /// The failures that had come together.
    pub failures: u32,
    /// From where the account may log in all the same; [`KNOWN_MAX`](Self::KNOWN_MAX) at most.
    pub known: Vec<IpNet>,
}

impl GuardBlock {
    /// Prefixes of one account that are remembered; the oldest is forgotten first. People have a home, a work, a phone.
    pub const KNOWN_MAX: usize = 8;
}

/// All blocks, at one version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardList {
    #[serde(flatten)]
    changes: Changes,
    blocks: BTreeMap<BanTarget, GuardBlock>,
}

/// What is new to somebody who knows an earlier version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardUpdate {
    /// The version that it leads to.
    pub version: u64,
    /// Whether nothing that was known before counts.
    pub whole: bool,
    /// Blocks that are new or have changed.
    pub blocks: Vec<GuardBlock>,
    /// Those that are no more.
    pub removed: Vec<BanTarget>,
}

impl GuardUpdate {
    /// The bytes of the update for another node.
    pub fn encode(&self) -> Vec<u8> {
        super::super::encode(self)
    }

    /// The update in another node's bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        super::super::decode(bytes)
    }
}

impl GuardList {
    /// Blocks at once, some 2 MB of state; past it nobody more is blocked, and each node's own guard still holds.
    pub const BLOCKS_MAX: usize = 10_000;

    /// Grows with every change; the same version is the same list on every node.
    pub fn version(&self) -> u64 {
        self.changes.version()
    }

    /// All blocks, also those that have ended since the last change.
    pub fn iter(&self) -> impl Iterator<Item = &GuardBlock> {
        self.blocks.values()
    }

    /// The block of a target, also one that has ended.
    pub fn get(&self, target: &BanTarget) -> Option<&GuardBlock> {
        self.blocks.get(target)
    }

    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The block of a target that holds now, if one does.
    pub fn block(&self, target: &BanTarget, now: Timestamp) -> Option<&GuardBlock> {
        let block = self.get(target)?;
        (now < block.until).then_some(block)
    }

    /// What is new to who knows this version.
    pub fn since(&self, version: u64) -> GuardUpdate {
        let changed = self.changes.since(version);
        let mut update = GuardUpdate {
            version: self.version(),
            whole: changed.is_none(),
            ..GuardUpdate::default()
        };
        let Some(changed) = changed else {
            update.blocks = self.blocks.values().cloned().collect();
            return update;
        };
        for target in changed {
            match self.blocks.get(target) {
                Some(block) => update.blocks.push(block.clone()),
                None => update.removed.push(target.clone()),
            }
        }
        update
    }

    /// Takes over what another node told. What is older than is known is passed over.
    pub fn follow(&mut self, update: GuardUpdate) {
        if update.version <= self.version() {
            return;
        }
        if update.whole {
            self.blocks.clear();
        }
        for block in update.blocks {
            self.blocks.insert(block.target.clone(), block);
        }
        for target in &update.removed {
            self.blocks.remove(target);
        }
        self.changes.follow(update.version);
    }

    /// Blocks a target that is not blocked.
    pub(super) fn block_until(&mut self, block: GuardBlock, now: Timestamp) {
        self.drop_ended(now);
        if self.blocks.len() < Self::BLOCKS_MAX {
            self.changed(block.target.clone());
            self.blocks.insert(block.target.clone(), block);
        }
    }

    /// Lets a blocked account in from there.
    pub(super) fn know(&mut self, target: &BanTarget, prefix: IpNet) {
        let Some(block) = self.blocks.get_mut(target) else {
            return;
        };
        if block.known.contains(&prefix) {
            return;
        }
        if block.known.len() >= GuardBlock::KNOWN_MAX {
            block.known.remove(0);
        }
        block.known.push(prefix);
        self.changed(target.clone());
    }

    /// Ends one block, or all.
    pub(super) fn lift(&mut self, target: Option<&BanTarget>) {
        let lifted = match target {
            Some(target) => self.blocks.remove(target).into_iter().collect::<Vec<_>>(),
            None => std::mem::take(&mut self.blocks).into_values().collect(),
        };
        for block in lifted {
            self.changed(block.target);
        }
    }

    pub(super) fn drop_ended(&mut self, now: Timestamp) {
        let ended = self.blocks.values().filter(|block| block.until <= now);
        let ended: Vec<_> = ended.map(|block| block.target.clone()).collect();
        for target in ended {
            self.blocks.remove(&target);
            self.changed(target);
        }
    }

    fn changed(&mut self, target: BanTarget) {
        self.changes.add(target, CHANGES_MAX);
    }
}

/// Changes that are remembered for nodes that were away.
const CHANGES_MAX: usize = 1_024;
