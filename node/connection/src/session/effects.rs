//! What the session machine wants done.

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use rookery_session::Afterwards;
use rookery_session::carrier::{Answer, AskId, Question};
use rookery_session::effect::Effect;
use rookery_session::event::{Admission, Event};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;
use rookery_xmpp::stanza::{StanzaType, parse_rec};
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};
use tokio::sync::Semaphore;

use super::actor::SessionActor;
use super::writing::Ending;
use crate::scratch::Scratch;
use crate::timers::Alarm;
use crate::wire::TlsEngine;

impl SessionActor {
    /// Carries out the effects that the machine has left, and those that follow from them.
    pub(super) fn carry_out(&mut self, scratch: &mut Scratch, now: Timestamp) {
        let mut effects = Vec::new();
        while !scratch.effects.is_empty() {
            std::mem::swap(&mut effects, &mut scratch.effects);
            for effect in effects.drain(..) {
                self.carry_out_one(effect, scratch, now);
            }
        }
        if !self.machine.is_closing() {
            return;
        }
        match self.machine.afterwards() {
            Afterwards::Waits(window_s) => {
                let window = Duration::from_secs(window_s.into());
                self.link.wait_for_client(window, || self.seat.waits());
            }
            Afterwards::StaysAtShard => self.link.leave_to_shard(),
            Afterwards::Ends => self.link.detach(self.machine.take_written()),
        }
    }

    fn carry_out_one(&mut self, effect: Effect, scratch: &mut Scratch, now: Timestamp) {
        match effect {
            Effect::Send(bytes) => scratch.outgoing.extend_from_slice(&bytes),
            Effect::Deliver(delivered) => self.put(&delivered, scratch),
            Effect::StartTls => self.start_tls(scratch, now),
            Effect::ResetReader => self.reader.reset(),
            Effect::Authenticated(jid) => self.authenticated(jid),
            Effect::Ask(ask, question) => self.ask(ask, question, scratch, now),
            Effect::Enable(ask, account) => self.link.enable(ask, account),
            Effect::NotEnabled => self.inbox.keep_nothing(),
            Effect::Acknowledged(acked) => self.link.acknowledged(acked),
            Effect::Admit {
                address,
                account,
                mechanism,
            } => {
                let admitted = self.shared.admits_login(address, account.as_ref(), now);
                let admission = admitted.unwrap_or_else(|why| {
                    tried(mechanism, why);
                    Admission::Refused
                });
                self.event(Event::Admitted(admission), scratch, now);
            }
            Effect::ReportLogin {
                address,
                account,
                mechanism,
                succeeded,
            } => {
                tried(mechanism, if succeeded { "succeeded" } else { "failed" });
                let account = account.as_ref();
                self.shared.login_ended(address, account, succeeded, now);
            }
            Effect::WithdrawLogin {
                address,
                account,
                mechanism,
            } => {
                tried(mechanism, "withdrawn");
                self.shared
                    .login_guard()
                    .withdraw(address, account.as_ref(), now);
            }
            Effect::VerifyPassword {
                ask,
                credentials,
                password,
            } => {
                let verification =
                    verify(self.shared.verifications.clone(), credentials, password.0);
                self.verification = Some((ask, Box::pin(verification)));
            }
            Effect::Bound(jid) => {
                self.reader.stamp_from(Some(jid.as_str()));
                self.link.bind(jid);
                scratch.meters.bound.increment(1);
            }
            Effect::Arm(timer, after) => self.timers.arm(Alarm::Session(timer), after),
            Effect::Disarm(timer) => self.timers.disarm(Alarm::Session(timer)),
            Effect::CloseSocket => self.close_socket(scratch, now),
        }
    }

    /// The client is a stranger no more.
    fn authenticated(&mut self, jid: Arc<Jid>) {
        self.quota.authenticated(&jid);
        let now_ms = self.shared.quota.now_ms();
        let left = self.shared.spent().left(&jid);
        self.pace.authenticated(jid.clone(), left, now_ms);
        self.quota.exempt(self.pace.is_exempt());
        self.reader.set_limits(self.shared.xml.clone());
        self.reader.fast_lane(true);
        self.seat.authenticated(jid);
    }

