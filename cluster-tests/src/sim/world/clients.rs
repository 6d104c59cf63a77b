//! What clients do, and what they hear.

use std::ops::Range;

use rookery_session::carrier::SessionId;
use rookery_store::account::NewAccount;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;

use super::budgets::budgets_of;
use super::{CALM_AT, CONNECTIONS, Event, GREETING_MAX, World};
use crate::sim::client::Client;
use crate::sim::clock::{MS, Micros, SECOND};
use crate::sim::inbox::Inbox;
use crate::sim::ledger::{Address, Ledger, Written};
use crate::sim::login::{Login, PASSWORD};
use crate::sim::message::{self, Received};
use crate::sim::oracle::Posting;
use crate::sim::process::HOST;
use crate::sim::session::{Heard, Session};

impl World {
    /// Makes the accounts, and the clients that use them: some accounts have two.
    pub(super) fn make_clients(&mut self) {
        for (name, resource) in CLIENTS {
            let account: Jid = format!("{name}@{HOST}").parse().expect("a JID");
            if !self.database.has_account(&account) {
                let credentials = Credentials::derive(PASSWORD, b"salt", 1).expect("a password");
                let new = NewAccount {
                    jid: account.clone(),
                    credentials,
                    created: Timestamp(0),
                    details: Default::default(),
                    address: None,
                    checks: rookery_store::name::NameChecks::NONE,
                    standing: rookery_store::standing::Standing::Member,
                    inviter: None,
                };
                let request = rookery_router::shard::Request::CreateAccount(Box::new(new));
                self.database.now(request);
            }
            let client = self.clients.len();
            self.clients.push(Client {
                budgets: budgets_of(&account),
                account,
                resource,
                session: None,
                deaf_until: 0,
                away_until: 0,
                ledger: (self.manages && (client as u64 + self.seed).is_multiple_of(2))
                    .then(Ledger::default),
            });
            let at = 2 * SECOND + self.dice.below(SECOND);
            self.schedule(at, Event::Act(client));
        }
    }

    /// A client does something.
    pub(super) fn act(&mut self, at: usize) {
        let pause = self.dice.between(20 * MS, 500 * MS);
        self.schedule(self.now + pause, Event::Act(at));
        let what = self.dice.below(100);
        let client = &self.clients[at];
        match &client.session {
            None if self.now >= client.away_until => self.connect(at),
            None => {}
            Some(session) if session.bound.is_none() && self.now - session.asked > PATIENCE => {
                self.end_session(at);
            }
            Some(session) if session.bound.is_none() => {}
            Some(_) => self.does(at, what),
        }
    }

    /// What a client does that has a session.
    fn does(&mut self, at: usize, what: u64) {
        if self.clients[at].ledger.is_some() && self.tends_stream(at, what) {
            return;
        }
        if self.now < CALM_AT {
            match what {
                0..=69 => self.send_some(at),
                70..=75 => {
                    self.goes_away(at, 100 * MS..6 * SECOND);
                    self.end_session(at);
                }
                76..=80 => {
                    let until = self.now + self.dice.between(100 * MS, 4 * SECOND);
                    self.clients[at].deaf_until = until;
                }
                81..=84 => self.apply_for_account(at),
                _ => {}
            }
        }
    }

    /// A client stays away for a while.
    pub(super) fn goes_away(&mut self, at: usize, time: Range<Micros>) {
        let until = self.now + self.dice.between(time.start, time.end);
        self.clients[at].away_until = until.min(BACK_AT.max(self.now));
    }

    fn connect(&mut self, at: usize) {
        let nodes: Vec<u32> = CONNECTIONS
            .filter(|node| self.processes.contains_key(node) && self.paused_until(*node).is_none())
            .collect();
        if nodes.is_empty() {
            return;
        }
        let ledger = self.clients[at].ledger.as_ref();
        let mut resumption = ledger.and_then(Ledger::resumption);
        if resumption.is_some() && self.dice.permille(RACES) {
            self.asks_and_leaves(at, &nodes, resumption.clone());
        }
        if let Some(resumption) = &mut resumption {
            resumption.lies = self.dice.permille(LIES);
        }
        let node = self.dice.pick(&nodes);
        let client = &self.clients[at];
        let login = Login::new(&client.account, client.resource, resumption);
        let session = self.begin_session(at, node, login);
        self.clients[at].session = session;
        self.touch(node);
    }

