//! Invitations as they are handed out: an address for clients (RFC 5122, XEP-0147) and one for browsers.
//!
//! ```text
//! xmpp:example.org?register;preauth=TOKEN              an account under any name     (XEP-0445 1.2)
//! xmpp:juliet@example.org?register;preauth=TOKEN       under this name               (XEP-0445 1.1)
//! xmpp:romeo@example.org?roster;preauth=TOKEN;ibr=y    and romeo as its contact      (XEP-0401 3.1)
//! https://example.org/invite/TOKEN                     the page about any of them
//! ```

use crate::uri::encoded;

/// An invitation with its token.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation<'a> {
    address: String,
    query: &'static str,
    token: &'a str,
    end: &'static str,
}

impl<'a> Invitation<'a> {
    /// To an account, under this name if one is fixed.
    pub fn to_register(host: &str, name: Option<&str>, token: &'a str) -> Self {
        let host = encoded(host);
        let address = match name {
            Some(name) => format!("{}@{host}", encoded(name)),
            None => host,
        };
        Self {
            address,
            query: "register",
            token,
            end: "",
        }
    }

    /// To an account with a contact, or to the contact alone. `inviter` is the contact's name at this host.
    pub fn to_roster(host: &str, inviter: &str, token: &'a str) -> Self {
        Self {
            address: format!("{}@{}", encoded(inviter), encoded(host)),
            query: "roster",
            token,
            end: ";ibr=y",
        }
    }

    /// For clients.
    pub fn uri(&self) -> String {
        let Self {
            address,
            query,
            token,
            end,
        } = self;
        format!("xmpp:{address}?{query};preauth={}{end}", encoded(token))
    }

    /// For browsers, below the base of the server's pages.
    pub fn url(&self, base: &str) -> String {
        format!(
            "{}/invite/{}",
            base.trim_end_matches('/'),
            encoded(self.token)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_address() {
        let any = Invitation::to_register("a.example", None, "abc");
        assert_eq!(any.uri(), "xmpp:a.example?register;preauth=abc");
        let named = Invitation::to_register("a.example", Some("juliet"), "abc");
        assert_eq!(named.uri(), "xmpp:juliet@a.example?register;preauth=abc");
        let contact = Invitation::to_roster("a.example", "romeo", "abc");
        assert_eq!(
            contact.uri(),
            "xmpp:romeo@a.example?roster;preauth=abc;ibr=y"
        );
        for base in ["https://a.example/x", "https://a.example/x/"] {
            assert_eq!(contact.url(base), "https://a.example/x/invite/abc");
        }
    }

    #[test]
    fn no_name_reads_as_something_else() {
        let odd = Invitation::to_register("bücher.example", Some("a?b;c=d%#\u{e9}"), "a/b");
        let expected = "xmpp:a%3Fb%3Bc%3Dd%25%23%C3%A9@b%C3%BCcher.example?register;preauth=a%2Fb";
        assert_eq!(odd.uri(), expected);
    }
}
