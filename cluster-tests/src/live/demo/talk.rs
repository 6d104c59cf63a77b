//! What two clients say about their talk, and what is to be thought of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a client says, one line each.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event {
    /// It has a new session.
    Bound {
        /// Where it is connected.
        address: String,
    },
    /// It has its old session again.
    Resumed {
        /// Where it is connected.
        address: String,
    },
    /// It has no connection.
    Disconnected,
    /// It sent a message.
    Sent {
        /// Which one, counted from 1.
        n: u64,
        /// In which of its sessions.
        session: u32,
    },
    /// It sent a message once more, for the session in which it had sent it has gone.
    SentAgain {
        /// Which one.
        n: u64,
    },
    /// The server has acknowledged a message of its.
    Acknowledged {
        /// Which one.
        n: u64,
    },
    /// It was sent a message.
    Received {
        /// Which one.
        n: u64,
        /// The session in which the other sent it first, a dash, and the same number.
        id: String,
    },
    /// A message of its came back as an error.
    Returned {
        /// What it was sent with.
        id: String,
    },
}

/// A talk of two.
#[derive(Debug, Default)]
pub(super) struct Talk {
    /// Who talks.
    pub(super) clients: [Client; 2],
    /// From the first to the second, and from the second to the first.
    pub(super) directions: [Direction; 2],
}

/// One of the two.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// The connection node where it has a session.
    pub(super) address: Option<String>,
    /// How often it was given a session.
    pub(super) bound: u32,
    /// How often it came back to the one that it had.
    pub(super) resumed: u32,
    /// When it was given the session that it has.
    began: Duration,
}

/// The messages from one to the other.
#[derive(Debug, Default)]
pub(super) struct Direction {
    sent: BTreeMap<u64, Sent>,
    acknowledged: BTreeSet<u64>,
    received: Vec<Receipt>,
    returned: u64,
}

/// A message that was sent.
#[derive(Debug, Default)]
struct Sent {
    /// When it was for the first time.
    at: Duration,
    /// How often it was sent once more.
    again: u32,
}

/// A message that arrived.
#[derive(Debug)]
struct Receipt {
    n: u64,
    /// The session in which it was sent first.
    from: String,
    /// The session in which it arrived.
    to: u32,
    /// When that began.
    began: Duration,
}

/// How a direction stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Totals {
    /// Messages that were sent.
    pub(super) sent: u64,
    /// Those that the server has acknowledged.
    pub(super) acknowledged: u64,
    /// Those that arrived.
    pub(super) received: u64,
    /// Acknowledged, and never arrived.
    pub(super) lost: u64,
    /// Arrived once more, though neither client has asked for it.
    pub(super) doubled: u64,
    /// Arrived behind a later one, from the same session to the same session.
    pub(super) disordered: u64,
    /// The same, but sent before the recipient had this session, so that it waited for it.
    pub(super) overtaken: u64,
    /// Sent once more by the client itself, in a new session.
    pub(super) sent_again: u64,
    /// Arrived once more for that reason, or because the recipient had to take a new session.
    pub(super) received_again: u64,
    /// Came back as an error.
    pub(super) returned: u64,
}

impl Totals {
    /// Whether the promise was kept.
    pub(super) fn is_clean(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.disordered == 0
    }

    /// Whether there is nothing more to come.
    pub(super) fn is_complete(&self) -> bool {
        self.acknowledged == self.sent && self.received == self.sent
    }
}

