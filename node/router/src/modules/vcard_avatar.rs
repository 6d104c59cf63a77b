//! XEP-0153: vCard-Based Avatars, the server's share.
//!
//! ```text
//! C: publishes a vCard with a PHOTO ─► the server remembers the SHA-1 of the image
//! C: <presence/>                    ─► <presence><x xmlns='vcard-temp:x:update'><photo>01b8…</photo></x></presence>
//! ```
//!
//! Contacts learn of an avatar from the hash in presence. A client that says nothing of it gets the
//! hash added, so that an avatar set with one client is seen through all; a client that writes the
//! element itself is left alone (section 3.1), also when it says that it is not ready.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::{Kind, StanzaType, append_child};
use sha1::{Digest, Sha1};

use super::{Flow, Hook, Info, Module, Phase, Stanza, Status};
use crate::account::{Account, COLLECTION};
use crate::shard::{Reply, Request, Turn};

/// XEP-0153.
pub(super) const INFO: Info = Info {
    xep: 153,
    title: "vCard-Based Avatars",
    version: "1.1.1",
    status: Status::Complete,
    note: "the hash is added to the presence of clients that do not write it",
};

/// The document's key.
const KEY: &str = "avatar";

/// Adds the avatar's hash to presence.
pub(super) struct VCardAvatar;

/// The hash of the account's avatar in lower-case hexadecimal; empty when its vCard has no image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Avatar(String);

impl Module for VCardAvatar {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn hooks(&self) -> &'static [(Hook, Phase)] {
        &[(Hook::Loaded, Phase::Stamp), (Hook::Submit, Phase::Stamp)]
    }

    fn loaded(&self, account: &mut Account, documents: &[(String, Bytes)]) {
        let document = documents.iter().find(|(key, _)| key == KEY);
        if let Some(hash) = document.and_then(|(_, hash)| std::str::from_utf8(hash).ok()) {
            account.slots.set(Avatar(hash.to_owned()));
        }
    }

    fn submit(&self, account: &mut Account, _turn: &mut Turn<'_>, stanza: Stanza<'_>) -> Flow {
        let announces = stanza.rec.kind == Kind::Presence
            && stanza.rec.stanza_type == StanzaType::None
            && stanza.to.is_none();
        let Some(Avatar(hash)) = account.slots.get::<Avatar>().filter(|_| announces) else {
            return Flow::Continue;
        };
        let silent = Element::parse(stanza.bytes())
            .is_ok_and(|presence| presence.child("x", ns::VCARD_UPDATE).is_none());
        if silent {
            Flow::Replace(with_hash(stanza, hash))
        } else {
            Flow::Continue
        }
    }
}

impl Avatar {
    /// The hash of a vCard's image.
    pub(super) fn of(card: &Element) -> Self {
        let image = card
            .child("PHOTO", ns::VCARD)
            .and_then(|photo| photo.child("BINVAL", ns::VCARD))
            .map(|image| image.text().split_ascii_whitespace().collect::<String>())
            .and_then(|base64| STANDARD.decode(base64).ok())
            .filter(|image| !image.is_empty());
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(
            image
                .map(|image| hex(&Sha1::digest(image)))
                .unwrap_or_default(),
        )
    }
}

/// A vCard was stored: its image's hash is remembered, durably, if it changed.
pub(super) fn changed(account: &mut Account, turn: &mut Turn<'_>, avatar: Avatar) {
    if account.slots.get::<Avatar>() == Some(&avatar) {
        return;
    }
    let request = Request::PutDocument {
        owner: Jid::clone(account.jid()),
        collection: COLLECTION,
        key: KEY.into(),
        document: Bytes::from(avatar.0.clone()),
    };
    account.slots.set(avatar);
    account.request_beside(turn, request, |_, _, reply| {
        if let Reply::Failed(error) = reply {
            tracing::debug!(%error, "avatar hash was not stored");
        }
    });
}

fn with_hash(stanza: Stanza<'_>, hash: &str) -> Bytes {
    let update = Element::new("x", ns::VCARD_UPDATE)
        .with_child(Element::new("photo", ns::VCARD_UPDATE).with_text(hash));
    let mut child = Vec::new();
    update.write(&mut child);
    let mut out = Vec::with_capacity(stanza.bytes().len() + child.len());
    append_child(stanza.bytes(), &stanza.rec.moved_to(0), &child, &mut out);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_decoded_image() {
        let image = Element::new("BINVAL", ns::VCARD).with_text(" YWJj\n");
        let card = Element::new("vCard", ns::VCARD)
            .with_child(Element::new("PHOTO", ns::VCARD).with_child(image));
        assert_eq!(
            Avatar::of(&card).0,
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        assert_eq!(Avatar::of(&Element::new("vCard", ns::VCARD)).0, "");
    }
}
