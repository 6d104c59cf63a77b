//! Many nodes, one budget after another, everything that can go wrong, and a judge who measures every window.
//!
//! The group is the real replicated state behind a log that loses, delays and doubles what is proposed and what is
//! answered; its leaders change, and each measures time with a clock of its own. Nodes join, leave, die, come back and
//! are cut off; their clocks disagree. The nodes' shares are the real ones, and their clients are greedy in turns.

mod node;
mod oracle;
mod tests;

use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::entropy::{Entropy, Seeded};

use crate::state::{
    Command, ControlState, NodeId, Outcome, Proposal, QuotaKey, QuotaPolicy, QuotaRate, RequestId,
};
use node::{Node, Question};
use oracle::Oracle;

/// A bug that the judge must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plant {
    None,
    /// A lease is counted from its answer.
    LeaseFromAnswer,
    /// A node goes on with the floor it had when it should be smaller, and says that it has the smaller one.
    FloorNotReduced,
    /// A node says that it holds nothing while it does.
    HoldsNotTold,
    /// A node uses an answer that came after it had asked again.
    LateAnswerUsed,
    /// A leader's time is counted twice.
    TimeTwice,
    /// A node that left goes on reading.
    LeftAndReads,
}

struct World {
    random: Seeded,
    plant: Plant,
    /// Real milliseconds.
    now: u64,
    state: ControlState,
    index: u64,
    flights: Vec<Flight>,
    leader: Option<Leader>,
    nodes: Vec<Node>,
    next_node: u64,
    lives: u64,
    oracle: Oracle,
}

/// Who measures time: since when, on a clock of its own.
struct Leader {
    since: u64,
    drift_ppm: i64,
}

/// Something on its way.
struct Flight {
    at: u64,
    what: Letter,
}

enum Letter {
    Proposal(Proposal),
    Answer(Question, Outcome),
}

impl World {
    fn new(seed: u64, plant: Plant) -> Self {
        let mut world = Self {
            random: Seeded::new(seed),
            plant,
            now: 1_000_000,
            state: ControlState::default(),
            index: 0,
            flights: Vec::new(),
            leader: None,
            nodes: Vec::new(),
            next_node: 1,
            lives: 0,
            oracle: Oracle::default(),
        };
        world.apply(&proposal(NodeId::FIRST, 0, 1, configure()));
        for _ in 0..=world.random.below(3) {
            world.join();
        }
        world
    }

    /// Some milliseconds pass, and things happen.
    fn step(&mut self) {
        self.now += 5 + self.random.below(30);
        match self.random.below(1_000) {
            0..=3 => self.join(),
            4..=6 => self.leave(),
            7..=9 => self.die(),
            10..=14 => self.cut(),
            15..=29 => self.heal(),
            30..=34 => self.leader = None,
            35..=59 if self.leader.is_none() => self.elect(),
            60..=99 => self.change_demand(),
            _ => {}
        }
        self.deliver();
        self.measure();
        for at in 0..self.nodes.len() {
            self.read(at);
            self.ask(at);
        }
    }

    fn join(&mut self) {
        if self.nodes.len() < NODES_MAX {
            let id = NodeId::new(self.next_node).expect("it counts from 1");
            self.next_node += 1;
            self.begin(id);
        }
    }

    fn begin(&mut self, id: NodeId) {
        self.lives += 1;
        let drift_ppm = self.drift();
        let offset = self.random.below(1_000_000);
        self.nodes
            .push(Node::new(id, self.lives, drift_ppm, offset));
    }

    fn leave(&mut self) {
        if let Some(at) = self.any_node()
            && !self.nodes[at].cut
        {
            let mut node = self.nodes.swap_remove(at);
            if self.plant != Plant::LeftAndReads {
                node.end(self.now);
            }
            let request = node.next_request();
            let command = Command::Leave { node: node.id };
            self.apply(&proposal(node.id, node.incarnation, request, command));
            if self.plant == Plant::LeftAndReads {
                node.deaf = true;
                self.nodes.push(node);
            }
        }
    }

    /// A node's process ends without a word, and begins anew.
    fn die(&mut self) {
        if let Some(at) = self.any_node()
            && !self.nodes[at].deaf
        {
            let node = self.nodes.swap_remove(at);
            self.begin(node.id);
        }
    }

    fn cut(&mut self) {
        if let Some(at) = self.any_node() {
            self.nodes[at].cut = true;
        }
    }

    fn heal(&mut self) {
        if let Some(at) = self.any_node() {
            self.nodes[at].cut = false;
        }
    }

    fn elect(&mut self) {
        self.leader = Some(Leader {
            since: self.now,
            drift_ppm: self.drift(),
        });
    }

