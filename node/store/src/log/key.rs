//! How an entry is found again by what its sender has called it.

use rookery_xmpp::stanza::parse_rec;
use sha2::{Digest, Sha256};

/// Names a message within a log: by the bare address of its sender and the `id` that he gave it. Hashed, so that stores
/// keep eight bytes, and with a hash for which nobody finds another message of the same key. A sender may call several
/// messages the same, so whoever finds some looks at them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(i64);

impl Key {
    /// The key of what `sender`, an address with or without a resource, calls `id`.
    pub fn new(sender: &str, id: &str) -> Self {
        let bare = sender.split('/').next().unwrap_or_default();
        let mut hash = Sha256::new();
        hash.update(bare.as_bytes());
        // No text of a stanza has a zero.
        hash.update([0]);
        hash.update(id.as_bytes());
        let hash: [u8; 32] = hash.finalize().into();
        let (first, _) = hash.split_first_chunk().expect("there are 32 bytes");
        Self(i64::from_be_bytes(*first) | 1)
    }

    /// The key of a canonical stanza; none of one without a sender or an id.
    pub fn of(stanza: &[u8]) -> Option<Self> {
        let rec = parse_rec(stanza)?;
        let (id, from) = (rec.id_str(stanza)?, rec.attr_str(stanza, "from")?);
        Some(Self::new(&from, &id))
    }

    /// The form that databases keep. It is never 0, which stands for none.
    pub(crate) fn pack(self) -> i64 {
        self.0
    }

    /// What databases keep of a stanza: its key where it belongs to an archive, where it may be looked for.
    pub(crate) fn packed_of(stanza: &[u8], is_archived: bool) -> i64 {
        match is_archived {
            true => Self::of(stanza).map_or(0, Self::pack),
            false => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_of_the_bare_sender_and_the_id_and_never_changes() {
        let key = Key::new("romeo@montague.example", "a&b");
        assert_eq!(key.pack(), KEPT);
        assert_eq!(key, Key::new("romeo@montague.example/orchard/1", "a&b"));
        assert_ne!(key, Key::new("romeo@montague.example", "a&b "));
        assert_ne!(key, Key::new("paris@montague.example", "a&b"));
        let sent = b"<message from=\"romeo@montague.example/x\" id=\"a&amp;b\" to=\"y\"/>";
        assert_eq!(Key::of(sent), Some(key));
        assert_eq!(Key::packed_of(sent, true), key.pack());
        assert_eq!(Key::packed_of(sent, false), 0);
        for without in [
            "<message from=\"romeo@montague.example\"/>",
            "<message id=\"a&amp;b\"/>",
            "not a stanza",
        ] {
            assert_eq!(Key::of(without.as_bytes()), None, "{without}");
        }
    }

    /// What stores have written.
    const KEPT: i64 = -8_201_254_759_108_724_071;
}
