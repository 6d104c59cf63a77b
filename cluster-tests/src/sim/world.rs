//! A whole cluster in one thread: true time, the events on their way, and everything that they reach.

mod applicants;
mod budgets;
mod clients;
mod departed;
mod group;
mod storage;
mod streams;
mod troubles;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytes::Bytes;
use rookery_control::raft::eraftpb::Message;
use rookery_control::{
    ControlOptions, NodeId, Outcome, Proposal, RegistrationMode, RegistrationPolicy, ShardPolicy,
    Unavailable, WindowSetting,
};
use rookery_link::LinkOptions;
use rookery_router::shard::Reply;
use rookery_router::{ArchiveDefault, ArchiveOptions, RouterOptions};

use super::client::Client;
use super::clock::{MS, Micros, SECOND};
use super::connections::{Connections, Way};
use super::database::{Asker, Database};
use super::dice::Dice;
use super::faults::{self, CHAOS, Scheduled, drift};
use super::journal::Journal;
use super::member::{Caller, Member};
use super::network::Network;
use super::oracle::registrations::{WINDOW_LIMIT, WINDOW_MS};
use super::oracle::{Given, Oracle, Violation};
use super::planted::Planted;
use super::process::{Process, Settings};
use super::shard_mover::Word;
use applicants::Applicant;
use group::News;

/// The store, as the network knows it.
pub(crate) const DATABASE: u32 = 0;

/// The members of the control group.
pub(crate) const CONTROLS: RangeInclusive<u32> = 1..=3;

/// The nodes with shards.
pub(crate) const ROUTERS: RangeInclusive<u32> = 4..=6;

/// The nodes with clients.
pub(crate) const CONNECTIONS: RangeInclusive<u32> = 7..=8;

/// The nodes with shards in the run of a seed: in one of three, a node with clients has shards as well.
pub(crate) fn routers(seed: u64) -> Vec<u32> {
    let both = (seed % 3 == 1).then_some(*CONNECTIONS.end());
    ROUTERS.chain(both).collect()
}

/// Shards of the cluster.
pub(crate) const SHARDS: u16 = 12;

/// Something that happens at its time.
pub(super) enum Event {
    /// A step of a member's clock.
    MemberTick(u32),
    /// A message between members.
    Raft { message: Box<Message> },
    /// A member's disk has written.
    Written { node: u32, life: u32 },
    /// A question arrives at a member.
    Ask {
        member: u32,
        caller: Caller,
        proposal: Box<Proposal>,
    },
    /// Its answer arrives.
    Told {
        caller: Caller,
        member: u32,
        answer: Result<Outcome, Unavailable>,
    },
    /// What has changed in the group arrives.
    Map {
        node: u32,
        life: u32,
        /// Which member's, and when it began.
        stream: (u32, Micros),
        news: Box<News>,
    },
    /// A node looks at its clock.
    Look(u32),
    /// A parcel arrives.
    Parcel {
        pair: (u32, u32),
        number: u64,
        way: Way,
        parcel: Bytes,
    },
    /// The store carries out a request.
    Apply(u64),
    /// The store's answer arrives.
    Answered(Asker, Box<Reply>),
    /// A client does something.
    Act(usize),
    /// Those who only take from budgets have their turn at a node.
    Take(u32),
    /// A fault begins.
    Begin(usize),
    /// A fault is over.
    Over(usize),
    /// The network and the bounds are looked at.
    Check,
    /// Everything works again.
    Heal,
    /// Every client writes to every other.
    Greet,
}

/// How a seed is to be run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    /// With this bug.
    pub(crate) planted: Option<Planted>,
    /// No client manages its stream (XEP-0198).
    pub(crate) unmanaged: bool,
    /// Everything that happens is printed.
    pub(crate) trace: bool,
}