    /// A stream begins at a node, in the name of a client.
    pub(super) fn begin_session(&mut self, at: usize, node: u32, login: Login) -> Option<Session> {
        let inbox = self.inbox(node);
        let process = self.processes.get(&node)?;
        let client = &self.clients[at];
        let guard = process.enter();
        let account = &client.account;
        let planted = self.settings.planted;
        let session = Session::begin(process, inbox, account, login, planted, self.now);
        drop(guard);
        if let Some(root) = client.ledger.as_ref().and_then(Ledger::root) {
            self.oracle.given().goes_on(session.id, root);
        }
        let (id, resource) = (session.id, client.resource);
        let begins = format_args!("begin {id:?} {account}/{resource}");
        self.journal.note(self.now, begins);
        Some(session)
    }

    /// What waits for the next session at a node.
    pub(super) fn inbox(&mut self, node: u32) -> Inbox {
        self.last_serial += 1;
        let serial = self.last_serial;
        Inbox::new(
            SessionId { node, serial },
            self.inbox_max,
            self.oracle.given(),
            self.settings.planted,
        )
    }

    fn send_some(&mut self, at: usize) {
        let count = 1 + self.dice.below(3);
        let posts: Vec<Address> = (0..count).map(|_| self.addresses_somebody()).collect();
        self.send_to(at, &posts, None);
    }

    pub(super) fn addresses_somebody(&mut self) -> Address {
        let to = self.dice.below(self.clients.len() as u64) as usize;
        (to, self.dice.permille(600))
    }

    /// A client sends messages to other clients: to their bare or to their full JIDs. All of it counts as one read,
    /// which its budgets let pass or hold up.
    pub(super) fn send_to(&mut self, at: usize, posts: &[Address], due: Option<Micros>) {
        if !self.may_send(at) {
            self.oracle.tally.held += posts.len() as u64;
            return;
        }
        if !self.has_room(at) {
            return;
        }
        let stanzas = self.compose(at, posts, due);
        // In one read, or in one each.
        let at_once = match self.dice.permille(300) {
            true => 1,
            false => stanzas.len(),
        };
        for read in stanzas.chunks(at_once.max(1)) {
            self.write(at, read);
        }
    }

    /// Whether a client has a session that is read.
    pub(super) fn has_room(&self, at: usize) -> bool {
        let session = self.clients[at].session.as_ref();
        session.is_some_and(|session| session.bound.is_some() && session.has_room())
    }

    /// Messages as a client is about to write them.
    pub(super) fn compose(
        &mut self,
        at: usize,
        posts: &[Address],
        due: Option<Micros>,
    ) -> Vec<String> {
        let client = &self.clients[at];
        let Some(session) = &client.session else {
            return Vec::new();
        };
        let from = session.bound.clone().expect("only a bound session sends");
        let ledger = client.ledger.as_ref();
        let root = ledger.and_then(Ledger::root).unwrap_or(session.id);
        let is_managed = ledger.is_some();
        let mut stanzas = Vec::new();
        for (to, bare) in posts {
            let recipient = &self.clients[*to];
            let bound = recipient.session.as_ref().and_then(|it| it.bound.as_ref());
            let account = recipient.account.as_str();
            let address = match bound {
                Some(full) if !bare => full.as_str(),
                _ => account,
            };
            let posting = Posting {
                from: from.as_str(),
                session: root,
                is_managed,
                to: address,
                recipient: account,
                due,
            };
            let number = self.oracle.post(&posting, self.now);
            self.journal
                .note(self.now, format_args!("send {number} {from} to {address}"));
            let text = message::written(number, address);
            stanzas.push(text.clone());
            let written = Written {
                text,
                message: Some((number, (*to, *bare))),
                at: self.now,
            };
            if let Some(ledger) = &mut self.clients[at].ledger {
                ledger.writes(written);
            }
        }
        stanzas
    }

    /// A client writes this, in one read. What it is told at once it reads.
    pub(super) fn write(&mut self, at: usize, texts: &[String]) {
        let Some(session) = &mut self.clients[at].session else {
            return;
        };
        let node = session.id.node;
        let Some(process) = self.processes.get(&node) else {
            return;
        };
        let guard = process.enter();
        let heard = session.stanzas(process, texts, self.now);
        drop(guard);
        self.has_sent(at, node, texts.iter().map(String::len).sum());
        self.hears(at, heard);
        self.touch(node);
    }

