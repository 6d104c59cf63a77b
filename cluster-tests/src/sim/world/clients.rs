//! What clients do, and what they hear.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rookery_session::carrier::{
    Answer, AskId, Question, Routers, SessionId, ShardId, SinkRef, ToSession, ToShard,
};
use rookery_store::account::NewAccount;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;

use super::budgets::budgets_of;
use super::{CALM_AT, CONNECTIONS, Event, GREETING_MAX, SHARDS, World};
use crate::sim::client::{Client, Heard, Session};
use crate::sim::clock::{MS, Micros, SECOND};
use crate::sim::inbox::Inbox;
use crate::sim::message;
use crate::sim::oracle::Posting;
use crate::sim::process::HOST;
use crate::sim::stream::PASSWORD;

/// Somebody who wants an account.
pub(super) struct Applicant {
    node: u32,
    life: u32,
    inbox: Arc<Inbox>,
    address: IpAddr,
    account: Jid,
}

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
            Some(session) if session.bound.is_none() || self.now >= CALM_AT => {}
            Some(_) => match what {
                0..=69 => self.send_some(at),
                70..=75 => {
                    let until = self.now + self.dice.between(100 * MS, 6 * SECOND);
                    self.clients[at].away_until = until.min(BACK_AT.max(self.now));
                    self.end_session(at);
                }
                76..=80 => {
                    let until = self.now + self.dice.between(100 * MS, 4 * SECOND);
                    self.clients[at].deaf_until = until;
                }
                81..=84 => self.apply_for_account(at),
                _ => {}
            },
        }
    }

    fn connect(&mut self, at: usize) {
        let nodes: Vec<u32> = CONNECTIONS
            .filter(|node| self.processes.contains_key(node) && self.paused_until(*node).is_none())
            .collect();
        if nodes.is_empty() {
            return;
        }
        let node = self.dice.pick(&nodes);
        let inbox = self.inbox(node);
        let process = &self.processes[&node];
        let client = &mut self.clients[at];
        let _guard = process.enter();
        client.session = Some(Session::begin(
            process,
            inbox,
            &client.account,
            client.resource,
            self.settings.planted,
            self.now,
        ));
        let session = SessionId {
            node,
            serial: self.last_serial,
        };
        let (account, resource) = (&client.account, client.resource);
        self.journal.note(
            self.now,
            format_args!("begin {session:?} {account}/{resource}"),
        );
        drop(_guard);
        self.touch(node);
    }

    fn inbox(&mut self, node: u32) -> Inbox {
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
        let posts: Vec<(usize, bool)> = (0..count)
            .map(|_| {
                let to = self.dice.below(self.clients.len() as u64) as usize;
                (to, self.dice.permille(600))
            })
            .collect();
        self.send_to(at, &posts, None);
    }

    /// A client sends messages to other clients: to their bare or to their full JIDs. All of it counts as one read,
    /// which its budgets let pass or hold up.
    fn send_to(&mut self, at: usize, posts: &[(usize, bool)], due: Option<Micros>) {
        if !self.may_send(at) {
            self.oracle.tally.held += posts.len() as u64;
            return;
        }
        let Some(mut session) = self.clients[at].session.take() else {
            return;
        };
        let node = session.id.node;
        if let (Some(from), true) = (session.bound.clone(), session.has_room()) {
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
                    session: session.id,
                    to: address,
                    recipient: account,
                    due,
                };
                let number = self.oracle.post(&posting, self.now);
                self.journal
                    .note(self.now, format_args!("send {number} {from} to {address}"));
                stanzas.push(message::written(number, address));
            }
            // In one read, or in one each.
            let at_once = match self.dice.permille(300) {
                true => 1,
                false => stanzas.len(),
            };
            if let Some(process) = self.processes.get(&node) {
                let _guard = process.enter();
                for read in stanzas.chunks(at_once.max(1)) {
                    session.stanzas(process, read, self.now);
                }
            }
            let bytes = stanzas.iter().map(String::len).sum();
            self.has_sent(at, node, bytes);
        }
        self.clients[at].session = Some(session);
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
        self.serve_leaving(node);
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
        session.look_at_the_clock(process, self.now, &mut heard);
        if self.now >= client.deaf_until {
            for _ in 0..FRAMES_AT_ONCE {
                session.hear(process, self.now, &mut heard);
            }
        }
        if heard.iter().any(|it| matches!(it, Heard::Bound)) {
            session.stanzas(process, &["<presence/>".to_owned()], self.now);
        }
        drop(guard);
        let id = session.id;
        let account = client.account.to_string();
        for heard in heard {
            match heard {
                Heard::Bound => self.journal.note(self.now, format_args!("bound {id:?}")),
                Heard::Refused => self.end_session(at),
                Heard::Close => {
                    self.oracle.ended(id, self.now);
                    self.end_session(at);
                }
                Heard::Stanza(stanza) => {
                    self.journal
                        .note(self.now, format_args!("read {account} {stanza:?}"));
                    self.oracle.read(&account, id, stanza, self.now);
                }
            }
        }
    }

    fn end_session(&mut self, at: usize) {
        let Some(session) = self.clients[at].session.take() else {
            return;
        };
        let node = session.id.node;
        let Some(process) = self.processes.get(&node) else {
            return;
        };
        let _guard = process.enter();
        let (was_closed, given_back, session) = session.end(process);
        self.journal.note(
            self.now,
            format_args!("end {:?} gives back {given_back:?}", session.id),
        );
        self.oracle.left(node, &given_back);
        if was_closed {
            self.oracle.ended(session.id, self.now);
        }
        if !session.has_room() {
            self.leaving.push((node, session));
        }
    }

    /// Sessions that are over and wait for room to say so.
    fn serve_leaving(&mut self, node: u32) {
        let Some(process) = self.processes.get(&node) else {
            return;
        };
        let _guard = process.enter();
        self.leaving.retain_mut(|(of, session)| {
            if *of == node {
                session.poll(process);
            }
            !session.has_room()
        });
    }

    /// A connection node dies.
    pub(super) fn cut_sessions(&mut self, node: u32) {
        self.leaving.retain(|(of, _)| *of != node);
        self.oracle.node_died(node, self.now);
        for at in 0..self.clients.len() {
            let client = &mut self.clients[at];
            let Some(session) = client.session.take_if(|session| session.id.node == node) else {
                continue;
            };
            self.oracle.ended(session.id, self.now);
            let unread = session.cut();
            self.oracle.unread(&unread);
        }
    }

    fn apply_for_account(&mut self, at: usize) {
        let Some(node) = self.clients[at]
            .session
            .as_ref()
            .map(|session| session.id.node)
        else {
            return;
        };
        let inbox = Arc::new(self.inbox(node));
        let serial = self.last_serial;
        let name = format!("new{serial}");
        let address = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + serial as u32));
        let Some(process) = self.processes.get(&node) else {
            return;
        };
        let from: SinkRef = inbox.clone();
        let iq = format!(
            "<iq type='set' id='r'><query xmlns='jabber:iq:register'><username>{name}</username>\
             <password>secret</password></query></iq>"
        );
        let mut canonical = Vec::new();
        message::canonical(&iq, &self.clients[at].account, &mut canonical);
        let ask = ToShard::Ask {
            from,
            ask: AskId(1),
            question: Question::Register {
                host: HOST.to_owned(),
                address,
                iq: canonical.into(),
            },
        };
        let shard = ShardId((serial % u64::from(SHARDS)) as u16);
        let guard = process.enter();
        let taken = process.ways.send(shard, ask).is_ok();
        drop(guard);
        if taken {
            self.applicants.push(Applicant {
                node,
                life: process.life,
                inbox,
                address,
                account: format!("{name}@{HOST}").parse().expect("a JID"),
            });
        }
        self.touch(node);
    }

    fn serve_applicants(&mut self, node: u32) {
        let life = self.processes.get(&node).map(|process| process.life);
        let mut answers = Vec::new();
        self.applicants.retain(|applicant| {
            if applicant.node != node {
                return true;
            }
            if Some(applicant.life) != life {
                return false;
            }
            let Some(frame) = applicant.inbox.take() else {
                return true;
            };
            answers.push((frame, applicant.address, applicant.account.clone()));
            false
        });
        for (frame, address, account) in answers {
            let ToSession::Answer {
                answer: Answer::Iq(iq),
                ..
            } = frame
            else {
                continue;
            };
            let granted = String::from_utf8_lossy(&iq).contains("type=\"result\"");
            self.journal
                .note(self.now, format_args!("registered {account} {granted}"));
            if granted {
                self.registered(address, account);
            }
        }
    }

    fn registered(&mut self, address: IpAddr, account: Jid) {
        self.oracle.registrations.acknowledged(address);
        self.oracle.tally.registered += 1;
        if !self.database.has_account(&account) {
            let what = format!("{account} was told that it is registered, and is not");
            self.oracle.broken(what);
        }
    }

    /// The end of the run.
    pub(super) fn finish(&mut self) {
        for client in &self.clients {
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

/// Frames that a session hands its client in one turn.
const FRAMES_AT_ONCE: usize = 16;
