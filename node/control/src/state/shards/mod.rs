//! Which router serves which shard, and for how long it may.
//!
//! ```text
//! router ── Renew ──► lease until clock + lease_ms             leader ── Advance(ms) ──► clock
//!                                                                          │ a lease that ended, and the margin
//!                                                                          ▼
//!                              shards of the dead: another owner at the next epoch, at once
//!                              shards that fit better elsewhere: `moving_to`, some at a time
//! router ── HandedOver(shard, epoch) ──► the new owner at the next epoch
//! ```
//!
//! # Why at most one owner acts in an epoch
//!
//! The lease clock never runs faster than any real clock: it grows only by what leaders measured on
//! their monotonic clocks, in intervals that do not overlap, and stands still while there is none. A
//! router counts its lease from the moment *before* it asked, on a monotonic clock too. What a leader
//! measured before a renewal may stand in the log behind it: the part of one interval, which is at
//! most [`MEASURED_MS_MAX`]. So when the clock here has passed `lease_ms` and that much since the
//! renewal was applied, at least `lease_ms` has passed at the router, up to the drift between two
//! monotonic clocks, for which the margin is. Wall clocks play no part.
//!
//! # Placement
//!
//! By rendezvous hashing over the routers that live and do not drain: each router draws a number for
//! each shard and the highest wins, so a new router takes its share from all and no shard moves
//! between two others.

mod leases;
mod map;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use leases::Renewed;
pub use leases::{EndedLeases, Lease, LeaseStanding, Leases, Renewal};
pub use map::{Placement, ShardChange, ShardMap, decode_changes, encode_changes};

use super::NodeId;

/// What the operator decides about shards; it comes with the commands, so that every member computes
/// with the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardPolicy {
    /// Shards of the cluster; fixed when it is made.
    pub shards: u16,
    /// How long a renewed lease lasts, in milliseconds.
    pub lease_ms: u64,
    /// How long a lease that ended is still waited for: the drift of two clocks over a lease.
    pub margin_ms: u64,
    /// Planned moves under way at once. Each is a pause for the accounts of its shard.
    pub moves_max: u16,
}

impl ShardPolicy {
    /// Milliseconds of a lease. A shorter one ends between two entries of a leader's clock ([`MEASURED_MS_MAX`]), and
    /// for a longer one nobody would wait.
    const LEASE_MS: RangeInclusive<u64> = 500..=600_000;

    /// Whether shards can be served by these numbers.
    fn is_sound(&self) -> bool {
        self.shards > 0
            && Self::LEASE_MS.contains(&self.lease_ms)
            && self.margin_ms <= *Self::LEASE_MS.end()
    }
}

/// The highest epoch that owners are lifted above, half of what a log's positions have (23 bits): as many changes of
/// the owner are left as there can have been.
const EPOCH_RAISED_MAX: u32 = (1 << 22) - 1;

/// The most time that one entry of a leader brings, in milliseconds. A dead router's shards wait that
/// much longer; three entries a second are nothing for a disk.
pub const MEASURED_MS_MAX: u64 = 350;

/// The nodes' leases, and the shards with their owners.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shards {
    policy: Option<ShardPolicy>,
    /// Milliseconds that leaders have measured.
    clock_ms: u64,
    leases: Leases,
    map: ShardMap,
    #[serde(default)]
    pins: Pins,
}

/// The shards that the operator has put where they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Pins {
    shards: BTreeSet<u16>,
    /// Among these routers: with others everything is placed anew.
    among: BTreeSet<NodeId>,
}

/// Why a router's word is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardRefusal {
    /// The shard has another owner, or the same at another epoch.
    NotOwner,
    /// The shard is not moving.
    NotMoving,
    /// There is no such node, or its lease has ended.
    NoLease,
    /// The router was not heard of for half a lease.
    InDoubt,
    /// Numbers by which no shard could be served.
    Policy,
    /// An epoch so high that few are left above it.
    Epoch,
}

impl ShardRefusal {
    /// The reason in words.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotOwner => "the shard has another owner, or another epoch",
            Self::NotMoving => "the shard is not moving",
            Self::NoLease => "no such router serves at present",
            Self::InDoubt => {
                "the router has missed to renew its lease and may be dead: nothing moves to it until it is heard of"
            }
            Self::Policy => {
                "there must be a shard, a lease of 500 to 600000 ms, and a margin of at most 600000 ms"
            }
            Self::Epoch => "the epoch is above 4194303: no store has been in use for as long",
        }
    }
}

