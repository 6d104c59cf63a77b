//! What becomes of a flood that fills the throttle.
//!
//! The throttle remembers so many registrations and no more, and refuses rather than forget one. Whoever has that many
//! addresses can so keep everybody out; what this file decides is who is let in all the same, and that the network
//! which fills it most is out for a while.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use rookery_xmpp::clock::Timestamp;
use serde::{Deserialize, Serialize};

/// Who is refused while the throttle is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverloadRule {
    /// Everybody.
    Refuse,
    /// Everybody but those whom the lists let through.
    #[default]
    AllowListed,
}

impl OverloadRule {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::AllowListed => "allow_listed",
        }
    }
}

/// Networks that have filled the throttle, and until when nobody registers from there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OverloadBlocks {
    blocks: BTreeMap<IpNet, Timestamp>,
    /// When it was looked last who fills it.
    looked: Option<Timestamp>,
}

impl OverloadBlocks {
    /// Whether an address is out.
    pub(super) fn holds(&self, address: IpAddr, now: Timestamp) -> bool {
        let address = address.to_canonical();
        let mut blocks = self.blocks.iter();
        blocks.any(|(network, until)| now < *until && network.contains(&address))
    }

    /// The networks that are out, and until when.
    pub(super) fn in_force(&self, now: Timestamp) -> impl Iterator<Item = (IpNet, Timestamp)> {
        let blocks = self
            .blocks
            .iter()
            .map(|(network, until)| (*network, *until));
        blocks.filter(move |(_, until)| now < *until)
    }

    /// Whether it is time to look who fills the throttle: that is a walk over all of it, so it is not done for each who
    /// is refused.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.looked
            .is_none_or(|looked| now.as_millis() >= looked.as_millis() + BETWEEN_LOOKS_MS)
    }

    /// It was looked; a network that fills the throttle is out for so long.
    pub(super) fn looked(&mut self, fullest: Option<IpNet>, block_ms: u64, now: Timestamp) {
        self.looked = Some(now);
        self.blocks.retain(|_, until| now < *until);
        if let Some(network) = fullest
            && self.blocks.len() < BLOCKS_MAX
        {
            let until = Timestamp(now.as_millis().saturating_add(block_ms));
            self.blocks.insert(network, until);
        }
    }

    /// Forgets all blocks.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Between two looks: one takes some milliseconds when the throttle is full.
const BETWEEN_LOOKS_MS: u64 = 60_000;

/// Networks that are out at once.
const BLOCKS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_fills_the_throttle_is_out_for_a_while() {
        let mut blocks = OverloadBlocks::default();
        assert!(blocks.is_due(Timestamp(0)));
        blocks.looked("192.0.2.0/24".parse().ok(), 600_000, Timestamp(0));
        assert!(!blocks.is_due(Timestamp(59_999)));
        assert!(blocks.is_due(Timestamp(60_000)));
        let address = "::ffff:192.0.2.9".parse().unwrap();
        assert!(blocks.holds(address, Timestamp(599_999)));
        let until = Timestamp(600_000);
        let network = "192.0.2.0/24".parse().unwrap();
        assert!(blocks.in_force(Timestamp(599_999)).eq([(network, until)]));
        assert_eq!(blocks.in_force(until).count(), 0);
        assert!(!blocks.holds(address, Timestamp(600_000)));
        assert!(!blocks.holds("198.51.100.1".parse().unwrap(), Timestamp(1)));
        blocks.looked(None, 0, Timestamp(600_000));
        assert!(blocks.blocks.is_empty(), "what has ended is dropped");
    }
}
