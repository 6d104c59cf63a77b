//! Stream errors: the conditions of RFC 6120 4.9.3. A stream error is always fatal for its stream.
//!
//! ```text
//! <stream:error><host-unknown xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error></stream:stream>
//! ```

use std::fmt;

use crate::element::Element;
use crate::escape::{escape_attr, escape_text};
use crate::ns;

/// A condition that ends a stream (RFC 6120 4.9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamCondition {
    /// 4.9.3.1: XML that cannot be processed.
    BadFormat,
    /// 4.9.3.2: an unsupported or missing namespace prefix.
    BadNamespacePrefix,
    /// 4.9.3.3: the stream is displaced by another one of the same entity.
    Conflict,
    /// 4.9.3.4: the peer is not heard of any more.
    ConnectionTimeout,
    /// 4.9.3.5: the domain was served here once and is no longer.
    HostGone,
    /// 4.9.3.6: the domain is not served here.
    HostUnknown,
    /// 4.9.3.7: `to` or `from` is missing where it is required, or is not an address.
    ImproperAddressing,
    /// 4.9.3.8: a fault of the server.
    InternalServerError,
    /// 4.9.3.9: `from` is not the authenticated entity.
    InvalidFrom,
    /// 4.9.3.10: the stream's or the content's namespace is not the one that must be there.
    InvalidNamespace,
    /// 4.9.3.11: XML that fails validation.
    InvalidXml,
    /// 4.9.3.12: something that needs authentication was sent before it.
    NotAuthorized,
    /// 4.9.3.13: XML that is not (namespace-)well-formed.
    NotWellFormed,
    /// 4.9.3.14: a local policy was violated.
    PolicyViolation,
    /// 4.9.3.15: a server that is needed cannot be reached.
    RemoteConnectionFailed,
    /// 4.9.3.16: new features are offered; the stream must be opened anew.
    Reset,
    /// 4.9.3.17: the server lacks resources to serve the stream.
    ResourceConstraint,
    /// 4.9.3.18: a comment, processing instruction, DTD subset or entity reference (RFC 6120 11.1).
    RestrictedXml,
    /// 4.9.3.19: the stream is served at another host.
    SeeOtherHost,
    /// 4.9.3.20: the server is being shut down.
    SystemShutdown,
    /// 4.9.3.21: none of the others; a text or an application condition must say what.
    UndefinedCondition,
    /// 4.9.3.22: the stream is not encoded in UTF-8.
    UnsupportedEncoding,
    /// 4.9.3.23: a mandatory feature of the stream is not supported.
    UnsupportedFeature,
    /// 4.9.3.24: a top-level element that is not understood.
    UnsupportedStanzaType,
    /// 4.9.3.25: the version of the stream is not supported.
    UnsupportedVersion,
}

impl StreamCondition {
    /// The condition's element name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadFormat => "bad-format",
            Self::BadNamespacePrefix => "bad-namespace-prefix",
            Self::Conflict => "conflict",
            Self::ConnectionTimeout => "connection-timeout",
            Self::HostGone => "host-gone",
            Self::HostUnknown => "host-unknown",
            Self::ImproperAddressing => "improper-addressing",
            Self::InternalServerError => "internal-server-error",
            Self::InvalidFrom => "invalid-from",
            Self::InvalidNamespace => "invalid-namespace",
            Self::InvalidXml => "invalid-xml",
            Self::NotAuthorized => "not-authorized",
            Self::NotWellFormed => "not-well-formed",
            Self::PolicyViolation => "policy-violation",
            Self::RemoteConnectionFailed => "remote-connection-failed",
            Self::Reset => "reset",
            Self::ResourceConstraint => "resource-constraint",
            Self::RestrictedXml => "restricted-xml",
            Self::SeeOtherHost => "see-other-host",
            Self::SystemShutdown => "system-shutdown",
            Self::UndefinedCondition => "undefined-condition",
            Self::UnsupportedEncoding => "unsupported-encoding",
            Self::UnsupportedFeature => "unsupported-feature",
            Self::UnsupportedStanzaType => "unsupported-stanza-type",
            Self::UnsupportedVersion => "unsupported-version",
        }
    }
}