    fn change_demand(&mut self) {
        if let Some(at) = self.any_node() {
            self.nodes[at].change_demand(&mut self.random);
        }
    }

    fn any_node(&mut self) -> Option<usize> {
        let count = self.nodes.len() as u64;
        (count > 0).then(|| self.random.below(count) as usize)
    }

    fn drift(&mut self) -> i64 {
        self.random.below(1_601) as i64 - 800
    }

    /// The leader brings the time that it has measured into the log, or it is lost with it.
    fn measure(&mut self) {
        let Some(leader) = &mut self.leader else {
            return;
        };
        let ms = local(self.now - leader.since, leader.drift_ppm);
        if ms < 300 {
            return;
        }
        leader.since = self.now;
        let command = Command::Advance { ms };
        self.apply(&proposal(NodeId::FIRST, 0, 0, command.clone()));
        if self.plant == Plant::TimeTwice {
            self.apply(&proposal(NodeId::FIRST, 0, 0, command));
        }
    }

    fn read(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let (oracle, now) = (&mut self.oracle, self.now);
        node.read(now, &mut self.random, &mut |key, bytes| {
            oracle.read(key, bytes, now);
        });
    }

    fn ask(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if node.deaf {
            return;
        }
        let (cut, plant) = (node.cut, self.plant);
        if let Some(proposal) = node.ask(self.now, plant)
            && !cut
        {
            self.send(Letter::Proposal(proposal));
        }
    }

    /// Puts something on its way, once or twice, or loses it.
    fn send(&mut self, what: Letter) {
        let copies = match self.random.below(20) {
            0 => 0,
            1 => 2,
            _ => 1,
        };
        for copy in 0..copies {
            let late = match self.random.below(6) {
                0 | 1 => self.random.below(2_500),
                _ => self.random.below(60),
            };
            let at = self.now + late + copy;
            let what = match &what {
                Letter::Proposal(proposal) => Letter::Proposal(proposal.clone()),
                Letter::Answer(question, outcome) => Letter::Answer(*question, outcome.clone()),
            };
            self.flights.push(Flight { at, what });
        }
    }

    fn deliver(&mut self) {
        while let Some(at) = self.flights.iter().position(|flight| flight.at <= self.now) {
            match self.flights.swap_remove(at).what {
                Letter::Proposal(proposal) if self.leader.is_some() => {
                    let outcome = self.apply(&proposal);
                    let question = Question::of(&proposal.request);
                    self.send(Letter::Answer(question, outcome));
                }
                // Without a leader nothing is decided.
                Letter::Proposal(_) => {}
                Letter::Answer(question, outcome) => self.answer(question, &outcome),
            }
        }
    }

    fn answer(&mut self, question: Question, outcome: &Outcome) {
        let to = |node: &&mut Node| node.id == question.node && !node.cut && !node.deaf;
        if let Some(node) = self.nodes.iter_mut().find(to)
            && let Outcome::Quota(grant) = outcome
        {
            node.answered(question, grant, self.now, self.plant);
        }
    }

    fn apply(&mut self, proposal: &Proposal) -> Outcome {
        self.index += 1;
        self.state.apply(self.index, proposal)
    }
}

fn proposal(node: NodeId, incarnation: u64, sequence: u64, command: Command) -> Proposal {
    Proposal {
        request: RequestId {
            node,
            incarnation,
            sequence,
        },
        acknowledged: sequence,
        now: Timestamp(0),
        command,
    }
}

/// Milliseconds on a clock that runs faster by so much, or slower.
fn local(ms: u64, drift_ppm: i64) -> u64 {
    let rate = u64::try_from(1_000_000 + drift_ppm).expect("a clock goes forward");
    ms * rate / 1_000_000
}

fn configure() -> Command {
    Command::ConfigureQuota { policy: POLICY }
}

fn keys() -> [QuotaKey; 2] {
    ["a", "b"].map(|name| QuotaKey::Account(name.into()))
}

/// A burst that is short against a lease, so that what is used twice shows.
const RATE: u32 = 100_000;
const BURST_MS: u32 = 200;

const POLICY: QuotaPolicy = QuotaPolicy {
    account: QuotaRate {
        bytes_per_second: RATE,
        burst_ms: BURST_MS,
    },
    prefix: QuotaRate {
        bytes_per_second: 0,
        burst_ms: 0,
    },
    domain: QuotaRate {
        bytes_per_second: 0,
        burst_ms: 0,
    },
    lease_ms: 3_000,
    margin_ms: 10,
};

const NODES_MAX: usize = 5;

/// Bytes of the largest read.
const READ_BYTES_MAX: u64 = 500;
