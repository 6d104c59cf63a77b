//! A world of one shard: the real machine over the memory store, with clients that are only
//! mailboxes.
//!
//! Everything happens at once and in order: a request is carried out the moment it is made, a
//! forwarded stanza arrives before the next input. So a test reads as a list of what was sent and
//! what came.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod archive;
pub(crate) mod arrivals;
pub(crate) mod client;
pub(crate) mod invites;
mod names;
pub(crate) mod registration;
mod standing;
pub(crate) mod streams;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use futures_util::FutureExt;
use rookery_control::{InviteTerms, NameKind, NewInvites, RegistrationRefused};
use rookery_router::environment::Environment;
use rookery_router::modules::{Registry, all};
use rookery_router::shard::{Effect, Input, Reply, Request, RequestId, Shard};
use rookery_router::{ArchiveDefault, ArchiveOptions, RouterOptions};
use rookery_session::carrier::{
    Answer, AskId, Bell, Full, Question, SessionId, ShardId, SinkRef, ToSession, ToShard,
};
use rookery_store::account::{AccountRecord, NewAccount};
use rookery_store::log::{DELIVERED, LogEntry, LogQuery, Position};
use rookery_store::name::NameChecks;
use rookery_store::standing::Standing;
use rookery_store::{MemoryStore, Store, StoreError};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::entropy::Seeded;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;
use rookery_xmpp::stanza::{Batch, HeadChanges, Rec, rewrite_head};
use rookery_xmpp::xml::{Content, XmlLimits, canonicalize};

pub(crate) use client::Client;
use client::{Mailbox, Settled};

/// The moment at which every test begins.
pub(crate) const START: Timestamp = Timestamp(1_700_000_000_000);

/// One shard, its store, and its clients.
pub(crate) struct World {
    shard: Shard,
    env: Arc<Environment>,
    epoch: u32,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) now: Timestamp,
    entropy: Seeded,
    sinks: Vec<Arc<Mailbox>>,
    /// How many stanzas all clients have sent.
    stanzas: u64,
    /// What archives hold, and what queries may cost.
    archive: ArchiveOptions,
    /// What the registration throttle says; `None` lets everybody through.
    pub(crate) throttle: Option<RegistrationRefused>,
    /// A moderator has to approve accounts.
    pub(crate) approval: bool,
    /// Reservations that are neither committed nor released.
    pub(crate) reserved: i64,
    /// The rule that withholds all names of which the operator asks.
    pub(crate) withheld: Option<(String, NameKind)>,
    /// What the token `good` says; all others are worth nothing.
    pub(crate) invited: Option<InviteTerms>,
    /// The invitations that users wanted to make.
    pub(crate) made: Vec<NewInvites>,
    /// What the store answers to everything that writes; `None` lets it work.
    pub(crate) store_fails: Option<StoreError>,
    /// It fails reads too.
    pub(crate) reads_fail: bool,
    /// Appends come through, and their answers are lost.
    pub(crate) answers_lost: bool,
    /// Writes are held back until [`World::release`].
    pub(crate) hold: bool,
    /// Word of what a session did not take is held back until then, as between nodes.
    pub(crate) hold_undelivered: bool,
    /// Answers of reads of logs are held back too.
    pub(crate) hold_reads: bool,
    /// Accounts that are loaded are held back too.
    pub(crate) hold_loads: bool,
    /// What shards say to one another is lost.
    pub(crate) lose_forwards: bool,
    /// On the way between shards there is no room for what sessions say.
    pub(crate) no_room: bool,
    /// Sessions live and die with their shards.
    pub(crate) alone: bool,
    /// A committed reservation turns out to have expired.
    pub(crate) commits_late: bool,
    /// Too many wait for pictures of captchas.
    pub(crate) pictures_fail: bool,
    /// What the last of them showed, and how.
    pub(crate) drawn: Option<(String, u64)>,
    held: VecDeque<Input>,
    /// What waits until frames have been dealt with.
    bells: Vec<(RequestId, Bell)>,
    /// Appends that are not carried out until [`World::append_newest`]; `None` holds none.
    pub(crate) appends: Option<Vec<(RequestId, Request)>>,
}