impl Talk {
    /// Takes down what a client says at this time.
    pub(super) fn hear(&mut self, who: usize, at: Duration, event: Event) {
        let client = &mut self.clients[who];
        let (session, began) = (client.bound, client.began);
        match event {
            Event::Bound { address } => {
                client.bound += 1;
                client.began = at;
                client.address = Some(address);
            }
            Event::Resumed { address } => {
                client.resumed += 1;
                client.address = Some(address);
            }
            Event::Disconnected => client.address = None,
            Event::Sent { n, .. } => {
                self.directions[who].sent.insert(n, Sent { at, again: 0 });
            }
            Event::SentAgain { n } => self.directions[who].sent.entry(n).or_default().again += 1,
            Event::Acknowledged { n } => drop(self.directions[who].acknowledged.insert(n)),
            Event::Returned { .. } => self.directions[who].returned += 1,
            Event::Received { n, id } => {
                let from = id.split('-').next().unwrap_or_default().to_owned();
                let to = session;
                self.directions[1 - who]
                    .received
                    .push(Receipt { n, from, to, began });
            }
        }
    }

    /// Whether both have a session.
    pub(super) fn is_online(&self) -> bool {
        self.clients.iter().all(|client| client.address.is_some())
    }

    /// How often a client had to take a new session.
    pub(super) fn new_sessions(&self) -> u32 {
        let counts = self.clients.iter();
        counts.map(|client| client.bound.saturating_sub(1)).sum()
    }

    /// How often a client came back to its session.
    pub(super) fn resumptions(&self) -> u32 {
        self.clients.iter().map(|client| client.resumed).sum()
    }
}

impl Direction {
    /// How it stands. Until the end only that is lost which a later message has overtaken: the rest may be under way.
    pub(super) fn totals(&self, ended: bool) -> Totals {
        let arrived: BTreeSet<u64> = self.received.iter().map(|it| it.n).collect();
        let newest = arrived.last().copied().unwrap_or_default();
        let lost = self.acknowledged.difference(&arrived);
        let doubled = self.doubled();
        let late = self.late();
        let overtaken = late.iter().filter(|it| self.waited(it)).count() as u64;
        let copies = self.received.len() - arrived.len();
        Totals {
            sent: self.sent.len() as u64,
            acknowledged: self.acknowledged.len() as u64,
            received: arrived.len() as u64,
            lost: lost.filter(|n| ended || **n < newest).count() as u64,
            doubled,
            disordered: late.len() as u64 - overtaken,
            overtaken,
            sent_again: self.sent.values().map(|it| u64::from(it.again)).sum(),
            received_again: copies as u64 - doubled,
            returned: self.returned,
        }
    }

    /// Copies within one session of the recipient that the sender has not made itself.
    fn doubled(&self) -> u64 {
        let mut copies: BTreeMap<(u64, u32), u64> = BTreeMap::new();
        for it in &self.received {
            *copies.entry((it.n, it.to)).or_default() += 1;
        }
        let excess = |((n, _), count): (&(u64, u32), &u64)| {
            let allowed = 1 + u64::from(self.times_sent_again(*n));
            count.saturating_sub(allowed)
        };
        copies.iter().map(excess).sum()
    }

    /// Messages that came first behind a later one. Nobody promises an order over two sessions, nor for a message that
    /// was sent again behind others.
    fn late(&self) -> Vec<&Receipt> {
        let mut seen = BTreeSet::new();
        let mut newest: BTreeMap<(&str, u32), u64> = BTreeMap::new();
        let mut late = Vec::new();
        for it in &self.received {
            if !seen.insert(it.n) || self.times_sent_again(it.n) > 0 {
                continue;
            }
            let newest = newest.entry((&it.from, it.to)).or_default();
            if it.n < *newest {
                late.push(it);
            }
            *newest = it.n.max(*newest);
        }
        late
    }

    /// Whether a message was there before the recipient's session was, or before the server knew of it.
    fn waited(&self, it: &Receipt) -> bool {
        let sent = self.sent.get(&it.n);
        sent.is_some_and(|sent| sent.at < it.began + GREETING)
    }

    fn times_sent_again(&self, n: u64) -> u32 {
        self.sent.get(&n).map_or(0, |it| it.again)
    }
}

/// Between the moment in which a client has a session and the one in which its presence has been dealt with.
const GREETING: Duration = Duration::from_secs(1);
