//! How SASL messages travel in XML (RFC 6120 6.4.2): base64 without any liberty, `=` for nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rookery_xmpp::element::Element;

use super::failure::{Condition, Failure};

/// Encodes what we send.
pub(crate) fn encode(data: &[u8]) -> String {
    STANDARD.encode(data)
}

/// Decodes base64 as strictly as RFC 4648 3 allows: no white space, no missing or odd padding, no stray bits.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The message in `<auth/>` or `<response/>`; `None` where there is no text at all, which in `<auth/>` means that the
/// client waits for a challenge.
pub(super) fn of(element: &Element, bytes_max: u32) -> Result<Option<Vec<u8>>, Failure> {
    if element.elements().next().is_some() {
        return Err(Failure::malformed("a SASL message has no child elements"));
    }
    let text = element.text();
    match text.as_str() {
        "" => return Ok(None),
        "=" => return Ok(Some(Vec::new())),
        _ => {}
    }
    if text.len() / 4 * 3 > bytes_max as usize {
        return Err(Failure::malformed("the message is too long"));
    }
    let encoding = Failure::new(Condition::IncorrectEncoding, "the message is not base64");
    decode(&text).map(Some).ok_or(encoding)
}

/// Parses a message as everything it could be, for fuzzing: it must not panic.
#[cfg(any(test, fuzzing))]
pub fn parse_any(message: &[u8]) {
    use super::{plain, scram};
    let _ = plain::Message::parse(message);
    if let Ok(first) = scram::ClientFirst::parse(message) {
        // What was understood says the same when it is read again.
        let again =
            scram::ClientFirst::parse(format!("{}{}", first.gs2_header, first.bare).as_bytes());
        assert_eq!(again.as_ref(), Ok(&first));
    }
    if let Ok(last) = scram::ClientFinal::parse(message) {
        assert!(message.starts_with(last.without_proof.as_bytes()));
    }
}
