//! The contact addresses of the configuration, taken apart: URIs by which people reach whoever runs the server.

use rookery_xmpp::jid::Jid;

/// One address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContactUri {
    /// `mailto:` with the domain of the mailbox.
    Mail(String),
    /// `xmpp:`.
    Xmpp(Jid),
    /// A page, a telephone.
    Other,
}

/// A text that is no such URI. The operator's mistake, worded for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ContactUriError {
    /// It has no scheme.
    #[error("it is no URI: write `mailto:{0}` or `xmpp:{0}`")]
    Bare(String),
    /// It cannot be used.
    #[error(
        "it is no URI that anybody could use, such as mailto:abuse@example.org or https://example.org/abuse"
    )]
    Form,
}

impl std::str::FromStr for ContactUri {
    type Err = ContactUriError;

    fn from_str(text: &str) -> Result<Self, ContactUriError> {
        let is_scheme = |scheme: &str| {
            let mut letters = scheme.chars();
            letters.next().is_some_and(|c| c.is_ascii_alphabetic())
                && letters.all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        };
        let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme))
        else {
            return Err(match text.contains('@') {
                true => ContactUriError::Bare(text.chars().take(64).collect()),
                false => ContactUriError::Form,
            });
        };
        if rest.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(ContactUriError::Form);
        }
        let address = rest.split(['?', '#']).next().unwrap_or_default();
        match scheme.to_ascii_lowercase().as_str() {
            "mailto" => match address.rsplit_once('@') {
                Some((name, domain)) if !name.is_empty() && domain.contains('.') => {
                    Ok(Self::Mail(domain.to_owned()))
                }
                _ => Err(ContactUriError::Form),
            },
            "xmpp" => {
                let jid = address.parse().map_err(|_| ContactUriError::Form)?;
                Ok(Self::Xmpp(jid))
            }
            "http" | "https" => {
                let uri: hyper::Uri = text.parse().map_err(|_| ContactUriError::Form)?;
                let host = uri.host().filter(|host| !host.is_empty());
                host.map(|_| Self::Other).ok_or(ContactUriError::Form)
            }
            _ => Ok(Self::Other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        let read = |text: &str| text.parse::<ContactUri>().unwrap();
        assert_eq!(
            read("mailto:abuse@a.example?subject=spam"),
            ContactUri::Mail("a.example".into())
        );
        let jid = Jid::parse("juliet@a.example").unwrap();
        assert_eq!(read("xmpp:juliet@a.example?message"), ContactUri::Xmpp(jid));
        assert_eq!(read("https://a.example/abuse"), ContactUri::Other);
        assert_eq!(read("tel:+49-30-1234"), ContactUri::Other);
    }

    #[test]
    fn what_nobody_could_use_is_refused() {
        for text in [
            "",
            ":",
            "mailto:",
            "mailto:abuse",
            "mailto:@a.example",
            "mailto:a@b",
            "xmpp:@",
            "https://",
            "https:///a",
            "mailto:a b@c.d",
            "1a:b",
        ] {
            assert_eq!(
                text.parse::<ContactUri>(),
                Err(ContactUriError::Form),
                "{text}"
            );
        }
        let told = "abuse@a.example"
            .parse::<ContactUri>()
            .unwrap_err()
            .to_string();
        assert!(told.contains("mailto:abuse@a.example"), "{told}");
    }
}
