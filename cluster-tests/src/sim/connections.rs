//! The connections between nodes' links: what `node/link/src/mover` does with gRPC. Each carries parcels in
//! order, both ways, until it breaks; then what is on its way is lost.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use rookery_link::by_hand::{Accepting, Dialling, Next};

use super::clock::{MS, Micros};
use super::network::SILENCE_MAX;
use super::world::{Event, World};

/// A way along a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the node that has dialled.
    Up,
    /// To it.
    Down,
}

/// All connections, by the node that has dialled and the one that was.
#[derive(Default)]
pub(crate) struct Connections {
    by_pair: BTreeMap<(u32, u32), Connection>,
    retry_at: BTreeMap<(u32, u32), Micros>,
    /// Accepting ends that have not noticed yet.
    lingering: Vec<(Micros, u32, u32, Accepting)>,
    last: u64,
}

/// One connection.
struct Connection {
    number: u64,
    dialling: Dialling,
    accepting: Option<Accepting>,
    /// What a cut holds up.
    stalled: [VecDeque<Bytes>; 2],
    /// When the last parcel of each way arrives.
    arrives: [Micros; 2],
    silent_since: Option<Micros>,
}

impl World {
    /// Begins those connections that a node wants and has not.
    pub(super) fn dial(&mut self, node: u32) {
        let Some(process) = self.processes.get(&node) else {
            return;
        };
        for other in process.ways.wanted() {
            let pair = (node, other);
            let too_early = self
                .connections
                .retry_at
                .get(&pair)
                .is_some_and(|at| *at > self.now);
            if self.connections.by_pair.contains_key(&pair) || too_early {
                continue;
            }
            let reached = self.network.connects(node, other) && self.is_up(other);
            if !reached {
                let pause = self.dice.between(50 * MS, 1_000 * MS);
                self.connections.retry_at.insert(pair, self.now + pause);
                continue;
            }
            let guard = process.enter();
            let Some((dialling, hello)) = process.ways.connect(other) else {
                continue;
            };
            drop(guard);
            self.connections.last += 1;
            let number = self.connections.last;
            let connection = Connection {
                number,
                dialling,
                accepting: None,
                stalled: Default::default(),
                arrives: [self.now; 2],
                silent_since: None,
            };
            self.connections.by_pair.insert(pair, connection);
            self.send_parcel(pair, Way::Up, hello);
            return self.dial(node);
        }
    }

    /// Sends what a node's ends have to send.
    pub(super) fn flush_connections(&mut self, node: u32, tell: bool) {
        let pairs: Vec<_> = self.connections.by_pair.keys().copied().collect();
        for pair in pairs
            .into_iter()
            .filter(|pair| pair.0 == node || pair.1 == node)
        {
            for way in [Way::Up, Way::Down] {
                if node == sender(pair, way) {
                    self.flush_way(pair, way, tell);
                }
            }
        }
    }

    fn flush_way(&mut self, pair: (u32, u32), way: Way, tell: bool) {
        loop {
            let Some(connection) = self.connections.by_pair.get(&pair) else {
                return;
            };
            let next = match (way, &connection.accepting) {
                (Way::Up, _) if connection.accepting.is_none() => Next::Nothing,
                (Way::Up, _) => {
                    if tell {
                        connection.dialling.tell();
                    }
                    connection.dialling.poll()
                }
                (Way::Down, None) => Next::Nothing,
                (Way::Down, Some(accepting)) => {
                    if tell {
                        accepting.tell();
                    }
                    accepting.poll()
                }
            };
            match next {
                Next::Parcel(parcel) => self.send_parcel(pair, way, parcel),
                Next::Nothing => return,
                Next::End => return self.break_connection(pair, "ended"),
            }
        }
    }

    fn send_parcel(&mut self, pair: (u32, u32), way: Way, parcel: Bytes) {
        let latency = self.network.latency();
        let Some(connection) = self.connections.by_pair.get_mut(&pair) else {
            return;
        };
        let arrives = &mut connection.arrives[way as usize];
        *arrives = (self.now + latency).max(*arrives + 1);
        let (at, number) = (*arrives, connection.number);
        self.schedule(
            at,
            Event::Parcel {
                pair,
                number,
                way,
                parcel,
            },
        );
    }

    /// A parcel arrives, unless its connection has broken or its way is cut.
    pub(super) fn parcel(&mut self, pair: (u32, u32), number: u64, way: Way, parcel: Bytes) {
        let Some(connection) = self.connections.by_pair.get_mut(&pair) else {
            return;
        };
        if connection.number != number {
            return;
        }
        let stalled = &mut connection.stalled[way as usize];
        if self.network.is_cut(sender(pair, way), receiver(pair, way)) || !stalled.is_empty() {
            return stalled.push_back(parcel);
        }
        self.receive(pair, way, parcel);
    }

