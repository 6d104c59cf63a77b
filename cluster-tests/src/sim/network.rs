//! Which node reaches which, and how long it takes. Nothing is lost inside a connection: it is late, or
//! the connection breaks. A connection with a direction that is cut breaks when nobody has heard anything
//! for as long as the product's keep-alive waits.

use std::collections::BTreeMap;

use super::clock::{MS, Micros};
use super::dice::Dice;

/// Silence after which a connection is given up: `keep_alive_ms` and `keep_alive_timeout_ms`.
pub(crate) const SILENCE_MAX: Micros = 2_000 * MS;

/// The network between all nodes.
pub(crate) struct Network {
    dice: Dice,
    /// Directions in which nothing passes, with how many faults see to that.
    cut: BTreeMap<(u32, u32), u32>,
    /// Everything takes longer, while this many faults see to that.
    slow: u32,
}

impl Network {
    /// A network in which everybody reaches everybody.
    pub(crate) fn new(dice: Dice) -> Self {
        Self {
            dice,
            cut: BTreeMap::new(),
            slow: 0,
        }
    }

    /// Whether nothing passes from one node to another.
    pub(crate) fn is_cut(&self, from: u32, to: u32) -> bool {
        self.cut.contains_key(&(from, to))
    }

    /// Whether two nodes can hold a connection.
    pub(crate) fn connects(&self, one: u32, other: u32) -> bool {
        !self.is_cut(one, other) && !self.is_cut(other, one)
    }

    /// Cuts a direction, or takes back one cut of it.
    pub(crate) fn set_cut(&mut self, from: u32, to: u32, cut: bool) {
        let cuts = self.cut.entry((from, to)).or_default();
        *cuts = if cut {
            *cuts + 1
        } else {
            cuts.saturating_sub(1)
        };
        if *cuts == 0 {
            self.cut.remove(&(from, to));
        }
    }

    /// Makes everything slower, or takes that back.
    pub(crate) fn set_slow(&mut self, slow: bool) {
        self.slow = if slow {
            self.slow + 1
        } else {
            self.slow.saturating_sub(1)
        };
    }

    /// Everything is well again.
    pub(crate) fn heal(&mut self) {
        self.cut.clear();
        self.slow = 0;
    }

    /// How long the next thing takes.
    pub(crate) fn latency(&mut self) -> Micros {
        let usual = self.dice.between(200, 1_500);
        if self.slow > 0 {
            return usual + self.dice.between(5 * MS, 250 * MS);
        }
        usual
    }
}
