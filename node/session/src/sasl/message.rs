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

/// No message makes a parser panic, and what is understood reads the same again.
#[cfg(feature = "testing")]
pub(crate) fn check_parsers(message: &[u8]) -> Result<(), String> {
    use super::{plain, scram};
    let _ = plain::Message::parse(message);
    if let Ok(first) = scram::ClientFirst::parse(message) {
        let again = format!("{}{}", first.gs2_header, first.bare);
        if scram::ClientFirst::parse(again.as_bytes()) != Ok(first) {
            return Err(format!("{again:?} is read in two ways"));
        }
    }
    if let Ok(last) = scram::ClientFinal::parse(message)
        && !message.starts_with(last.without_proof.as_bytes())
    {
        return Err(format!(
            "{last:?} is signed in another form than it was sent"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::check_parsers;

    /// Messages out of the pieces that matter: attributes, separators, escapes, base64, any text.
    fn message() -> impl Strategy<Value = Vec<u8>> {
        let pieces =
            "n, y, p=tls-exporter, a= , n= m= c=biws, r= p= ,p=AAAA x=1 =2C =3D = \0 tim nonce";
        let pieces: Vec<&str> = pieces.split(' ').collect();
        let piece = prop_oneof![
            6 => prop::sample::select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
            1 => "\\PC{1,3}".prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>(), 1..4),
        ];
        let start = prop::sample::select(&["", "n,,n=a,r=b", "c=biws,r=b", "\0tim\0"][..]);
        (start, prop::collection::vec(piece, 0..8))
            .prop_map(|(start, pieces)| [start.as_bytes(), &pieces.concat()].concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn no_message_makes_a_parser_panic_and_what_is_understood_reads_the_same_again(
            message in message(),
        ) {
            prop_assert_eq!(check_parsers(&message), Ok(()));
        }
    }
}
