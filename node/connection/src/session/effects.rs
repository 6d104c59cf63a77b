//! What the session machine wants done.

use std::sync::Arc;

use rookery_session::effect::Effect;
use rookery_session::event::Event;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::scram::Credentials;

use super::actor::SessionActor;
use super::writing::Ending;
use crate::scratch::Scratch;
use crate::shared::Shared;
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
        if self.machine.is_closing() {
            self.link.detach();
        }
    }

    fn carry_out_one(&mut self, effect: Effect, scratch: &mut Scratch, now: Timestamp) {
        match effect {
            Effect::Send(bytes) => scratch.outgoing.extend_from_slice(&bytes),
            Effect::StartTls => self.start_tls(scratch, now),
            Effect::ResetReader => self.reader.reset(),
            Effect::Authenticated(_) => {
                self.reader.set_limits(self.shared.xml.clone());
                self.reader.fast_lane(true);
                self.seat.authenticated();
            }
            Effect::Ask(ask, question) => self.link.ask(ask, question),
            Effect::Admit { address, account } => {
                let admission = self
                    .shared
                    .login_guard()
                    .admit(address, account.as_ref(), now);
                self.event(Event::Admitted(admission), scratch, now);
            }
            Effect::ReportLogin {
                address,
                account,
                succeeded,
            } => {
                self.shared
                    .login_guard()
                    .report(address, account.as_ref(), succeeded, now);
            }
            Effect::WithdrawLogin { address, account } => {
                self.shared
                    .login_guard()
                    .withdraw(address, account.as_ref(), now);
            }
            Effect::VerifyPassword {
                ask,
                credentials,
                password,
            } => {
                let verification = verify(self.shared.clone(), credentials, password.0);
                self.verification = Some((ask, Box::pin(verification)));
            }
            Effect::Bound(jid) => {
                self.reader.stamp_from(Some(jid.as_str()));
                self.link.bind(jid);
            }
            Effect::Arm(timer, after) => self.timers.arm(Alarm::Session(timer), after),
            Effect::Disarm(timer) => self.timers.disarm(Alarm::Session(timer)),
            Effect::CloseSocket => self.close_socket(scratch, now),
        }
    }

    fn start_tls(&mut self, scratch: &mut Scratch, now: Timestamp) {
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

/// Derives and compares, off the arbiter and only so many at once.
async fn verify(shared: Arc<Shared>, credentials: Arc<Credentials>, password: String) -> bool {
    let Ok(_place) = shared.verifications.acquire().await else {
        return false;
    };
    let derived = tokio::task::spawn_blocking(move || credentials.verify_password(&password));
    derived.await.unwrap_or(false)
}
