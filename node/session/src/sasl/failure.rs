//! Why a login failed, as the client is told (RFC 6120 6.5).

use rookery_xmpp::element::Element;
use rookery_xmpp::ns;

use crate::carrier::Barred;

/// A failed login. The text never tells more than the condition does about the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) condition: Condition,
    pub(crate) text: &'static str,
}

/// The conditions that this server has use for. `credentials-expired` and the like would tell a stranger that the
/// account exists; `account-disabled` is told only to who has proved to know the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// 6.5.1: the client gave up.
    Aborted,
    /// 6.5.2: nobody logs in to the account now.
    AccountDisabled,
    /// 6.5.4: TLS must come first.
    EncryptionRequired,
    /// 6.5.5: not base64.
    IncorrectEncoding,
    /// 6.5.6: the client may not act as who it wants to.
    InvalidAuthzid,
    /// 6.5.7: no such mechanism.
    InvalidMechanism,
    /// 6.5.8: the message is wrong in itself.
    MalformedRequest,
    /// 6.5.9: the mechanism is known and not allowed.
    MechanismTooWeak,
    /// 6.5.10: wrong name or password, whichever it is.
    NotAuthorized,
    /// 6.5.11: nothing can be said now.
    TemporaryAuthFailure,
}

impl Failure {
    pub(crate) const fn new(condition: Condition, text: &'static str) -> Self {
        Self { condition, text }
    }

    /// The one failure for everything that a wrong name, a wrong password or a disabled account can lead to.
    pub(crate) const fn not_authorized() -> Self {
        Self::new(Condition::NotAuthorized, "wrong name or password")
    }

    /// The password is right, and nobody logs in to the account.
    pub(crate) const fn barred(why: Barred) -> Self {
        let text = match why {
            Barred::AwaitsApproval => "this account awaits approval by a moderator",
            Barred::Leaves => {
                "this account was removed and will be deleted; the operator of the server can restore it until then"
            }
        };
        Self::new(Condition::AccountDisabled, text)
    }

    pub(crate) const fn malformed(text: &'static str) -> Self {
        Self::new(Condition::MalformedRequest, text)
    }

    /// `<failure/>` with its condition and text.
    pub(crate) fn to_element(self) -> Element {
        let text = Element::new("text", ns::SASL)
            .with_attr("xml:lang", "en")
            .with_text(self.text);
        Element::new("failure", ns::SASL)
            .with_child(Element::new(self.condition.name(), ns::SASL))
            .with_child(text)
    }
}

impl Condition {
    const fn name(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::AccountDisabled => "account-disabled",
            Self::EncryptionRequired => "encryption-required",
            Self::IncorrectEncoding => "incorrect-encoding",
            Self::InvalidAuthzid => "invalid-authzid",
            Self::InvalidMechanism => "invalid-mechanism",
            Self::MalformedRequest => "malformed-request",
            Self::MechanismTooWeak => "mechanism-too-weak",
            Self::NotAuthorized => "not-authorized",
            Self::TemporaryAuthFailure => "temporary-auth-failure",
        }
    }
}
