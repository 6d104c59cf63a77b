//! Addresses (RFC 7622), in one prepared form, so that comparing them is comparing texts.
//!
//! ```text
//! juliet@capulet.example/balcony
//! └local┘ └── domain ──┘ └resource┘
//! ```
//!
//! * localpart: PRECIS UsernameCaseMapped (RFC 8265 3.3) without `"&'/:<>@` (RFC 7622 3.3.1);
//! * domainpart: by UTS 46, kept as U-labels, the form that RFC 7622 3.2 puts on the wire and peers
//!   compare; the A-label form of a name (`xn--…`) gives an equal address. IP literals are taken, a
//!   final dot is dropped;
//! * resourcepart: PRECIS OpaqueString (RFC 8265 4.2). More liberal than the RFC in one thing:
//!   emoji sequences may hold their joiners and variation selectors, since nicknames do.
//!
//! The tables are those of current Unicode, not of the version that an RFC was written with.
//! Addresses in ASCII that are prepared already, nearly all, take one pass over their bytes.

mod bidi;
mod context;
mod domain;
mod precis;
mod skeleton;
mod split;

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use domain::prepare_domain;
pub(crate) use precis::prepare_opaque;
pub use precis::{is_readable, prepare_local, prepare_resource};
pub use skeleton::{SKELETON_GROWTH_MAX, SKELETON_VERSION, skeleton, words};
pub use split::{bare_of, is_prepared};

/// Bytes in each of the three parts, prepared (RFC 7622 3.2–3.4).
pub const PART_BYTES_MAX: usize = 1023;

/// Bytes in a whole address: three parts and two separators. Longer texts are refused before any
/// work.
pub const JID_BYTES_MAX: usize = 3 * PART_BYTES_MAX + 2;

/// A prepared address. Equality, order and hash are those of its text.
///
/// ```
/// use rookery_xmpp::jid::Jid;
///
/// let jid = Jid::parse("Juliet@Capulet.example/Balcony")?;
/// assert_eq!(jid.as_str(), "juliet@capulet.example/Balcony");
/// assert_eq!(jid.bare_str(), "juliet@capulet.example");
/// assert_eq!(Jid::parse("a@xn--bcher-kva.example")?, Jid::parse("a@bücher.example")?);
/// # Ok::<(), rookery_xmpp::jid::JidError>(())
/// ```
#[derive(Clone)]
pub struct Jid {
    text: Box<str>,
    /// Length of the localpart; 0 when there is none.
    local_len: u16,
    /// Offset behind the domainpart.
    bare_len: u16,
}

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JidError {
    /// A part, or the whole, is longer than [`PART_BYTES_MAX`] or [`JID_BYTES_MAX`].
    #[error("address or part of it too long")]
    TooLong,
    /// There is an `@` with nothing before it, or nothing is left of the localpart after
    /// preparation.
    #[error("localpart is empty")]
    EmptyLocal,
    /// The localpart holds what RFC 7622 3.3 does not allow.
    #[error("localpart is not allowed")]
    BadLocal,
    /// There is no domainpart.
    #[error("domainpart is empty")]
    EmptyDomain,
    /// The domainpart is neither a domain name nor an IP literal.
    #[error("domainpart is not allowed")]
    BadDomain,
    /// There is a `/` with nothing behind it.
    #[error("resourcepart is empty")]
    EmptyResource,
    /// The resourcepart holds what RFC 7622 3.4 does not allow.
    #[error("resourcepart is not allowed")]
    BadResource,
}

/// Making.
impl Jid {
    /// Splits (RFC 7622 3.1) and prepares an address.
    ///
    /// # Errors
    /// [`JidError`] says which part is at fault.
    pub fn parse(text: &str) -> Result<Self, JidError> {
        if let Some(lengths) = split::scan_prepared(text) {
            return Ok(Self {
                text: text.into(),
                local_len: lengths.local,
                bare_len: lengths.bare,
            });
        }
        if text.len() > JID_BYTES_MAX {
            return Err(JidError::TooLong);
        }
        let (local, domain, resource) = split::split(text);
        Self::from_parts(local, domain, resource)
    }

    /// Prepares and joins the parts of an address.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn from_parts(
        local: Option<&str>,
        domain: &str,
        resource: Option<&str>,
    ) -> Result<Self, JidError> {
        let local = local.map(prepare_local).transpose()?;
        let domain = prepare_domain(domain)?;
        let resource = resource.map(prepare_resource).transpose()?;
        Ok(Self::join(local.as_deref(), &domain, resource.as_deref()))
    }

    /// The same bare address with this resource, prepared.
    ///
    /// # Errors
    /// When the resource is not allowed.
    pub fn with_resource(&self, resource: &str) -> Result<Self, JidError> {
        Ok(Self::join(
            self.local(),
            self.domain(),
            Some(&prepare_resource(resource)?),
        ))
    }

    /// The address without its resource.
    pub fn to_bare(&self) -> Self {
        Self {
            text: self.bare_str().into(),
            ..*self
        }
    }

    /// The address of the domain alone.
    pub fn to_domain(&self) -> Self {
        Self::join(None, self.domain(), None)
    }

    /// Joins parts that are prepared.
    fn join(local: Option<&str>, domain: &str, resource: Option<&str>) -> Self {
        let length = |part: Option<&str>| part.map_or(0, |part| part.len() + 1);
        let mut text = String::with_capacity(length(local) + domain.len() + length(resource));
        if let Some(local) = local {
            text.push_str(local);
            text.push('@');
        }
        text.push_str(domain);
        let bare_len = text.len();
        if let Some(resource) = resource {
            text.push('/');
            text.push_str(resource);
        }
        let local_len = local.map_or(0, str::len);
        let short = |length| u16::try_from(length).expect("prepared parts are at most 1023 bytes");
        Self {
            text: text.into_boxed_str(),
            local_len: short(local_len),
            bare_len: short(bare_len),
        }
    }
}

/// Looking.
impl Jid {
    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address without its resource.
    pub fn bare_str(&self) -> &str {
        &self.text[..usize::from(self.bare_len)]
    }

    /// The localpart.
    pub fn local(&self) -> Option<&str> {
        (self.local_len != 0).then(|| &self.text[..usize::from(self.local_len)])
    }

    /// The domainpart, in U-labels.
    pub fn domain(&self) -> &str {
        let start = if self.local_len == 0 {
            0
        } else {
            usize::from(self.local_len) + 1
        };
        &self.text[start..usize::from(self.bare_len)]
    }

    /// The resourcepart.
    pub fn resource(&self) -> Option<&str> {
        self.text.get(usize::from(self.bare_len) + 1..)
    }

    /// Whether there is no resource.
    pub fn is_bare(&self) -> bool {
        self.text.len() == usize::from(self.bare_len)
    }

    /// Whether there is a resource.
    pub fn is_full(&self) -> bool {
        !self.is_bare()
    }

    /// Whether it is a domain and nothing else.
    pub fn is_domain(&self) -> bool {
        self.local_len == 0 && self.is_bare()
    }

    /// Whether both are the same but for their resources.
    pub fn same_bare(&self, other: &Self) -> bool {
        self.bare_str() == other.bare_str()
    }
}

impl PartialEq for Jid {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Jid {}

impl PartialOrd for Jid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Jid {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for Jid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// Maps with addresses as keys can be asked with prepared text.
impl Borrow<str> for Jid {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Jid {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl FromStr for Jid {
    type Err = JidError;

    fn from_str(text: &str) -> Result<Self, JidError> {
        Self::parse(text)
    }
}

impl fmt::Display for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for Jid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Jid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