impl World {
    /// A world with `localhost` and these accounts, all with the password `secret`.
    pub(crate) fn with(accounts: &[&str]) -> Self {
        Self::with_options(accounts, RouterOptions::default())
    }

    /// The same with other limits.
    pub(crate) fn with_options(accounts: &[&str], options: RouterOptions) -> Self {
        let mut options = options;
        (options.shards, options.scram_iterations) = (1, 1);
        let hosts = ["localhost".to_owned()];
        let env = Environment::new(hosts, [], options, Registry::new(all()), START);
        env.passwords.store(Arc::new(registration::any_password()));
        let world = Self {
            shard: Shard::new(ShardId(0), 1, env.clone()),
            env,
            epoch: 1,
            store: Arc::new(MemoryStore::new()),
            now: START,
            entropy: Seeded::new(7),
            sinks: Vec::new(),
            stanzas: 0,
            archive: ArchiveOptions::default(),
            throttle: None,
            approval: false,
            reserved: 0,
            withheld: None,
            invited: None,
            made: Vec::new(),
            store_fails: None,
            reads_fail: false,
            answers_lost: false,
            hold: false,
            hold_undelivered: false,
            hold_reads: false,
            hold_loads: false,
            lose_forwards: false,
            no_room: false,
            alone: false,
            commits_late: false,
            pictures_fail: false,
            drawn: None,
            held: VecDeque::new(),
            bells: Vec::new(),
            appends: None,
        };
        accounts.iter().for_each(|name| world.create(name));
        world
    }

    /// A world whose accounts archive everything.
    pub(crate) fn archiving(accounts: &[&str]) -> Self {
        let mut world = Self::with(accounts);
        world.set_archive(ArchiveOptions {
            default: ArchiveDefault::Always,
            ..ArchiveOptions::default()
        });
        world
    }

    /// Archives are to be like this from now on.
    pub(crate) fn set_archive(&mut self, archive: ArchiveOptions) {
        self.env.archive.store(Arc::new(archive.clone()));
        self.archive = archive;
    }

    /// The store forgets what was received before this moment.
    pub(crate) fn expire(&self, older_than: Timestamp) {
        let expired = self.store.expire_log(older_than);
        let expired = expired.now_or_never().expect("memory is quick");
        expired.expect("the log can be written");
    }

    /// All entries of an account's log: position, marks, stanza.
    pub(crate) fn log(&self, name: &str) -> Vec<LogEntry> {
        let owner = jid(&format!("{name}@localhost"));
        let read = self.store.read_log(&owner, LogQuery::after(None, 1_000));
        let log = read.now_or_never().expect("memory is quick");
        log.expect("the log can be read")
    }

    /// An account as the store has it.
    pub(crate) fn record(&self, name: &str) -> AccountRecord {
        let owner = jid(&format!("{name}@localhost"));
        let read = self.store.account(&owner).now_or_never();
        let record = read.expect("memory is quick").expect("it can be read");
        record.expect("there is such an account")
    }

    /// How far what an account's sessions were given is kept.
    pub(crate) fn delivered(&self, name: &str) -> Option<Position> {
        let owner = jid(&format!("{name}@localhost"));
        let read = self.store.cursor(&owner, DELIVERED);
        let cursor = read.now_or_never().expect("memory is quick");
        cursor.expect("the cursor can be read")
    }

    /// Creates an account behind the server's back.
    pub(crate) fn create(&self, name: &str) {
        let account = NewAccount {
            jid: jid(&format!("{name}@localhost")),
            credentials: Credentials::derive("secret", b"salt", 1).expect("a password"),
            created: self.now,
            details: Default::default(),
            address: None,
            checks: NameChecks::NONE,
            standing: Standing::Member,
            inviter: None,
        };
        let created = self
            .store
            .create_account(account)
            .now_or_never()
            .expect("memory is quick");
        created.expect("a new account");
    }

