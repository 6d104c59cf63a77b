//! The namespaces that the server knows by number.

/// Which streams a reader reads: it decides which namespace is the content namespace (RFC 6120
/// 4.8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// `jabber:client`
    Client,
    /// `jabber:server`
    Server,
}

impl Content {
    /// The content namespace.
    pub const fn namespace(self) -> &'static str {
        match self {
            Self::Client => "jabber:client",
            Self::Server => "jabber:server",
        }
    }

    /// The content namespace of the other kind of stream.
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

macro_rules! namespaces {
    ($($(#[doc = $doc:literal])+ $name:ident = $uri:literal;)*) => {
        /// A namespace as the reader saw it, resolved once so that nobody compares its name again.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Namespace {
            /// None of those in this list.
            #[default]
            Unknown,
            /// No namespace (`xmlns=""`).
            None,
            /// The stream's own content namespace.
            Content,
            /// The other content namespace: `jabber:server` on a client's stream and the reverse.
            OtherContent,
            /// Some other namespace that begins with `http://jabber.org/protocol/muc`.
            MucOther,
            $($(#[doc = $doc])+ $name,)*
        }

        impl Namespace {
            /// Every namespace with a fixed name.
            pub const FIXED: &'static [(Self, &'static str)] = &[$((Self::$name, $uri),)*];
        }
    };
}

namespaces! {
    /// XEP-0085 chat states
    ChatStates = "http://jabber.org/protocol/chatstates";
    /// XEP-0334 message processing hints
    Hints = "urn:xmpp:hints";
    /// XEP-0184 message delivery receipts
    Receipts = "urn:xmpp:receipts";
    /// XEP-0333 chat markers
    ChatMarkers = "urn:xmpp:chat-markers:0";
    /// XEP-0045 multi-user chat
    Muc = "http://jabber.org/protocol/muc";
    /// XEP-0045 multi-user chat, from and to occupants
    MucUser = "http://jabber.org/protocol/muc#user";
    /// XEP-0045 multi-user chat, administration
    MucAdmin = "http://jabber.org/protocol/muc#admin";
    /// XEP-0045 multi-user chat, ownership
    MucOwner = "http://jabber.org/protocol/muc#owner";
    /// XEP-0115 entity capabilities
    Caps = "http://jabber.org/protocol/caps";
    /// XEP-0203 delayed delivery
    Delay = "urn:xmpp:delay";
    /// XEP-0280 message carbons
    Carbons = "urn:xmpp:carbons:2";
    /// XEP-0359 stanza ids
    StanzaIds = "urn:xmpp:sid:0";
    /// XEP-0380 explicit message encryption
    Encryption = "urn:xmpp:eme:0";
    /// OMEMO as deployed
    OmemoLegacy = "eu.siacs.conversations.axolotl";
    /// XEP-0384 OMEMO
    Omemo = "urn:xmpp:omemo:2";
    /// XEP-0373 OpenPGP
    OpenPgp = "urn:xmpp:openpgp:0";
    /// XEP-0027 OpenPGP, historical
    OpenPgpLegacy = "jabber:x:encrypted";
    /// Streams (RFC 6120 4.8.1)
    Streams = "http://etherx.jabber.org/streams";
    /// STARTTLS (RFC 6120 5)
    Tls = "urn:ietf:params:xml:ns:xmpp-tls";
    /// SASL (RFC 6120 6)
    Sasl = "urn:ietf:params:xml:ns:xmpp-sasl";
    /// XEP-0388 extensible SASL profile
    Sasl2 = "urn:xmpp:sasl:2";
    /// Resource binding (RFC 6120 7)
    Bind = "urn:ietf:params:xml:ns:xmpp-bind";
    /// XEP-0386 bind 2
    Bind2 = "urn:xmpp:bind:0";
    /// Session establishment (RFC 3921), a no-op today
    Session = "urn:ietf:params:xml:ns:xmpp-session";
    /// Stanza error conditions (RFC 6120 8.3)
    StanzaErrors = "urn:ietf:params:xml:ns:xmpp-stanzas";
    /// XEP-0198 stream management
    StreamManagement = "urn:xmpp:sm:3";
    /// XEP-0352 client state indication
    ClientState = "urn:xmpp:csi:0";
    /// XEP-0199 ping
    Ping = "urn:xmpp:ping";
    /// XEP-0030 service discovery, information
    DiscoInfo = "http://jabber.org/protocol/disco#info";
    /// XEP-0030 service discovery, items
    DiscoItems = "http://jabber.org/protocol/disco#items";
    /// Roster (RFC 6121 2)
    Roster = "jabber:iq:roster";
    /// XEP-0191 blocking
    Blocking = "urn:xmpp:blocking";
    /// XEP-0077 in-band registration
    Register = "jabber:iq:register";
    /// XEP-0049 private storage
    Private = "jabber:iq:private";
    /// XEP-0092 software version
    Version = "jabber:iq:version";
    /// XEP-0012 last activity
    LastActivity = "jabber:iq:last";
    /// XEP-0202 entity time
    Time = "urn:xmpp:time";
    /// XEP-0054 vCard
    VCard = "vcard-temp";
    /// XEP-0153 vCard avatar hash
    VCardUpdate = "vcard-temp:x:update";
    /// XEP-0313 message archive
    Archive = "urn:xmpp:mam:2";
    /// XEP-0060 publish-subscribe
    PubSub = "http://jabber.org/protocol/pubsub";
    /// XEP-0060 publish-subscribe, events
    PubSubEvent = "http://jabber.org/protocol/pubsub#event";
    /// XEP-0060 publish-subscribe, ownership
    PubSubOwner = "http://jabber.org/protocol/pubsub#owner";
    /// XEP-0297 forwarding
    Forward = "urn:xmpp:forward:0";
    /// XEP-0004 data forms
    DataForms = "jabber:x:data";
    /// XEP-0066 out-of-band data
    OutOfBand = "jabber:x:oob";
    /// XEP-0363 HTTP upload
    Upload = "urn:xmpp:http:upload:0";
    /// XEP-0308 message correction
    Correction = "urn:xmpp:message-correct:0";
    /// XEP-0172 nicknames
    Nick = "http://jabber.org/protocol/nick";
    /// XEP-0444 reactions
    Reactions = "urn:xmpp:reactions:0";
    /// XEP-0461 replies
    Reply = "urn:xmpp:reply:0";
    /// XEP-0357 push
    Push = "urn:xmpp:push:0";
    /// XEP-0050 ad-hoc commands
    Commands = "http://jabber.org/protocol/commands";
    /// XEP-0166 Jingle
    Jingle = "urn:xmpp:jingle:1";
    /// XEP-0353 Jingle message initiation
    JingleMessage = "urn:xmpp:jingle-message:0";
}

impl Namespace {
    /// Resolves a namespace's name on a stream with this content.
    pub fn resolve(name: &[u8], content: Content) -> Self {
        if name.is_empty() {
            return Self::None;
        }
        let mut slot = slot(name);
        loop {
            match TABLE[slot] {
                EMPTY => break,
                CLIENT if name == b"jabber:client" => {
                    return Self::content(content, Content::Client);
                }
                SERVER if name == b"jabber:server" => {
                    return Self::content(content, Content::Server);
                }
                CLIENT | SERVER => {}
                index => {
                    let (namespace, fixed) = Self::FIXED[usize::from(index)];
                    if name == fixed.as_bytes() {
                        return namespace;
                    }
                }
            }
            slot = (slot + 1) % SLOTS;
        }
        if name.starts_with(b"http://jabber.org/protocol/muc") {
            Self::MucOther
        } else {
            Self::Unknown
        }
    }

    fn content(ours: Content, theirs: Content) -> Self {
        if ours == theirs {
            Self::Content
        } else {
            Self::OtherContent
        }
    }
}

/// A hash table over the names, built by the compiler: resolving a name costs one comparison as a
/// rule.
static TABLE: [u8; SLOTS] = {
    let mut table = [EMPTY; SLOTS];
    let mut index = 0;
    while index < Namespace::FIXED.len() {
        insert(
            &mut table,
            Namespace::FIXED[index].1.as_bytes(),
            index as u8,
        );
        index += 1;
    }
    insert(&mut table, b"jabber:client", CLIENT);
    insert(&mut table, b"jabber:server", SERVER);
    table
};

const SLOTS: usize = 256;
const EMPTY: u8 = u8::MAX;
const CLIENT: u8 = u8::MAX - 1;
const SERVER: u8 = u8::MAX - 2;

const fn insert(table: &mut [u8; SLOTS], name: &[u8], entry: u8) {
    let mut at = slot(name);
    while table[at] != EMPTY {
        at = (at + 1) % SLOTS;
    }
    table[at] = entry;
}

/// Mixes what tells the known names apart: the length, the end, and a byte before it.
const fn slot(name: &[u8]) -> usize {
    let length = name.len();
    let last = name[length - 1] as usize;
    let inner = name[length - length.div_ceil(3)] as usize;
    (length.wrapping_mul(29) ^ last.wrapping_mul(7) ^ inner.wrapping_mul(53)) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fixed_name_resolves_to_its_own_number() {
        for (namespace, name) in Namespace::FIXED {
            assert_eq!(
                Namespace::resolve(name.as_bytes(), Content::Client),
                *namespace,
                "{name}"
            );
            assert_eq!(
                Namespace::resolve(name.as_bytes(), Content::Server),
                *namespace,
                "{name}"
            );
            let longer = format!("{name}x");
            assert_ne!(
                Namespace::resolve(longer.as_bytes(), Content::Client),
                *namespace
            );
        }
    }

    #[test]
    fn the_content_namespaces_depend_on_the_stream() {
        let resolve = |name: &str, content| Namespace::resolve(name.as_bytes(), content);
        assert_eq!(
            resolve("jabber:client", Content::Client),
            Namespace::Content
        );
        assert_eq!(
            resolve("jabber:client", Content::Server),
            Namespace::OtherContent
        );
        assert_eq!(
            resolve("jabber:server", Content::Server),
            Namespace::Content
        );
        assert_eq!(
            resolve("jabber:server", Content::Client),
            Namespace::OtherContent
        );
    }

    #[test]
    fn no_name_a_room_protocol_and_anything_else_are_told_apart() {
        let resolve = |name: &str| Namespace::resolve(name.as_bytes(), Content::Client);
        assert_eq!(resolve(""), Namespace::None);
        assert_eq!(
            resolve("http://jabber.org/protocol/muc#unique"),
            Namespace::MucOther
        );
        assert_eq!(resolve("urn:example:a"), Namespace::Unknown);
        assert_eq!(resolve("a"), Namespace::Unknown);
    }

    #[test]
    fn the_hash_spreads_the_names() {
        let clashes = Namespace::FIXED
            .iter()
            .enumerate()
            .filter(|(index, (_, name))| TABLE[slot(name.as_bytes())] != *index as u8)
            .count();
        assert!(
            clashes <= 10,
            "{clashes} names need more than one comparison"
        );
    }
}