impl fmt::Display for StreamCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a stream ends, as it is told to the peer (RFC 6120 4.9.2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stream error: {condition}")]
pub struct StreamError {
    /// What went wrong.
    pub condition: StreamCondition,
    /// A description in English for the peer's log, or nothing.
    pub text: Option<String>,
    /// For [`StreamCondition::SeeOtherHost`]: the host and, if need be, port to connect to
    /// (4.9.3.19).
    pub other_host: Option<String>,
    /// An application's own condition beside it (4.9.4), in canonical bytes.
    pub application: Option<Box<[u8]>>,
}

impl StreamError {
    /// An error without a description.
    pub const fn new(condition: StreamCondition) -> Self {
        Self {
            condition,
            text: None,
            other_host: None,
            application: None,
        }
    }

    /// Adds a description in English.
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Sends the peer to another host (RFC 6120 4.9.3.19): a name or address, with a port where it
    /// is not the usual one.
    pub fn see_other_host(host: impl Into<String>) -> Self {
        let other_host = Some(host.into());
        Self {
            other_host,
            ..Self::new(StreamCondition::SeeOtherHost)
        }
    }

    /// Adds a condition of an application (4.9.4).
    pub fn with_application(mut self, condition: &Element) -> Self {
        self.application = Some(condition.to_bytes()[..].into());
        self
    }

    /// Appends the error as it stands inside a stream whose header bound the prefix `stream`, as
    /// RFC 6120 4.8.5 wants. The end of the stream is not written.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<stream:error><");
        let name = self.condition.as_str();
        out.extend_from_slice(name.as_bytes());
        write_namespace(out);
        match &self.other_host {
            Some(host) => {
                out.push(b'>');
                escape_text(host, out);
                out.extend_from_slice(b"</");
                out.extend_from_slice(name.as_bytes());
                out.push(b'>');
            }
            None => out.extend_from_slice(b"/>"),
        }
        if let Some(text) = &self.text {
            out.extend_from_slice(b"<text");
            write_namespace(out);
            out.extend_from_slice(b" xml:lang=\"en\">");
            escape_text(text, out);
            out.extend_from_slice(b"</text>");
        }
        if let Some(application) = &self.application {
            out.extend_from_slice(application);
        }
        out.extend_from_slice(b"</stream:error>");
    }
}

impl From<StreamCondition> for StreamError {
    fn from(condition: StreamCondition) -> Self {
        Self::new(condition)
    }
}

fn write_namespace(out: &mut Vec<u8>) {
    out.extend_from_slice(b" xmlns=\"");
    escape_attr(ns::STREAM_ERRORS, out);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(error: &StreamError) -> String {
        let mut out = Vec::new();
        error.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_error_names_its_condition_and_escapes_its_text() {
        assert_eq!(
            written(&StreamCondition::HostUnknown.into()),
            "<stream:error><host-unknown xmlns=\"urn:ietf:params:xml:ns:xmpp-streams\"/></stream:error>"
        );
        let error = StreamError::new(StreamCondition::PolicyViolation).with_text("a < b");
        assert_eq!(
            written(&error),
            "<stream:error><policy-violation xmlns=\"urn:ietf:params:xml:ns:xmpp-streams\"/>\
             <text xmlns=\"urn:ietf:params:xml:ns:xmpp-streams\" xml:lang=\"en\">a &lt; b</text></stream:error>"
        );
    }

    #[test]
    fn the_other_host_stands_inside_its_condition() {
        assert_eq!(
            written(&StreamError::see_other_host("[2001:db8::1]:5269")),
            "<stream:error><see-other-host xmlns=\"urn:ietf:params:xml:ns:xmpp-streams\">\
             [2001:db8::1]:5269</see-other-host></stream:error>"
        );
    }
}
