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
//!                   ◄─ <a h/>                      ◄─ settled ─────────────────────────
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rookery_session::carrier::{Answer, AskId, Delivered, Question};
use rookery_session::effect::Effect;
use rookery_session::event::{Admission, Event, Timer, TlsFacts};
use rookery_session::{
    Afterwards, ConnectionFacts, HostConfig, Session, SessionConfig, SessionOptions, is_for_shard,
};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::element::Element;
use rookery_xmpp::entropy::Seeded;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::{Batch, Content, Kind, Rec};
use rookery_xmpp::stream_error::StreamError;
use rookery_xmpp::xml::{Item, Reader, StreamHeader, XmlLimits};

use super::clock::{MS, Micros};
use super::login::{Login, Said, header};
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
    /// The number of the client's next stanza.
    sequence: u64,
}

/// What a stream wants done.
pub(crate) enum Wish {
    /// Its shard is to be asked.
    Ask(AskId, Question),
    /// It is bound.
    Bound(Arc<Jid>),
    /// The shard of this account is to be asked whether the stream can be resumed; the client's stanzas count from this
    /// number on.
    Enable(AskId, Jid, u64),
    /// It cannot.
    NotEnabled,
    /// The client has got so many of what is numbered.
    Acknowledged(u64),
    /// What its client wrote goes to its shard; the first stanza has this number.
    HandOver(Batch, u64),
    /// The client has read this.
    Said(Said),
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
    pub(crate) fn new(login: Login, seed: u64) -> Self {
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
            login,
            written: String::new(),
            wishes: Vec::new(),
            sequence: 0,
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

    /// Stanzas go to the client; [`turn_ends`](Self::turn_ends) follows.
    pub(crate) fn sent(&mut self, delivered: &Delivered) {
        self.machine.sent(delivered);
    }

    /// All that this turn had for the client is written.
    pub(crate) fn turn_ends(&mut self, now: Micros) -> Vec<Wish> {
        self.now = now;
        if self.machine.is_managed() {
            self.event(Event::Sent);
        }
        self.go_on()
    }

    /// What began with these numbers has been dealt with.
    pub(crate) fn settled(&mut self, firsts: &[u64], now: Micros) -> Vec<Wish> {
        self.now = now;
        if self.machine.is_managed() && !firsts.is_empty() {
            self.event(Event::Settled(firsts));
        }
        self.go_on()
    }

    /// The client's connection has ended.
    pub(crate) fn lose(&mut self) {
        self.event(Event::Lost);
    }

    /// Nobody is there to read any more, or to answer.
    pub(crate) fn goes_silent(&mut self) {
        self.login.goes_silent();
    }

    /// Whether what its client sends is acknowledged.
    pub(crate) fn is_managed(&self) -> bool {
        self.machine.is_managed()
    }

    /// Whether what was written is kept by this stream alone.
    pub(crate) fn keeps_written(&self) -> bool {
        self.machine.is_managed() && !self.machine.is_numbered()
    }

    /// What becomes of the session.
    pub(crate) fn afterwards(&self) -> Afterwards {
        self.machine.afterwards()
    }

    /// What the client was sent and has not acknowledged, and nobody else keeps.
    pub(crate) fn take_written(&mut self) -> Vec<Delivered> {
        self.machine.take_written()
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
                Some(Found::Element(element)) => {
                    self.hand_over(&canonical, &mut recs);
                    self.event(Event::Element(&element));
                }
            }
        }
        self.hand_over(&canonical, &mut recs);
    }

    fn hand_over(&mut self, canonical: &[u8], recs: &mut Vec<Rec>) {
        if recs.is_empty() {
            return;
        }
        let first = self.sequence;
        self.sequence += recs.len() as u64;
        let batch = Batch {
            buf: Bytes::copy_from_slice(canonical),
            recs: std::mem::take(recs),
        };
        if self.machine.is_managed() {
            let bytes = batch.stanza_bytes();
            self.machine.submitted(first, batch.recs.len(), bytes);
        }
        self.wishes.push(Wish::HandOver(batch, first));
    }

    fn next(&mut self, input: &mut &[u8], canonical: &mut Vec<u8>) -> Option<Found> {
        let is_bound = self.machine.is_bound();
        let numbered = self.machine.is_numbered();
        let item = self.reader.next(input, canonical);
        let item = item.expect("the simulation's clients write what may be written")?;
        Some(match item {
            Item::Open(header) => Found::Open(header),
            Item::Close => Found::Close,
            Item::Stanza(header)
                if is_bound
                    && (numbered && header.kind != Kind::Other
                        || is_for_shard(header, canonical)) =>
            {
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
            Effect::Enable(ask, account) => {
                self.wishes.push(Wish::Enable(ask, account, self.sequence));
            }
            Effect::NotEnabled => self.wishes.push(Wish::NotEnabled),
            Effect::Acknowledged(acked) => self.wishes.push(Wish::Acknowledged(acked)),
            Effect::CloseSocket => self.wishes.push(Wish::Over),
            // These clients always look, so that nothing is held back from them.
            Effect::Deliver(_)
            | Effect::ReportLogin { .. }
            | Effect::WithdrawLogin { .. }
            | Effect::StartTls => {}
        }
    }

    /// The client reads what concerns its stream, and answers.
    fn told(&mut self, said: &str) {
        let said = self
            .login
            .told(said, self.machine.is_bound(), &mut self.written);
        match said {
            Some(Said::Over) => self.wishes.push(Wish::Over),
            Some(said) => self.wishes.push(Wish::Said(said)),
            None => {}
        }
    }

    fn timestamp(&self) -> Timestamp {
        Timestamp(self.now / MS)
    }
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