impl Shards {
    /// Takes the operator's numbers. The number of shards is taken once, for it decides where each
    /// account lives.
    ///
    /// # Errors
    /// No shard could be served by them: nothing has changed.
    pub fn configure(&mut self, policy: ShardPolicy) -> Result<(), ShardRefusal> {
        if !policy.is_sound() {
            return Err(ShardRefusal::Policy);
        }
        let shards = self.policy.map_or(policy.shards, |known| known.shards);
        self.policy = Some(ShardPolicy { shards, ..policy });
        self.map.grow(shards);
        self.place();
        Ok(())
    }

    /// Owners from now on serve above this epoch. Whoever owns a shard already is not told: nobody may serve a store
    /// while it is restored.
    ///
    /// # Errors
    /// The epoch is above 4,194,303: nothing has changed.
    pub fn raise_epochs(&mut self, above: u32) -> Result<(), ShardRefusal> {
        if above > EPOCH_RAISED_MAX {
            return Err(ShardRefusal::Epoch);
        }
        self.map.raise_epochs(above);
        Ok(())
    }

    /// A node says that it lives; how long its lease lasts, in milliseconds. 0 before the group knows
    /// its [`ShardPolicy`].
    pub fn renew(&mut self, node: NodeId, renewal: Renewal) -> u64 {
        let Some(policy) = self.policy else { return 0 };
        let lasts = policy.lease_ms.saturating_add(MEASURED_MS_MAX);
        let until = self.clock_ms.saturating_add(lasts);
        let was_in_doubt = self.in_doubt(policy).contains(&node);
        match self.leases.renew(node, renewal, until) {
            Renewed::Longer if !was_in_doubt => {}
            Renewed::Longer => self.place(),
            Renewed::Changed => self.place(),
            Renewed::Anew => {
                self.map.disown(node);
                self.place();
            }
        }
        policy.lease_ms
    }

    /// The leader has measured this much time since it last said so. What is above
    /// [`MEASURED_MS_MAX`] does not count, which only makes leases longer.
    pub fn advance(&mut self, ms: u64) {
        self.clock_ms = self.clock_ms.saturating_add(ms.min(MEASURED_MS_MAX));
        let Some(policy) = self.policy else { return };
        let expired = self.leases.expire(self.clock_ms, policy.margin_ms);
        if expired || self.map.move_to_any(&self.in_doubt(policy)) {
            self.place();
        }
    }

    /// A router that stops in order: its lease ends now, for it has stopped already.
    pub fn leave(&mut self, node: NodeId) {
        if self.leases.remove(node, self.clock_ms) {
            self.place();
        }
    }

    /// The owner has handed the shard's state to the router it moves to, and serves it no more.
    ///
    /// # Errors
    /// The word comes from somebody else, or too late: nothing has changed.
    pub fn handed_over(
        &mut self,
        node: NodeId,
        shard: u16,
        epoch: u32,
    ) -> Result<(), ShardRefusal> {
        let placement = self.map.get(shard).ok_or(ShardRefusal::NotOwner)?;
        if placement.owner != Some(node) || placement.epoch != epoch {
            return Err(ShardRefusal::NotOwner);
        }
        let to = placement.moving_to.ok_or(ShardRefusal::NotMoving)?;
        self.map.give(shard, Some(to));
        self.place();
        Ok(())
    }

    /// Moves one shard, as the operator wants it, until the next change of routers. A move that is under way goes to
    /// the new target instead.
    ///
    /// # Errors
    /// The target has no lease or was not heard of lately, or the shard has no owner to take it from.
    pub fn move_to(&mut self, shard: u16, to: NodeId) -> Result<(), ShardRefusal> {
        let takers = self.leases.routers();
        if !takers.contains(&to) {
            return Err(ShardRefusal::NoLease);
        }
        let is_in_doubt = |policy| self.in_doubt(policy).contains(&to);
        if self.policy.is_some_and(is_in_doubt) {
            return Err(ShardRefusal::InDoubt);
        }
        let placement = self.map.get(shard).ok_or(ShardRefusal::NotOwner)?;
        let owner = placement.owner.ok_or(ShardRefusal::NotOwner)?;
        self.unpin_unless_among(&takers);
        self.pins.shards.insert(shard);
        if owner != to {
            self.map.start_move(shard, to);
        } else if placement.moving_to.is_some() {
            self.map.give(shard, Some(owner));
        }
        Ok(())
    }

