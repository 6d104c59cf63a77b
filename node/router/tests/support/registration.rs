//! Registrations in a world.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rookery_router::captcha::draw;
use rookery_router::shard::{Reply, Request};
use rookery_router::{CaptchaOptions, PasswordOptions, RegistrationFormOptions};
use rookery_session::carrier::{Answer, Question};
use rookery_xmpp::element::Element;
use rookery_xmpp::scram::Credentials;

use super::client::Mailbox;
use super::{World, canonical};

/// A stream that is not authenticated.
pub(crate) struct Stranger {
    mailbox: Arc<Mailbox>,
    pub(crate) address: IpAddr,
}

impl World {
    /// Passwords are to be like this from now on.
    pub(crate) fn set_passwords(&self, passwords: PasswordOptions) {
        self.env.passwords.store(Arc::new(passwords));
    }

    /// Strangers are asked this from now on.
    pub(crate) fn set_form(&self, form: RegistrationFormOptions) {
        self.env.form.store(Arc::new(form));
    }

    /// Strangers must solve this from now on.
    pub(crate) fn set_captcha(&self, captcha: CaptchaOptions) {
        self.env.captcha.store(Arc::new(captcha));
    }

    /// A stream of a stranger.
    pub(crate) fn stranger(&mut self) -> Stranger {
        Stranger {
            mailbox: self.mailbox(),
            address: Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// What a stranger's registration IQ is answered with.
    pub(crate) fn registers(&mut self, stranger: &Stranger, iq: &str) -> Element {
        let question = Question::Register {
            host: "localhost".into(),
            address: stranger.address,
            iq: canonical(iq).into(),
            invite: None,
        };
        match self.ask_from(stranger.mailbox.clone(), question) {
            Some(Answer::Iq(answer)) => Element::parse(&answer).expect("canonical"),
            answer => panic!("{answer:?}"),
        }
    }

    /// What somebody who has just connected is answered to an IQ of this type with these fields.
    pub(crate) fn registration(&mut self, kind: &str, fields: &str) -> String {
        let iq = format!(
            "<iq type='{kind}' id='r'><query xmlns='jabber:iq:register'>{fields}</query></iq>"
        );
        let stranger = self.stranger();
        let answer = self.registers(&stranger, &iq);
        String::from_utf8_lossy(&answer.to_bytes()).into_owned()
    }

    /// Makes an account as a stranger.
    pub(crate) fn register(&mut self, name: &str, password: &str) -> String {
        let fields = format!("<username>{name}</username><password>{password}</password>");
        self.registration("set", &fields)
    }

    /// Carries out what is neither the store's nor a session's.
    pub(super) fn perform_registration(&mut self, request: Request) -> Reply {
        match request {
            Request::Derive {
                password,
                salt,
                iterations,
            } => match Credentials::derive(&password, &salt, iterations) {
                Ok(keys) => Reply::Credentials(Box::new(keys)),
                Err(_) => Reply::BadPassword,
            },
            Request::JudgePassword {
                password,
                account,
                rules,
            } => match rules.check(&password, &account) {
                Ok(()) => Reply::Done,
                Err(flaw) => Reply::PasswordFlaw(flaw),
            },
            Request::VerifyPassword { password, keys } => {
                Reply::PasswordIs(keys.verify_password(&password))
            }
            Request::DrawCaptcha { text, seed, .. } => match draw(&text, seed) {
                Ok(_) if self.pictures_fail => Reply::NotDrawn,
                Ok(picture) => {
                    self.drawn = Some((text, seed));
                    Reply::Drawn(picture.into())
                }
                Err(error) => panic!("{error}"),
            },
            Request::RegistrationIsOpen if self.approval => Reply::RegistrationNeedsApproval,
            Request::RegistrationIsOpen => Reply::RegistrationIsOpen(self.throttle.is_none()),
            Request::CheckName(_) => Reply::Name(self.withheld.clone()),
            Request::Reserve { .. } => match self.throttle {
                Some(refused) => Reply::RegistrationRefused(refused),
                None => {
                    self.reserved += 1;
                    let id = serde_json::from_str("1").expect("a reservation's id");
                    match self.approval {
                        true => Reply::ReservedToAwait(id),
                        false => Reply::Reserved(id),
                    }
                }
            },
            Request::CommitReservation(_) if self.commits_late => {
                self.reserved -= 1;
                Reply::NotReserved
            }
            Request::CommitReservation(_) | Request::ReleaseReservation(_) => {
                self.reserved -= 1;
                Reply::Done
            }
            _ => panic!("not for registration"),
        }
    }
}

/// Whether a request is for [`World::perform_registration`].
pub(super) fn concerns(request: &Request) -> bool {
    matches!(
        request,
        Request::Derive { .. }
            | Request::JudgePassword { .. }
            | Request::VerifyPassword { .. }
            | Request::DrawCaptcha { .. }
            | Request::RegistrationIsOpen
            | Request::CheckName(_)
            | Request::Reserve { .. }
            | Request::CommitReservation(_)
            | Request::ReleaseReservation(_)
    )
}

/// Rules that let all passwords through, for tests of something else.
pub(super) fn any_password() -> PasswordOptions {
    PasswordOptions {
        length_min: 1,
        common_refused: false,
        strength_min: 0,
        ..PasswordOptions::default()
    }
}
