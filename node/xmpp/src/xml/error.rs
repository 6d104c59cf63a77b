//! Why a stream cannot be read any further.

use rxml::Error as Rxml;

use crate::stream_error::StreamCondition;

/// The peer sent what must end the stream. The reader gives the same error for ever after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", condition.as_str())]
pub struct ReadError {
    /// The stream error to answer with (RFC 6120 4.9.3).
    pub condition: StreamCondition,
    /// What was wrong, for the error's text and the log. Never holds what the peer wrote.
    pub reason: &'static str,
}

impl ReadError {
    pub(crate) const fn new(condition: StreamCondition, reason: &'static str) -> Self {
        Self { condition, reason }
    }

    pub(crate) const fn policy(reason: &'static str) -> Self {
        Self::new(StreamCondition::PolicyViolation, reason)
    }

    pub(crate) const fn malformed(reason: &'static str) -> Self {
        Self::new(StreamCondition::NotWellFormed, reason)
    }

    pub(crate) const fn restricted(reason: &'static str) -> Self {
        Self::new(StreamCondition::RestrictedXml, reason)
    }

    pub(crate) const fn namespace(reason: &'static str) -> Self {
        Self::new(StreamCondition::InvalidNamespace, reason)
    }
}

impl From<Rxml> for ReadError {
    fn from(error: Rxml) -> Self {
        match error {
            Rxml::RestrictedXml("only utf-8 encoding is allowed") => Self::new(
                StreamCondition::UnsupportedEncoding,
                "the encoding is not UTF-8",
            ),
            Rxml::InvalidUtf8Byte(_) => {
                Self::new(StreamCondition::UnsupportedEncoding, "invalid UTF-8")
            }
            Rxml::RestrictedXml("long name or reference") => Self::policy("name or value too long"),
            Rxml::RestrictedXml(reason) => Self::restricted(reason),
            Rxml::UndeclaredEntity => Self::restricted("entity reference"),
            // What `<!DOCTYPE` and all other `<!` run into.
            Rxml::InvalidSyntax("malformed cdata or comment section start") => {
                Self::restricted("document type declaration")
            }
            Rxml::InvalidSyntax(reason) => Self::malformed(reason),
            Rxml::InvalidChar(..) => Self::malformed("character that XML does not allow"),
            Rxml::DuplicateAttribute => Self::malformed("duplicate attribute"),
            Rxml::ElementMismatch => Self::malformed("start and end tag differ"),
            Rxml::UndeclaredNamespacePrefix(_) => Self::new(
                StreamCondition::BadNamespacePrefix,
                "undeclared namespace prefix",
            ),
            Rxml::MultiColonName(_) | Rxml::EmptyNamePart(_) | Rxml::InvalidLocalName(_) => {
                Self::malformed("malformed qualified name")
            }
            Rxml::ReservedNamespacePrefix => Self::malformed("reserved namespace prefix"),
            Rxml::ReservedNamespaceName => Self::malformed("reserved namespace name"),
            Rxml::EmptyNamespaceUri => Self::malformed("prefix bound to no namespace"),
            Rxml::InvalidEof(_) => Self::malformed("unexpected end"),
            Rxml::UnexpectedChar(..) | Rxml::UnexpectedByte(..) | Rxml::UnexpectedToken(..) => {
                Self::malformed("not XML")
            }
        }
    }
}