    fn ask(&mut self, ask: AskId, question: Question, scratch: &mut Scratch, now: Timestamp) {
        match &question {
            Question::Credentials { account } if self.shared.bans_account(account, now) => {
                self.banned = Some(ask);
                self.link.ask(ask, question);
            }
            Question::Register { address, iq, .. }
                if is_a_try(iq) && !self.shared.admits_registration(*address) =>
            {
                let later = StanzaError::new(Condition::ResourceConstraint)
                    .with_type(ErrorType::Wait)
                    .with_text(
                        "too many registrations are tried from your network; try again in a minute",
                    );
                self.event(Event::Answered(ask, Answer::Refused(later)), scratch, now);
            }
            _ => self.link.ask(ask, question),
        }
    }

    /// The answer as the machine may see it. Of an account that is banned it is as of one that is disabled: the login
    /// fails, and neither that nor the salt tells a stranger why.
    pub(super) fn withheld(&mut self, ask: AskId, answer: Answer) -> Answer {
        if self.banned.take_if(|banned| *banned == ask).is_none() {
            return answer;
        }
        match answer {
            Answer::Credentials(Some(keys)) | Answer::Barred(keys, _) => {
                Answer::Credentials(Some(Arc::new(keys.locked())))
            }
            other => other,
        }
    }

    fn start_tls(&mut self, scratch: &mut Scratch, now: Timestamp) {
        if !self.shared.admits_handshake(self.seat.origin()) {
            return self.lose(scratch, now);
        }
        self.seal(scratch, now);
        match TlsEngine::new(self.shared.tls.current(), false) {
            Ok(engine) => self.wire.start_tls(engine),
            Err(error) => {
                tracing::error!(%error, "tls cannot be started");
                self.lose(scratch, now);
            }
        }
    }

    fn close_socket(&mut self, scratch: &mut Scratch, now: Timestamp) {
        self.seal(scratch, now);
        self.wire.seal_end(&mut scratch.sealed);
        if self.ending == Ending::NotYet {
            self.ending = Ending::Flushing;
        }
    }
}

/// Counts how a login ended; one costs key derivations, so that a look into the recorder does not matter.
fn tried(mechanism: &'static str, outcome: &'static str) {
    counter!("rookery_client_logins_total", "mechanism" => mechanism, "outcome" => outcome)
        .increment(1);
}

/// Derives and compares, off the arbiter and only so many at once. The place belongs to the work
/// and not to who waits for it: a client that breaks off does not make room for more of the same.
async fn verify(places: Arc<Semaphore>, credentials: Arc<Credentials>, password: String) -> bool {
    let Ok(place) = places.acquire_owned().await else {
        return false;
    };
    let derived = tokio::task::spawn_blocking(move || {
        let right = credentials.verify_password(&password);
        drop(place);
        right
    });
    derived.await.unwrap_or(false)
}

/// Whether a stranger wants something done, and does not only ask for the form.
fn is_a_try(iq: &[u8]) -> bool {
    parse_rec(iq).is_none_or(|rec| rec.stanza_type != StanzaType::Get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_that_nobody_waits_for_any_more_keeps_its_place_until_it_is_done() {
        let places = Arc::new(Semaphore::new(1));
        // Some tenths of a second.
        let credentials = Credentials::derive("pencil", b"0123456789abcdef", 100_000);
        let credentials = Arc::new(credentials.expect("a good password"));
        let verification = verify(places.clone(), credentials, "pencil".into());
        let broken_off = tokio::time::timeout(Duration::ZERO, verification).await;
        assert!(broken_off.is_err());
        assert_eq!(places.available_permits(), 0);
        let next = places.acquire_owned().await;
        assert!(next.is_ok(), "the place is given back");
    }
}