    fn receive(&mut self, pair: (u32, u32), way: Way, parcel: Bytes) {
        let node = receiver(pair, way);
        if let Some(until) = self.paused_until(node) {
            let number = self
                .connections
                .by_pair
                .get(&pair)
                .map_or(0, |it| it.number);
            let event = Event::Parcel {
                pair,
                number,
                way,
                parcel,
            };
            return self.schedule(until, event);
        }
        let bytes = parcel.len();
        self.journal.note(
            self.now,
            format_args!("parcel {}-{} {way:?} {bytes}", pair.0, pair.1),
        );
        let ended = self.take_in(pair, way, parcel);
        match ended {
            None => self.touch(node),
            Some(reason) => self.break_connection(pair, &reason),
        }
    }

    /// Gives a parcel to the end that it is for. Why the connection ends, if it does.
    fn take_in(&mut self, pair: (u32, u32), way: Way, parcel: Bytes) -> Option<String> {
        let node = receiver(pair, way);
        let process = self.processes.get(&node)?;
        let guard = process.enter();
        let connection = self.connections.by_pair.get_mut(&pair)?;
        let taken = match (way, &connection.accepting) {
            (Way::Down, _) => connection.dialling.receive(parcel),
            (Way::Up, Some(accepting)) => accepting.receive(parcel),
            (Way::Up, None) => match process.hall.accept(parcel) {
                Ok((accepting, hello)) => {
                    connection.accepting = Some(accepting);
                    drop(guard);
                    self.send_parcel(pair, Way::Down, hello);
                    return None;
                }
                Err(ended) => Err(ended),
            },
        };
        taken.err().map(|ended| ended.to_string())
    }

    /// Lets go on what is not cut any more, and gives up what is silent for too long.
    pub(super) fn check_connections(&mut self) {
        let pairs: Vec<_> = self.connections.by_pair.keys().copied().collect();
        for pair in pairs {
            let connects = self.network.connects(pair.0, pair.1);
            let Some(connection) = self.connections.by_pair.get_mut(&pair) else {
                continue;
            };
            if connects {
                connection.silent_since = None;
                self.let_go_on(pair);
                continue;
            }
            let since = *connection.silent_since.get_or_insert(self.now);
            if self.now - since > SILENCE_MAX {
                self.break_connection(pair, "silent");
            }
        }
        self.end_lingering();
    }

    fn let_go_on(&mut self, pair: (u32, u32)) {
        for way in [Way::Up, Way::Down] {
            loop {
                let Some(connection) = self.connections.by_pair.get_mut(&pair) else {
                    return;
                };
                let Some(parcel) = connection.stalled[way as usize].pop_front() else {
                    break;
                };
                self.receive(pair, way, parcel);
            }
        }
    }

    /// A connection breaks. The end that has dialled notices first.
    pub(super) fn break_connection(&mut self, pair: (u32, u32), why: &str) {
        let Some(connection) = self.connections.by_pair.remove(&pair) else {
            return;
        };
        self.journal
            .note(self.now, format_args!("break {}-{} {why}", pair.0, pair.1));
        if let Some(process) = self.processes.get(&pair.0) {
            let _guard = process.enter();
            connection.dialling.end();
        }
        if let Some((process, accepting)) = self.processes.get(&pair.1).zip(connection.accepting) {
            let notices = self.now + self.dice.below(400 * MS);
            let lingers = (notices, pair.1, process.life, accepting);
            self.connections.lingering.push(lingers);
        }
        let pause = self.dice.between(10 * MS, 300 * MS);
        self.connections.retry_at.insert(pair, self.now + pause);
    }

    fn end_lingering(&mut self) {
        let now = self.now;
        let lingering = std::mem::take(&mut self.connections.lingering);
        for (notices, node, life, accepting) in lingering {
            let process = self.processes.get(&node).filter(|it| it.life == life);
            let Some(process) = process else { continue };
            if notices > now {
                self.connections
                    .lingering
                    .push((notices, node, life, accepting));
                continue;
            }
            let _guard = process.enter();
            accepting.end();
        }
    }

    /// A process is gone: its connections break.
    pub(super) fn break_all_of(&mut self, node: u32) {
        let pairs: Vec<_> = self.connections.by_pair.keys().copied().collect();
        for pair in pairs
            .into_iter()
            .filter(|pair| pair.0 == node || pair.1 == node)
        {
            self.break_connection(pair, "dead");
        }
        self.connections.lingering.retain(|(_, of, ..)| *of != node);
    }
}

fn sender(pair: (u32, u32), way: Way) -> u32 {
    match way {
        Way::Up => pair.0,
        Way::Down => pair.1,
    }
}

fn receiver(pair: (u32, u32), way: Way) -> u32 {
    match way {
        Way::Up => pair.1,
        Way::Down => pair.0,
    }
}
