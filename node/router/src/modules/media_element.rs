//! XEP-0221: Data Forms Media Element.
//!
//! ```text
//! <field var='ocr'><media xmlns='urn:xmpp:media-element' height='80' width='250'>
//!   <uri type='image/png'>cid:sha1+f240…@bob.xmpp.org</uri></media></field>
//! ```

use rookery_xmpp::element::Element;
use rookery_xmpp::ns;

use super::{Info, Module, Status};
use crate::captcha::picture;

/// XEP-0221.
pub(super) const INFO: Info = Info {
    xep: 221,
    title: "Data Forms Media Element",
    version: "1.0",
    status: Status::Complete,
    note: "the picture of a captcha",
};

/// Puts pictures into forms.
pub(super) struct MediaElement;

impl Module for MediaElement {
    fn info(&self) -> &'static Info {
        &INFO
    }
}

/// A captcha's picture that is found there.
pub(super) fn image(uri: &str) -> Element {
    let uri = Element::new("uri", ns::MEDIA_ELEMENT)
        .with_attr("type", "image/png")
        .with_text(uri);
    Element::new("media", ns::MEDIA_ELEMENT)
        .with_attr("height", picture::HEIGHT.to_string())
        .with_attr("width", picture::WIDTH.to_string())
        .with_child(uri)
}
