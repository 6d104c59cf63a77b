//! Facts about a stanza's content, set by the reader in its one pass.

use std::ops::{BitOr, BitOrAssign};

/// A set of facts about a stanza.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    /// A message has a `<body/>` in the content namespace.
    pub const BODY: Self = Self(1);
    /// A message has a `<subject/>` in the content namespace.
    pub const SUBJECT: Self = Self(1 << 1);
    /// A message has a `<thread/>` in the content namespace.
    pub const THREAD: Self = Self(1 << 2);
    /// Has an `<error/>` child in the content namespace.
    pub const ERROR: Self = Self(1 << 3);
    /// XEP-0085: any chat state.
    pub const CHAT_STATE: Self = Self(1 << 4);
    /// XEP-0334 `<no-store/>`.
    pub const NO_STORE: Self = Self(1 << 5);
    /// XEP-0334 `<no-permanent-store/>`.
    pub const NO_PERMANENT_STORE: Self = Self(1 << 6);
    /// XEP-0334 `<no-copy/>`.
    pub const NO_COPY: Self = Self(1 << 7);
    /// XEP-0334 `<store/>`.
    pub const STORE: Self = Self(1 << 8);
    /// XEP-0184 `<request/>` or `<received/>`.
    pub const RECEIPT: Self = Self(1 << 9);
    /// XEP-0333: any chat marker.
    pub const MARKER: Self = Self(1 << 10);
    /// XEP-0045: any child in a `http://jabber.org/protocol/muc…` namespace.
    pub const MUC: Self = Self(1 << 11);
    /// XEP-0115 `<c/>`.
    pub const CAPS: Self = Self(1 << 12);
    /// XEP-0203 `<delay/>`.
    pub const DELAY: Self = Self(1 << 13);
    /// XEP-0280 `<private/>`, `<sent/>` or `<received/>`.
    pub const CARBONS: Self = Self(1 << 14);
    /// XEP-0359 `<stanza-id/>`.
    pub const STANZA_ID: Self = Self(1 << 15);
    /// XEP-0380 or OMEMO: the body is a placeholder, the content is encrypted.
    pub const ENCRYPTED: Self = Self(1 << 16);
    /// The client wrote a `from` that is neither its full nor its bare JID (RFC 6120 8.1.2.1).
    pub const FROM_MISMATCH: Self = Self(1 << 17);
    /// The stanza's own `to`, `id` or another span in the [`Rec`](super::Rec) holds `&`, so it must be unescaped.
    pub const ESCAPED: Self = Self(1 << 18);
    /// Has an xml:lang of its own.
    pub const LANG: Self = Self(1 << 19);
    /// A child outside the content namespace that no other flag names.
    pub const OTHER_CHILD: Self = Self(1 << 20);
    /// XEP-0359 `<origin-id/>`.
    pub const ORIGIN_ID: Self = Self(1 << 21);

    /// No fact at all.
    pub const fn empty() -> Self {
        Self(0)
    }

    /// The set as bits, for the wire.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The set that [`bits`](Self::bits) gave.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Whether all facts of `other` hold.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any fact of `other` holds.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}