    /// Binds a session.
    pub(crate) fn bind(&mut self, name: &str, resource: &str) -> Client {
        let (mailbox, answer) = self.try_bind(name, resource);
        let Some(Answer::Bound(jid)) = answer else {
            panic!("{name}/{resource}: {answer:?}")
        };
        Client {
            id: mailbox.id,
            jid,
            mailbox,
        }
    }

    /// Asks to bind a session without waiting for the answer.
    pub(crate) fn bind_later(&mut self, name: &str, resource: &str) -> Client {
        let (mailbox, _) = self.try_bind(name, resource);
        let jid = Arc::new(jid(&format!("{name}@localhost/{resource}")));
        Client {
            id: mailbox.id,
            jid,
            mailbox,
        }
    }

    /// Asks to bind a session, and gives the answer.
    pub(crate) fn bind_answer(&mut self, name: &str, resource: &str) -> Option<Answer> {
        self.try_bind(name, resource).1
    }

    fn try_bind(&mut self, name: &str, resource: &str) -> (Arc<Mailbox>, Option<Answer>) {
        let mailbox = self.mailbox();
        let question = Question::Bind {
            account: jid(&format!("{name}@localhost")),
            resource: Some(resource.to_owned()),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let answer = self.ask_from(mailbox.clone(), question);
        (mailbox, answer)
    }

    /// Binds a session, gets the roster and becomes available.
    pub(crate) fn online(&mut self, name: &str, resource: &str) -> Client {
        let client = self.bind(name, resource);
        self.send(
            &client,
            "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>",
        );
        self.send(&client, "<presence/>");
        client.stanzas();
        client
    }

    /// Becomes available, and gives what came of it: the log, above all.
    pub(crate) fn online_with_log(&mut self, name: &str, resource: &str) -> Vec<String> {
        let client = self.bind(name, resource);
        self.send(&client, "<presence/>");
        client.stanzas()
    }

    /// Makes two accounts see each other, by their clients' own stanzas.
    pub(crate) fn befriend(&mut self, one: &Client, two: &Client) {
        for (from, to) in [(one, two), (two, one)] {
            let (to_bare, from_bare) = (to.jid.to_bare(), from.jid.to_bare());
            self.send(
                from,
                &format!("<presence type='subscribe' to='{to_bare}'/>"),
            );
            self.send(
                to,
                &format!("<presence type='subscribed' to='{from_bare}'/>"),
            );
        }
        one.stanzas();
        two.stanzas();
    }

    /// Asks a question and gives the answer.
    pub(crate) fn ask(&mut self, question: Question) -> Option<Answer> {
        let mailbox = self.mailbox();
        self.ask_from(mailbox, question)
    }

    fn ask_from(&mut self, mailbox: Arc<Mailbox>, question: Question) -> Option<Answer> {
        let from: SinkRef = mailbox.clone();
        self.step(Input::Session(ToShard::Ask {
            from,
            ask: AskId(1),
            question,
        }));
        mailbox.take_answer()
    }

    fn mailbox(&mut self) -> Arc<Mailbox> {
        let id = SessionId {
            node: 1,
            serial: self.sinks.len() as u64,
        };
        let mailbox = Arc::new(Mailbox::new(id, self.alone));
        self.sinks.push(mailbox.clone());
        mailbox
    }

    /// A client sends stanzas, in one batch.
    pub(crate) fn send_all(&mut self, client: &Client, stanzas: &[&str]) {
        let sequence = self.stanzas;
        self.stanzas += stanzas.len() as u64;
        self.send_numbered(client, sequence, stanzas);
    }

    /// A client's last stanza comes again, in front of others.
    pub(crate) fn send_again(&mut self, client: &Client, stanzas: &[&str]) {
        self.send_numbered(client, self.stanzas - 1, stanzas);
    }

    fn send_numbered(&mut self, client: &Client, sequence: u64, stanzas: &[&str]) -> Arc<Settled> {
        let mut out = Vec::new();
        let recs = stanzas
            .iter()
            .map(|stanza| stamped(stanza, &client.jid, &mut out))
            .collect();
        let batch = Batch {
            buf: out.into(),
            recs,
        };
        let (session, from) = (client.id, client.jid.clone());
        let settled = Arc::new(Settled::default());
        self.step(Input::Session(ToShard::Stanzas {
            session,
            from,
            sequence,
            batch,
            receipt: Some(settled.receipt()),
        }));
        settled
    }

    /// Another owner of the shard is told of a client's session.
    pub(crate) fn announce(&mut self, client: &Client) {
        self.step(Input::Session(ToShard::Announce {
            from: client.mailbox.clone(),
            jid: client.jid.clone(),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            state: client.remembered(),
            kept: None,
        }));
    }

    /// A client sends a stanza.
    pub(crate) fn send(&mut self, client: &Client, stanza: &str) {
        self.send_all(client, &[stanza]);
    }

    /// A client's stream ends.
    pub(crate) fn leave(&mut self, client: &Client) {
        let (session, jid) = (client.id, client.jid.clone());
        self.step(Input::Session(ToShard::Closed {
            session,
            jid,
            receipt: None,
        }));
    }

    /// A second goes by.
    pub(crate) fn tick(&mut self) {
        self.now = Timestamp(self.now.0 + 1_000);
        self.step(Input::Tick);
    }

    /// Everything that was held back is answered.
    pub(crate) fn release(&mut self) {
        self.hold = false;
        self.hold_loads = false;
        self.hold_reads = false;
        self.hold_undelivered = false;
        while let Some(input) = self.held.pop_front() {
            self.step(input);
        }
    }

    /// The oldest input that was held back comes.
    pub(crate) fn release_next(&mut self) {
        let next = self.held.pop_front().expect("one is held");
        self.step(next);
    }

    /// The newest append that is held is carried out: a store may take them in any order.
    pub(crate) fn append_newest(&mut self) {
        let newest = self.appends.as_mut().and_then(Vec::pop);
        let (id, append) = newest.expect("one is held");
        let reply = self.perform(append);
        self.step(Input::Replied(id, reply));
    }

    /// The machine starts anew over the same store, as after a restart: in another epoch, and no answer comes of what
    /// was under way.
    pub(crate) fn restart(&mut self) {
        let options = RouterOptions {
            shards: 1,
            scram_iterations: 1,
            ..RouterOptions::default()
        };
        let env = Environment::new(
            ["localhost".to_owned()],
            [],
            options,
            Registry::new(all()),
            START,
        );
        env.archive.store(Arc::new(self.archive.clone()));
        env.passwords.store(self.env.passwords.load_full());
        env.form.store(self.env.form.load_full());
        env.captcha.store(self.env.captcha.load_full());
        env.names.store(self.env.names.load_full());
        env.accounts.store(self.env.accounts.load_full());
        self.epoch += 1;
        self.env = env.clone();
        self.shard = Shard::new(ShardId(0), self.epoch, env);
        self.held.clear();
        self.hold = false;
    }

    fn step(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        let mut rounds = 0;
        while let Some(input) = inputs.pop_front().or_else(|| self.rung()) {
            rounds += 1;
            assert!(rounds < 100_000, "the shard talks to itself without end");
            let mut effects = Vec::new();
            self.shard
                .handle(input, self.now, &mut self.entropy, &mut effects);
            for effect in effects {
                inputs.extend(self.execute(effect));
            }
        }
    }

    /// What waited for frames that have been dealt with goes on.
    fn rung(&mut self) -> Option<Input> {
        let rings = |bell: &Bell| bell.clone().now_or_never().is_some();
        let at = self.bells.iter().position(|(_, bell)| rings(bell))?;
        let (id, _) = self.bells.remove(at);
        Some(Input::Replied(id, Reply::Done))
    }

    fn execute(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Deliver { to, jid, delivered } => {
                match to.send(ToSession::Deliver(delivered)) {
                    Err(Full(ToSession::Deliver(delivered))) => {
                        let back = Input::Undelivered(to.session(), jid, delivered);
                        match self.hold_undelivered {
                            true => {
                                self.held.push_back(back);
                                None
                            }
                            false => Some(back),
                        }
                    }
                    _ => None,
                }
            }
            Effect::Remember { to, state } => {
                to.send(ToSession::Remember(state)).expect("it is taken");
                None
            }
            Effect::Answer { to, ask, answer } => {
                to.send(ToSession::Answer { ask, answer })
                    .expect("answers are taken");
                None
            }
            Effect::WrongPassword { to } => {
                let _ = to.send(ToSession::WrongPassword);
                None
            }
            Effect::Close { to, error } => {
                // One that no node serves hears nothing.
                let _ = to.send(ToSession::Close(error));
                None
            }
            Effect::Forward(..) if self.lose_forwards => None,
            Effect::Forward(_, frame) if self.no_room && frame.origin.is_some() => {
                Some(Input::Refused(frame))
            }
            Effect::Forward(_, frame) => Some(Input::Peer(frame)),
            Effect::Request(id, Request::Settled(bell)) => {
                self.bells.push((id, bell));
                None
            }
            Effect::Request(id, request) => {
                if let (Request::Append(_), Some(held)) = (&request, &mut self.appends) {
                    held.push((id, request));
                    return None;
                }
                let held = match request {
                    Request::Load(_) => self.hold_loads,
                    Request::ReadLog(..) => self.hold_reads || self.hold,
                    Request::Deliver { .. } => false,
                    _ => self.hold,
                };
                let reply = Input::Replied(id, self.perform(request));
                if held {
                    self.held.push_back(reply);
                    return None;
                }
                Some(reply)
            }
        }
    }