    /// Every client writes to every other.
    pub(super) fn greet(&mut self) {
        self.oracle.budgets.measure(self.now);
        let all: Vec<_> = (0..self.clients.len()).map(|to| (to, true)).collect();
        for at in 0..self.clients.len() {
            let may_send = self.may_send(at);
            let client = &self.clients[at];
            let lack = match &client.session {
                None => "has no session",
                Some(session) if session.bound.is_none() => "is not bound",
                Some(session) if !session.has_room() => "waits for its shard",
                Some(_) if !may_send => "waits for its budget",
                Some(_) if client.ledger.as_ref().is_some_and(Ledger::is_behind) => {
                    "has not sent again what was not acknowledged"
                }
                Some(_) => "",
            };
            if !lack.is_empty() {
                let (account, resource) = (&client.account, client.resource);
                let what = format!("{account}/{resource} {lack} after healing");
                return self.oracle.broken(what);
            }
            self.send_to(at, &all, Some(self.now + GREETING_MAX));
        }
    }

    /// Goes on with the sessions of a node.
    pub(super) fn serve_clients(&mut self, node: u32) {
        for at in 0..self.clients.len() {
            let ours = |session: &Session| session.id.node == node;
            if self.clients[at].session.as_ref().is_some_and(ours) {
                self.serve(at, node);
            }
        }
        self.serve_departed(node);
        self.serve_applicants(node);
    }

    fn serve(&mut self, at: usize, node: u32) {
        let Some(process) = self.processes.get(&node) else {
            return;
        };
        let client = &mut self.clients[at];
        let Some(session) = &mut client.session else {
            return;
        };
        let mut heard = Vec::new();
        let guard = process.enter();
        session.poll(process);
        session.look_around(process, self.now, &mut heard);
        if self.now >= client.deaf_until {
            for _ in 0..FRAMES_AT_ONCE {
                session.hear(process, self.now, &mut heard);
            }
        }
        drop(guard);
        self.hears(at, heard);
    }

    /// A client reads what its session has for it.
    pub(super) fn hears(&mut self, at: usize, heard: Vec<Heard>) {
        let Some(id) = self.clients[at].session.as_ref().map(|session| session.id) else {
            return;
        };
        let mut is_over = false;
        for heard in heard {
            match heard {
                Heard::Bound => {
                    self.journal.note(self.now, format_args!("bound {id:?}"));
                    self.is_bound(at, id);
                }
                Heard::Said(said) => self.reads_of_stream(at, id, said),
                Heard::Refused => is_over = true,
                Heard::Close => {
                    self.oracle.ended(id, self.now);
                    is_over = true;
                }
                Heard::Stanza(stanza, number) => self.reads(at, id, stanza, number),
            }
        }
        if is_over {
            self.end_session(at);
        }
    }

    fn reads(&mut self, at: usize, id: SessionId, stanza: Received, number: u64) {
        let client = &mut self.clients[at];
        let account = client.account.to_string();
        self.journal
            .note(self.now, format_args!("read {account} {stanza:?}"));
        let mut reader = id;
        if let Some(ledger) = &mut client.ledger {
            reader = ledger.root().unwrap_or(id);
            if let Err(what) = ledger.reads(number) {
                let what = format!("{account}/{}: {what}", client.resource);
                self.oracle.broken(what);
            }
        }
        self.oracle.read(&account, reader, stanza, self.now);
    }

    /// The end of the run.
    pub(super) fn finish(&mut self) {
        for client in &self.clients {
            let open = client.ledger.as_ref().map_or(0, Ledger::open);
            if open > 0 {
                let (account, resource) = (&client.account, client.resource);
                let what = format!("{open} stanzas of {account}/{resource} were not acknowledged");
                return self.oracle.broken(what);
            }
            let unread = client.session.as_ref().map_or(0, Session::unread);
            if unread > 0 {
                let what = format!("{} has {unread} unread stanzas at the end", client.account);
                return self.oracle.broken(what);
            }
        }
        self.oracle.finish(CONNECTIONS, self.now);
    }
}

/// The clients: account and resource.
const CLIENTS: [(&str, &str); 10] = [
    ("ada", "one"),
    ("ada", "two"),
    ("ben", "one"),
    ("cid", "one"),
    ("dee", "one"),
    ("dee", "two"),
    ("eve", "one"),
    ("fay", "one"),
    ("gus", "one"),
    ("hal", "one"),
];

/// Every client is back in time for the greeting.
const BACK_AT: Micros = CALM_AT + 2 * SECOND;

/// How long a client waits to be bound.
const PATIENCE: Micros = 8 * SECOND;

/// In so many of a thousand cases a client that comes back has asked to resume its stream on another connection just
/// before, and left that.
const RACES: u64 = 80;

/// In so many it says first that it has read more than it was sent.
const LIES: u64 = 80;

/// Frames that a session hands its client in one turn.
pub(super) const FRAMES_AT_ONCE: usize = 16;
