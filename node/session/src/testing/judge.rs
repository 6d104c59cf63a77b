//! What must hold whatever happens, checked after every event.

use std::collections::BTreeSet;

use rookery_xmpp::jid::{Jid, prepare_domain};
use rookery_xmpp::ns;
use rookery_xmpp::xml::StreamHeader;

use super::proofs::Proofs;
use super::tries::Tries;
use super::view::{Seen, View};
use super::world::{HOSTS, World};
use super::{Reached, Verdict, ensure};
use crate::Session;
use crate::carrier::{Answer, AskId, Question};
use crate::effect::Effect;
use crate::event::{Event, Timer};

/// Watches one session from its first event on.
#[derive(Debug)]
pub(super) struct Judge {
    world: World,
    view: View,
    proofs: Proofs,
    tries: Tries,
    wire: Wire,
    ended: Ended,
    connected: bool,
    timers: BTreeSet<Timer>,
    /// Whether an event came that must change nothing.
    stale: bool,
    /// Whether an event came that must end the stream.
    fatal: bool,
    /// Bytes of the largest element that the client sent: an error echoes its id.
    element_bytes: usize,
    /// Bytes that were sent by this event.
    sent_bytes: usize,
    stream_ids: BTreeSet<String>,
    host: Option<String>,
    /// Whom the last reported success was about.
    succeeded: Option<Jid>,
    authenticated: Option<Jid>,
    /// The question to bind that waits for its answer, and the answer.
    binding: Option<AskId>,
    granted: Option<Jid>,
    bound: Option<Jid>,
    /// The request of a stranger that waits for its answer.
    registering: Option<AskId>,
    counts: Counts,
    /// Failed logins on all streams.
    failures: u32,
}

/// What may happen so often, on one stream or on the connection.
#[derive(Debug, Default)]
struct Counts {
    logins_armed: u32,
    failures: u32,
    registrations: u32,
    binds: u32,
}

/// What protects the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Clear,
    Starting,
    Secured,
}

/// What has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Nothing,
    Stream,
    Socket,
}

impl Judge {
    pub(super) fn new(world: World) -> Self {
        let wire = if world.facts.direct_tls {
            Wire::Starting
        } else {
            Wire::Clear
        };
        Self {
            world,
            view: View::new(),
            proofs: Proofs::default(),
            tries: Tries::default(),
            wire,
            ended: Ended::Nothing,
            connected: false,
            timers: BTreeSet::new(),
            stale: false,
            fatal: false,
            element_bytes: 0,
            sent_bytes: 0,
            stream_ids: BTreeSet::new(),
            host: None,
            succeeded: None,
            authenticated: None,
            binding: None,
            granted: None,
            bound: None,
            registering: None,
            counts: Counts::default(),
            failures: 0,
        }
    }

    /// Before the machine hears of an event.
    pub(super) fn hear(&mut self, event: &Event<'_>) {
        self.stale = false;
        self.fatal = false;
        self.sent_bytes = 0;
        if let Event::Answered(ask, _) = event {
            self.registering.take_if(|asked| asked == ask);
        }
        match event {
            Event::Connected => self.connected = true,
            Event::Opened(header) => self.fatal = !self.may_open(header),
            Event::Forged => self.fatal = self.bound.is_some(),
            Event::Malformed(_) | Event::Lost | Event::Kicked(_) | Event::Closed => {
                self.fatal = true;
            }
            Event::Secured(_) if self.wire == Wire::Starting => self.wire = Wire::Secured,
            Event::Element(element) => {
                self.element_bytes = self.element_bytes.max(element.to_bytes().len());
                self.proofs.hear(element);
            }
            Event::Answered(ask, Answer::Credentials(keys)) => {
                self.proofs.answered(*ask, keys.is_some());
            }
            Event::Answered(ask, answer @ (Answer::Bound(_) | Answer::Resumed(_)))
                if self.binding.take_if(|b| b == ask).is_some() =>
            {
                self.granted = answer.binds().map(|jid| (**jid).clone());
            }
            Event::PasswordVerified(ask, right) => self.proofs.verified(*ask, *right),
            Event::Admitted(admission) => self.tries.answer(*admission),
            Event::TimedOut(timer) => {
                self.stale = !self.timers.remove(timer);
                if *timer == Timer::Answer && !self.stale {
                    self.registering = None;
                }
            }
            _ => {}
        }
    }

    /// A stream keeps its host, and is its own client's (RFC 6120 4.7, 4.9.3.9).
    fn may_open(&self, header: &StreamHeader) -> bool {
        let to = header.to.as_deref().map(prepare_domain);
        let host = self.host.as_deref();
        let served = match &to {
            None => true,
            Some(Ok(to)) => HOSTS.contains(&&**to) && host.is_none_or(|host| host == *to),
            Some(Err(_)) => false,
        };
        let own = match (&header.from, &self.authenticated) {
            (Some(from), Some(own)) => Jid::parse(from).is_ok_and(|from| from.same_bare(own)),
            _ => true,
        };
        served && own
    }