    /// The leases.
    pub fn leases(&self) -> &Leases {
        &self.leases
    }

    /// How each node stands by its lease that ever had one, as of now on the lease clock.
    pub fn standings(&self) -> BTreeMap<NodeId, LeaseStanding> {
        self.leases.standings(self.clock_ms)
    }

    /// How long a node's lease holds if it is not renewed, in milliseconds. Nothing if it has none, or it has ended.
    pub(in crate::state) fn lease_left_ms(&self, node: NodeId) -> Option<u64> {
        let lease = self.leases.get(node)?;
        lease.until_ms.checked_sub(self.clock_ms)
    }

    /// The operator's numbers, once the group has them.
    pub fn policy(&self) -> Option<ShardPolicy> {
        self.policy
    }

    /// The shards.
    pub fn map(&self) -> &ShardMap {
        &self.map
    }

    /// What leaders have measured, in milliseconds.
    pub fn clock_ms(&self) -> u64 {
        self.clock_ms
    }

    /// Gives shards without a living owner away at once, and starts as many planned moves as may be
    /// under way.
    fn place(&mut self) {
        let Some(policy) = self.policy else { return };
        let living = self.leases.living_routers();
        let takers = self.leases.routers();
        self.unpin_unless_among(&takers);
        let heard = &takers - &self.in_doubt(policy);
        for shard in 0..policy.shards {
            self.replace_the_dead(shard, [&heard, &takers, &living]);
            self.call_off(shard, &heard);
        }
        let mut moves = self.map.moves();
        for shard in 0..policy.shards {
            if moves >= usize::from(policy.moves_max) {
                break;
            }
            moves += usize::from(self.improve(shard, &takers, &heard));
        }
    }

    /// The operator's wishes are for the routers that there were.
    fn unpin_unless_among(&mut self, takers: &BTreeSet<NodeId>) {
        if self.pins.among != *takers {
            self.pins.shards.clear();
            self.pins.among.clone_from(takers);
        }
    }

    /// Routers of which half a lease nothing was heard.
    fn in_doubt(&self, policy: ShardPolicy) -> BTreeSet<NodeId> {
        self.leases.in_doubt(self.clock_ms, policy.lease_ms)
    }

    /// Gives a shard of a dead router to one of the first of these that are any: a router that drains, or may be dead,
    /// is better than none.
    fn replace_the_dead(&mut self, shard: u16, best_first: [&BTreeSet<NodeId>; 3]) {
        let Some(placement) = self.map.get(shard) else {
            return;
        };
        let [_, _, living] = best_first;
        if placement.owner.is_some_and(|owner| living.contains(&owner)) {
            return;
        }
        let among = best_first.into_iter().find(|routers| !routers.is_empty());
        let winner = among.and_then(|routers| winner(shard, routers));
        if placement.owner.is_some() || winner.is_some() {
            self.map.give(shard, winner);
        }
    }

    /// Ends a move to a router that takes no shard any more, or may be dead. The owner may have stopped already.
    fn call_off(&mut self, shard: u16, heard: &BTreeSet<NodeId>) {
        let Some(placement) = self.map.get(shard) else {
            return;
        };
        if placement.moving_to.is_some_and(|to| !heard.contains(&to)) {
            self.pins.shards.remove(&shard);
            self.map.give(shard, placement.owner);
        }
    }

    /// Starts the move of a shard to where it belongs. False if it is there, or on its way, or that may be dead.
    fn improve(&mut self, shard: u16, takers: &BTreeSet<NodeId>, heard: &BTreeSet<NodeId>) -> bool {
        let Some(placement) = self.map.get(shard) else {
            return false;
        };
        let (Some(owner), None, Some(winner)) =
            (placement.owner, placement.moving_to, winner(shard, takers))
        else {
            return false;
        };
        if owner == winner || !heard.contains(&winner) || self.pins.shards.contains(&shard) {
            return false;
        }
        self.map.start_move(shard, winner);
        true
    }
}

/// The router that drew the highest number for a shard.
fn winner(shard: u16, routers: &BTreeSet<NodeId>) -> Option<NodeId> {
    routers
        .iter()
        .copied()
        .max_by_key(|node| (draw(*node, shard), *node))
}

/// SplitMix64's finish over node and shard: the same on every node and in every version.
fn draw(node: NodeId, shard: u16) -> u64 {
    let mut z = node.get().wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (u64::from(shard) << 32);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
