//! The conditions and types of stanza errors.

use std::fmt;

macro_rules! conditions {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $error_type:ident;)*) => {
        /// The defined conditions of RFC 6120 8.3.3.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Condition {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Condition {
            /// All conditions.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The condition's element name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The type that RFC 6120 8.3.3 asks for or, where it leaves a choice, names first.
            pub const fn default_type(self) -> ErrorType {
                match self {
                    $(Self::$name => ErrorType::$error_type,)*
                }
            }
        }
    };
}

conditions! {
    /// 8.3.3.1: XML that does not fit the schema or the protocol.
    BadRequest = "bad-request", Modify;
    /// 8.3.3.2: there is something of that name already.
    Conflict = "conflict", Cancel;
    /// 8.3.3.3: the feature is not implemented.
    FeatureNotImplemented = "feature-not-implemented", Cancel;
    /// 8.3.3.4: the sender lacks the permission.
    Forbidden = "forbidden", Auth;
    /// 8.3.3.5: the recipient is not at this address any more.
    Gone = "gone", Cancel;
    /// 8.3.3.6: a fault of the server.
    InternalServerError = "internal-server-error", Cancel;
    /// 8.3.3.7: no such address or item.
    ItemNotFound = "item-not-found", Cancel;
    /// 8.3.3.8: an address that is not well-formed.
    JidMalformed = "jid-malformed", Modify;
    /// 8.3.3.9: the request does not meet the recipient's criteria.
    NotAcceptable = "not-acceptable", Modify;
    /// 8.3.3.10: nobody may do that.
    NotAllowed = "not-allowed", Cancel;
    /// 8.3.3.11: credentials are missing.
    NotAuthorized = "not-authorized", Auth;
    /// 8.3.3.12: a local policy was violated.
    PolicyViolation = "policy-violation", Modify;
    /// 8.3.3.13: the recipient is not there now.
    RecipientUnavailable = "recipient-unavailable", Wait;
    /// 8.3.3.14: the recipient is elsewhere for now.
    Redirect = "redirect", Modify;
    /// 8.3.3.15: registration must come first.
    RegistrationRequired = "registration-required", Auth;
    /// 8.3.3.16: there is no server for the address.
    RemoteServerNotFound = "remote-server-not-found", Cancel;
    /// 8.3.3.17: the server for the address did not answer in time.
    RemoteServerTimeout = "remote-server-timeout", Wait;
    /// 8.3.3.18: the server lacks resources now.
    ResourceConstraint = "resource-constraint", Wait;
    /// 8.3.3.19: nobody serves that here.
    ServiceUnavailable = "service-unavailable", Cancel;
    /// 8.3.3.20: a subscription must come first.
    SubscriptionRequired = "subscription-required", Auth;
    /// 8.3.3.21: none of the others; the application's condition says what.
    UndefinedCondition = "undefined-condition", Cancel;
    /// 8.3.3.22: the request came at a time when it made no sense.
    UnexpectedRequest = "unexpected-request", Wait;
}

impl Condition {
    /// The condition with this element name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|condition| condition.as_str() == name)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the sender may do about an error (RFC 6120 8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// Retry with credentials.
    Auth,
    /// Do not retry.
    Cancel,
    /// Go on: this was a warning.
    Continue,
    /// Retry with other data.
    Modify,
    /// Retry later.
    Wait,
}

impl ErrorType {
    /// The value of the `type` attribute.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Cancel => "cancel",
            Self::Continue => "continue",
            Self::Modify => "modify",
            Self::Wait => "wait",
        }
    }

    /// The type with this value.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [
            Self::Auth,
            Self::Cancel,
            Self::Continue,
            Self::Modify,
            Self::Wait,
        ];
        all.into_iter()
            .find(|error_type| error_type.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_22_conditions_are_found_by_their_own_name() {
        assert_eq!(Condition::ALL.len(), 22);
        for condition in Condition::ALL {
            assert_eq!(Condition::from_name(condition.as_str()), Some(*condition));
        }
        assert_eq!(Condition::from_name("text"), None);
    }

    #[test]
    fn types_are_found_by_name() {
        assert_eq!(ErrorType::from_name("continue"), Some(ErrorType::Continue));
        assert_eq!(ErrorType::from_name("fatal"), None);
    }
}
