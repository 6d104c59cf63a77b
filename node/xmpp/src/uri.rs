//! XMPP addresses as URIs (RFC 5122).
//!
//! ```text
//! xmpp:pubsub.example.org?;node=serverinfo      a node of a publish-subscribe service (XEP-0060 12.22)
//! ```

/// A node of a publish-subscribe service.
pub fn pubsub_node(service: &str, node: &str) -> String {
    format!("xmpp:{}?;node={}", encoded(service), encoded(node))
}

/// Everything but what RFC 3986 2.3 leaves alone is written as `%XX`, so that no part of an address reads as another.
pub fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_named_behind_its_service() {
        let uri = pubsub_node("pubsub.example.org", "serverinfo");
        assert_eq!(uri, "xmpp:pubsub.example.org?;node=serverinfo");
        let odd = pubsub_node("bücher.example", "a?b;c=d");
        assert_eq!(odd, "xmpp:b%C3%BCcher.example?;node=a%3Fb%3Bc%3Dd");
    }
}