/// The cluster, its clients and who judges them.
pub(crate) struct World {
    /// Half of the clients manage their streams.
    manages: bool,
    pub(super) now: Micros,
    pub(super) dice: Dice,
    pub(super) journal: Journal,
    pub(super) network: Network,
    pub(super) connections: Connections,
    pub(super) processes: BTreeMap<u32, Process>,
    events: BTreeMap<(Micros, u64), Event>,
    last_event: u64,
    settings: Settings,
    seed: u64,
    members: BTreeMap<u32, Member>,
    lives: BTreeMap<u32, u32>,
    paused: BTreeMap<u32, Micros>,
    followed: BTreeMap<u32, group::Followed>,
    raft_arrives: BTreeMap<(u32, u32), Micros>,
    database: Database,
    appends: storage::Appends,
    slow_disks: u32,
    faults: Vec<Scheduled>,
    clients: Vec<Client>,
    departed: departed::AllDeparted,
    applicants: Vec<Applicant>,
    last_serial: u64,
    spenders: budgets::Spenders,
    inbox_max: usize,
    oracle: Oracle,
}

/// What came of a run.
pub(crate) struct Outcomes {
    /// What was broken first.
    pub(crate) violation: Option<Violation>,
    /// Everything that happened, as a number.
    pub(crate) hash: u64,
    /// Figures.
    pub(crate) tally: super::oracle::Tally,
}

