//! A mover in small: reader, TLS, shard, guard and timers around one session machine.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::element::Element;
use rookery_xmpp::entropy::Seeded;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::{Content, Flags, iq_result, parse_rec};
use rookery_xmpp::stanza_error::{Condition, StanzaError};
use rookery_xmpp::xml::{Item, ReadError, Reader, StreamHeader, XmlLimits};

use super::choices::Choices;
use super::judge::Judge;
use super::view::Seen;
use super::world::{World, account};
use super::{Reached, Verdict};
use crate::carrier::{Answer, AskId, Question, Resumed};
use crate::effect::Effect;
use crate::event::{Admission, Event, Timer};
use crate::{Session, is_for_shard};

/// One connection and its surroundings.
pub(super) struct Mover<'a> {
    pub(super) world: World,
    pub(super) choices: Choices<'a>,
    session: Session,
    reader: Reader,
    judge: Judge,
    entropy: Seeded,
    now: Timestamp,
    /// What is to be answered, and what was: answers may come twice and late.
    work: Vec<Work>,
    done: Vec<Work>,
    timers: Vec<(Timer, Duration)>,
    /// What the client has not looked at.
    seen: VecDeque<Seen>,
    /// TLS is being made.
    handshaking: bool,
}

/// Something that somebody else has to do.
#[derive(Clone, Debug)]
enum Work {
    /// A shard looks for keys.
    Credentials(AskId, Jid),
    /// A shard binds a resource.
    Bind(AskId, Jid, Option<String>),
    /// A shard looks for a stream.
    Resume(AskId, Jid, String),
    /// A shard lets a stream be resumed.
    Enable(AskId),
    /// A shard registers.
    Register(AskId, Bytes),
    /// A thread compares a password.
    Verify(AskId, bool),
    /// TLS is made.
    Secure,
}

/// An item of the client's stream, freed from the reader.
enum Found {
    Open(StreamHeader),
    Element(Element),
    /// For the shard, past the machine.
    Stanza,
    /// In somebody else's name.
    Forged,
    Close,
}