    fn perform(&mut self, request: Request) -> Reply {
        match request {
            Request::Deliver { to, delivered } => match to.send(ToSession::Deliver(*delivered)) {
                Ok(()) => Reply::Done,
                Err(_) => Reply::NotTaken,
            },
            Request::Invite(request) => self.ask_about_invites(request),
            other if registration::concerns(&other) => self.perform_registration(other),
            other => self.ask_store(other),
        }
    }

    fn ask_store(&self, request: Request) -> Reply {
        let reads = matches!(
            request,
            Request::Load(_)
                | Request::Document { .. }
                | Request::Documents { .. }
                | Request::ReadLog(..)
                | Request::LogUsage(_)
        );
        if let Some(error) = self
            .store_fails
            .clone()
            .filter(|_| !reads || self.reads_fail)
        {
            return Reply::Failed(error);
        }
        let store: &dyn Store = &*self.store;
        let lost = self.answers_lost && matches!(request, Request::Append(_));
        let reply = rookery_router::shard::ask_store(store, request)
            .now_or_never()
            .expect("memory is quick")
            .unwrap_or_else(Reply::Failed);
        match lost {
            true => Reply::Failed(StoreError::Unavailable("no answer".into())),
            false => reply,
        }
    }
}

/// A JID of a test.
pub(crate) fn jid(text: &str) -> Jid {
    Jid::parse(text).expect("a valid JID")
}

/// What the reader makes of an element.
pub(crate) fn canonical(text: &str) -> Vec<u8> {
    let read = canonicalize(text.as_bytes(), Content::Client, XmlLimits::default());
    read.unwrap_or_else(|error| panic!("{text}: {error:?}")).0
}

/// What the reader makes of a client's stanza: canonical, with the sender stamped.
fn stamped(stanza: &str, from: &Jid, out: &mut Vec<u8>) -> Rec {
    let (bytes, header) = canonicalize(stanza.as_bytes(), Content::Client, XmlLimits::default())
        .unwrap_or_else(|error| panic!("{stanza}: {error:?}"));
    let changes = HeadChanges {
        from: Some(from.as_str()),
        ..HeadChanges::default()
    };
    rewrite_head(&bytes, &Rec::of(&header), &changes, out)
}
