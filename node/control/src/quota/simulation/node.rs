//! One connection node of the simulation.

use rookery_xmpp::entropy::{Entropy, Seeded};

use super::{POLICY, Plant, READ_BYTES_MAX, keys, local, proposal};
use crate::quota::{QuotaShare, Tap};
use crate::state::{Command, NodeId, Proposal, QuotaGrant, QuotaKey, RequestId};

/// A node, its share, and clients who read.
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) incarnation: u64,
    /// Nothing comes from the group, and nothing goes there.
    pub(super) cut: bool,
    /// It has left and lives on.
    pub(super) deaf: bool,
    share: QuotaShare,
    drift_ppm: i64,
    offset: u64,
    request: u64,
    asked: Option<Asked>,
    clients: Vec<Client>,
    /// The floor that it would say it has, if it lies.
    told_floor: u32,
}

/// What a node waits for.
struct Asked {
    request: u64,
    sequence: u64,
    at: u64,
}

/// Names a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) node: NodeId,
    incarnation: u64,
    request: u64,
}

struct Client {
    key: QuotaKey,
    tap: Option<Tap>,
    wait_until: u64,
    /// Whether it reads all it can.
    greedy: bool,
}

impl Question {
    pub(super) fn of(request: &RequestId) -> Self {
        Self {
            node: request.node,
            incarnation: request.incarnation,
            request: request.sequence,
        }
    }
}

impl Node {
    pub(super) fn new(id: NodeId, incarnation: u64, drift_ppm: i64, offset: u64) -> Self {
        let client = |key| Client {
            key,
            tap: None,
            wait_until: 0,
            greedy: true,
        };
        Self {
            id,
            incarnation,
            cut: false,
            deaf: false,
            share: QuotaShare::part(POLICY, incarnation),
            drift_ppm,
            offset,
            request: 1,
            asked: None,
            clients: keys().into_iter().chain(keys()).map(client).collect(),
            told_floor: 0,
        }
    }

    pub(super) fn next_request(&mut self) -> u64 {
        self.request += 1;
        self.request
    }

    fn clock(&self, now: u64) -> u64 {
        self.offset + local(now, self.drift_ppm)
    }

    pub(super) fn end(&self, now: u64) {
        self.share.end(self.clock(now));
    }

    pub(super) fn change_demand(&mut self, random: &mut Seeded) {
        let which = random.below(self.clients.len() as u64) as usize;
        let client = &mut self.clients[which];
        client.greedy = random.below(3) > 0;
        if random.below(3) == 0 {
            client.tap = None;
        }
    }

    /// Every client reads what it may.
    pub(super) fn read(
        &mut self,
        now: u64,
        random: &mut Seeded,
        told: &mut dyn FnMut(&QuotaKey, u64),
    ) {
        let clock = self.clock(now);
        for client in self.clients.iter_mut().filter(|client| client.greedy) {
            if client.tap.is_none() {
                client.tap = self.share.open(client.key.clone(), clock);
            }
            let Some(tap) = &client.tap else { continue };
            while client.wait_until <= clock {
                let wait = tap.wait_ms(|| clock);
                if wait > 0 {
                    client.wait_until = clock + wait;
                    break;
                }
                let bytes = 1 + random.below(READ_BYTES_MAX);
                tap.spend(bytes as usize, clock);
                told(&client.key, bytes);
            }
        }
    }

    /// What is proposed, if it is time and nothing is awaited.
    pub(super) fn ask(&mut self, now: u64, plant: Plant) -> Option<Proposal> {
        let clock = self.clock(now);
        if self
            .asked
            .as_ref()
            .is_some_and(|asked| clock < asked.at + TIMEOUT_MS)
            || !self.share.is_due(clock)
        {
            return None;
        }
        let mut renewal = self.share.ask(clock)?;
        let request = self.next_request();
        self.asked = Some(Asked {
            request,
            sequence: renewal.sequence,
            at: clock,
        });
        match plant {
            Plant::FloorNotReduced => renewal.floor = self.told_floor,
            Plant::HoldsNotTold => renewal.wants.iter_mut().for_each(|want| want.holds = 0),
            _ => {}
        }
        let command = Command::RenewQuota {
            node: self.id,
            renewal,
        };
        Some(proposal(self.id, self.incarnation, request, command))
    }

    pub(super) fn answered(
        &mut self,
        question: Question,
        grant: &QuotaGrant,
        now: u64,
        plant: Plant,
    ) {
        let clock = self.clock(now);
        let Some(asked) = &self.asked else { return };
        let is_last = question.request == asked.request && question.incarnation == self.incarnation;
        let late_used = plant == Plant::LateAnswerUsed && question.incarnation == self.incarnation;
        if !is_last && !late_used {
            return;
        }
        let since = match plant {
            Plant::LeaseFromAnswer => clock,
            _ => asked.at,
        };
        let mut grant = grant.clone();
        self.told_floor = grant.floor;
        if plant == Plant::FloorNotReduced {
            grant.floor = grant.floor.max(self.share.figures().floor);
        }
        self.share.answered(asked.sequence, since, &grant, clock);
        if is_last {
            self.asked = None;
        }
    }
}

/// After which an answer is not waited for any more.
const TIMEOUT_MS: u64 = 2_500;
