//! What a stream offers in each phase (RFC 6120 4.3.2), as `<stream:features/>`.

use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use rookery_xmpp::xml::XmlLimits;

use crate::config::{HostConfig, SessionConfig};
use crate::sasl::Offer;

/// TLS and nothing else, as it is required (RFC 6120 5.3.1).
pub(super) fn write_before_tls(out: &mut Vec<u8>) {
    let required = Element::new("required", ns::TLS);
    write(
        out,
        &[Element::new("starttls", ns::TLS).with_child(required)],
    );
}

/// The ways to log in, their channel bindings, registration where it is open, and what a stranger may send: a login
/// must be done within its time, whatever else comes.
pub(super) fn write_before_login(
    out: &mut Vec<u8>,
    offer: &Offer,
    config: &SessionConfig,
    host: &HostConfig,
) {
    let mut features = vec![mechanisms(offer)];
    features.extend(channel_bindings(offer));
    if host.registration {
        features.push(Element::new("register", ns::REGISTER_FEATURE));
        // XEP-0445 2, and the name from before it that clients look for.
        features.push(Element::new("register", ns::PREAUTH_FEATURE));
        features.push(Element::new("register", ns::INVITE));
    }
    let bytes = XmlLimits::before_authentication().stanza_bytes_max;
    features.push(limits(bytes as u64, config.options.login_timeout_ms));
    features.extend(host.caps.clone());
    write(out, &features);
}

/// What a client that logged in may use. `<session/>` does nothing any more; old clients look for it and are told that
/// it is optional.
pub(super) fn write_after_login(out: &mut Vec<u8>, config: &SessionConfig, host: &HostConfig) {
    let session =
        Element::new("session", ns::SESSION).with_child(Element::new("optional", ns::SESSION));
    let mut features = vec![
        Element::new("bind", ns::BIND),
        session,
        Element::new("ver", ns::ROSTER_VERSIONING),
        Element::new("sub", ns::PRE_APPROVAL),
        Element::new("sm", ns::STREAM_MANAGEMENT),
        limits(config.stanza_bytes_max.into(), config.options.idle_ms),
        Element::new("csi", ns::CLIENT_STATE),
    ];
    features.extend(host.caps.clone());
    write(out, &features);
}

/// XEP-0478 2.1: the largest element that is read, and after how much silence the client is pinged, or its stream ends.
/// How fast it is read is not part of that protocol.
fn limits(bytes_max: u64, idle_ms: u64) -> Element {
    let number =
        |name, value: u64| Element::new(name, ns::STREAM_LIMITS).with_text(&value.to_string());
    Element::new("limits", ns::STREAM_LIMITS)
        .with_child(number("max-bytes", bytes_max))
        .with_child(number("idle-seconds", idle_ms / 1_000))
}

fn mechanisms(offer: &Offer) -> Element {
    offer
        .mechanisms()
        .fold(Element::new("mechanisms", ns::SASL), |list, mechanism| {
            list.with_child(Element::new("mechanism", ns::SASL).with_text(mechanism.name()))
        })
}

/// XEP-0440 2: at least one type, or no element.
fn channel_bindings(offer: &Offer) -> Option<Element> {
    let mut types = offer.binding_types().peekable();
    types.peek()?;
    Some(types.fold(
        Element::new("sasl-channel-binding", ns::SASL_CHANNEL_BINDING),
        |list, name| {
            let kind = Element::new("channel-binding", ns::SASL_CHANNEL_BINDING);
            list.with_child(kind.with_attr("type", name))
        },
    ))
}

/// The prefix `stream` is written out: clients may take it for the name (RFC 6120 4.8.5).
fn write(out: &mut Vec<u8>, features: &[Element]) {
    out.extend_from_slice(b"<stream:features>");
    for feature in features {
        feature.write(out);
    }
    out.extend_from_slice(b"</stream:features>");
}