impl<'a> Mover<'a> {
    /// An accepted connection.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn accept(world: World, mut choices: Choices<'a>) -> Result<Self, String> {
        let direct_tls = world.facts.direct_tls;
        let mut mover = Self {
            session: Session::new(world.config.clone(), world.facts),
            reader: Reader::new(Content::Client, XmlLimits::before_authentication()),
            judge: Judge::new(world.clone()),
            entropy: Seeded::new(choices.below(256) as u64),
            now: Timestamp(1_700_000_000_000),
            work: direct_tls.then_some(Work::Secure).into_iter().collect(),
            done: Vec::new(),
            timers: Vec::new(),
            seen: VecDeque::new(),
            handshaking: direct_tls,
            world,
            choices,
        };
        mover.event(Event::Connected)?;
        Ok(mover)
    }

    /// How far it came.
    pub(super) fn reached(&self) -> Reached {
        self.judge.reached()
    }

    /// Whether the socket was closed.
    pub(super) fn is_over(&self) -> bool {
        self.session.is_ended()
    }

    /// Whether the client can send something that is read.
    pub(super) fn reads(&self) -> bool {
        !self.handshaking && !self.is_over()
    }

    /// The next thing that the client sees.
    pub(super) fn see(&mut self) -> Option<Seen> {
        self.seen.pop_front()
    }

    /// The client sends something, which comes in pieces.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Verdict {
        self.session.heard(self.now);
        let mut rest = bytes;
        while !rest.is_empty() && self.reads() {
            let piece = if self.choices.below(4) == 1 {
                1 + self.choices.below(rest.len())
            } else {
                rest.len()
            };
            let (piece, later) = rest.split_at(piece);
            self.digest(piece)?;
            self.reader.release_temporaries();
            rest = later;
        }
        Ok(())
    }

    fn digest(&mut self, mut input: &[u8]) -> Verdict {
        while self.reads() {
            match self.next(&mut input) {
                Ok(None) => break,
                Ok(Some(Found::Stanza)) => {}
                Ok(Some(Found::Forged)) => self.event(Event::Forged)?,
                Ok(Some(Found::Open(header))) => self.event(Event::Opened(&header))?,
                Ok(Some(Found::Element(element))) => self.event(Event::Element(&element))?,
                Ok(Some(Found::Close)) => self.event(Event::Closed)?,
                Err(error) => return self.event(Event::Malformed(&error)),
            }
            // What was sent in clear behind <starttls/> anybody may have put there.
            if self.handshaking && !input.is_empty() {
                self.handshaking = false;
                return self.event(Event::Lost);
            }
        }
        Ok(())
    }

    fn next(&mut self, input: &mut &[u8]) -> Result<Option<Found>, ReadError> {
        let bound = self.session.is_bound();
        let mut out = Vec::new();
        let item = self.reader.next(input, &mut out)?;
        Ok(item.map(|item| match item {
            Item::Open(header) => Found::Open(header),
            Item::Close => Found::Close,
            Item::Stanza(header) if header.flags.contains(Flags::FROM_MISMATCH) => Found::Forged,
            Item::Stanza(header) if bound && is_for_shard(header, &out) => Found::Stanza,
            Item::Stanza(header) => {
                let parsed = Element::parse(header.whole.of(&out));
                Found::Element(parsed.expect("the reader writes canonical elements"))
            }
        }))
    }

    /// Tells the machine something, has it judged, and does what it wants.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn event(&mut self, event: Event<'_>) -> Verdict {
        let mut effects = Vec::new();
        let told = format!("{event:?}");
        self.judge.hear(&event);
        self.session
            .handle(event, self.now, &mut self.entropy, &mut effects);
        let seen = self
            .judge
            .judge(&effects, &self.session)
            .map_err(|error| format!("{error}\n  after {told}\n  came {effects:?}"))?;
        self.seen.extend(seen);
        effects
            .into_iter()
            .try_for_each(|effect| self.carry_out(effect))
    }

    fn carry_out(&mut self, effect: Effect) -> Verdict {
        match effect {
            Effect::Send(_)
            | Effect::Deliver(_)
            | Effect::NotEnabled
            | Effect::Acknowledged(_)
            | Effect::ReportLogin { .. }
            | Effect::WithdrawLogin { .. } => {}
            Effect::StartTls => {
                self.handshaking = true;
                self.work.push(Work::Secure);
            }
            Effect::ResetReader => self.reader.reset(),
            Effect::Authenticated(_) => {
                self.reader.set_limits(XmlLimits::default());
                self.reader.fast_lane(true);
            }
            Effect::Ask(ask, question) => self.work.extend(work_of(ask, question)),
            Effect::Enable(ask, _) => self.work.push(Work::Enable(ask)),
            Effect::Admit { .. } => {
                let admission = self.admission();
                return self.event(Event::Admitted(admission));
            }
            Effect::VerifyPassword {
                ask,
                credentials,
                password,
            } => {
                let right = credentials.verify_password(&password.0);
                self.work.push(Work::Verify(ask, right));
            }
            Effect::Bound(jid) => self.reader.stamp_from(Some(jid.as_str())),
            Effect::Arm(timer, after) => {
                self.timers.retain(|(armed, _)| *armed != timer);
                self.timers.push((timer, after));
            }
            Effect::Disarm(timer) => self.timers.retain(|(armed, _)| *armed != timer),
            Effect::CloseSocket => self.handshaking = false,
        }
        Ok(())
    }

    fn admission(&mut self) -> Admission {
        if self.choices.odd() {
            return Admission::Refused;
        }
        match self.choices.below(4) {
            1 => Admission::After { delay_ms: 500 },
            _ => Admission::Now,
        }
    }

    /// Somebody else does what is to be done, or a delay passes. Whether there was anything.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn work(&mut self) -> Result<bool, String> {
        let delayed = self.timers.iter().any(|(timer, _)| *timer == Timer::Answer);
        if delayed {
            self.ring(Timer::Answer)?;
            return Ok(true);
        }
        if self.work.is_empty() {
            return Ok(false);
        }
        let at = self.choices.below(self.work.len());
        let work = self.work.remove(at);
        self.done.push(work.clone());
        self.finish(work)?;
        Ok(true)
    }

    /// Something that was done is reported once more.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn work_again(&mut self) -> Verdict {
        if self.done.is_empty() {
            return Ok(());
        }
        let at = self.choices.below(self.done.len());
        self.finish(self.done[at].clone())
    }

    fn finish(&mut self, work: Work) -> Verdict {
        match work {
            Work::Credentials(ask, jid) => {
                let answer = self.keys_of(&jid);
                self.event(Event::Answered(ask, answer))
            }
            Work::Bind(ask, jid, resource) => {
                let answer = self.bound(&jid, resource.as_deref());
                self.event(Event::Answered(ask, answer))
            }
            Work::Resume(ask, jid, id) => {
                let answer = self.resumed(&jid, id);
                self.event(Event::Answered(ask, answer))
            }
            Work::Enable(ask) => {
                let answer = self.enabled();
                self.event(Event::Answered(ask, answer))
            }
            Work::Register(ask, iq) => {
                let answer = self.registered(&iq);
                self.event(Event::Answered(ask, answer))
            }
            Work::Verify(ask, right) => self.event(Event::PasswordVerified(ask, right)),
            // A connection is secured once.
            Work::Secure if !self.handshaking => Ok(()),
            Work::Secure => {
                self.handshaking = false;
                self.event(Event::Secured(self.world.tls.clone()))
            }
        }
    }

    fn keys_of(&mut self, jid: &Jid) -> Answer {
        if self.choices.odd() {
            return match self.choices.below(3) {
                0 => Answer::Unavailable,
                1 => Answer::Refused(StanzaError::new(Condition::NotAllowed)),
                // As for an account that is disabled.
                _ => Answer::Credentials(None),
            };
        }
        Answer::Credentials(account(jid).map(|account| account.credentials.clone()))
    }

    fn bound(&mut self, jid: &Jid, resource: Option<&str>) -> Answer {
        if self.choices.odd() {
            let other = Jid::parse("romeo@localhost/r").expect("a good address");
            return match self.choices.below(4) {
                0 => Answer::Unavailable,
                1 => Answer::Bound(Arc::new(other)),
                2 => Answer::Bound(Arc::new(jid.clone())),
                _ => Answer::Refused(StanzaError::new(Condition::Conflict)),
            };
        }
        let full = jid.with_resource(resource.unwrap_or("balcony"));
        full.map_or(Answer::Unavailable, |full| Answer::Bound(Arc::new(full)))
    }

    fn resumed(&mut self, jid: &Jid, id: String) -> Answer {
        let name = match self.choices.odd() {
            true => Jid::parse("romeo@localhost/r").ok(),
            false => jid.with_resource("balcony").ok(),
        };
        match name {
            Some(jid) if self.choices.either() => Answer::Resumed(Resumed {
                jid: Arc::new(jid),
                id,
                max_s: 300,
                h: 7,
                acked: 3,
                seen: Default::default(),
            }),
            _ if self.choices.either() => Answer::Unavailable,
            _ => Answer::NotResumed { h: Some(7) },
        }
    }

    fn enabled(&mut self) -> Answer {
        match self.choices.odd() {
            true => Answer::Unavailable,
            false => Answer::Enabled {
                id: "s1".to_owned(),
                max_s: 300,
            },
        }
    }

    fn registered(&mut self, iq: &[u8]) -> Answer {
        match (self.choices.odd(), parse_rec(iq)) {
            (false, Some(rec)) => {
                let query = Element::new("query", ns::REGISTER);
                Answer::Iq(iq_result(iq, &rec, None, None, Some(&query)))
            }
            _ if self.choices.either() => Answer::Unavailable,
            _ => Answer::Refused(StanzaError::new(Condition::Conflict)),
        }
    }

    /// A timer runs out, whether it was armed or not.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn ring(&mut self, timer: Timer) -> Verdict {
        if let Some(at) = self.timers.iter().position(|(armed, _)| *armed == timer) {
            self.now = self.now.plus(self.timers.remove(at).1);
        }
        self.event(Event::TimedOut(timer))
    }
}

fn work_of(ask: AskId, question: Question) -> Option<Work> {
    match question {
        Question::Credentials { account } => Some(Work::Credentials(ask, account)),
        Question::Bind {
            account, resource, ..
        } => Some(Work::Bind(ask, account, resource)),
        Question::Resume { account, id, .. } => Some(Work::Resume(ask, account, id)),
        Question::Register { iq, .. } => Some(Work::Register(ask, iq)),
        Question::Admin(_) | Question::Enable { .. } => None,
    }
}
