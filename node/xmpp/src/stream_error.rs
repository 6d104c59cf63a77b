//! Stream errors: the conditions of RFC 6120 4.9.3. A stream error is always fatal for its stream.

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
