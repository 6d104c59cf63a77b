//! One client's stream: its bytes, the reader and the session machine at its connection node, and what
//! `node/connection/src/session/{reading,effects}.rs` do around those. TLS is left out: the bytes are what it would
//! carry.
//!
//! ```text
//! client                                          connection node                       shard
//!   <stream:stream> ─► Reader ─► Session machine
//!                   ◄─ features
//!   <auth/>         ─────────────────────────────► Ask(Credentials) ─────────────────►
//!                   ◄─ <success/>                  ◄──────────────────────────────────
//!   <stream:stream>, bind ───────────────────────► Ask(Bind) ────────────────────────►
//!   stanzas         ─────────────────────────────► a batch ───────────────────────────►
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rookery_session::carrier::{Answer, AskId, Question};
use rookery_session::effect::Effect;
use rookery_session::event::{Admission, Event, Timer, TlsFacts};
use rookery_session::{
    ConnectionFacts, HostConfig, Session, SessionConfig, SessionOptions, is_for_shard,
};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::element::Element;
use rookery_xmpp::entropy::Seeded;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::{Batch, Content, Rec};
use rookery_xmpp::stream_error::StreamError;
use rookery_xmpp::xml::{Item, Reader, StreamHeader, XmlLimits};

use super::clock::{MS, Micros};
use super::process::HOST;

/// Both ends of one stream.
pub(crate) struct Stream {
    machine: Session,
    reader: Reader,
    entropy: Seeded,
    timers: BTreeMap<Timer, Micros>,
    now: Micros,
    /// What the client writes when it is let in.
    login: Login,
    /// What the client has written and nobody has read.
    written: String,
    wishes: Vec<Wish>,
}

/// What its client logs in with.
struct Login {
    user: String,
    resource: &'static str,
    is_known: bool,
}

/// What a stream wants done.
pub(crate) enum Wish {
    /// Its shard is to be asked.
    Ask(AskId, Question),
    /// It is bound.
    Bound(Arc<Jid>),
    /// What its client wrote goes to its shard.
    HandOver(Batch),
    /// It is over.
    Over,
}

/// An item of the client's stream, freed from the reader.
enum Found {
    Open(StreamHeader),
    Element(Element),
    /// For the shard, past the machine.
    Stanza(Rec),
    Close,
}

impl Stream {
    /// A stream of a client that will log in; `seed` is what its machine's randomness comes from.
    pub(crate) fn new(account: &Jid, resource: &'static str, seed: u64) -> Self {
        let facts = ConnectionFacts {
            address: [127, 0, 0, 1].into(),
            direct_tls: true,
        };
        Self {
            machine: Session::new(Arc::new(config()), facts),
            reader: Reader::new(Content::Client, XmlLimits::before_authentication()),
            entropy: Seeded::new(seed),
            timers: BTreeMap::new(),
            now: 0,
            login: Login {
                user: account.local().unwrap_or_default().to_owned(),
                resource,
                is_known: false,
            },
            written: String::new(),
            wishes: Vec::new(),
        }
    }

    /// The client connects, and TLS is made.
    pub(crate) fn connect(&mut self, now: Micros) -> Vec<Wish> {
        self.now = now;
        self.event(Event::Connected);
        let facts = TlsFacts {
            tls13: true,
            ..TlsFacts::default()
        };
        self.event(Event::Secured(facts));
        self.written.push_str(&header());
        self.go_on()
    }

    /// The shard has answered.
    pub(crate) fn answered(&mut self, ask: AskId, answer: Answer, now: Micros) -> Vec<Wish> {
        self.now = now;
        self.event(Event::Answered(ask, answer));
        self.go_on()
    }

    /// The shard ends the session.
    pub(crate) fn kicked(&mut self, error: StreamError, now: Micros) -> Vec<Wish> {
        self.now = now;
        self.event(Event::Kicked(error));
        self.go_on()
    }

    /// The client writes.
    pub(crate) fn write(&mut self, stanzas: &[String], now: Micros) -> Vec<Wish> {
        self.now = now;
        self.written.extend(stanzas.iter().map(String::as_str));
        self.go_on()
    }

    /// Timers that have run out ring.
    pub(crate) fn look_at_the_clock(&mut self, now: Micros) -> Vec<Wish> {
        self.now = now;
        let due = |(timer, at): (&Timer, &Micros)| (*at <= now).then_some(*timer);
        while let Some(timer) = self.timers.iter().find_map(due) {
            self.timers.remove(&timer);
            self.event(Event::TimedOut(timer));
        }
        self.go_on()
    }

    /// The client's connection has ended.
    pub(crate) fn lose(&mut self) {
        self.event(Event::Lost);
    }

    /// Reads what the client has written, which may answer to what it was told in between.
    fn go_on(&mut self) -> Vec<Wish> {
        while !self.written.is_empty() && !self.machine.is_ended() {
            let written = std::mem::take(&mut self.written);
            self.machine.heard(self.timestamp());
            self.digest(written.as_bytes());
            self.reader.release_temporaries();
        }
        std::mem::take(&mut self.wishes)
    }

