//! The facts that names alone decide, for both lanes.
//!
//! A comparison of the lanes cannot find a mistake in here, so this table has tests of its own.

use crate::stanza::{Flags, Kind, Namespace};

/// Which stanza an element with this name is.
pub(crate) fn kind(namespace: Namespace, name: &[u8]) -> Kind {
    if namespace != Namespace::Content {
        return Kind::Other;
    }
    match name {
        b"message" => Kind::Message,
        b"presence" => Kind::Presence,
        b"iq" => Kind::Iq,
        _ => Kind::Other,
    }
}

/// What a child with this name says about its stanza.
pub(crate) fn child_flags(kind: Kind, namespace: Namespace, name: &[u8]) -> Flags {
    match namespace {
        Namespace::Content => content_flags(kind, name),
        Namespace::ChatStates => match name {
            b"active" | b"composing" | b"paused" | b"inactive" | b"gone" => Flags::CHAT_STATE,
            _ => Flags::OTHER_CHILD,
        },
        Namespace::Hints => match name {
            b"no-store" => Flags::NO_STORE,
            b"no-permanent-store" => Flags::NO_PERMANENT_STORE,
            b"no-copy" => Flags::NO_COPY,
            b"store" => Flags::STORE,
            _ => Flags::OTHER_CHILD,
        },
        Namespace::Receipts if matches!(name, b"request" | b"received") => Flags::RECEIPT,
        Namespace::ChatMarkers => Flags::MARKER,
        Namespace::Muc
        | Namespace::MucUser
        | Namespace::MucAdmin
        | Namespace::MucOwner
        | Namespace::MucOther => Flags::MUC,
        Namespace::Caps if name == b"c" => Flags::CAPS,
        Namespace::Delay if name == b"delay" => Flags::DELAY,
        Namespace::Carbons if matches!(name, b"private" | b"sent" | b"received") => Flags::CARBONS,
        Namespace::StanzaIds if name == b"stanza-id" => Flags::STANZA_ID,
        Namespace::StanzaIds if name == b"origin-id" => Flags::ORIGIN_ID,
        Namespace::Encryption if name == b"encryption" => Flags::ENCRYPTED,
        Namespace::Omemo | Namespace::OmemoLegacy if name == b"encrypted" => Flags::ENCRYPTED,
        Namespace::OpenPgp if name == b"openpgp" => Flags::ENCRYPTED,
        Namespace::OpenPgpLegacy if name == b"x" => Flags::ENCRYPTED,
        _ => Flags::OTHER_CHILD,
    }
}

fn content_flags(kind: Kind, name: &[u8]) -> Flags {
    match (kind, name) {
        (Kind::Message, b"body") => Flags::BODY,
        (Kind::Message, b"subject") => Flags::SUBJECT,
        (Kind::Message, b"thread") => Flags::THREAD,
        (_, b"error") => Flags::ERROR,
        _ => Flags::empty(),
    }
}

/// What an attribute of a top-level element is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nothing that routing asks for.
    #[default]
    Other,
    To,
    From,
    Id,
    Type,
    Lang,
}

impl Role {
    /// The role of an attribute with this name as the canonical form writes it.
    pub(crate) fn of(name: &[u8]) -> Self {
        // Spelled out, these are compared in registers.
        match *name {
            [b't', b'o'] => Self::To,
            [b'i', b'd'] => Self::Id,
            [b'f', b'r', b'o', b'm'] => Self::From,
            [b't', b'y', b'p', b'e'] => Self::Type,
            [b'x', b'm', b'l', b':', b'l', b'a', b'n', b'g'] => Self::Lang,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_three_names_in_the_content_namespace_are_stanzas() {
        assert_eq!(kind(Namespace::Content, b"message"), Kind::Message);
        assert_eq!(kind(Namespace::Content, b"presence"), Kind::Presence);
        assert_eq!(kind(Namespace::Content, b"iq"), Kind::Iq);
        assert_eq!(kind(Namespace::Content, b"messages"), Kind::Other);
        assert_eq!(kind(Namespace::OtherContent, b"message"), Kind::Other);
        assert_eq!(kind(Namespace::None, b"iq"), Kind::Other);
    }

    #[test]
    fn each_flag_is_set_by_its_child_and_by_nothing_like_it() {
        use Namespace as N;
        let flags = |namespace, name: &str| child_flags(Kind::Message, namespace, name.as_bytes());
        for (namespace, name, expected) in [
            (N::Content, "body", Flags::BODY),
            (N::Content, "subject", Flags::SUBJECT),
            (N::Content, "thread", Flags::THREAD),
            (N::Content, "error", Flags::ERROR),
            (N::Content, "nobody", Flags::empty()),
            (N::None, "body", Flags::OTHER_CHILD),
            (N::OtherContent, "body", Flags::OTHER_CHILD),
            (N::Unknown, "body", Flags::OTHER_CHILD),
            (N::ChatStates, "composing", Flags::CHAT_STATE),
            (N::ChatStates, "body", Flags::OTHER_CHILD),
            (N::Hints, "no-store", Flags::NO_STORE),
            (N::Hints, "no-permanent-store", Flags::NO_PERMANENT_STORE),
            (N::Hints, "no-copy", Flags::NO_COPY),
            (N::Hints, "store", Flags::STORE),
            (N::Hints, "keep", Flags::OTHER_CHILD),
            (N::Receipts, "request", Flags::RECEIPT),
            (N::Receipts, "received", Flags::RECEIPT),
            (N::Receipts, "x", Flags::OTHER_CHILD),
            (N::ChatMarkers, "displayed", Flags::MARKER),
            (N::Muc, "x", Flags::MUC),
            (N::MucUser, "x", Flags::MUC),
            (N::MucOther, "unique", Flags::MUC),
            (N::Caps, "c", Flags::CAPS),
            (N::Delay, "delay", Flags::DELAY),
            (N::Carbons, "sent", Flags::CARBONS),
            (N::StanzaIds, "stanza-id", Flags::STANZA_ID),
            (N::StanzaIds, "origin-id", Flags::ORIGIN_ID),
            (N::Encryption, "encryption", Flags::ENCRYPTED),
            (N::Omemo, "encrypted", Flags::ENCRYPTED),
            (N::OmemoLegacy, "encrypted", Flags::ENCRYPTED),
            (N::OpenPgp, "openpgp", Flags::ENCRYPTED),
            (N::OpenPgpLegacy, "x", Flags::ENCRYPTED),
            (N::Ping, "ping", Flags::OTHER_CHILD),
        ] {
            assert_eq!(flags(namespace, name), expected, "{namespace:?} {name}");
        }
    }

    #[test]
    fn a_body_counts_in_messages_only() {
        assert_eq!(
            child_flags(Kind::Iq, Namespace::Content, b"body"),
            Flags::empty()
        );
        assert_eq!(
            child_flags(Kind::Presence, Namespace::Content, b"error"),
            Flags::ERROR
        );
    }
}