    /// After it: what the machine wants done, in order. What the client sees of it comes back.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn judge(
        &mut self,
        effects: &[Effect],
        session: &Session,
    ) -> Result<Vec<Seen>, String> {
        ensure(
            !self.stale || effects.is_empty(),
            "a timer that does not run had effects",
        )?;
        ensure(
            effects.len() <= EFFECTS_MAX,
            "too many effects of one event",
        )?;
        let mut seen = Vec::new();
        for effect in effects {
            self.check_order(effect)?;
            self.effect(effect, &mut seen)?;
        }
        let asks = |effect: &Effect| matches!(effect, Effect::Admit { .. });
        let asked = effects.iter().position(asks);
        // Its answer comes at once, before what would stand behind it is done.
        ensure(
            asked.is_none_or(|at| at + 1 == effects.len()),
            "effects behind a question to the guard",
        )?;
        self.check_standing(session)?;
        Ok(seen)
    }

    /// How far the dialogue came.
    pub(super) fn reached(&self) -> Reached {
        Reached {
            secured: self.wire == Wire::Secured,
            failures: self.failures,
            authenticated: self.authenticated.is_some(),
            bound: self.bound.is_some(),
            ended: self.ended != Ended::Nothing,
        }
    }

    /// Nothing follows the end of the stream but the end of the connection, and nothing follows that.
    fn check_order(&self, effect: &Effect) -> Verdict {
        let allowed = match self.ended {
            Ended::Nothing => true,
            Ended::Stream => matches!(
                effect,
                Effect::Arm(Timer::Close, _) | Effect::Disarm(_) | Effect::CloseSocket
            ),
            Ended::Socket => false,
        };
        ensure(allowed, "something follows the end")
    }

    fn effect(&mut self, effect: &Effect, seen: &mut Vec<Seen>) -> Verdict {
        match effect {
            Effect::Send(bytes) => return self.send(bytes, seen),
            Effect::StartTls => {
                ensure(self.wire == Wire::Clear, "TLS was started twice")?;
                self.wire = Wire::Starting;
            }
            Effect::ResetReader => {
                self.view.reset();
                // Tries are counted for each stream.
                self.counts.failures = 0;
                self.tries.failed = 0;
            }
            Effect::Authenticated(jid) => return self.authenticate(jid),
            Effect::Ask(ask, question) => return self.ask(*ask, question),
            Effect::Admit { account, .. } => {
                ensure(self.wire == Wire::Secured, "a login without TLS")?;
                return self.tries.ask(account.as_ref());
            }
            Effect::ReportLogin {
                account, succeeded, ..
            } => {
                self.succeeded = account.clone().filter(|_| *succeeded);
                return self.tries.end(account.as_ref(), *succeeded);
            }
            Effect::WithdrawLogin { account, .. } => return self.tries.withdraw(account.as_ref()),
            Effect::VerifyPassword { ask, .. } => return self.proofs.verifying(*ask),
            Effect::Bound(jid) => return self.bind(jid),
            Effect::Arm(timer, after) => {
                ensure(!after.is_zero(), "a timer of no time")?;
                self.counts.logins_armed += u32::from(*timer == Timer::Login);
                self.timers.insert(*timer);
            }
            Effect::Disarm(timer) => {
                ensure(
                    self.timers.remove(timer),
                    "a timer was stopped that does not run",
                )?;
            }
            Effect::Enable(_, account) => {
                let bound = self.bound.as_ref();
                let own = bound.is_some_and(|jid| jid.same_bare(account));
                ensure(own, "the stream of somebody else is to be resumed")?;
            }
            Effect::NotEnabled | Effect::Acknowledged(_) => {
                ensure(self.bound.is_some(), "nothing is managed before binding")?;
            }
            // No shard gives these clients anything that could be held back.
            Effect::Deliver(_) => return Err("stanzas from nowhere".into()),
            Effect::CloseSocket => self.ended = Ended::Socket,
        }
        Ok(())
    }

    fn send(&mut self, bytes: &[u8], seen: &mut Vec<Seen>) -> Verdict {
        ensure(
            self.wire != Wire::Starting,
            "something was sent while TLS is made",
        )?;
        self.sent_bytes += bytes.len();
        let max = SENT_BYTES_MAX + self.element_bytes;
        ensure(self.sent_bytes <= max, "too much was sent for one event")?;
        for item in self.view.read(bytes)? {
            match &item {
                Seen::Open(header) => {
                    let id = header.id.clone().unwrap_or_default();
                    ensure(
                        id.len() >= ID_BYTES_MIN,
                        "an id of a stream that can be guessed",
                    )?;
                    ensure(self.stream_ids.insert(id), "two streams of one id")?;
                }
                Seen::Element(element) => {
                    let failure = u32::from(element.is("failure", ns::SASL));
                    self.counts.failures += failure;
                    self.failures += failure;
                    self.proofs.see(element, &self.world)?;
                }
                Seen::Close => self.ended = Ended::Stream,
            }
            seen.push(item);
        }
        Ok(())
    }

    fn ask(&mut self, ask: AskId, question: &Question) -> Verdict {
        ensure(self.wire == Wire::Secured, "a question before TLS")?;
        match question {
            Question::Credentials { account } => {
                ensure(self.tries.is_open(), "keys were asked for without a try")?;
                self.proofs.asked(ask, account);
            }
            Question::Bind { account, .. } | Question::Resume { account, .. } => {
                ensure(
                    self.authenticated.as_ref() == Some(account),
                    "somebody else is to be bound",
                )?;
                self.binding = Some(ask);
                self.counts.binds += 1;
            }
            Question::Register { .. } => {
                ensure(
                    self.authenticated.is_none(),
                    "a registration after the login",
                )?;
                self.registering = Some(ask);
                self.counts.registrations += 1;
            }
            Question::Admin(_) => return Err("a client asks as the operator".into()),
            Question::Enable { .. } => return Err("that has an effect of its own".into()),
        }
        Ok(())
    }

    fn authenticate(&mut self, jid: &Jid) -> Verdict {
        ensure(self.wire == Wire::Secured, "authenticated without TLS")?;
        ensure(self.authenticated.is_none(), "authenticated twice")?;
        ensure(
            self.succeeded.as_ref() == Some(jid),
            "authenticated without a reported success",
        )?;
        self.proofs.justify(jid, &self.world)?;
        self.authenticated = Some(jid.clone());
        Ok(())
    }

    fn bind(&mut self, jid: &Jid) -> Verdict {
        ensure(self.bound.is_none(), "bound twice")?;
        ensure(
            self.granted.as_ref() == Some(jid),
            "bound to what the shard did not grant",
        )?;
        let account = self.authenticated.as_ref();
        ensure(
            account.is_some_and(|account| jid.same_bare(account)),
            "bound to somebody else",
        )?;
        self.bound = Some(jid.clone());
        Ok(())
    }

    /// What holds between two events.
    fn check_standing(&mut self, session: &Session) -> Verdict {
        let ended = match (session.is_closing(), session.is_ended()) {
            (_, true) => Ended::Socket,
            (true, _) => Ended::Stream,
            _ => Ended::Nothing,
        };
        let over = !self.fatal || ended != Ended::Nothing;
        ensure(over, "the stream goes on after what must end it")?;
        ensure(
            self.ended == ended,
            "the machine and what it did disagree about the end",
        )?;
        let settled = ended == Ended::Nothing || self.tries.is_settled();
        ensure(settled, "a try was left open at the end")?;
        let bound = self.bound.as_ref().filter(|_| ended == Ended::Nothing);
        ensure(
            session.jid().map(|jid| &**jid) == bound,
            "another address is bound",
        )?;
        self.check_timers(ended)?;
        self.check_counts()?;
        let host = session.host().map(str::to_owned);
        ensure(self.host.is_none() || self.host == host, "the host changed")?;
        self.host = host;
        let domain = self.authenticated.as_ref().map(Jid::domain);
        ensure(
            domain.is_none() || domain == self.host.as_deref(),
            "an account of another host",
        )
    }

    fn check_timers(&self, ended: Ended) -> Verdict {
        let mut wanted = BTreeSet::new();
        match ended {
            Ended::Socket => {}
            Ended::Stream => drop(wanted.insert(Timer::Close)),
            Ended::Nothing if self.bound.is_some() => drop(wanted.insert(Timer::Idle)),
            Ended::Nothing => {
                wanted.extend(self.connected.then_some(Timer::Login));
                // A login may be slowed; a registration is waited for no longer than so long.
                let slowed = self.timers.contains(&Timer::Answer) && self.tries.is_open();
                let answers = slowed || self.registering.is_some();
                wanted.extend(answers.then_some(Timer::Answer));
            }
        }
        ensure(
            self.timers == wanted,
            &format!("these timers run: {:?}", self.timers),
        )
    }

    fn check_counts(&self) -> Verdict {
        let (counts, options) = (&self.counts, &self.world.config.options);
        ensure(
            counts.logins_armed <= 2,
            "the time to log in was lengthened twice",
        )?;
        let login = counts.failures.max(self.tries.failed) <= options.login_attempts_max;
        ensure(login, "too many tries to log in")?;
        let bind = counts.binds <= options.bind_attempts_max;
        ensure(bind, "too many tries to bind")?;
        let registration = counts.registrations <= options.registration_requests_max;
        ensure(registration, "too many tries to register")
    }
}

/// The longest list: a try's end, its timer, a word, the stream's end, the timers of the stream.
const EFFECTS_MAX: usize = 8;

/// A stream's header with all its features.
const SENT_BYTES_MAX: usize = 4 * 1024;

/// Characters of base 32 for 80 bits.
const ID_BYTES_MIN: usize = 16;
