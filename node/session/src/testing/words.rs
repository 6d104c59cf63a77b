//! What clients say, as bytes.

use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::Content;
use rookery_xmpp::xml::{StreamOpen, write_stream_open};

/// A stream's header.
pub(super) fn open(to: Option<&str>, from: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    let open = StreamOpen {
        to,
        from,
        ..StreamOpen::default()
    };
    write_stream_open(&mut out, Content::Client, &open);
    out
}

/// `<auth/>` with what stands in it.
pub(super) fn auth(mechanism: &str, text: &str) -> Vec<u8> {
    let auth = Element::new("auth", ns::SASL).with_attr("mechanism", mechanism);
    auth.with_text(text).to_bytes().to_vec()
}

/// A request to bind.
pub(super) fn bind(resource: Option<&str>) -> Vec<u8> {
    let resource = resource.map(|text| Element::new("resource", ns::BIND).with_text(text));
    let bind = Element::new("bind", ns::BIND).with_children(resource);
    let iq = Element::new("iq", ns::CLIENT)
        .with_attr("type", "set")
        .with_attr("id", "b");
    iq.with_child(bind).to_bytes().to_vec()
}

/// An IQ of in-band registration.
pub(super) fn registration(kind: &str) -> Vec<u8> {
    let query = Element::new("query", ns::REGISTER);
    let iq = Element::new("iq", ns::CLIENT)
        .with_attr("type", kind)
        .with_attr("id", "r");
    iq.with_child(query).to_bytes().to_vec()
}

/// `<response/>` with what stands in it.
pub(super) fn response(text: &str) -> Vec<u8> {
    let response = Element::new("response", ns::SASL);
    response.with_text(text).to_bytes().to_vec()
}
