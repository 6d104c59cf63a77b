//! XEP-0231: Bits of Binary, sent along with what refers to them.
//!
//! ```text
//! <data xmlns='urn:xmpp:bob' cid='sha1+8f35…@bob.xmpp.org' type='image/png' max-age='0'>iVBOR…</data>
//! ```
//!
//! The only bits are the pictures of captchas. They come with the form, so that a client shows them without a second
//! request and without HTTP, and each is shown once: nobody is asked for them later.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use sha1::{Digest, Sha1};

use super::{Info, Module, Status};

/// XEP-0231.
pub(super) const INFO: Info = Info {
    xep: 231,
    title: "Bits of Binary",
    version: "1.1",
    status: Status::Partial,
    note: "the picture of a captcha comes with its form, and is not kept",
};

/// Sends bits along.
pub(super) struct BitsOfBinary;

impl Module for BitsOfBinary {
    fn info(&self) -> &'static Info {
        &INFO
    }
}

/// Bits with a name of their own.
pub(super) struct Bits<'a> {
    cid: String,
    content: &'a [u8],
}

impl<'a> Bits<'a> {
    /// A picture.
    pub(super) fn png(content: &'a [u8]) -> Self {
        let hash = Sha1::digest(content);
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let cid = format!("sha1+{hash}@bob.xmpp.org");
        Self { cid, content }
    }

    /// What refers to it.
    pub(super) fn uri(&self) -> String {
        format!("cid:{}", self.cid)
    }

    /// The bits, not to be kept by who gets them.
    pub(super) fn to_element(&self) -> Element {
        Element::new("data", ns::BITS_OF_BINARY)
            .with_attr("cid", self.cid.as_str())
            .with_attr("type", "image/png")
            .with_attr("max-age", "0")
            .with_text(&STANDARD.encode(self.content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_named_by_their_hash() {
        let bits = Bits::png(b"abc");
        let hash = "a9993e364706816aba3e25717850c26c9cd0d89d";
        assert_eq!(bits.uri(), format!("cid:sha1+{hash}@bob.xmpp.org"));
        let data = bits.to_element();
        assert_eq!(data.attr("max-age"), Some("0"));
        assert_eq!((data.text().as_str(), data.is_empty()), ("YWJj", false));
    }
}
