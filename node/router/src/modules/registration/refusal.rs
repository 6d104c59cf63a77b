//! What an applicant is told, and why it was refused.
//!
//! A text says what to do better, and never more than the applicant may know: not which rule reserves a name, which
//! account it looks like, or what would have been the answer.

use rookery_control::{InviteRefused, RefusalCause, RegistrationRefused, Unavailable, WindowKind};
use rookery_store::StoreError;
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use super::challenges::Unsolved;
use crate::password::PasswordFlaw;

/// A refusal: how it is counted, and what the applicant is told.
pub(super) struct Refusal {
    pub(super) cause: RefusalCause,
    pub(super) error: StanzaError,
}

impl Refusal {
    pub(super) const fn new(cause: RefusalCause, error: StanzaError) -> Self {
        Self { cause, error }
    }

    /// Of a form that was not filled in as it must be.
    pub(super) const fn form(error: StanzaError) -> Self {
        Self::new(RefusalCause::Form, error)
    }

    /// Of a captcha.
    pub(super) fn captcha(why: Unsolved) -> Self {
        let error = match why {
            Unsolved::TooMany { .. } => wait(&why.to_string()),
            _ => unacceptable(&why.to_string()),
        };
        Self::new(RefusalCause::Captcha, error)
    }

    /// Of a password.
    pub(super) fn password(flaw: &PasswordFlaw) -> Self {
        Self::new(RefusalCause::Password, password(flaw))
    }

    /// Of a password that cannot be prepared.
    pub(super) fn unusable_password() -> Self {
        Self::new(RefusalCause::Password, unusable_password())
    }

    /// By the control group.
    pub(super) fn reservation(why: &RegistrationRefused) -> Self {
        let told = match why {
            RegistrationRefused::Closed => StanzaError::new(Condition::NotAllowed)
                .with_text("registration is closed on this server"),
            RegistrationRefused::Throttled {
                window: WindowKind::Awaiting,
                ..
            } => wait("too many accounts await approval by a moderator; try again later"),
            RegistrationRefused::Throttled { retry_after_ms, .. } => {
                let seconds = retry_after_ms.div_ceil(1000);
                wait(&format!(
                    "too many registrations; try again in {seconds} seconds"
                ))
            }
            // Which rule it is stays with the operator: it would say how to get around it.
            RegistrationRefused::Name(_) => {
                unacceptable("this username is reserved; choose another")
            }
            RegistrationRefused::InviteNeeded => StanzaError::new(Condition::NotAllowed)
                .with_text("an account on this server needs an invitation"),
            RegistrationRefused::Invite(InviteRefused::OtherName) => {
                unacceptable("this invitation is for another username")
            }
            RegistrationRefused::Invite(_) => StanzaError::new(Condition::ItemNotFound)
                .with_text("the invitation is invalid, used up or expired"),
            // From where else it would work is nobody's business.
            RegistrationRefused::Refused(_) => StanzaError::new(Condition::Forbidden)
                .with_text("registration is not possible from here"),
            // Never let through without a quorum.
            RegistrationRefused::Unavailable(_) => {
                wait("registrations cannot be counted at the moment; try again later")
            }
        };
        Self::new(why.cause(), told)
    }

    /// By the store. Which account a name looks like is not told, nor that a name is withheld for a deleted one: to
    /// choose another name neither is needed.
    pub(super) fn store(error: &StoreError) -> Self {
        let taken = || StanzaError::new(Condition::Conflict);
        let text =
            "this username looks too much like another one; choose one that cannot be taken for it";
        match error {
            StoreError::Confusable { .. } => {
                Self::new(RefusalCause::Confusable, unacceptable(text))
            }
            StoreError::Gone { .. } => Self::new(RefusalCause::Gone, taken()),
            error if error.is_about_name() => Self::new(RefusalCause::Conflict, taken()),
            error => {
                let told = crate::account::store_refusal(error);
                Self::new(RefusalCause::Unavailable, told)
            }
        }
    }

    /// Something failed that has no reason to.
    pub(super) const fn internal() -> Self {
        let error = StanzaError::new(Condition::InternalServerError);
        Self::new(RefusalCause::Unavailable, error)
    }

    /// No more pictures can be drawn now.
    pub(super) fn busy() -> Self {
        let text = "too many people register at the moment; try again in a minute";
        Self::new(RefusalCause::Captcha, wait(text))
    }
}

/// What is said when the throttle cannot be asked.
pub(super) const UNAVAILABLE: RegistrationRefused =
    RegistrationRefused::Unavailable(Unavailable::NoQuorum);

/// A password that is not good enough.
pub(super) fn password(flaw: &PasswordFlaw) -> StanzaError {
    unacceptable(&flaw.to_string())
}

/// A password that no account may have (RFC 8265 4.2).
pub(super) fn unusable_password() -> StanzaError {
    unacceptable("the password has characters that no password may have")
}

/// It can be corrected (XEP-0077 3.1).
pub(super) fn unacceptable(text: &str) -> StanzaError {
    StanzaError::new(Condition::NotAcceptable)
        .with_type(ErrorType::Modify)
        .with_text(text)
}

fn wait(text: &str) -> StanzaError {
    StanzaError::new(Condition::ResourceConstraint)
        .with_type(ErrorType::Wait)
        .with_text(text)
}
