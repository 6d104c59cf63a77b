//! The first message of the client: `gs2-header [reserved-mext ","] username "," nonce ["," extensions]` (RFC 5802 7).

use crate::sasl::failure::Failure;

/// A parsed first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientFirst {
    /// What the client says of channel binding.
    pub(crate) binding: Binding,
    /// Who it wants to act as; `None` where it does not say.
    pub(crate) authzid: Option<String>,
    /// The GS2 header as it was sent, with its last comma: the client's `c=` must repeat it.
    pub(crate) gs2_header: String,
    /// Its name.
    pub(crate) username: String,
    /// Its half of the nonce.
    pub(crate) nonce: String,
    /// The message without the GS2 header, which both sides sign.
    pub(crate) bare: String,
}

/// What a client says of channel binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    /// `n`: it cannot.
    Unsupported,
    /// `y`: it can, and believes that we cannot.
    NotOffered,
    /// `p=…`: it binds to the channel this way.
    Bound(String),
}

impl ClientFirst {
    pub(crate) fn parse(message: &[u8]) -> Result<Self, Failure> {
        let text = std::str::from_utf8(message).map_err(|_| WRONG)?;
        let mut fields = text.splitn(3, ',');
        let (Some(flag), Some(authzid), Some(bare)) = (fields.next(), fields.next(), fields.next())
        else {
            return Err(WRONG);
        };
        let binding = parse_flag(flag)?;
        let authzid = match authzid {
            "" => None,
            _ => Some(unescape(authzid.strip_prefix("a=").ok_or(WRONG)?)?),
        };
        let mut attributes = bare.split(',');
        let username = match attributes.next() {
            Some(first) if first.starts_with("m=") => {
                // RFC 5802 5.1: an extension that must be understood, and there is none.
                return Err(Failure::malformed("mandatory extensions are not supported"));
            }
            Some(first) => unescape(first.strip_prefix("n=").ok_or(WRONG)?)?,
            None => return Err(WRONG),
        };
        let nonce = attributes
            .next()
            .and_then(|a| a.strip_prefix("r="))
            .ok_or(WRONG)?;
        if !is_nonce(nonce) || !attributes.all(is_extension) {
            return Err(WRONG);
        }
        Ok(Self {
            binding,
            authzid,
            gs2_header: text[..text.len() - bare.len()].to_owned(),
            username,
            nonce: nonce.to_owned(),
            bare: bare.to_owned(),
        })
    }
}

fn parse_flag(flag: &str) -> Result<Binding, Failure> {
    match flag {
        "n" => Ok(Binding::Unsupported),
        "y" => Ok(Binding::NotOffered),
        _ => {
            let name = flag.strip_prefix("p=").ok_or(WRONG)?;
            let known = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
            if name.is_empty() || !name.bytes().all(known) {
                return Err(WRONG);
            }
            Ok(Binding::Bound(name.to_owned()))
        }
    }
}

/// RFC 5802 5.1: in names `,` is written `=2C` and `=` is written `=3D`; any other `=` is an error.
fn unescape(name: &str) -> Result<String, Failure> {
    if name.is_empty() || name.contains('\0') {
        return Err(WRONG);
    }
    let mut parts = name.split('=');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (character, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(WRONG),
        };
        out.push(character);
        out.push_str(rest);
    }
    Ok(out)
}

/// Printable ASCII without a comma. The bound is ours: a nonce need not be longer than a hash.
fn is_nonce(nonce: &str) -> bool {
    (1..=NONCE_BYTES_MAX).contains(&nonce.len())
        && nonce.bytes().all(|b| matches!(b, 0x21..=0x7e) && b != b',')
}

/// `ALPHA "=" 1*value-char`; what it says is ignored (RFC 5802 5.1).
pub(super) fn is_extension(attribute: &str) -> bool {
    let mut bytes = attribute.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.next() == Some(b'=')
        && bytes.len() > 0
        && bytes.all(|b| b != 0)
}

/// Longest half of a nonce that a client may send, in bytes.
const NONCE_BYTES_MAX: usize = 256;
const WRONG: Failure = Failure::malformed("not a first message of SCRAM");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unescaped_and_the_header_is_kept() {
        let first =
            ClientFirst::parse(b"p=tls-exporter,a=x=3Dy,n=a=2Cb=3Dc,r=abc,z=ignored").unwrap();
        assert_eq!(first.binding, Binding::Bound("tls-exporter".to_owned()));
        assert_eq!(first.authzid.as_deref(), Some("x=y"));
        assert_eq!(first.gs2_header, "p=tls-exporter,a=x=3Dy,");
        assert_eq!(first.username, "a,b=c");
        assert_eq!(first.nonce, "abc");
        assert_eq!(first.bare, "n=a=2Cb=3Dc,r=abc,z=ignored");
    }

    #[test]
    fn a_first_message_in_any_other_form_is_malformed() {
        let long_nonce = format!("n,,n=a,r={}", "x".repeat(257));
        let wrong = [
            "",
            "n",
            "n,",
            "n,,",
            "x,,n=a,r=b",
            "p,,n=a,r=b",
            "p=,,n=a,r=b",
            "p=a b,,n=a,r=b",
            "n,b=c,n=a,r=b",
            "n,a=,n=a,r=b",
            "n,,a=a,r=b",
            "n,,n=,r=b",
            "n,,n=a",
            "n,,n=a,r=",
            "n,,r=b,n=a",
            "n,,n=a=,r=b",
            "n,,n=a=2c,r=b",
            "n,,n=a=2D,r=b",
            "n,,n=a,r=b c",
            "n,,n=a,r=ü",
            "n,,n=a,r=b,",
            "n,,n=a,r=b,x",
            "n,,n=a,r=b,1=c",
            "n,,n=a,r=b,x=",
            "n,,n=a\0,r=b",
            "n,,m=x,n=a,r=b",
            &long_nonce,
        ];
        for message in wrong {
            assert!(
                ClientFirst::parse(message.as_bytes()).is_err(),
                "{message:?}"
            );
        }
        assert!(ClientFirst::parse(b"n,,n=\xff,r=b").is_err());
    }
}
