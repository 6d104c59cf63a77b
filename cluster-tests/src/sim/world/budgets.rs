//! Who takes from the traffic budgets: the clients with what they send, and some who only take, as much as they may.

use std::net::Ipv4Addr;

use rookery_control::QuotaKey;
use rookery_xmpp::jid::Jid;

use super::{CONNECTIONS, Event, World};
use crate::sim::clock::{MS, Micros, SECOND};
use crate::sim::dice::Dice;
use crate::sim::oracle::budgets::greedy;
use crate::sim::process::HOST;

/// Those who only take, on every connection node: from one budget always, from another in turns, so that what is lent
/// moves to and fro between the nodes.
pub(super) struct Spenders {
    dice: Dice,
    greedy: QuotaKey,
    moody: QuotaKey,
    /// For each node whether the moody one takes something, and until when.
    moods: [(bool, Micros); NODES],
}

impl Spenders {
    pub(super) fn new(dice: Dice) -> Self {
        Self {
            dice,
            greedy: greedy(),
            moody: QuotaKey::Account(format!("moody@{HOST}").into()),
            moods: [(true, 0); NODES],
        }
    }

    /// The budgets that are taken from at a node now, and whether so.
    fn turn(&mut self, node: u32, now: Micros) -> [(QuotaKey, bool); 2] {
        let mood = &mut self.moods[(node - CONNECTIONS.start()) as usize];
        if mood.1 <= now {
            *mood = (!mood.0, now + self.dice.between(SECOND / 2, 6 * SECOND));
        }
        [(self.greedy.clone(), true), (self.moody.clone(), mood.0)]
    }
}

impl World {
    /// Those who only take have their turn at a node.
    pub(super) fn take(&mut self, node: u32) {
        let pause = self.spenders.dice.between(20 * MS, 50 * MS);
        self.schedule(self.now + pause, Event::Take(node));
        if self.paused_until(node).is_some() {
            return;
        }
        let Some(process) = self.processes.get_mut(&node) else {
            return;
        };
        let run = (node, process.life);
        let Some(budgets) = &mut process.budgets else {
            return;
        };
        for (key, takes) in self.spenders.turn(node, self.now) {
            if !takes {
                budgets.let_go(&key);
                continue;
            }
            while budgets.wait_ms(&key, self.now) == Some(0) {
                let bytes = self.spenders.dice.between(1, READ_MAX);
                budgets.spend(&key, bytes as usize, self.now);
                self.oracle.budgets.spent(&key, run, bytes, self.now);
            }
        }
    }

    /// Whether the budgets of a client let it send something now. One that its node was not told of lets it, and what
    /// is sent then counts all the same.
    pub(super) fn may_send(&mut self, at: usize) -> bool {
        let client = &self.clients[at];
        let node = client.session.as_ref().map(|session| session.id.node);
        let process = node.and_then(|node| self.processes.get_mut(&node));
        let Some(budgets) = process.and_then(|process| process.budgets.as_mut()) else {
            return true;
        };
        let mut all = client.budgets.iter();
        all.all(|key| budgets.wait_ms(key, self.now).unwrap_or(0) == 0)
    }

    /// A client of a node has sent so much in one read.
    pub(super) fn has_sent(&mut self, at: usize, node: u32, bytes: usize) {
        let Some(process) = self.processes.get_mut(&node) else {
            return;
        };
        let run = (node, process.life);
        for key in &self.clients[at].budgets {
            if let Some(budgets) = &mut process.budgets {
                budgets.spend(key, bytes, self.now);
            }
            let bytes = bytes as u64;
            self.oracle.budgets.spent(key, run, bytes, self.now);
        }
    }
}

/// What a client takes from: its account's, which its sessions on both nodes share, and one that all clients share.
pub(super) fn budgets_of(account: &Jid) -> [QuotaKey; 2] {
    let address = Ipv4Addr::LOCALHOST.into();
    [QuotaKey::account(account), QuotaKey::prefix(address)]
}

/// How many connection nodes there are.
const NODES: usize = (*CONNECTIONS.end() - *CONNECTIONS.start() + 1) as usize;

/// Larger than any read of those who only take, in bytes.
const READ_MAX: u64 = 2_000;
