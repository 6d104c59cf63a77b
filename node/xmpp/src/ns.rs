//! Namespace names, each with the document that defines it.

macro_rules! namespaces {
    ($($(#[doc = $doc:literal])+ $name:ident = $uri:literal;)*) => {
        $($(#[doc = $doc])+ pub const $name: &str = $uri;)*

        /// The constant with this value, so that a tree need not own names that everybody uses.
        pub(crate) fn known(uri: &str) -> Option<&'static str> {
            match uri {
                "" => Some(""),
                $($uri => Some($name),)*
                _ => None,
            }
        }

        #[cfg(test)]
        const ALL: &[&str] = &[$($name),*];
    };
}

namespaces! {
    /// `xml:lang` and its kin (XML namespaces); bound to `xml` everywhere, never declared.
    XML = "http://www.w3.org/XML/1998/namespace";
    /// Streams (RFC 6120 4.8.1).
    STREAMS = "http://etherx.jabber.org/streams";
    /// Stanzas of clients, the content namespace of c2s streams (RFC 6120 4.8.2).
    CLIENT = "jabber:client";
    /// Stanzas between servers, the content namespace of s2s streams (RFC 6120 4.8.2).
    SERVER = "jabber:server";
    /// Stream error conditions (RFC 6120 4.9.3).
    STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams";
    /// Stanza error conditions (RFC 6120 8.3.3).
    STANZA_ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas";
    /// STARTTLS (RFC 6120 5.4).
    TLS = "urn:ietf:params:xml:ns:xmpp-tls";
    /// SASL (RFC 6120 6.4).
    SASL = "urn:ietf:params:xml:ns:xmpp-sasl";
    /// XEP-0440: the channel bindings that the server offers.
    SASL_CHANNEL_BINDING = "urn:xmpp:sasl-cb:0";
    /// XEP-0388: Extensible SASL Profile.
    SASL2 = "urn:xmpp:sasl:2";
    /// Resource binding (RFC 6120 7.4).
    BIND = "urn:ietf:params:xml:ns:xmpp-bind";
    /// XEP-0386: Bind 2.
    BIND2 = "urn:xmpp:bind:0";
    /// Session establishment (RFC 3921 3), a formality today.
    SESSION = "urn:ietf:params:xml:ns:xmpp-session";
    /// Rosters (RFC 6121 2).
    ROSTER = "jabber:iq:roster";
    /// Stream feature: roster versioning (RFC 6121 2.6).
    ROSTER_VERSIONING = "urn:xmpp:features:rosterver";
    /// Stream feature: pre-approval of subscriptions (RFC 6121 3.4).
    PRE_APPROVAL = "urn:xmpp:features:pre-approval";
    /// Stream feature: in-band registration (XEP-0077 8).
    REGISTER_FEATURE = "http://jabber.org/features/iq-register";
    /// Stream feature: pre-authenticated in-band registration (XEP-0445 2).
    PREAUTH_FEATURE = "urn:xmpp:ibr-token:0";
    /// XEP-0401: Ad-hoc Account Invitation Generation; once also the stream feature of what is XEP-0445 now.
    INVITE = "urn:xmpp:invite";
    /// XEP-0379: Pre-Authenticated Roster Subscription; XEP-0445 shows tokens in it.
    PARS = "urn:xmpp:pars:0";
    /// Stream feature: stream limits (XEP-0478).
    STREAM_LIMITS = "urn:xmpp:stream-limits:0";
    /// XEP-0004: Data Forms.
    DATA_FORMS = "jabber:x:data";
    /// XEP-0012: Last Activity.
    LAST_ACTIVITY = "jabber:iq:last";
    /// XEP-0030: Service Discovery, information.
    DISCO_INFO = "http://jabber.org/protocol/disco#info";
    /// XEP-0030: Service Discovery, items.
    DISCO_ITEMS = "http://jabber.org/protocol/disco#items";
    /// XEP-0045: Multi-User Chat.
    MUC = "http://jabber.org/protocol/muc";
    /// XEP-0045: Multi-User Chat, what occupants see.
    MUC_USER = "http://jabber.org/protocol/muc#user";
    /// XEP-0045: Multi-User Chat, administration.
    MUC_ADMIN = "http://jabber.org/protocol/muc#admin";
    /// XEP-0045: Multi-User Chat, ownership.
    MUC_OWNER = "http://jabber.org/protocol/muc#owner";
    /// XEP-0045: Multi-User Chat, the room's information form.
    MUC_ROOM_INFO = "http://jabber.org/protocol/muc#roominfo";
    /// XEP-0045: Multi-User Chat, the room's configuration form.
    MUC_ROOM_CONFIG = "http://jabber.org/protocol/muc#roomconfig";
    /// XEP-0049: Private XML Storage.
    PRIVATE = "jabber:iq:private";
    /// XEP-0050: Ad-Hoc Commands.
    COMMANDS = "http://jabber.org/protocol/commands";
    /// XEP-0054: vcard-temp.
    VCARD = "vcard-temp";
    /// XEP-0059: Result Set Management.
    RSM = "http://jabber.org/protocol/rsm";
    /// XEP-0060: Publish-Subscribe.
    PUBSUB = "http://jabber.org/protocol/pubsub";
    /// XEP-0060: Publish-Subscribe, notifications.
    PUBSUB_EVENT = "http://jabber.org/protocol/pubsub#event";
    /// XEP-0033: Extended Stanza Addressing.
    ADDRESSES = "http://jabber.org/protocol/address";
    /// XEP-0060: Publish-Subscribe, ownership.
    PUBSUB_OWNER = "http://jabber.org/protocol/pubsub#owner";
    /// XEP-0060: Publish-Subscribe, error conditions.
    PUBSUB_ERRORS = "http://jabber.org/protocol/pubsub#errors";
    /// XEP-0077: In-Band Registration.
    REGISTER = "jabber:iq:register";
    /// XEP-0066: Out of Band Data, used by XEP-0077 6 for redirection.
    OUT_OF_BAND = "jabber:x:oob";
    /// XEP-0221: Data Forms Media Element.
    MEDIA_ELEMENT = "urn:xmpp:media-element";
    /// XEP-0231: Bits of Binary.
    BITS_OF_BINARY = "urn:xmpp:bob";
    /// XEP-0085: Chat State Notifications.
    CHAT_STATES = "http://jabber.org/protocol/chatstates";
    /// XEP-0092: Software Version.
    VERSION = "jabber:iq:version";
    /// XEP-0115: Entity Capabilities.
    CAPS = "http://jabber.org/protocol/caps";
    /// XEP-0153: vCard-Based Avatars.
    VCARD_UPDATE = "vcard-temp:x:update";
    /// XEP-0122: Data Forms Validation.
    DATA_VALIDATE = "http://jabber.org/protocol/xdata-validate";
    /// XEP-0157: Contact Addresses, the form type, which XEP-0485 shares.
    SERVER_INFO = "http://jabber.org/network/serverinfo";
    /// XEP-0184: Message Delivery Receipts.
    RECEIPTS = "urn:xmpp:receipts";
    /// XEP-0191: Blocking Command.
    BLOCKING = "urn:xmpp:blocking";
    /// XEP-0191 3.6: the error condition of a blocked stanza.
    BLOCKING_ERRORS = "urn:xmpp:blocking:errors";
    /// XEP-0198: Stream Management.
    STREAM_MANAGEMENT = "urn:xmpp:sm:3";
    /// XEP-0199: XMPP Ping.
    PING = "urn:xmpp:ping";
    /// XEP-0202: Entity Time.
    TIME = "urn:xmpp:time";
    /// XEP-0203: Delayed Delivery.
    DELAY = "urn:xmpp:delay";
    /// XEP-0280: Message Carbons.
    CARBONS = "urn:xmpp:carbons:2";
    /// XEP-0297: Stanza Forwarding.
    FORWARD = "urn:xmpp:forward:0";
    /// XEP-0313: Message Archive Management.
    ARCHIVE = "urn:xmpp:mam:2";
    /// XEP-0333: Displayed Markers.
    CHAT_MARKERS = "urn:xmpp:chat-markers:0";
    /// XEP-0334: Message Processing Hints.
    HINTS = "urn:xmpp:hints";
    /// XEP-0352: Client State Indication.
    CLIENT_STATE = "urn:xmpp:csi:0";
    /// XEP-0359: Unique and Stable Stanza IDs.
    STANZA_IDS = "urn:xmpp:sid:0";
    /// XEP-0363: HTTP File Upload.
    UPLOAD = "urn:xmpp:http:upload:0";
    /// XEP-0377: Blocking Command Reports.
    REPORTING = "urn:xmpp:reporting:1";
    /// XEP-0380: Explicit Message Encryption.
    ENCRYPTION = "urn:xmpp:eme:0";
    /// XEP-0384: OMEMO Encryption.
    OMEMO = "urn:xmpp:omemo:2";
    /// XEP-0421: Occupant identifiers for semi-anonymous MUCs.
    OCCUPANT_IDS = "urn:xmpp:occupant-id:0";
    /// XEP-0424: Message Retraction.
    RETRACTION = "urn:xmpp:message-retract:1";
    /// XEP-0425: Moderated Message Retraction.
    MODERATION = "urn:xmpp:message-moderate:1";
    /// XEP-0485: PubSub Server Information.
    PUBSUB_SERVER_INFO = "urn:xmpp:serverinfo:0";
    /// OMEMO as most clients still speak it.
    OMEMO_LEGACY = "eu.siacs.conversations.axolotl";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_its_own_and_fit_for_a_canonical_declaration() {
        for (at, uri) in ALL.iter().enumerate() {
            assert_eq!(known(uri), Some(*uri));
            assert!(!ALL[..at].contains(uri), "{uri} stands twice");
            assert!(
                uri.bytes()
                    .all(|b| b.is_ascii_graphic() && !b"<>&\"".contains(&b)),
                "{uri}"
            );
        }
        assert_eq!(known("urn:example:unknown"), None);
    }
}