    fn digest(&mut self, mut input: &[u8]) {
        let mut canonical = Vec::new();
        let mut recs = Vec::new();
        while !self.machine.is_ended() {
            match self.next(&mut input, &mut canonical) {
                None => break,
                Some(Found::Open(header)) => self.event(Event::Opened(&header)),
                Some(Found::Close) => self.event(Event::Closed),
                Some(Found::Stanza(rec)) => recs.push(rec),
                Some(Found::Element(element)) => self.event(Event::Element(&element)),
            }
        }
        if !recs.is_empty() {
            let buf = canonical.into();
            self.wishes.push(Wish::HandOver(Batch { buf, recs }));
        }
    }

    fn next(&mut self, input: &mut &[u8], canonical: &mut Vec<u8>) -> Option<Found> {
        let is_bound = self.machine.is_bound();
        let item = self.reader.next(input, canonical);
        let item = item.expect("the simulation's clients write what may be written")?;
        Some(match item {
            Item::Open(header) => Found::Open(header),
            Item::Close => Found::Close,
            Item::Stanza(header) if is_bound && is_for_shard(header, canonical) => {
                Found::Stanza(Rec::of(header))
            }
            Item::Stanza(header) => {
                let element = Element::parse(header.whole.of(canonical));
                Found::Element(element.expect("the reader writes canonical elements"))
            }
        })
    }

    fn event(&mut self, event: Event<'_>) {
        let (mut effects, now) = (Vec::new(), self.timestamp());
        self.machine
            .handle(event, now, &mut self.entropy, &mut effects);
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send(bytes) => self.told(&String::from_utf8_lossy(&bytes)),
            Effect::ResetReader => self.reader.reset(),
            Effect::Authenticated(_) => {
                self.reader.set_limits(XmlLimits::default());
                self.reader.fast_lane(true);
            }
            Effect::Ask(ask, question) => self.wishes.push(Wish::Ask(ask, question)),
            Effect::Admit { .. } => self.event(Event::Admitted(Admission::Now)),
            Effect::VerifyPassword {
                ask,
                credentials,
                password,
            } => {
                let is_right = credentials.verify_password(&password.0);
                self.event(Event::PasswordVerified(ask, is_right));
            }
            Effect::Bound(jid) => {
                self.reader.stamp_from(Some(jid.as_str()));
                self.wishes.push(Wish::Bound(jid));
            }
            Effect::Arm(timer, after) => {
                let after = Micros::try_from(after.as_micros()).unwrap_or(Micros::MAX);
                self.timers.insert(timer, self.now.saturating_add(after));
            }
            Effect::Disarm(timer) => drop(self.timers.remove(&timer)),
            Effect::CloseSocket => self.wishes.push(Wish::Over),
            // These clients always look, so that nothing is held back from them.
            Effect::Deliver(_)
            | Effect::ReportLogin { .. }
            | Effect::WithdrawLogin { .. }
            | Effect::StartTls
            // They do not manage their streams.
            | Effect::Enable(..)
            | Effect::NotEnabled
            | Effect::Acknowledged(_) => {}
        }
    }

    /// The client reads what concerns its stream, and answers.
    fn told(&mut self, said: &str) {
        let Login {
            user,
            resource,
            is_known,
        } = &mut self.login;
        if said.contains("<success") {
            *is_known = true;
            self.written.push_str(&header());
        } else if said.contains("<stream:features") && *is_known {
            let bind = format!(
                "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
                 <resource>{resource}</resource></bind></iq>"
            );
            self.written.push_str(&bind);
        } else if said.contains("<stream:features") {
            let proof = STANDARD.encode(format!("\0{user}\0{PASSWORD}"));
            let auth = format!(
                "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{proof}</auth>"
            );
            self.written.push_str(&auth);
        } else if said.contains("<failure") || said.contains("</stream:stream>") {
            // It tries again with a stream of its own.
            self.wishes.push(Wish::Over);
        } else if !self.machine.is_bound() && said.contains("type=\"error\"") {
            self.wishes.push(Wish::Over);
        }
    }

    fn timestamp(&self) -> Timestamp {
        Timestamp(self.now / MS)
    }
}

/// The password of all accounts that have clients.
pub(crate) const PASSWORD: &str = "secret";

fn header() -> String {
    format!(
        "<stream:stream to='{HOST}' version='1.0' xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams'>"
    )
}

fn config() -> SessionConfig {
    SessionConfig {
        hosts: vec![HostConfig {
            domain: HOST.to_owned(),
            registration: true,
            caps: None,
        }],
        options: SessionOptions {
            plain: true,
            decoy_iterations: vec![1],
            ..SessionOptions::default()
        },
        stanza_bytes_max: 262_144,
        decoy_secret: [7; 32],
    }
}