impl World {
    /// A cluster that is about to start.
    pub(crate) fn new(seed: u64, faults: Vec<Scheduled>, asked: Asked) -> Self {
        let mut dice = Dice::new(seed, 3);
        let oracle = Oracle::new();
        let settings = settings(seed, asked.planted, oracle.given(), &mut dice);
        let mut world = Self {
            now: 0,
            manages: !asked.unmanaged,
            journal: Journal::new(asked.trace),
            network: Network::new(Dice::new(seed, 4)),
            connections: Connections::default(),
            processes: BTreeMap::new(),
            events: BTreeMap::new(),
            last_event: 0,
            seed,
            members: BTreeMap::new(),
            lives: BTreeMap::new(),
            paused: BTreeMap::new(),
            followed: BTreeMap::new(),
            raft_arrives: BTreeMap::new(),
            database: Database::default(),
            appends: storage::Appends::default(),
            slow_disks: 0,
            faults,
            clients: Vec::new(),
            departed: departed::AllDeparted::default(),
            applicants: Vec::new(),
            last_serial: 0,
            spenders: budgets::Spenders::new(Dice::new(seed, 5)),
            inbox_max: dice.pick(&[6, 40, 500]),
            oracle,
            settings,
            dice,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        let voters: Vec<_> = CONTROLS
            .filter_map(|id| NodeId::new(u64::from(id)))
            .collect();
        for id in CONTROLS {
            let drift = drift(self.seed, id);
            let mut member = Member::new(id, drift, &voters, &self.settings, &policy());
            member.start();
            self.members.insert(id, member);
            self.schedule(self.now + u64::from(id), Event::MemberTick(id));
        }
        for id in ROUTERS.chain(CONNECTIONS) {
            self.start(id);
            self.schedule(u64::from(id) * 100, Event::Look(id));
        }
        for id in CONNECTIONS {
            self.schedule(0, Event::Take(id));
        }
        self.make_clients();
        for (at, scheduled) in self.faults.clone().into_iter().enumerate() {
            self.schedule(scheduled.at, Event::Begin(at));
        }
        self.schedule(0, Event::Check);
        self.schedule(HEAL_AT, Event::Heal);
        self.schedule(GREET_AT, Event::Greet);
    }

    /// Runs to this moment, or to the first thing that is broken. What has become of each message is looked at
    /// only at the end of a whole run.
    pub(crate) fn run(mut self, until: Micros) -> Outcomes {
        let mut violation = None;
        while let Some(((at, _), event)) = self.events.pop_first() {
            if at > until.min(END_AT) {
                if at > END_AT {
                    self.finish();
                }
                violation = self.oracle.violation();
                break;
            }
            self.now = at;
            self.happen(event);
            violation = self.oracle.violation();
            if violation.is_some() {
                break;
            }
        }
        Outcomes {
            violation,
            hash: self.journal.hash(),
            tally: self.oracle.tally,
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::MemberTick(node) => self.member_tick(node),
            Event::Raft { message } => self.raft_message(*message),
            Event::Written { node, life } => self.log_written(node, life),
            Event::Ask {
                member,
                caller,
                proposal,
            } => self.asked(member, caller, *proposal),
            Event::Told {
                caller,
                member,
                answer,
            } => self.told(caller, member, answer),
            Event::Map {
                node,
                life,
                stream,
                news,
            } => self.map_arrives(node, life, stream, news),
            Event::Look(node) => self.look(node),
            Event::Parcel {
                pair,
                number,
                way,
                parcel,
            } => self.parcel(pair, number, way, parcel),
            Event::Apply(number) => self.apply(number),
            Event::Answered(asker, reply) => self.store_answered(asker, *reply),
            Event::Act(client) => self.act(client),
            Event::Take(node) => self.take(node),
            Event::Begin(at) => self.fault_begins(at),
            Event::Over(at) => self.fault_is_over(at),
            Event::Check => self.check(),
            Event::Heal => self.heal(),
            Event::Greet => self.greet(),
        }
    }

    pub(super) fn schedule(&mut self, at: Micros, event: Event) {
        self.last_event += 1;
        self.events.insert((at, self.last_event), event);
    }

    /// Whether a node runs.
    pub(super) fn is_up(&self, node: u32) -> bool {
        let member = self.members.get(&node).is_some_and(Member::runs);
        member || self.processes.contains_key(&node)
    }

    /// Until when a node stands still.
    pub(super) fn paused_until(&self, node: u32) -> Option<Micros> {
        self.paused
            .get(&node)
            .copied()
            .filter(|until| *until > self.now)
    }

    /// A process looks at its clock, at what waits for it, and at its connections.
    fn look(&mut self, node: u32) {
        self.schedule(self.now + LOOK, Event::Look(node));
        if self.paused_until(node).is_some() || !self.processes.contains_key(&node) {
            return;
        }
        self.watch(node);
        self.touch(node);
        self.flush_connections(node, true);
    }

    /// Something has come for a process: it works until it waits again.
    pub(super) fn touch(&mut self, node: u32) {
        if self.paused_until(node).is_some() {
            return;
        }
        let Some(process) = self.processes.get_mut(&node) else {
            return;
        };
        process.run(self.now);
        self.serve_clients(node);
        self.take_words(node);
        self.take_calls(node);
        self.flush_connections(node, false);
        self.dial(node);
    }

    /// Does what a process's shards want.
    fn take_words(&mut self, node: u32) {
        let Some(process) = self.processes.get_mut(&node) else {
            return;
        };
        let life = process.life;
        for word in std::mem::take(&mut process.words) {
            match word {
                Word::Request(shard, epoch, request, what) => {
                    let asker = Asker {
                        node,
                        life,
                        shard,
                        epoch,
                        request,
                    };
                    self.ask_store(asker, what);
                }
                Word::Acted(shard, epoch, messages) => {
                    if !messages.is_empty() {
                        self.journal.note(
                            self.now,
                            format_args!("shard {} on {node} acts upon {messages:?}", shard.0),
                        );
                    }
                    self.oracle.owners.acted(shard, epoch, node, self.now);
                    self.oracle
                        .acted((shard, SHARDS), epoch, &messages, self.now);
                }
                Word::Bounced(number) => self.oracle.bounced(number),
                Word::Mirrored(numbers) => self.oracle.mirrored(&numbers),
                Word::OnItsWay(shard, epoch, numbers) => {
                    self.oracle.on_its_way((shard, SHARDS), epoch, &numbers);
                }
                Word::CameBack(numbers) => self.oracle.came_back(&numbers),
                Word::Announced(shard, epoch, numbers) => {
                    self.oracle.announced((shard, SHARDS), epoch, &numbers);
                }
                Word::Leaves(shard, epoch, left) => self.oracle.owners.gave_up(shard, epoch, left),
                Word::Retired(shard) => {
                    self.journal.note(
                        self.now,
                        format_args!("node {node} gives up shard {}", shard.0),
                    );
                    self.oracle.tally.moves += 1;
                }
            }
        }
    }

    fn check(&mut self) {
        self.schedule(self.now + CHECK, Event::Check);
        self.check_connections();
        for process in self.processes.values() {
            let (longest, max) = (process.mailboxes.longest(), process.mailboxes.max());
            let outboxes = process
                .ways
                .outboxes()
                .into_iter()
                .chain(process.hall.outboxes());
            let bytes = outboxes.map(|(_, bytes)| bytes).max().unwrap_or(0);
            let bytes_max = self
                .settings
                .link
                .sessions_bytes
                .max(self.settings.link.outbox_bytes);
            if longest > max || bytes > bytes_max as usize + LARGEST {
                let what = format!(
                    "node {}: {longest} inputs and {bytes} bytes wait",
                    process.id
                );
                self.oracle.broken(what);
            }
        }
    }
}

/// What the processes of a run are told: limits small enough to be reached in some runs.
fn settings(seed: u64, planted: Option<Planted>, given: Given, dice: &mut Dice) -> Settings {
    Settings {
        seed,
        planted,
        policy: ShardPolicy {
            shards: SHARDS,
            lease_ms: 3_000,
            // What the clocks drift over a lease, and little more.
            margin_ms: 100,
            moves_max: 4,
        },
        control: ControlOptions {
            snapshot_after_entries: 100,
            log_kept_entries: 20,
            ..ControlOptions::default()
        },
        router: RouterOptions {
            shards: SHARDS,
            scram_iterations: 1,
            // Longer than links are away, as configured ones are.
            account_idle_s: 13,
            shard_queue_max: dice.pick(&[4, 32, 256]),
            // Most clients come back in time.
            resume_s: 10,
            resume_stanzas_max: dice.pick(&[20, 60, 500]),
            ..RouterOptions::default()
        },
        // One run in three has archives, in which every message is written twice.
        archive: ArchiveOptions {
            default: match seed % 3 {
                0 => ArchiveDefault::Always,
                _ => ArchiveDefault::Never,
            },
            ..ArchiveOptions::default()
        },
        link: LinkOptions {
            shard_bytes: dice.pick(&[1_500, 262_144]),
            sessions_bytes: dice.pick(&[4_000, 4_194_304]),
            ..LinkOptions::default()
        },
        given,
    }
}

fn policy() -> RegistrationPolicy {
    let off = WindowSetting(None);
    RegistrationPolicy {
        mode: RegistrationMode::On,
        per_address: off,
        per_prefix_24: off,
        per_prefix_64: off,
        per_prefix_48: off,
        per_host: off,
        in_all: WindowSetting::fixed(WINDOW_LIMIT, WINDOW_MS / 1_000),
        reservation_ms: 6_000,
        ..RegistrationPolicy::default()
    }
}

/// How many faults a seed has, for whoever shrinks a run.
pub(crate) fn faults_of(seed: u64) -> Vec<Scheduled> {
    faults::faults(seed, SHARDS)
}

/// How often a process looks at its clock; its timers are not more exact.
const LOOK: Micros = 5 * MS;

/// How often the network and the bounds are looked at.
const CHECK: Micros = 20 * MS;

/// A frame of any size is taken where nothing else is under way.
const LARGEST: usize = 4_096;

/// From here on everything works.
const HEAL_AT: Micros = CHAOS.end + 2 * SECOND;

/// From here on clients only listen.
pub(super) const CALM_AT: Micros = HEAL_AT + 12 * SECOND;

/// When each client writes to each.
const GREET_AT: Micros = CALM_AT + 6 * SECOND;

/// How long that may take.
pub(super) const GREETING_MAX: Micros = 10 * SECOND;

/// The end of the run.
const END_AT: Micros = GREET_AT + GREETING_MAX + 2 * SECOND;

/// How long a run lasts in true time.
pub(crate) const RUN: Micros = END_AT;
